"""The section of a study on the page: settings, counts, a claim, pictures and tables."""

import collections
import dataclasses
import re
from collections.abc import Sequence
from typing import TypeVar

from mnnjax.config import Study
from mnnjax.report.basins import analysis as basins
from mnnjax.report.basins import figures as basins_figures
from mnnjax.report.capacity import analysis as capacity
from mnnjax.report.capacity import claims as capacity_claims
from mnnjax.report.capacity import figures as capacity_figures
from mnnjax.report.common import settings, tables
from mnnjax.report.common.figure_style import Picture
from mnnjax.report.common.findings import Finding
from mnnjax.report.common.tables import Table
from mnnjax.report.common.training_rows import Cell, Row, cells
from mnnjax.report.common.volume_rows import VolumeCell, VolumeRow, volume_cells, volume_curves
from mnnjax.report.full_rank import analysis as full_rank
from mnnjax.report.full_rank import figures as full_rank_figures
from mnnjax.report.paper_figures import claims, figures
from mnnjax.report.paper_figures import tables as paper_tables
from mnnjax.report.table1 import claims as table1_claims
from mnnjax.report.table1 import tables as table1
from mnnjax.report.volumes import claims as volume_claims
from mnnjax.report.volumes import figures as volume_figures
from mnnjax.report.volumes import tables as volume_tables
from mnnjax.wording import integer, plural

R = TypeVar("R", Row, VolumeRow)
# Of the reasons of not_converged, so many are listed.
MOST_REASONS = 3
_TITLES = {
    "fig5_1": "Figure 5.1. Training error against the number of points",
    "fig5_2": "Figure 5.2. Smallest neural input and final MSE",
    "table1": "Table 1. Error with as many parameters as points",
    "volumes": "Angular volumes against the number of points",
    "full_rank": "How often a random region has rank N",
    "basins": "Basins. Where training ends, beside the volumes",
    "capacity": "How often training ends in a global minimum",
    "none": "Results",
}


@dataclasses.dataclass(frozen=True)
class Section:
    """One study of a work folder: what its page section shows and which files it makes (stem + suffix)."""

    stem: str
    title: str
    settings: tuple[str, ...]
    counts: tuple[str, ...]
    finding: Finding | None
    pictures: tuple[Picture, ...]
    tables: tuple[tuple[str, str, Table], ...]
    """(suffix, heading, table)."""


def rows_of(part: Study, rows: Sequence[Row | VolumeRow]) -> list[Row] | list[VolumeRow]:
    """Those of a work folder's rows that a part of its study has made."""
    return _of_kind(VolumeRow, part, rows) if part.volume else _of_kind(Row, part, rows)


def _of_kind(kind: type[R], part: Study, rows: Sequence[Row | VolumeRow]) -> list[R]:
    return [row for row in rows if isinstance(row, kind) and row.study == part.name]


def of_part(study: Study, part: Study, stem: str, rows: Sequence[Row | VolumeRow]) -> Section:
    """The section of a part of `study`.

    Args:
      stem: what the names of its files begin with.
      rows: all of the work folder, some of them the part's own.
    """
    if part.volume:
        return _volume_section(part, stem, _of_kind(VolumeRow, part, rows))
    return _training_section(study, part, stem, rows)


def file_stems(stem: str, part: Study) -> set[str]:
    """The names, less their endings and in lower case, of all files that a part's section may have."""
    own = {
        "fig5_1": ("_scaled", "_criterion"),
        "volumes": ("_exponents",),
        "full_rank": ("_criterion",),
        "capacity": ("_width", "_thresholds", "_paired"),
    }
    verdicts = () if part.volume else ("_verdicts",)
    return {(stem + suffix).lower() for suffix in ("", *verdicts, *own.get(part.figure, ()))}


