"""Table 1 against the paper's claim, row by row."""

import statistics
from collections.abc import Sequence

from mnnjax.config import Problem
from mnnjax.report.common.findings import Finding, non_finite_sentence, overall
from mnnjax.report.common.training_rows import Cell, Row
from mnnjax.report.table1.tables import (
    IMAGENET,
    data_name,
    held_out,
    held_out_points,
    is_of_the_paper,
    paper_row,
    residuals,
)
from mnnjax.wording import integer, of, percent, plural, points, ratio, scientific

# "About as many parameters as points": the paper's own rows reach 1.008.
AS_MANY = 1.1
# An MCE that was computed in float32 is off by 6e-8 of itself.
ROUNDING = 1e-6


def finding(problem: Problem, cells: Sequence[Cell]) -> Finding:
    """A row agrees when all its repetitions reach the MCE that the paper prints for the data, with few parameters; one
    that reaches it with more of them says nothing about the claim."""
    agreeing = [c for c in cells if _reached(problem, c) == len(c.rows) and c.parameters_per_point <= AS_MANY]
    beside = [c for c in cells if _reached(problem, c) == len(c.rows) and c.parameters_per_point > AS_MANY]
    total = sum(len(c.rows) for c in cells)
    per_point = sorted(c.parameters_per_point for c in cells)
    measured = (
        f"{of(sum(c.zero_mce for c in cells), total, 'repetition')} have MCE 0; "
        f"parameters / N: {_from_to([ratio(value) for value in per_point])}.",
        *_held_out_sentence(held_out(cells)),
        *_residual_sentence(residuals(cells)),
        *non_finite_sentence(cells),
    )
    because = (
        f"Rows that agree: {integer(len(agreeing))} of {integer(len(cells))}.",
        *(_sentence(problem, c, c in agreeing, c in beside) for c in cells),
    )
    return Finding(
        claim="The training MCE is 0 % (ImageNet: 0.1 %) with about as many parameters as points.",
        measured=measured,
        criterion="A row agrees when every repetition has MCE 0 (ImageNet 64x64 itself: MCE <= 0.1 %, what the paper "
        "reports) and parameters / N <= 1.1; it cannot be judged when every repetition has, with more parameters.",
        status=overall(len(agreeing), len(cells) - len(agreeing) - len(beside), len(beside)),
        because=because,
    )


def _limit(problem: Problem, cell: Cell) -> float:
    """The MCE that a repetition may have: the paper's own is above 0 for ImageNet alone."""
    return IMAGENET.mce if is_of_the_paper(problem) and paper_row(problem, cell) is IMAGENET else 0.0


def _reached(problem: Problem, cell: Cell) -> int:
    limit = _limit(problem, cell)
    return sum(mce <= limit * (1 + ROUNDING) for mce in cell.mce)


def _sentence(problem: Problem, cell: Cell, agrees: bool, beside: bool) -> str:
    limit, row = _limit(problem, cell), paper_row(problem, cell)
    few = of(_reached(problem, cell), len(cell.rows), "repetition")
    theirs = f" (paper: {integer(row.N)})" if row and row.N != cell.N else ""
    worst = points(cell.worst_mce, cell.N)
    count = "" if worst is None else f" ({plural(worst, 'point')})"
    per_point = ratio(cell.parameters_per_point)
    judgement = "agrees" if agrees else "does not agree"
    if beside:
        judgement = f"cannot be judged, since parameters / N = {per_point} is above {AS_MANY}"
    return (
        f"{data_name(problem)}{_relation(problem, cell)}, {plural(cell.hidden_layers, 'hidden layer')}, "
        f"d1 = {integer(cell.d1)}, N = {integer(cell.N)}{theirs}: {judgement}: "
        f"{few} with MCE {f'<= {percent(limit)}' if limit else '0'}, mean {percent(cell.mean_mce)}, "
        f"worst {percent(cell.worst_mce)}{count}, parameters / N = {per_point}."
    )


def _relation(problem: Problem, cell: Cell) -> str:
    row = paper_row(problem, cell)
    if row is None:
        return ", not in the paper's table"
    return "" if is_of_the_paper(problem) else f", stand-in for {row.data}"


def _held_out_sentence(rows: Sequence[Row]) -> tuple[str, ...]:
    if not rows:
        return ()
    ordered = [_held_out(row) for row in sorted(rows, key=lambda row: row.held_out_mce)]
    mean = percent(statistics.fmean(row.held_out_mce for row in rows))
    return (f"Test error, the MCE on held-out points: {_from_to(ordered)}; mean {mean}.",)


def _held_out(row: Row) -> str:
    N = held_out_points(row)
    count = points(row.held_out_mce, N)
    return percent(row.held_out_mce) + ("" if count is None else f" ({of(count, N, 'point')})")


def _residual_sentence(values: Sequence[float]) -> tuple[str, ...]:
    if not values:
        return ()
    ordered, median = [scientific(value) for value in sorted(values)], scientific(statistics.median(values))
    return (
        f"First-order residual |(A o X) e| / N (zero at every differentiable local minimum): {_from_to(ordered)}; "
        f"median {median}.",
    )


def _from_to(ordered: Sequence[str]) -> str:
    """'from 1.0e-07 to 2.0e-06', or '1.0e-07' where all are written alike."""
    return ordered[0] if ordered[0] == ordered[-1] else f"from {ordered[0]} to {ordered[-1]}"
