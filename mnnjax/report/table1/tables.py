"""Table 1: our cells beside the paper's rows, and where training ended: certificates, first-order residual, held-out
points."""

import collections
import dataclasses
import statistics
from collections.abc import Sequence

from mnnjax.config import Problem
from mnnjax.report.common.rows import Cell
from mnnjax.report.common.tables import Column, Table, table_of
from mnnjax.report.table1.analysis import (
    PAPER,
    PaperRow,
    data_name,
    held_out,
    is_of_the_paper,
    paper_row,
    residuals,
    verdict,
)
from mnnjax.study.workdir.results_table import TOO_LARGE, Value
from mnnjax.wording import integer, percent, points, ratio, scientific

_VERDICT_WORDS = {
    "suboptimal_dlm": "suboptimal local minimum", "non_differentiable": "non-differentiable point",
    "non_finite": "non-finite", TOO_LARGE: "not certified (size)",
}  # fmt: skip


def beside_paper(problem: Problem, cells: Sequence[Cell], whole: bool) -> Table:
    """One row per cell with the paper's row beside it; whole: followed by the paper's table."""
    columns = (
        Column("data", "ours", str, "data", style="words"),
        Column("paper_data", "paper", str, "data", style="words paper"),
        Column("mean_mce", "mean", percent, "MCE (points)"),
        Column("best_mce", "best", percent, "MCE (points)", count="best_misclassified"),
        Column("best_misclassified", "", None),
        Column("worst_mce", "worst", percent, "MCE (points)", count="worst_misclassified"),
        Column("worst_misclassified", "", None),
        Column("zero_mce_repetitions", "is 0 in", integer, "MCE (points)", count="repetitions", count_text=" of {}"),
        Column("paper_mce", "paper", percent, "MCE (points)", style="paper"),
        _hidden_layers(cells),
        Column("d0", "ours", integer, "d0"),
        Column("paper_d0", "paper", integer, "d0", style="paper"),
        Column("d1", "ours", integer, "d1"),
        Column("paper_d1", "paper", integer, "d1", style="paper"),
        Column("N", "ours", integer, "N"),
        Column("paper_N", "paper", integer, "N", style="paper"),
        Column("parameters", "ours", integer, "parameters"),
        Column("parameters_per_point", "ours / N", ratio, "parameters"),
        Column("paper_parameters_per_point", "paper / N", ratio, "parameters", style="paper"),
        Column("claim", "claim"),
        Column("repetitions", "", None),
        Column("non_finite", "non-finite", integer if any(c.non_finite for c in cells) else None, "repetitions"),
    )
    stand_in = not is_of_the_paper(problem)
    rows = [
        _ours(problem, cell) | _theirs(paper_row(problem, cell), stand_in) | {"claim": verdict(problem, cell)}
        for cell in cells
    ]
    rows += [_theirs(row, False) for row in PAPER] if whole else []
    note = (
        "Non-finite repetitions are excluded from mean, best and worst. The paper gives one MCE per data set. "
        "The paper's parameters / N agree with biases and all pixels as inputs (d0 d1 + 2 d1); ours count the "
        "parameters that were trained, on the d0 directions that whitening kept."
    )
    if whole:
        note += " No row of the paper has our data or shape; its whole table is below ours."
    return table_of(columns, rows, note)


def _hidden_layers(cells: Sequence[Cell]) -> Column:
    """On the page only where it is not 1 throughout, as in the paper."""
    return Column("hidden_layers", "hidden layers", integer if any(c.hidden_layers > 1 for c in cells) else None)


def _ours(problem: Problem, cell: Cell) -> dict[str, Value]:
    return {
        "data": data_name(problem),
        "mean_mce": cell.mean_mce,
        "best_mce": cell.best_mce,
        "best_misclassified": points(cell.best_mce, cell.N),
        "worst_mce": cell.worst_mce,
        "worst_misclassified": points(cell.worst_mce, cell.N),
        "hidden_layers": cell.hidden_layers,
        "d0": cell.d0,
        "d1": cell.d1,
        "N": cell.N,
        "parameters": cell.parameters,
        "parameters_per_point": cell.parameters_per_point,
        "repetitions": len(cell.rows),
        "zero_mce_repetitions": cell.zero_mce,
        "non_finite": cell.non_finite,
    }


