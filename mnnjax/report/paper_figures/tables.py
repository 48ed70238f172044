"""Tables of Figures 5.1 and 5.2."""

import math
import statistics
from collections.abc import Sequence

from mnnjax.report.common.rows import Cell
from mnnjax.report.common.tables import MCE, MEANS_NOTE, NON_FINITE, SHAPE, SIZES, Column, Table, mce, shape
from mnnjax.report.paper_figures.claims import Judgement, is_plottable
from mnnjax.study.workdir.results_table import Value
from mnnjax.wording import integer, percent, ratio, scientific


def figure_5_1(cells: Sequence[Cell]) -> Table:
    """One row per cell: what Figure 5.1 draws."""
    rows = tuple((*shape(c), *mce(c), c.non_finite) for c in cells)
    return Table((*SHAPE, *MCE, NON_FINITE), rows, MEANS_NOTE)


def figure_5_1_criterion(judgements: Sequence[Judgement]) -> Table:
    """One row per depth and width: the numbers that decide whether Figure 5.1's claim holds."""
    columns = (
        Column("hidden_layers", "hidden layers", integer),
        *SIZES[:2],
        Column("zero_from_parameters_per_point", "(a) MCE stays at 0.5 % or below from parameters / N =", ratio),
        Column("zero_mce_repetitions_above", "(b) with MCE exactly 0 at parameters / N >= 1.5", integer),
        Column("repetitions_above", "of", integer),
        Column("worst_mean_mce_above", "largest mean MCE there", percent),
        Column("smallest_mean_mce_below", "(c) smallest mean MCE at parameters / N <= 0.7", percent),
        Column("verdict", "claim"),
    )
    rows = (
        (
            j.curve.hidden_layers, *j.curve.widths, j.zero_from, j.zero_repetitions, j.repetitions_above,
            j.worst_mean_above, j.smallest_mean_below, j.verdict,
        )
        for j in judgements
    )  # fmt: skip
    return Table(columns, tuple(rows), "A dash: no cell there, no finite repetition, or (a) no such value.")


def figure_5_2(cells: Sequence[Cell]) -> Table:
    """One row per cell: min |w . x| and MSE at the end of training, over the repetitions where both are finite."""
    spread = ("min", "median", "max")
    columns = (
        *SIZES,
        Column("repetitions", "repetitions", integer),
        *(Column(f"{s}_min_abs_neural_input", f"{s} of min |w . x|", scientific) for s in spread),
        *(Column(f"{s}_mse", f"{s} of MSE", scientific) for s in spread),
        Column("min_abs_neural_input_below_1e-3", "min |w . x| below 1e-3", integer),
        Column("min_abs_neural_input_zero", "min |w . x| exactly 0", integer),
        Column("mse_above_1e-7", "MSE above 1e-7", integer),
        Column("mse_below_1e-31", "MSE below 1e-31", integer),
        Column("mse_zero", "MSE exactly 0", integer),
        Column("non_differentiable", "verdict non_differentiable", integer),
        NON_FINITE,
    )
    return Table(
        columns, tuple(map(_figure_5_2_row, cells)), "Non-finite repetitions are excluded from the other counts."
    )


def _figure_5_2_row(cell: Cell) -> tuple[Value, ...]:
    kept = [row for row in cell.rows if is_plottable(row)]
    inputs = [row.min_abs_neural_input for row in kept]
    losses = [row.mse for row in kept]
    return (
        cell.d0, cell.d1, cell.N, len(cell.rows), *_spread(inputs), *_spread(losses),
        sum(u < 1e-3 for u in inputs), inputs.count(0), sum(mse > 1e-7 for mse in losses),
        sum(mse < 1e-31 for mse in losses), losses.count(0),
        sum(row.verdict == "non_differentiable" for row in kept), len(cell.rows) - len(kept),
    )  # fmt: skip


def _spread(values: list[float]) -> tuple[float, float, float]:
    return (min(values), statistics.median(values), max(values)) if values else (math.nan, math.nan, math.nan)
