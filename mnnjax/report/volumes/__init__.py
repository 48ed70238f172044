"""Volumes of regions: Theorem 10 measured, by sampling, splitting and exactly."""

from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.common.rows import Row, cells, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.volumes import claims, figures
from mnnjax.report.volumes.analysis import fits, volume_curves
from mnnjax.report.volumes.tables import cell_table, exponent_table


def section(study: Study, part: Study, rows: Sequence[Row]) -> Section:
    """The section of a part with this figure."""
    curves = volume_curves(part, cells(rows_of(part, rows)))
    fitted = fits(curves)
    return Section(
        title="Angular volumes against the number of points",
        finding=claims.finding(fitted),
        pictures=figures.volumes(curves, part.measurement.redraw),
        tables=(("_exponents", "The exponents", exponent_table(fitted)), ("", "Every cell", cell_table(curves))),
    )
