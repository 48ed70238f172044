"""The threshold in d0 d1 / N above which training reaches a global minimum."""

from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.capacity import claims, figures
from mnnjax.report.capacity.analysis import gather, names, pairings
from mnnjax.report.capacity.tables import cell_table, paired_table, threshold_table
from mnnjax.report.common.rows import Row, cells, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.common.tables import plain


def section(study: Study, part: Study, rows: Sequence[Row]) -> Section:
    """The section of a part with this figure: the first one that has rows shows all of them."""
    title, present = "How often training ends in a global minimum", {row.study for row in rows}
    first = next(name for name in names(study) if name in present)
    if part.name != first:
        counts = (f"Compared with the others in the section {first}.",)
        return Section(title, (("", "Every cell", plain(cells(rows_of(part, rows)))),), counts=counts)
    groups = gather(study, rows)
    pairs = pairings(groups)
    return Section(
        title=title,
        finding=claims.finding(groups),
        pictures=figures.capacity(groups),
        tables=(
            ("_thresholds", "The thresholds", threshold_table(groups)),
            ("", "Every cell", cell_table(groups)),
            *((("_paired", "The same problems", paired_table(pairs)),) if pairs else ()),
        ),
    )