def _training_section(study: Study, part: Study, stem: str, all_rows: Sequence[Row | VolumeRow]) -> Section:
    rows = _of_kind(Row, part, all_rows)
    some = cells(rows)
    finding, pictures, elsewhere = None, (), ()
    verdicts = ("_verdicts", "Verdicts", tables.verdicts(some))
    if part.figure == "fig5_1":
        finding, judgements = claims.figure_5_1(some)
        pictures = tuple(figures.figure_5_1(some))
        shown = (
            ("_criterion", "The criterion, for every depth and width", paper_tables.figure_5_1_criterion(judgements)),
            ("", "Every cell", paper_tables.figure_5_1(some)),
        )
    elif part.figure == "fig5_2":
        finding, pictures = claims.figure_5_2(some), (figures.figure_5_2(some),)
        shown = (("", "Every width", paper_tables.figure_5_2(some)),)
    elif part.figure == "table1":
        finding = table1_claims.finding(part.problem, some)
        whole = part.name == table1.without_a_row(study, all_rows)
        shown = (("", "Table 1, ours beside the paper's row", table1.beside_paper(part.problem, some, whole)),)
        verdicts = ("_verdicts", "Where training ended", table1.end(part.problem, some))
    elif part.figure == "basins":
        joined, left_out = basins.join(study, part, rows, [row for row in all_rows if isinstance(row, VolumeRow)])
        finding = basins.finding(joined, left_out)
        pictures = (basins_figures.basins(joined, left_out),) if joined else ()
        shown = (("", "Every data set", basins.table(joined)),)
    elif part.figure == "capacity" and part.name == capacity.first_part(study, all_rows):
        groups = capacity.gather(study, all_rows)
        finding, pictures = capacity_claims.finding(groups), capacity_figures.capacity(groups)
        pairs = capacity.pairings(groups)
        shown = (
            ("_thresholds", "The thresholds", capacity.thresholds(groups)),
            ("", "Every cell", capacity.table(groups)),
            *((("_paired", "The same problems", capacity.paired(pairs)),) if pairs else ()),
        )
    else:
        shown = (("", "Every cell", tables.plain(some)),)
        if part.figure == "capacity":
            elsewhere = (f"Compared with the others in the section {capacity.first_part(study, all_rows)}.",)
    return Section(
        stem=stem,
        title=f"{part.name}: {_TITLES[part.figure]}",
        settings=settings.of_training(part),
        counts=(*_counts(part, rows), *elsewhere),
        finding=finding,
        pictures=pictures,
        tables=(*shown, verdicts),
    )


def _volume_section(part: Study, stem: str, rows: Sequence[VolumeRow]) -> Section:
    some = volume_cells(rows)
    finding, pictures = None, ()
    if part.figure == "volumes":
        curves = volume_curves(part, some)
        fits = volume_claims.fits(curves)
        finding, pictures = volume_claims.volumes(curves, fits), volume_figures.volumes(curves, part.measurement.redraw)
        shown = (
            ("_exponents", "The exponents", volume_tables.exponents(fits)),
            ("", "Every cell", volume_tables.curves(curves)),
        )
    elif part.figure == "full_rank" and (judgements := full_rank.judge(some)):
        finding, pictures = full_rank.finding(some, judgements), (full_rank_figures.full_rank(part, some),)
        shown = (
            ("_criterion", "The criterion, for every d0 and N", full_rank.criterion_table(judgements)),
            ("", "Every cell", full_rank.table(some)),
        )
    else:
        shown = (("", "Every data set", volume_tables.data_sets(some)),)
    each = "points drawn anew for every draw" if part.measurement.redraw else "one data set (X, y)"
    return Section(
        stem=stem,
        title=f"{part.name}: {_TITLES[part.figure]}",
        settings=settings.of_volumes(part),
        counts=(
            f"{plural(len(rows), 'repetition')} in {plural(len(some), 'cell')}, each of {each}.",
            *_short_cells(part, some),
        ),
        finding=finding,
        pictures=pictures,
        tables=shown,
    )


def _counts(part: Study, rows: Sequence[Row]) -> tuple[str, ...]:
    verdicts = collections.Counter(row.verdict for row in rows)
    listed = ", ".join(f"{name} {integer(count)}" for name, count in sorted(verdicts.items()))
    counts = [f"Verdicts of {plural(len(rows), 'repetition')}: {listed}."]
    counts += _reasons(rows)
    counts += _short_cells(part, cells(rows))
    non_finite = sum(not row.is_finite for row in rows)
    if non_finite:
        counts.append(f"Non-finite MSE or MCE: {plural(non_finite, 'repetition')}, excluded from every mean.")
    return tuple(counts)


def _reasons(rows: Sequence[Row]) -> tuple[str, ...]:
    """The commonest reasons of not_converged, less their numbers and what they add after a semicolon."""
    reasons = (row.reason.partition(";")[0] for row in rows if row.verdict == "not_converged" and row.reason)
    found = collections.Counter(re.sub(r"\b\d+(\.\d+)?(e[+-]?\d+)?", "...", reason) for reason in reasons)
    listed = "; ".join(f"{reason} ({integer(count)})" for reason, count in found.most_common(MOST_REASONS))
    return (f"Commonest reasons of not_converged: {listed}.",) if found else ()


def _short_cells(part: Study, some: Sequence[Cell | VolumeCell]) -> tuple[str, ...]:
    short = sum(len(cell.rows) < part.repeats for cell in some)
    asked = plural(part.repeats, "repetition")
    return (f"Fewer than the {asked} asked for: {plural(short, 'cell')}.",) if short else ()
