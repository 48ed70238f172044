"""The section of a study on the page: which wing makes it, and what all sections have in common."""

import collections
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

from mnnjax.config import Study
from mnnjax.report import basins, capacity, full_rank, kinks, paper_figures, table1, volumes
from mnnjax.report.common import settings, tables
from mnnjax.report.common.figure_style import Picture
from mnnjax.report.common.findings import Finding
from mnnjax.report.common.minima_figures import verdict_shares
from mnnjax.report.common.rows import Cell, Row, cells, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.common.training_curves import History, training_curves
from mnnjax.wording import integer, of, plural

# At most so many reasons of not_converged are listed.
MOST_REASONS = 3


def plain(study: Study, part: Study, rows: Sequence[Row]) -> Section:
    """Tables alone, for a part that is no figure."""
    shown = cells(rows_of(part, rows))
    if part.volume:
        return Section("Results", (("", "Every data set", tables.data_sets(shown)),))
    return Section("Results", (("", "Every cell", tables.plain(shown)),))


SECTIONS: Mapping[str, Callable[[Study, Study, Sequence[Row]], Section]] = {
    "none": plain,
    "fig5_1": paper_figures.section,
    "fig5_2": paper_figures.section,
    "table1": table1.section,
    "volumes": volumes.section,
    "full_rank": full_rank.section,
    "basins": basins.section,
    "capacity": capacity.section,
    "kinks": kinks.section,
}
"""Figure -> its wing's section(study, part, rows): the study of a work folder, the part of it to show, and all rows of
the folder, some of them of other parts."""


def section_of(study: Study, part: Study, rows: Sequence[Row], found: Mapping[str, History]) -> Section:
    """The section of a part of `study` that has rows, its files named after the part; found: the training curves of
    its cells."""
    section = SECTIONS[part.figure](study, part, rows)
    rows = rows_of(part, rows)
    shown = cells(rows)
    points = "points drawn anew for every draw" if part.volume and part.volume.redraw else "each of one data set (X, y)"
    done = f"{plural(len(rows), 'repetition')} in {plural(len(shown), 'cell')}, {points}."
    counts = [done] if part.volume else _training_counts(rows)
    if short := sum(len(cell.rows) < part.repeats for cell in shown):
        counts.append(f"Fewer than the {plural(part.repeats, 'repetition')} asked for: {plural(short, 'cell')}.")
    own_verdicts = any(suffix == "_verdicts" for suffix, _, _ in section.tables)
    verdicts = () if part.volume or own_verdicts else (("_verdicts", "Verdicts", tables.verdicts(shown)),)
    pictures = () if part.volume else _of_training(part, shown, found, own_verdicts)
    return dataclasses.replace(
        section,
        finding=section.finding and _only_of_errors(section.finding, rows),
        pictures=(*section.pictures, *pictures),
        figure=part.figure,
        title=f"{part.name}: {section.title}",
        settings=settings.of_volumes(part) if part.volume else settings.of_training(part),
        counts=(*counts, *section.counts),
        tables=(*section.tables, *verdicts),
        stem=part.name,
    )


def _of_training(part: Study, shown: Sequence[Cell], found: Mapping[str, History], own: bool) -> list[Picture]:
    """How the cells were trained, and the verdicts at the end; own: the section has verdicts of its own."""
    if not part.training.total_epochs:
        return []
    curves = training_curves(shown, found, part.training)
    return [*([] if own else [verdict_shares(shown)]), *([curves] if curves else [])]


def _only_of_errors(finding: Finding, rows: Sequence[Row]) -> Finding:
    """The finding, with at most partial agreement where no repetition has converged: all that is known are errors."""
    if finding.status != "agrees" or not all(row.verdict == "not_converged" for row in rows):
        return finding
    why = f"No repetition has converged, by its certificate ({of(len(rows), len(rows), 'repetition')} not_converged)."
    return dataclasses.replace(finding, status="agrees in part", because=(*finding.because, why))


def _training_counts(rows: Sequence[Row]) -> list[str]:
    verdicts = sorted(collections.Counter(row.verdict for row in rows).items())
    listed = ", ".join(f"{name} {integer(count)}" for name, count in verdicts)
    counts = [f"Verdicts of {plural(len(rows), 'repetition')}: {listed}."]
    # Alike but for their numbers, and for what they add after a semicolon.
    reasons = (row.reason.partition(";")[0] for row in rows if row.verdict == "not_converged" and row.reason)
    found = collections.Counter(re.sub(r"\b\d+(\.\d+)?(e[+-]?\d+)?", "...", reason) for reason in reasons)
    if found:
        most = "; ".join(f"{reason} ({integer(count)})" for reason, count in found.most_common(MOST_REASONS))
        counts.append(f"Most common reasons of not_converged: {most}.")
    if non_finite := sum(not row.is_finite for row in rows):
        count = of(non_finite, len(rows), "repetition")
        counts.append(f"{count} ended non-finite: counted, but excluded from means, ranges and bests.")
    return counts
