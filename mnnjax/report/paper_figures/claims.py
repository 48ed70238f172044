"""The claims of the paper's section 5."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from mnnjax.report.common.findings import ABOVE, Finding, non_finite_sentence, overall
from mnnjax.report.common.rows import Cell, Curve, Row, curves
from mnnjax.wording import of, percent, plural, ratio, scientific

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
    failures: tuple[str, ...]
    missing: tuple[str, ...]
    """Sides (parameters / N >= 1.5, <= 0.7) that have no cell."""

    @property
    def verdict(self) -> Literal["holds", "fails", "undecided"]:
        """Fails with a cell that is not as claimed; undecided where a side has no cell."""
        if self.failures:
            return "fails"
        return "undecided" if self.missing else "holds"

    @property
    def name(self) -> str:
        """'1 hidden layer, d = 20'."""
        return f"{plural(self.curve.hidden_layers, 'hidden layer')}, {self.curve.label}"


def judge(cells: Sequence[Cell]) -> list[Judgement]:
    """The criterion for every depth and width. A cell without any finite repetition fails."""
    return [_judge(curve) for curve in curves(cells)]


def _judge(curve: Curve) -> Judgement:
    above = [c for c in curve.cells if c.parameters_per_point >= ABOVE]
    below = [c for c in curve.cells if c.parameters_per_point <= BELOW]
    # "not (mean <= limit)", so that a mean of nan is a failure.
    not_zero = [c for c in above if not c.mean_mce <= ZERO_MCE]
    not_large = [c for c in below if not c.mean_mce > ZERO_MCE]
    failures = []
    if not_zero:
        worst = max(not_zero, key=lambda c: (math.isnan(c.mean_mce), c.mean_mce))
        failures.append(
            f"{of(len(not_zero), len(above), 'cell')} at {ABOVE} or above not within 0.5 %, worst {_at(worst)}"
        )
    if not_large:
        lowest = min(not_large, key=lambda c: (not math.isnan(c.mean_mce), c.mean_mce))
        failures.append(
            f"{of(len(not_large), len(below), 'cell')} at {BELOW} or below not above 0.5 %, lowest {_at(lowest)}"
        )
    return Judgement(
        curve=curve,
        zero_from_parameters_per_point=_zero_from(curve),
        zero_mce_repetitions_above=sum(c.zero_mce for c in above),
        repetitions_above=sum(len(c.rows) for c in above),
        worst_mean_mce_above=max((c.mean_mce for c in above if c.finite), default=math.nan),
        smallest_mean_mce_below=min((c.mean_mce for c in below if c.finite), default=math.nan),
        failures=tuple(failures),
        missing=tuple(s for s, side in ((f">= {ABOVE}", above), (f"<= {BELOW}", below)) if not side),
    )


def _zero_from(curve: Curve) -> float:
    smallest = math.nan
    for cell in sorted(curve.cells, key=lambda c: -c.parameters_per_point):
        if not cell.mean_mce <= ZERO_MCE:
            break
        smallest = cell.parameters_per_point
    return smallest


def _at(cell: Cell) -> str:
    mean = f"mean MCE {percent(cell.mean_mce)}" if cell.finite else "no finite repetition"
    return f"{mean} at parameters / N = {ratio(cell.parameters_per_point)} (N = {cell.N})"


def figure_5_1(cells: Sequence[Cell], judgements: Sequence[Judgement]) -> Finding:
    """Figure 5.1 against its claim."""
    holds, fails, undecided = ([j for j in judgements if j.verdict == v] for v in ("holds", "fails", "undecided"))
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
        *non_finite_sentence(cells),
    )
    because = (
        f"{of(len(holds), len(judgements), 'curve')} meet the criterion, {len(fails)} fail, "
        f"{len(undecided)} cannot be judged.",
        *(f"Fails, {j.name}: {'; '.join(j.failures)}." for j in fails),
        *(f"Undecided, {j.name}: no cell with parameters / N {' nor '.join(j.missing)}." for j in undecided),
    )
    return Finding(
        claim="The training error is about zero as soon as (about) the number of parameters exceeds N.",
        measured=measured,
        criterion=f"For every depth and width: mean MCE <= 0.5 % in all cells with parameters / N >= {ABOVE}, "
        f"and > 0.5 % in all cells with parameters / N <= {BELOW}.",
        status=overall(len(holds), len(fails), len(undecided)),
        because=because,
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
        *non_finite_sentence(cells, n - len(kept)),
    )
    because = (
        f"Agrees in {of(met, n, 'repetition')}; {small_input} have min |w . x| < 1e-3, {large_mse} have MSE > 1e-7, "
        f"{n - len(kept)} are non-finite (a repetition can be counted in the first two at once).",
    )
    return Finding(
        claim="Smallest neural input between 1e-3 and 1, final MSE between 1e-31 and 1e-7, far smaller: "
        "training converged to differentiable local minima.",
        measured=measured,
        criterion="Every repetition has MSE <= 1e-7 and min |w . x| >= 1e-3.",
        status=overall(met, n - met, 0),
        because=because,
    )


def _range(values: Sequence[float]) -> str:
    return f"from {scientific(min(values))} to {scientific(max(values))}" if values else "no finite value"
