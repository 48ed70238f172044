"""The report: sections made of a claim, pictures and tables, as files and as one HTML page that needs nothing else."""

import base64
import collections
import dataclasses
import importlib.resources
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from mnnjax.config import Study, UserError, digest
from mnnjax.report import claims, figures, tables
from mnnjax.report.claims import Finding
from mnnjax.report.figures import Picture
from mnnjax.report.rows import Row, cells, read_rows
from mnnjax.report.tables import Table
from mnnjax.report.wording import integer, of, plural
from mnnjax.study.results import Workdir, write_atomically

_TITLES = {
    "fig5_1": "Figure 5.1. Training error against the number of points",
    "fig5_2": "Figure 5.2. Smallest neural input and final MSE",
    "table1": "Table 1. Error with as many parameters as points",
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


def write_report(workdirs: Sequence[Path], planned_rows: Mapping[Path, int] | None = None) -> Path:
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
    planned = {Path(path).resolve(): count for path, count in (planned_rows or {}).items()}
    # A folder named twice is shown once.
    paths = list({Path(path).resolve(): Path(path) for path in workdirs}.values())
    studies = [Workdir(path).study() for path in paths]
    stems = _stems(paths, studies)
    folders = [
        _folder(path, study, planned.get(path.resolve()), own)
        for path, study, own in zip(paths, studies, stems, strict=True)
    ]
    _write_files(paths[0] / "report", [section for folder in folders for section in folder.sections])
    html = paths[0] / "report.html"
    write_atomically(html, render(" + ".join(dict.fromkeys(study.name for study in studies)), folders))
    return html


def render(title: str, folders: Sequence[Folder]) -> str:
    """The HTML page, with its pictures inside."""
    source = importlib.resources.files("mnnjax.report").joinpath("template.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    return environment.from_string(source).render(title=title, folders=folders)


def _stems(paths: Sequence[Path], studies: Sequence[Study]) -> list[dict[str, str]]:
    """For each folder, study name -> file name; folder names, then numbers, are put before names that meet.

    Names meet in lower case, since some file systems do not tell cases apart.
    """
    names = collections.Counter(part.name.lower() for study in studies for part in study.parts)
    taken: set[str] = set()
    result = []
    for path, study in zip(paths, studies, strict=True):
        own = {}
        for part in study.parts:
            folder = re.sub(r"[^\w-]", "_", path.resolve().name)
            wanted = part.name if names[part.name.lower()] == 1 else f"{folder}_{part.name}"
            stem, number = wanted, 2
            while _file_stems(stem, part) & taken:
                stem, number = f"{wanted}_{number}", number + 1
            taken |= _file_stems(stem, part)
            own[part.name] = stem
        result.append(own)
    return result


def _file_stems(stem: str, part: Study) -> set[str]:
    suffixes = ("", "_verdicts", *(("_scaled", "_criterion") if part.figure == "fig5_1" else ()))
    return {(stem + suffix).lower() for suffix in suffixes}


def _folder(path: Path, study: Study, planned: int | None, stems: Mapping[str, str]) -> Folder:
    rows = read_rows(Workdir(path).results, study)
    unfinished = planned is not None and len(rows) < planned
    by_part = {part.name: [row for row in rows if row.study == part.name] for part in study.parts}
    strangers = len(rows) - sum(map(len, by_part.values()))
    remarks = [f"No results yet: {name}." for name, some in by_part.items() if not some]
    if strangers:
        remarks.append(f"Not shown: {plural(strangers, 'row')} of results.csv that name no study of config.json.")
    return Folder(
        name=path.resolve().name,
        progress=f"{of(len(rows), planned, 'repetition')} so far: the study is unfinished"
        if unfinished
        else plural(len(rows), "repetition"),
        unfinished=unfinished,
        remarks=tuple(remarks),
        sections=tuple(
            _section(part, stems[part.name], by_part[part.name]) for part in study.parts if by_part[part.name]
        ),
    )


def _section(part: Study, stem: str, rows: Sequence[Row]) -> Section:
    some = cells(rows)
    finding, pictures = None, ()
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
        data = part.problem.inputs
        finding, shown = claims.table_1(some, data), (("", "Table 1", tables.table_1(some, data)),)
    else:
        shown = (("", "Every cell", tables.plain(some)),)
    return Section(
        stem=stem,
        title=f"{part.name}: {_TITLES[part.figure]}",
        settings=_settings(part),
        counts=_counts(part, rows),
        finding=finding,
        pictures=pictures,
        tables=(*shown, ("_verdicts", "Verdicts", tables.verdicts(some))),
    )


def _settings(part: Study) -> tuple[str, ...]:
    train, problem, network = part.train, part.problem, part.network
    options = "".join(f", {name} {value:g}" for name, value in train.optimizer_options)
    return (
        f"{train.optimizer}{options}, learning rate {train.learning_rate:g}, "
        f"{f'batches of {train.batch_size}' if train.batch_size else 'full batch'}",
        f"{plural(train.epochs, 'epoch')} + {integer(train.decay_epochs)} with the rate decaying "
        f"to {train.decay_to:g} of it",
        train.precision,
        f"{part.repeats} repeats, seed {part.seed}",
        f"{problem.inputs} inputs, {problem.labels} labels ({problem.label_values.replace('_', ' ')})",
        f"rho = {network.rho:g}, {'with' if network.bias else 'no'} biases, {network.init} initial weights",
        f"config {digest(part)}",
    )


def _counts(part: Study, rows: Sequence[Row]) -> tuple[str, ...]:
    verdicts = collections.Counter(row.verdict for row in rows)
    listed = ", ".join(f"{name} {integer(count)}" for name, count in sorted(verdicts.items()))
    counts = [f"Verdicts of {plural(len(rows), 'repetition')}: {listed}."]
    short = sum(len(cell.rows) < part.repeats for cell in cells(rows))
    if short:
        counts.append(f"Fewer than the {plural(part.repeats, 'repetition')} asked for: {plural(short, 'cell')}.")
    non_finite = sum(not row.is_finite for row in rows)
    if non_finite:
        counts.append(f"Non-finite MSE or MCE: {plural(non_finite, 'repetition')}, excluded from every mean.")
    return tuple(counts)


def _write_files(folder: Path, sections: Sequence[Section]) -> None:
    folder.mkdir(exist_ok=True)
    for section in sections:
        for picture in section.pictures:
            write_atomically(folder / f"{section.stem}{picture.suffix}.png", picture.png)
            write_atomically(folder / f"{section.stem}{picture.suffix}.svg", picture.svg)
        for suffix, _, table in section.tables:
            write_atomically(folder / f"{section.stem}{suffix}.csv", table.to_csv())
