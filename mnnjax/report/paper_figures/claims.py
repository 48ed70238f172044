"""The claims of the paper's section 5."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from mnnjax.report.common.findings import ABOVE, Finding, Verdict, overall
from mnnjax.report.common.rows import Cell, Curve, Row
from mnnjax.wording import of, percent, ratio, scientific

# Figure 5.1: "about zero", and how far from parameters = N a cell must lie to decide anything.
ZERO_MCE, BELOW = 0.005, 0.7
# Figure 5.2: the ranges that the paper's panels show.
NEURAL_INPUT_RANGE, MSE_RANGE, FAR_SMALLER = (1e-3, 1.0), (1e-31, 1e-7), 1e-3


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Figure 5.1's criterion for one depth and width; fractions, nan where there is no such cell."""

    curve: Curve
    zero_from_parameters_per_point: float
    """The smallest parameters / N at and above which every cell has mean MCE <= 0.5 %."""
    zero_mce_repetitions_above: int
    repetitions_above: int
    worst_mean_mce_above: float
    smallest_mean_mce_below: float
    verdict: Verdict
    """Fails with a cell that is not as claimed; undecided where a side (parameters / N >= 1.5, <= 0.7) has no cell."""


def judge(curve: Curve) -> Judgement:
    """The criterion for one depth and width. A cell without any finite repetition fails."""
    above = [c for c in curve.cells if c.parameters_per_point >= ABOVE]
    below = [c for c in curve.cells if c.parameters_per_point <= BELOW]
    # "not (mean <= limit)", so that a mean of nan is a failure.
    fails = any(not c.mean_mce <= ZERO_MCE for c in above) or any(not c.mean_mce > ZERO_MCE for c in below)
    falling = sorted(curve.cells, key=lambda c: -c.parameters_per_point)
    zero = list(itertools.takewhile(lambda c: c.mean_mce <= ZERO_MCE, falling))
    return Judgement(
        curve=curve,
        zero_from_parameters_per_point=zero[-1].parameters_per_point if zero else math.nan,
        zero_mce_repetitions_above=sum(c.zero_mce for c in above),
        repetitions_above=sum(len(c.rows) for c in above),
        worst_mean_mce_above=max((c.mean_mce for c in above if c.finite), default=math.nan),
        smallest_mean_mce_below=min((c.mean_mce for c in below if c.finite), default=math.nan),
        verdict="fails" if fails else "holds" if above and below else "undecided",
    )


def figure_5_1(judgements: Sequence[Judgement]) -> Finding:
    """Figure 5.1 against its claim."""
    status, numbers = overall((j.verdict for j in judgements), "curve")
    starts = [s for j in judgements if math.isfinite(s := j.zero_from_parameters_per_point)]
    above, zero = sum(j.repetitions_above for j in judgements), sum(j.zero_mce_repetitions_above for j in judgements)
    floors = [mean for j in judgements if math.isfinite(mean := j.smallest_mean_mce_below)]
    reach = f", which lies between {ratio(min(starts))} and {ratio(max(starts))}" if starts else ""
    measured = (
        f"(a) In {of(len(starts), len(judgements), 'curve')} (depth and width) the mean MCE stays at or below 0.5 % "
        f"from some parameters / N on{reach}.",
        f"(b) With parameters / N >= {ABOVE}, {of(zero, above, 'repetition')} have MCE exactly 0.",
        f"(c) With parameters / N <= {BELOW}, the smallest mean MCE of a cell is "
        f"{percent(min(floors)) if floors else 'unknown (no such cell)'}.",
    )
    return Finding(
        claim="The training error is about zero as soon as (about) the number of parameters exceeds N.",
        measured=measured,
        criterion=f"For every depth and width: mean MCE <= 0.5 % in all cells with parameters / N >= {ABOVE}, "
        f"and > 0.5 % in all cells with parameters / N <= {BELOW}.",
        status=status,
        because=(numbers,),
    )


def is_plottable(row: Row) -> bool:
    """Whether Figure 5.2 can show the repetition: both of its numbers are finite."""
    return row.is_finite and math.isfinite(row.min_abs_neural_input)


def figure_5_2(cells: Sequence[Cell]) -> Finding:
    """Figure 5.2 against its claim; a non-finite repetition does not satisfy it."""
    rows = [row for cell in cells for row in cell.rows]
    kept = [row for row in rows if is_plottable(row)]
    n, smallest, largest = len(rows), NEURAL_INPUT_RANGE[0], MSE_RANGE[1]
    small_input = sum(r.min_abs_neural_input < smallest for r in kept)
    large_mse = sum(r.mse > largest for r in kept)
    met = sum(r.mse <= largest and r.min_abs_neural_input >= smallest for r in kept)
    far = sum(r.mse < FAR_SMALLER * r.min_abs_neural_input for r in kept)
    measured = (
        f"Smallest neural input min |w . x|: {_range([r.min_abs_neural_input for r in kept])}; final MSE: "
        f"{_range([r.mse for r in kept])}; far smaller, MSE < 1e-3 min |w . x|: in {of(far, n, 'repetition')}.",
    )
    status, numbers = overall(["holds"] * met + ["fails"] * (n - met), "repetition")
    reasons = (
        f"{small_input} have min |w . x| < 1e-3, {large_mse} have MSE > 1e-7, {n - len(kept)} are non-finite "
        "(a repetition can be counted in the first two at once)."
    )
    return Finding(
        claim="Smallest neural input between 1e-3 and 1, final MSE between 1e-31 and 1e-7, far smaller: "
        "training converged to differentiable local minima.",
        measured=measured,
        criterion="Every repetition has MSE <= 1e-7 and min |w . x| >= 1e-3.",
        status=status,
        because=(numbers, reasons),
    )


def _range(values: Sequence[float]) -> str:
    return f"from {scientific(min(values))} to {scientific(max(values))}" if values else "no finite value"
