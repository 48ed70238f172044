"""The report: sections made of a claim, pictures and tables, as files and as one HTML page that needs nothing else."""

import base64
import collections
import dataclasses
import importlib.resources
import re
from collections.abc import Mapping, Sequence

import jinja2

from mnnjax.config import Study, UserError
from mnnjax.report import (
    basins,
    basins_figures,
    capacity,
    capacity_claims,
    capacity_figures,
    claims,
    figures,
    full_rank,
    full_rank_figures,
    settings,
    table1,
    table1_claims,
    tables,
    volume_claims,
    volume_figures,
    volume_tables,
)
from mnnjax.report.claims import Finding
from mnnjax.report.rows import Cell, Row, cells, read_rows
from mnnjax.report.style import Picture
from mnnjax.report.tables import Table
from mnnjax.report.volume_rows import VolumeCell, VolumeRow, volume_cells, volume_curves
from mnnjax.report.wording import integer, of, plural
from mnnjax.study import storage
from mnnjax.study.results import Workdir
from mnnjax.study.storage import AnyPath

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


@dataclasses.dataclass(frozen=True)
class Folder:
    """A work folder as the page shows it."""

    name: str
    progress: str
    unfinished: bool
    remarks: tuple[str, ...]
    sections: tuple[Section, ...]


def write_report(workdirs: Sequence[AnyPath | str], planned_rows: Mapping[AnyPath | str, int] | None = None) -> AnyPath:
    """Write report.html and the folder report/ (pictures, tables) into the first work folder.

    The same results give the same bytes. Files of an earlier report that this one does not have are left alone.

    Args:
      workdirs: folders that `mnnjax run` made; their studies may still be running.
      planned_rows: for a folder (as it is named in `workdirs`) how many rows its results.csv will have in the end; a
        folder that has fewer is called unfinished, and a folder that is not named is not judged.

    Returns:
      The path of report.html.

    Raises:
      UserError: no folder is given, one holds no study, or its results.csv cannot be read.
    """
    if not workdirs:
        raise UserError("report: no work folder is given; name at least one that `mnnjax run` made")
    planned = {storage.resolve(storage.open_path(path)): count for path, count in (planned_rows or {}).items()}
    # A folder named twice is shown once.
    paths = list({storage.resolve(path): path for path in map(storage.open_path, workdirs)}.values())
    studies = [Workdir(path).study() for path in paths]
    stems = _stems(paths, studies)
    folders = [
        _folder(path, study, planned.get(storage.resolve(path)), own)
        for path, study, own in zip(paths, studies, stems, strict=True)
    ]
    _write_files(paths[0] / "report", [section for folder in folders for section in folder.sections])
    html = paths[0] / "report.html"
    storage.write_atomically(html, render(" + ".join(dict.fromkeys(study.name for study in studies)), folders))
    return html


