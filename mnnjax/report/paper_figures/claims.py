"""The claims of the paper's section 5."""

import collections
import dataclasses
import itertools
import math
from collections.abc import Sequence

from mnnjax.report.common.findings import ABOVE, SHARE_CRITERION, Finding, Verdict, of_share, overall
from mnnjax.report.common.rows import Cell, Curve, Row
from mnnjax.study.workdir.results_table import NON_FINITE
from mnnjax.wording import of, percent, plural, ratio, scientific

# Figure 5.1: "about zero", and how far from parameters = N a cell must lie to decide anything.
ZERO_MCE, BELOW = 0.005, 0.7
# So many standard errors may be chance.
ERRORS = 2
# Figure 5.2: the ranges that the paper's panels show.
NEURAL_INPUT_RANGE, MSE_RANGE, FAR_SMALLER = (1e-3, 1.0), (1e-31, 1e-7), 1e-3


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Figure 5.1's criterion for one depth and width; fractions, nan where there is no such cell."""

    curve: Curve
    zero_from_parameters_per_point: float
    """The smallest parameters / N at and above which no cell's mean MCE is surely above 0.5 %."""
    zero_mce_repetitions_above: int
    repetitions_above: int
    worst_mean_mce_above: float
    smallest_mean_mce_below: float
    within_error: int
    """Cells on the wrong side of 0.5 %, by no more than their sampling error."""
    verdict: Verdict
    """Fails with a cell that is surely not as claimed; undecided where a side (parameters / N >= 1.5, <= 0.7) has no
    cell."""


def is_surely_above(cell: Cell) -> bool:
    """Whether the mean MCE is above 0.5 % by more than two standard errors, or not a number."""
    # "not (mean <= limit)", so that a mean of nan is a failure.
    return not cell.mean_mce - ERRORS * cell.standard_error <= ZERO_MCE


def is_surely_zero(cell: Cell) -> bool:
    """Whether the mean MCE is at most 0.5 %, by more than two standard errors, or not a number."""
    return not cell.mean_mce + ERRORS * cell.standard_error > ZERO_MCE


def judge(curve: Curve) -> Judgement:
    """The criterion for one depth and width. A cell without any finite repetition fails."""
    above = [c for c in curve.cells if c.parameters_per_point >= ABOVE]
    below = [c for c in curve.cells if c.parameters_per_point <= BELOW]
    fails = any(map(is_surely_above, above)) or any(map(is_surely_zero, below))
    wrong = [*(c.mean_mce > ZERO_MCE and not is_surely_above(c) for c in above)]
    wrong += [c.mean_mce <= ZERO_MCE and not is_surely_zero(c) for c in below]
    falling = sorted(curve.cells, key=lambda c: -c.parameters_per_point)
    zero = list(itertools.takewhile(lambda c: not is_surely_above(c), falling))
    return Judgement(
        curve=curve,
        zero_from_parameters_per_point=zero[-1].parameters_per_point if zero else math.nan,
        zero_mce_repetitions_above=sum(c.zero_mce for c in above),
        repetitions_above=sum(len(c.rows) for c in above),
        worst_mean_mce_above=max((c.mean_mce for c in above if c.finite), default=math.nan),
        smallest_mean_mce_below=min((c.mean_mce for c in below if c.finite), default=math.nan),
        within_error=sum(wrong),
        verdict="fails" if fails else "holds" if above and below else "undecided",
    )


