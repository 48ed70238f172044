"""The tables of cells and of the criterion."""

from collections.abc import Sequence

from mnnjax.report.common.rows import Cell
from mnnjax.report.common.tables import SIZES, Column, Table, measure_columns, table_of
from mnnjax.report.full_rank.claims import Judgement, full_rank_measure
from mnnjax.wording import integer, ratio, significant


def cell_table(shown: Sequence[Cell]) -> Table:
    """One row per cell: both probabilities with their intervals."""
    columns = (
        *SIZES, Column("columns_per_point", "columns / N", ratio),
        Column("data_sets", "data sets", integer, of=lambda cell: len(cell.rows)),
        *measure_columns("full_rank", "P(rank = N)", full_rank_measure),
        *measure_columns("global_minima", "P(holds a global minimum)", lambda cell: cell.pooled("global_minima")),
    )  # fmt: skip
    return table_of(columns, shown, "low, high: 95 % interval. A hit of P(rank = N) is a draw of rank N.")


def criterion_table(judgements: Sequence[Judgement]) -> Table:
    """One row per d0 and N: the numbers that decide."""
    columns = (
        *SIZES[::2], Column("limit", "2 log(N / 0.05)", ratio),
        Column("start", "P(rank = N) at least 0.95 from columns / N =", ratio),
        Column("surely", "with the whole interval from", ratio), Column("furthest", "most columns / N", ratio),
        Column("last", "P(rank = N) there", significant), Column("verdict", "claim"),
    )  # fmt: skip
    return table_of(columns, judgements, "A dash: in no cell from some columns / N on.")
