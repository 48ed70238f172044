"""The threshold in d0 d1 / N above which training reaches a global minimum."""

from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.capacity import claims, figures, tables
from mnnjax.report.capacity.analysis import first_part, gather, pairings
from mnnjax.report.common.rows import Row, cells, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.common.tables import plain

_TITLE = "How often training ends in a global minimum"


def section(study: Study, part: Study, rows: Sequence[Row]) -> Section:
    """The section of a part with this figure: the first one that has rows shows all of them."""
    first = first_part(study, rows)
    if part.name != first:
        return Section(
            title=_TITLE,
            counts=(f"Compared with the others in the section {first}.",),
            tables=(("", "Every cell", plain(cells(rows_of(part, rows)))),),
        )
    groups = gather(study, rows)
    pairs = pairings(groups)
    return Section(
        title=_TITLE,
        finding=claims.finding(groups),
        pictures=figures.capacity(groups),
        tables=(
            ("_thresholds", "The thresholds", tables.thresholds(groups)),
            ("", "Every cell", tables.cells(groups)),
            *((("_paired", "The same problems", tables.paired(pairs)),) if pairs else ()),
        ),
    )