def _theirs(row: PaperRow | None, stand_in: bool) -> dict[str, Value]:
    """A row of the paper, and whether the data beside it are a stand-in for its own."""
    if row is None:
        return {}
    values = {f"paper_{name}": value for name, value in dataclasses.asdict(row).items()}
    return values | {"paper_data": f"stand-in for {row.data}"} if stand_in else values


def end(problem: Problem, cells: Sequence[Cell]) -> Table:
    """One row per cell: what is known of the points that training reached."""
    found = sorted({row.verdict for cell in cells for row in cell.rows})
    # Columns without a number are in the file only.
    residual = scientific if residuals(cells) else None
    share, number = (percent, integer) if held_out(cells) else (None, None)
    columns = (
        Column("data", "data", style="words"),
        _hidden_layers(cells),
        Column("d0", "d0", integer),
        Column("d1", "d1", integer),
        Column("N", "N", integer),
        Column("parameters", "", None),
        Column("parameters_per_point", "", None),
        Column("repetitions", "repetitions", integer),
        Column("verdicts", "verdicts", style="words"),
        *(Column(name, "", None) for name in found),
        Column("median_first_order_residual", "median", residual, "|(A o X) e| / N"),
        Column("max_first_order_residual", "max", residual, "|(A o X) e| / N"),
        Column("mean_mce", "mean", percent, "training MCE"),
        Column("mean_held_out_mce", "mean", share, "held-out MCE"),
        Column("std_held_out_mce", "std", share, "held-out MCE"),
        Column("best_held_out_mce", "best (points)", share, "held-out MCE", count="best_held_out_misclassified"),
        Column("best_held_out_misclassified", "", None),
        Column("worst_held_out_mce", "worst (points)", share, "held-out MCE", count="worst_held_out_misclassified"),
        Column("worst_held_out_misclassified", "", None),
        Column("held_out_N", "points", number, "held-out MCE"),
    )
    note = (
        "Verdicts: what certificates prove of the points that training reached; not converged: nothing could be proven."
    )
    if TOO_LARGE in found:
        note += " Not certified (size): N and the number of parameters are too large for a certificate."
    if residual:
        note += (
            " |(A o X) e| / N, the first-order residual: zero at every differentiable local minimum (Lemma 2); "
            "a small value alone proves no minimum."
        )
    note += " Medians and means are over the finite repetitions, std with n - 1."
    rows = [_ours(problem, c) | _end(c) | {name: c.count(name) for name in found} for c in cells]
    return table_of(columns, rows, note)


def _end(cell: Cell) -> dict[str, Value]:
    """Verdicts in words, residuals, held-out MCE."""
    values: dict[str, Value] = {"verdicts": _verdict_words(cell)}
    if sizes := residuals([cell]):
        values |= {
            "median_first_order_residual": statistics.median(sizes),
            "max_first_order_residual": max(sizes),
        }
    if rows := held_out([cell]):
        mce, N = [row.held_out_mce for row in rows], rows[0].held_out_N or 0
        values |= {
            "mean_held_out_mce": statistics.fmean(mce),
            "std_held_out_mce": statistics.stdev(mce) if len(mce) > 1 else None,
            "best_held_out_mce": min(mce),
            "best_held_out_misclassified": points(min(mce), N),
            "worst_held_out_mce": max(mce),
            "worst_held_out_misclassified": points(max(mce), N),
            "held_out_N": N,
        }
    return values


def _verdict_words(cell: Cell) -> str:
    """'global minimum 3, not converged 1'; without a count where every repetition was too large for a certificate."""
    counts = collections.Counter(row.verdict for row in cell.rows)
    if set(counts) == {TOO_LARGE}:
        return _VERDICT_WORDS[TOO_LARGE]
    named = ((_VERDICT_WORDS.get(name, name.replace("_", " ")), count) for name, count in sorted(counts.items()))
    return ", ".join(f"{name} {integer(count)}" for name, count in named)
