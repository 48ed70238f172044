"""Where training ends, beside the volumes of the same points."""

from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.basins import claims, figures
from mnnjax.report.basins.analysis import join
from mnnjax.report.basins.tables import data_sets
from mnnjax.report.common.rows import Row
from mnnjax.report.common.section import Section


def section(study: Study, part: Study, rows: Sequence[Row]) -> Section:
    """The section of a training part with this figure, whose data sets have exact volumes in another part."""
    outcomes, without_volume = join(study, part, rows)
    return Section(
        title="Basins. Where training ends, beside the volumes",
        finding=claims.finding(outcomes, without_volume),
        pictures=(figures.basins(outcomes, without_volume),) if outcomes else (),
        tables=(("", "Every data set", data_sets(outcomes)),),
    )
