"""How often a random region's Jacobian has full rank."""

from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.common.rows import Cell, Row, cells, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.common.tables import SIZES, Column, Table, data_sets, measure_columns, table_of
from mnnjax.report.full_rank import claims, figures
from mnnjax.report.full_rank.claims import Judgement, full_rank_measure
from mnnjax.wording import integer, ratio, significant


def section(study: Study, part: Study, rows: Sequence[Row]) -> Section:
    """The section of a part with this figure; without a claim where no rank was measured."""
    shown = cells(rows_of(part, rows))
    title, judgements = "How often a random region has rank N", claims.judge(shown)
    if not judgements:
        return Section(title, (("", "Every data set", data_sets(shown)),))
    return Section(
        title=title,
        finding=claims.finding(shown, judgements),
        pictures=(figures.full_rank(part, shown),),
        tables=(
            ("_criterion", "The criterion, for every d0 and N", criterion_table(judgements)),
            ("", "Every cell", cell_table(shown)),
        ),
    )


def cell_table(shown: Sequence[Cell]) -> Table:
    """One row per cell: both probabilities with their intervals."""
    columns = (
        *SIZES,
        Column("columns_per_point", "columns / N", ratio),
        Column("data_sets", "data sets", integer, of=lambda cell: len(cell.rows)),
        *measure_columns("full_rank", "P(rank = N)", full_rank_measure),
        *measure_columns("global_minima", "P(holds a global minimum)", lambda cell: cell.pooled("global_minima")),
    )
    return table_of(columns, shown, "low, high: 95 % interval. A hit of P(rank = N) is a draw of rank N.")


def criterion_table(judgements: Sequence[Judgement]) -> Table:
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
    return table_of(columns, judgements, "A dash: in no cell from some columns / N on.")
