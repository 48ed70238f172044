"""Tables of Figures 5.1 and 5.2."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

from mnnjax.report.common.rows import Cell
from mnnjax.report.common.tables import MCE, MEANS_NOTE, NON_FINITE, REPETITIONS, SHAPE, SIZES, Column, Table, table_of
from mnnjax.report.paper_figures.claims import Judgement, is_plottable
from mnnjax.wording import integer, percent, ratio, scientific


def figure_5_1(cells: Sequence[Cell]) -> Table:
    """One row per cell: what Figure 5.1 draws."""
    return table_of((*SHAPE, *MCE, NON_FINITE), cells, MEANS_NOTE)


def figure_5_1_criterion(judgements: Sequence[Judgement]) -> Table:
    """One row per depth and width: the numbers that decide whether Figure 5.1's claim holds."""
    columns = (
        Column("hidden_layers", "hidden layers", integer, of=lambda j: j.curve.hidden_layers),
        Column("d0", "d0", integer, of=lambda j: j.curve.widths[0]),
        Column("d1", "d1", integer, of=lambda j: j.curve.widths[1]),
        Column("zero_from_parameters_per_point", "(a) MCE stays at 0.5 % or below from parameters / N =", ratio),
        Column("zero_mce_repetitions_above", "(b) with MCE exactly 0 at parameters / N >= 1.5", integer),
        Column("repetitions_above", "of", integer),
        Column("worst_mean_mce_above", "largest mean MCE there", percent),
        Column("smallest_mean_mce_below", "(c) smallest mean MCE at parameters / N <= 0.7", percent),
        Column("verdict", "claim"),
    )
    return table_of(columns, judgements, "A dash: no cell there, no finite repetition, or (a) no such value.")


def figure_5_2(cells: Sequence[Cell]) -> Table:
    """One row per cell: min |w . x| and MSE at the end of training, over the repetitions where both are finite."""
    inputs, losses = "min_abs_neural_input", "mse"
    columns = (
        *SIZES,
        REPETITIONS,
        *(_column(f"{s.__name__}_{inputs}", f"{s.__name__} of min |w . x|", inputs, s) for s in _SPREAD),
        *(_column(f"{s.__name__}_mse", f"{s.__name__} of MSE", losses, s) for s in _SPREAD),
        _column(
            "min_abs_neural_input_below_1e-3", "min |w . x| below 1e-3", inputs, lambda u: sum(v < 1e-3 for v in u)
        ),
        _column("min_abs_neural_input_zero", "min |w . x| exactly 0", inputs, lambda u: u.count(0)),
        _column("mse_above_1e-7", "MSE above 1e-7", losses, lambda mse: sum(v > 1e-7 for v in mse)),
        _column("mse_below_1e-31", "MSE below 1e-31", losses, lambda mse: sum(v < 1e-31 for v in mse)),
        _column("mse_zero", "MSE exactly 0", losses, lambda mse: mse.count(0)),
        _column("non_differentiable", "verdict non_differentiable", "verdict", lambda v: v.count("non_differentiable")),
        dataclasses.replace(NON_FINITE, of=lambda cell: sum(not is_plottable(row) for row in cell.rows)),
    )
    return table_of(columns, cells, "Non-finite repetitions are excluded from the other counts.")


_SPREAD = (min, statistics.median, max)


def _column(key: str, heading: str, name: str, summary: Callable[[list], float]) -> Column:
    """A summary of a number of the repetitions that Figure 5.2 can show; nan of none."""

    def of(cell: Cell) -> float:
        values = [getattr(row, name) for row in cell.rows if is_plottable(row)]
        return math.nan if summary in _SPREAD and not values else summary(values)

    return Column(key, heading, scientific if summary in _SPREAD else integer, of=of)