def render(title: str, folders: Sequence[Folder]) -> str:
    """The HTML page, with its pictures inside."""
    source = importlib.resources.files("mnnjax.report").joinpath("template.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    return environment.from_string(source).render(title=title, folders=folders)


def _stems(paths: Sequence[AnyPath], studies: Sequence[Study]) -> list[dict[str, str]]:
    """For each folder, study name -> file name; folder names, then numbers, are put before names that meet.

    Names meet in lower case, since some file systems do not tell cases apart.
    """
    names = collections.Counter(part.name.lower() for study in studies for part in study.parts)
    taken: set[str] = set()
    result = []
    for path, study in zip(paths, studies, strict=True):
        own = {}
        for part in study.parts:
            folder = re.sub(r"[^\w-]", "_", storage.resolve(path).name)
            wanted = part.name if names[part.name.lower()] == 1 else f"{folder}_{part.name}"
            stem, number = wanted, 2
            while _file_stems(stem, part) & taken:
                stem, number = f"{wanted}_{number}", number + 1
            taken |= _file_stems(stem, part)
            own[part.name] = stem
        result.append(own)
    return result


def _file_stems(stem: str, part: Study) -> set[str]:
    own = {
        "fig5_1": ("_scaled", "_criterion"),
        "volumes": ("_exponents",),
        "full_rank": ("_criterion",),
        "capacity": ("_width", "_thresholds", "_paired"),
    }
    verdicts = () if part.volume else ("_verdicts",)
    return {(stem + suffix).lower() for suffix in ("", *verdicts, *own.get(part.figure, ()))}


def _folder(path: AnyPath, study: Study, planned: int | None, stems: Mapping[str, str]) -> Folder:
    rows = read_rows(Workdir(path).results, study)
    unfinished = planned is not None and len(rows) < planned
    by_part = {
        part.name: [r for r in rows if r.study == part.name and isinstance(r, VolumeRow) == bool(part.volume)]
        for part in study.parts
    }
    strangers = len(rows) - sum(map(len, by_part.values()))
    remarks = [f"No results yet: {name}." for name, some in by_part.items() if not some]
    if strangers:
        remarks.append(f"Not shown: {plural(strangers, 'row')} of results.csv that name no study of config.json.")
    return Folder(
        name=storage.resolve(path).name,
        progress=f"{of(len(rows), planned, 'repetition')} so far: the study is unfinished"
        if unfinished
        else plural(len(rows), "repetition"),
        unfinished=unfinished,
        remarks=tuple(remarks),
        sections=tuple(
            _volume_section(part, stems[part.name], by_part[part.name])
            if part.volume
            else _section(study, part, stems[part.name], by_part[part.name], rows)
            for part in study.parts
            if by_part[part.name]
        ),
    )


def _section(study: Study, part: Study, stem: str, rows: Sequence[Row], others: Sequence[Row | VolumeRow]) -> Section:
    """Of a study that trains; `others`: all rows of the folder."""
    some = cells(rows)
    finding, pictures, elsewhere = None, (), ()
    verdicts = ("_verdicts", "Verdicts", tables.verdicts(some))
    if part.figure == "fig5_1":
        finding, judgements = claims.figure_5_1(some)
        pictures = tuple(figures.figure_5_1(some))
        shown = (
            ("_criterion", "The criterion, for every depth and width", tables.figure_5_1_criterion(judgements)),
            ("", "Every cell", tables.figure_5_1(some)),
        )
    elif part.figure == "fig5_2":
        finding, pictures = claims.figure_5_2(some), (figures.figure_5_2(some),)
        shown = (("", "Every width", tables.figure_5_2(some)),)
    elif part.figure == "table1":
        finding = table1_claims.finding(part.problem, some)
        shown = (("", "Table 1, ours beside the paper's row", table1.beside_paper(part.problem, some)),)
        verdicts = ("_verdicts", "Where training ended", table1.end(part.problem, some))
    elif part.figure == "basins":
        joined, left_out = basins.join(study, part, rows, [row for row in others if isinstance(row, VolumeRow)])
        finding = basins.finding(joined, left_out)
        pictures = (basins_figures.basins(joined, left_out),) if joined else ()
        shown = (("", "Every data set", basins.table(joined)),)
    elif part.figure == "capacity" and part.name == capacity.first_part(study, others):
        groups = capacity.gather(study, others)
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
            elsewhere = (f"Compared with the others in the section {capacity.first_part(study, others)}.",)
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
    """Of a study that measures volumes."""
    some = volume_cells(rows)
    finding, pictures = None, ()
    if part.figure == "volumes":
        curves = volume_curves(part, some)
        fits = volume_claims.fits(curves)
        finding, pictures = volume_claims.volumes(curves, fits), volume_figures.volumes(curves, part.volume.redraw)
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
    each = "points drawn anew for every draw" if part.volume.redraw else "one data set (X, y)"
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
    counts += _short_cells(part, cells(rows))
    non_finite = sum(not row.is_finite for row in rows)
    if non_finite:
        counts.append(f"Non-finite MSE or MCE: {plural(non_finite, 'repetition')}, excluded from every mean.")
    return tuple(counts)


def _short_cells(part: Study, some: Sequence[Cell | VolumeCell]) -> tuple[str, ...]:
    short = sum(len(cell.rows) < part.repeats for cell in some)
    asked = plural(part.repeats, "repetition")
    return (f"Fewer than the {asked} asked for: {plural(short, 'cell')}.",) if short else ()


def _write_files(folder: AnyPath, sections: Sequence[Section]) -> None:
    storage.make_folder(folder)
    for section in sections:
        for picture in section.pictures:
            storage.write_atomically(folder / f"{section.stem}{picture.suffix}.png", picture.png)
            storage.write_atomically(folder / f"{section.stem}{picture.suffix}.svg", picture.svg)
        for suffix, _, table in section.tables:
            storage.write_atomically(folder / f"{section.stem}{suffix}.csv", table.to_csv())
