"""Figures 5.1 and 5.2 of the paper."""

from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.common import minima, minima_figures
from mnnjax.report.common.minima import Start, with_descents
from mnnjax.report.common.rows import Row, cells, grouped, network_curves, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.common.tables import MCE, MEANS_NOTE, NON_FINITE, SHAPE, table_of
from mnnjax.report.paper_figures import claims, figures
from mnnjax.report.paper_figures.tables import cells_5_2, criterion_5_1
from mnnjax.wording import plural


def section(study: Study, part: Study, rows: Sequence[Row]) -> Section:
    """The section of a part with one of these figures."""
    shown = cells(rows_of(part, rows))
    if part.figure == "fig5_2":
        return Section(
            title="Figure 5.2. Smallest neural input and final MSE",
            finding=claims.figure_5_2(shown),
            pictures=(figures.figure_5_2(shown),),
            tables=(("", "Every width", cells_5_2(shown)),),
        )
    judgements = [claims.judge(curve) for curve in network_curves(shown)]
    below = grouped(with_descents(rows_of(part, rows)), lambda cell: cell.hidden_layers)
    starts = [Start(plural(depth, "hidden layer"), True, tuple(group)) for depth, group in below.items()]
    return Section(
        title="Figure 5.1. Training error against the number of points",
        finding=claims.figure_5_1(judgements),
        pictures=(*figures.figure_5_1(shown), *([minima_figures.shares(starts, "_minima")] if starts else [])),
        tables=(
            ("_criterion", "The criterion, for every depth and width", criterion_5_1(judgements)),
            ("", "Every cell", table_of((*SHAPE, *MCE, NON_FINITE), shown, MEANS_NOTE)),
            *((("_minima", "What lies below where training ended", minima.table(starts)),) if starts else ()),
        ),
        counts=(minima.sentence([row for start in starts for row in start.rows]),) if starts else (),
    )
