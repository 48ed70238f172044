"""The tables of Figures 5.1 and 5.2."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

from mnnjax.report.common.rows import Cell, Row
from mnnjax.report.common.tables import NON_FINITE, REPETITIONS, SIZES, Column, Table, table_of
from mnnjax.report.paper_figures.claims import Judgement, is_plottable
from mnnjax.wording import integer, percent, ratio, scientific


def criterion_5_1(judgements: Sequence[Judgement]) -> Table:
    """One row per depth and width: the numbers that decide whether Figure 5.1's claim holds."""
    columns = (
        Column("hidden_layers", "hidden layers", integer, of=lambda j: j.curve.cells[0].hidden_layers),
        Column("d0", "d0", integer, of=lambda j: j.curve.widths[0]),
        Column("d1", "d1", integer, of=lambda j: j.curve.widths[1]),
        Column(
            "zero_from_parameters_per_point",
            "(a) MCE stays at 0.5 % or below, up to 2 standard errors, from parameters / N =",
            ratio,
        ),
        Column("zero_mce_repetitions_above", "(b) with MCE exactly 0 at parameters / N >= 1.5", integer),
        Column("repetitions_above", "of", integer),
        Column("worst_mean_mce_above", "largest mean MCE there", percent),
        Column("smallest_mean_mce_below", "(c) smallest mean MCE at parameters / N <= 0.7", percent),
        Column("within_error", "wrong by less than 2 standard errors", integer),
        Column("verdict", "claim"),
    )
    return table_of(columns, judgements, "A dash: no cell there, no finite repetition, or (a) no such value.")


def cells_5_2(cells: Sequence[Cell]) -> Table:
    """One row per cell: min |w . x| and MSE at the end of training, over the repetitions where both are finite."""
    u, mse = ("min_abs_neural_input", "min |w . x|"), ("mse", "MSE")
    columns = (
        *SIZES,
        REPETITIONS,
        *(_spread(summary, *number) for number in (u, mse) for summary in (min, statistics.median, max)),
        _count("min_abs_neural_input_below_1e-3", "min |w . x| below 1e-3", lambda r: r.min_abs_neural_input < 1e-3),
        _count("min_abs_neural_input_zero", "min |w . x| exactly 0", lambda r: r.min_abs_neural_input == 0),
        _count("mse_above_1e-7", "MSE above 1e-7", lambda r: r.mse > 1e-7),
        _count("mse_below_1e-31", "MSE below 1e-31", lambda r: r.mse < 1e-31),
        _count("mse_zero", "MSE exactly 0", lambda r: r.mse == 0),
        _count("suboptimal_kink", "verdict suboptimal_kink", lambda r: r.verdict == "suboptimal_kink"),
        dataclasses.replace(NON_FINITE, of=lambda cell: sum(not is_plottable(row) for row in cell.rows)),
    )
    return table_of(columns, cells, "Non-finite repetitions are excluded from the other counts.")


def _count(key: str, heading: str, condition: Callable[[Row], bool]) -> Column:
    """Of the repetitions that Figure 5.2 can show, how many meet a condition."""
    return Column(key, heading, integer, of=lambda cell: sum(map(condition, filter(is_plottable, cell.rows))))


def _spread(summary: Callable[[list], float], name: str, heading: str) -> Column:
    """A summary of a number of these repetitions; nan where there are none."""

    def of(cell: Cell) -> float:
        return summary([getattr(row, name) for row in cell.rows if is_plottable(row)] or [math.nan])

    return Column(f"{summary.__name__}_{name}", f"{summary.__name__} of {heading}", scientific, of=of)
