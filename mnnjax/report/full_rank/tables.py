"""Tables of a study of ranks."""

import dataclasses
from collections.abc import Sequence

from mnnjax.report.common.rows import Cell, Measure
from mnnjax.report.common.tables import SIZES, Column, Table, measure_columns
from mnnjax.report.full_rank.analysis import Judgement, full_rank_measure
from mnnjax.wording import integer, ratio, significant


def cells(shown: Sequence[Cell]) -> Table:
    """One row per cell: both probabilities with their intervals."""
    names = {"full_rank": "P(rank = N)", "global_minima": "P(holds a global minimum)"}
    columns = [
        *SIZES, Column("columns_per_point", "columns / N", ratio), Column("data_sets", "data sets", integer),
    ]  # fmt: skip
    for key, name in names.items():
        columns += measure_columns(key, name)
    rows = [
        (
            cell.d0, cell.d1, cell.N, cell.columns_per_point, len(cell.rows),
            *_fields(full_rank_measure(cell)), *_fields(cell.pooled("global_minima")),
        )
        for cell in shown
    ]  # fmt: skip
    return Table(tuple(columns), tuple(rows), "low, high: 95 % interval. A hit of P(rank = N) is a draw of rank N.")


def _fields(measure: Measure | None) -> tuple:
    return dataclasses.astuple(measure) if measure else (None,) * 5


def criterion(judgements: Sequence[Judgement]) -> Table:
    """One row per d0 and N: the numbers that decide."""
    columns = (
        Column("d0", "d0", integer),
        Column("N", "N", integer),
        Column("limit", "2 log(N / 0.05)", ratio),
        Column("start", "P(rank = N) at least 0.95 from columns / N =", ratio),
        Column("surely", "with the whole interval from", ratio),
        Column("furthest", "most columns / N", ratio),
        Column("last", "P(rank = N) there", significant),
        Column("verdict", "claim"),
    )
    rows = tuple(tuple(getattr(j, column.key) for column in columns) for j in judgements)
    return Table(columns, rows, "A dash: in no cell from some columns / N on.")
