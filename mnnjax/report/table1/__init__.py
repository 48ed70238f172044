"""Table 1: our cells beside the paper's rows, and where training ended: certificates, first-order residual, held-out
points."""

from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.common.rows import Row, cells, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.table1 import claims
from mnnjax.report.table1.tables import beside_paper, end


def section(study: Study, part: Study, rows: Sequence[Row]) -> Section:
    """The section of a part with this figure; the first one without a row of the paper shows the paper's table."""
    shown = cells(rows_of(part, rows))
    whole = part.name == claims.first_without_paper_row(study, rows)
    return Section(
        title="Table 1. Error with as many parameters as points",
        finding=claims.finding(part.problem, shown),
        tables=(
            ("", "Table 1, ours beside the paper's row", beside_paper(part.problem, shown, whole)),
            ("_verdicts", "Where training ended", end(part.problem, shown)),
        ),
    )
