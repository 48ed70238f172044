"""Table 1 beside the paper's row, and where training ended."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from mnnjax.config import Problem
from mnnjax.report.common.rows import Cell
from mnnjax.report.common.tables import REPETITIONS, SIZES, Column, Table, table_of, verdict_columns
from mnnjax.report.table1 import claims
from mnnjax.report.table1.claims import PAPER, PaperRow, data_name, paper_row
from mnnjax.study.workdir.results_table import TOO_LARGE, Value
from mnnjax.wording import duration, integer, percent, points, ratio, scientific

# A cell, and the paper's row beside it.
_Line = tuple[Cell | None, PaperRow | None]


def beside_paper(problem: Problem, cells: Sequence[Cell], whole: bool) -> Table:
    """One row per cell with the paper's row beside it; whole: followed by the paper's table. The number of hidden
    layers is on the page only where it is not 1 throughout, as in the paper."""
    relation = claims.relation(problem)
    lines: list[_Line] = [(cell, paper_row(problem, cell)) for cell in cells]
    lines += [(None, row) for row in PAPER] if whole else []
    certified = any(cell.count(TOO_LARGE) < len(cell.rows) for cell in cells)
    timed = any(math.isfinite(cell.seconds) for cell in cells)
    columns = (
        _ours("data", "ours", str, "data", lambda cell: data_name(problem), style="words"),
        Column("paper_data", "paper", str, "data",
               lambda line: line[1] and f"{relation if line[0] else ''}{line[1].data}", style="words paper"),
        _ours("mean_mce", "mean", percent, "MCE (points)"),
        _ours("best_mce", "best", percent, "MCE (points)", count="best_misclassified"),
        _ours("best_misclassified", "", None, of=lambda cell: points(cell.best_mce, cell.N)),
        _ours("worst_mce", "worst", percent, "MCE (points)", count="worst_misclassified"),
        _ours("worst_misclassified", "", None, of=lambda cell: points(cell.worst_mce, cell.N)),
        _ours("zero_mce_repetitions", "is 0 in", integer, "MCE (points)", lambda cell: cell.zero_mce,
              count="repetitions", count_text=" of {}"),
        _theirs("mce", "paper", percent, "MCE (points)"),
        _ours("mean_held_out_mce", "held-out, mean", percent if claims.held_out(cells) else None, "MCE (points)",
              _held_out(statistics.fmean)),
        _ours("median_first_order_residual", "|(A o X) e| / N, median",
              scientific if claims.residuals(cells) else None, "end point", _residual(statistics.median)),
        _ours("global_minima", "global minima", integer if certified else None, "end point",
              lambda cell: cell.count("global_minimum") if cell.count(TOO_LARGE) < len(cell.rows) else None),
        _ours("hidden_layers", "hidden layers", integer if any(c.hidden_layers > 1 for c in cells) else None),
        *(column for size in ("d0", "d1", "N")
          for column in (_ours(size, "ours", integer, size), _theirs(size, "paper", integer, size))),
        _ours("parameters", "ours", integer, "parameters"),
        _ours("parameters_per_point", "ours / N", ratio, "parameters"),
        _theirs("parameters_per_point", "paper / N", ratio, "parameters"),
        _ours("seconds", "time", duration if timed else None),
        _ours("claim", "claim", of=lambda cell: claims.verdict(problem, cell)),
        _ours("repetitions", "", None, of=lambda cell: len(cell.rows)),
        _ours("non_finite", "non-finite", integer if any(c.non_finite for c in cells) else None, "repetitions"),
    )  # fmt: skip
    note = (
        "Non-finite repetitions are excluded from mean, best and worst. The paper gives one MCE per data set. "
        "The paper's parameters / N agree with biases and all pixels as inputs (d0 d1 + 2 d1); ours count the "
        "parameters that were trained, on the d0 directions that whitening kept."
    )
    if timed:
        note += " Time: of all repetitions together, without whitening."
    if whole:
        note += " No row of the paper has our data or shape; its whole table is below ours."
    return table_of(columns, lines, note)


def _ours(key: str, heading: str, show: Any = str, group: str = "", of: Any = None, **more) -> Column:
    value = of or (lambda cell: getattr(cell, key))
    return Column(key, heading, show, group, lambda line: value(line[0]) if line[0] else None, **more)


def _theirs(key: str, heading: str, show, group: str) -> Column:
    return Column(f"paper_{key}", heading, show, group, lambda line: getattr(line[1], key, None), style="paper")


def end(problem: Problem, cells: Sequence[Cell]) -> Table:
    """One row per cell: what is known of the points that training reached."""
    # Columns without a number are in the file only.
    residual = scientific if claims.residuals(cells) else None
    share, number = (percent, integer) if claims.held_out(cells) else (None, None)
    columns = (
        Column("data", "data", of=lambda cell: data_name(problem), style="words"),
        Column("hidden_layers", "hidden layers", integer if any(c.hidden_layers > 1 for c in cells) else None),
        *SIZES, Column("parameters", "", None), Column("parameters_per_point", "", None), REPETITIONS,
        *verdict_columns(cells),
        Column("median_first_order_residual", "median", residual, "|(A o X) e| / N", _residual(statistics.median)),
        Column("max_first_order_residual", "max", residual, "|(A o X) e| / N", _residual(max)),
        Column("mean_mce", "mean", percent, "training MCE"),
        Column("mean_held_out_mce", "mean", share, "held-out MCE", _held_out(statistics.fmean)),
        Column("std_held_out_mce", "std", share, "held-out MCE", _held_out(statistics.stdev, least=2)),
        Column("best_held_out_mce", "best (points)", share, "held-out MCE", _held_out(min),
               count="best_held_out_misclassified"),
        Column("best_held_out_misclassified", "", None, of=_held_out(min, counted=True)),
        Column("worst_held_out_mce", "worst (points)", share, "held-out MCE", _held_out(max),
               count="worst_held_out_misclassified"),
        Column("worst_held_out_misclassified", "", None, of=_held_out(max, counted=True)),
        Column("held_out_N", "points", number, "held-out MCE",
               lambda cell: next((row.held_out_N for row in claims.held_out([cell])), None)),
    )  # fmt: skip
    note = (
        "Verdicts: what certificates prove of the points that training reached; not converged: nothing could be proven."
    )
    if any(cell.count(TOO_LARGE) for cell in cells):
        note += " Not certified: N and the number of parameters are too large for a certificate."
    if residual:
        note += (
            " |(A o X) e| / N, the first-order residual: zero at every differentiable local minimum (Lemma 2); "
            "a small value alone proves no minimum."
        )
    note += " Medians and means are over the finite repetitions, std with n - 1."
    return table_of(columns, cells, note)


def _residual(summary: Callable[[list[float]], float]) -> Callable[[Cell], Value]:
    return lambda cell: summary(values) if (values := claims.residuals([cell])) else None


def _held_out(summary: Callable[[Any], float], least: int = 1, counted: bool = False) -> Callable[[Cell], Value]:
    """A summary of the held-out MCE; counted: as a number of points."""

    def of(cell: Cell) -> Value:
        rows = claims.held_out([cell])
        if len(rows) < least:
            return None
        value = summary([row.held_out_mce for row in rows])
        return points(value, rows[0].held_out_N or 0) if counted else value

    return of
