"""How often a random region's Jacobian has full rank."""

from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.common.rows import Row, cells, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.common.tables import data_sets
from mnnjax.report.full_rank import claims, figures
from mnnjax.report.full_rank.tables import cell_table, criterion_table


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