def figure_5_1(judgements: Sequence[Judgement]) -> Finding:
    """Figure 5.1 against its claim."""
    status, numbers = overall((j.verdict for j in judgements), "curve")
    starts = [s for j in judgements if math.isfinite(s := j.zero_from_parameters_per_point)]
    above, zero = sum(j.repetitions_above for j in judgements), sum(j.zero_mce_repetitions_above for j in judgements)
    floors = [mean for j in judgements if math.isfinite(mean := j.smallest_mean_mce_below)]
    holds, total = sum(j.verdict == "holds" for j in judgements), len(judgements)
    reach = "In no curve does the mean MCE stay at or below 0.5 %"
    if starts:
        ends = dict.fromkeys(ratio(end) for end in (min(starts), max(starts)))
        reach = f"the mean MCE stays at or below 0.5 % from parameters / N = {' to '.join(ends)} on"
    without = f" {plural(total - len(starts), 'curve')} have no such value." if 0 < len(starts) < total else ""
    measured = (
        f"(a) Up to two standard errors, {reach}.{without}" if starts else f"(a) {reach}.",
        f"(b) With parameters / N >= {ABOVE}, {of(zero, above, 'repetition')} have MCE exactly 0.",
        f"(c) With parameters / N <= {BELOW}, the smallest mean MCE of a cell is "
        f"{percent(min(floors)) if floors else 'unknown (no such cell)'}.",
    )
    because = [numbers]
    if within := sum(j.within_error for j in judgements):
        because.append(f"On the wrong side of 0.5 % by less than two standard errors: {plural(within, 'cell')}.")
    return Finding(
        claim="The training error is about zero as soon as (about) the number of parameters exceeds N.",
        measured=measured,
        criterion=f"For every depth and width: mean MCE <= 0.5 % in all cells with parameters / N >= {ABOVE}, "
        f"and > 0.5 % in all cells with parameters / N <= {BELOW}. A cell contradicts this where it does by more than "
        "two standard errors of its mean.",
        status=status,
        because=tuple(because),
        question="Is the training error about zero as soon as the number of parameters exceeds N?",
        answer=f"In {of(holds, total, 'curve')} (depth and width) it is as claimed: {reach}."
        if starts
        else f"{reach}, from any parameters / N on.",
    )


def is_plottable(row: Row) -> bool:
    """Whether Figure 5.2 can show the repetition: both of its numbers are finite."""
    return row.is_finite and math.isfinite(row.min_abs_neural_input)


def ends_at_minimum(row: Row) -> Verdict:
    """Whether a certificate proves that the repetition ended at a differentiable local minimum, or a global one: where
    the residual is zero, so is the gradient of the loss, at kinks too. Undecided without a proof of either kind."""
    if row.verdict in ("global_minimum", "suboptimal_dlm"):
        return "holds"
    return "fails" if row.verdict in ("suboptimal_kink", "saddle", NON_FINITE) else "undecided"


def figure_5_2(cells: Sequence[Cell]) -> Finding:
    """Figure 5.2 against its claim; a non-finite repetition does not satisfy it."""
    rows = [row for cell in cells for row in cell.rows]
    kept = [row for row in rows if is_plottable(row)]
    n, smallest, largest = len(rows), NEURAL_INPUT_RANGE[0], MSE_RANGE[1]
    found = collections.Counter(map(ends_at_minimum, rows))
    small_input = sum(r.min_abs_neural_input < smallest for r in kept)
    large_mse = sum(r.mse > largest for r in kept)
    met = sum(r.mse <= largest and r.min_abs_neural_input >= smallest for r in kept)
    far = sum(r.mse < FAR_SMALLER * r.min_abs_neural_input for r in kept)
    inputs = _range([r.min_abs_neural_input for r in kept])
    measured = (
        f"Certified at a differentiable local minimum, or a global one: {of(found['holds'], n, 'repetition')}.",
        f"Smallest neural input min |w . x|: {inputs}; final MSE: "
        f"{_range([r.mse for r in kept])}; far smaller, MSE < 1e-3 min |w . x|: in {of(far, n, 'repetition')}.",
        f"Within the paper's ranges, MSE <= 1e-7 and min |w . x| >= 1e-3: {of(met, n, 'repetition')}. "
        f"{small_input} have min |w . x| < 1e-3, {large_mse} have MSE > 1e-7, {n - len(kept)} are non-finite "
        "(a repetition can be counted in the first two at once).",
    )
    status, numbers = of_share(found["holds"], found["fails"], found["undecided"], "repetition")
    return Finding(
        claim="Smallest neural input between 1e-3 and 1, final MSE between 1e-31 and 1e-7, far smaller: "
        "training converged to differentiable local minima.",
        measured=measured,
        criterion="A certificate proves that the repetition ended at a differentiable local minimum or a global one. "
        f"{SHARE_CRITERION} The ranges alone prove nothing, and are not judged.",
        status=status,
        because=(numbers,),
        question="Does training converge to differentiable local minima, with no neural input near zero?",
        answer=f"Certificates prove it of {of(found['holds'], n, 'repetition')}; the smallest neural inputs are "
        f"{inputs}.",
    )


def _range(values: Sequence[float]) -> str:
    return f"from {scientific(min(values))} to {scientific(max(values))}" if values else "no finite value"
