"""Figures 5.1 and 5.2 of the paper."""

from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.common.rows import Row, cells, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.paper_figures import claims, figures, tables


def section(study: Study, part: Study, rows: Sequence[Row]) -> Section:
    """The section of a part with one of these figures."""
    shown = cells(rows_of(part, rows))
    if part.figure == "fig5_2":
        return Section(
            title="Figure 5.2. Smallest neural input and final MSE",
            finding=claims.figure_5_2(shown),
            pictures=(figures.figure_5_2(shown),),
            tables=(("", "Every width", tables.figure_5_2(shown)),),
        )
    judgements = claims.judge(shown)
    return Section(
        title="Figure 5.1. Training error against the number of points",
        finding=claims.figure_5_1(shown, judgements),
        pictures=figures.figure_5_1(shown),
        tables=(
            ("_criterion", "The criterion, for every depth and width", tables.figure_5_1_criterion(judgements)),
            ("", "Every cell", tables.figure_5_1(shown)),
        ),
    )
