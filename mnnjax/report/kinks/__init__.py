"""What kind of minimum lies below where training ends, and below random points."""

from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.common import minima, minima_figures
from mnnjax.report.common.rows import Row, cells, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.common.tables import plain
from mnnjax.report.kinks import claims
from mnnjax.report.kinks.starts import gather
from mnnjax.report.kinks.tables import claim_table


def section(study: Study, part: Study, rows: Sequence[Row]) -> Section:
    """The section of a part with this figure: the first one that has rows shows all of them."""
    title, present = "Which minima lie below", {row.study for row in rows}
    first = next(p.name for p in study.parts if p.figure == "kinks" and p.name in present)
    starts = gather(study, rows)
    if part.name != first or not starts:
        none = "No repetition has a descent." if not starts else f"Compared with the others in the section {first}."
        return Section(title, (("", "Every cell", plain(cells(rows_of(part, rows)))),), counts=(none,))
    return Section(
        title=title,
        finding=claims.finding(starts),
        pictures=(minima_figures.shares(starts, ""), minima_figures.kinks_and_mse(starts, "_kinks")),
        tables=(
            ("_claims", "The claims, for every start", claim_table(claims.cases(starts))),
            ("", "Every cell", minima.table(starts)),
        ),
    )
