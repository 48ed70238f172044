"""The report: sections made of a claim, pictures and tables, as files and as one HTML page that needs nothing else."""

import base64
import collections
import dataclasses
import importlib.resources
import re
from collections.abc import Mapping, Sequence

import jinja2

from mnnjax.config import Study, UserError
from mnnjax.report import provenance as runs
from mnnjax.report.common.tables import Table
from mnnjax.report.common.training_rows import read_rows
from mnnjax.report.provenance import Go
from mnnjax.report.sections import Section, file_stems, of_part, rows_of
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.wording import of, plural, unbroken

# The table of goes, in the folder of tables; no study's files have this name.
RUNS = "runs"


@dataclasses.dataclass(frozen=True)
class Folder:
    """A work folder as the page shows it."""

    name: str
    progress: str
    unfinished: bool
    remarks: tuple[str, ...]
    sections: tuple[Section, ...]
    goes: tuple[Go, ...]

    @property
    def time(self) -> str:
        """How long its goes took in all."""
        return runs.total(self.goes)


def write_report(workdirs: Sequence[AnyPath | str], planned_rows: Mapping[AnyPath | str, int] | None = None) -> AnyPath:
    """Write report.html and the folder report/ (pictures, tables) into the first work folder.

    The same results give the same pictures and tables, byte for byte; the page and report/runs.csv tell the time and
    the machines as well, and are the same where the logs are. Files of an earlier report that this one does not have
    are left alone.

    Args:
      workdirs: folders that `mnnjax run` made; their studies may still be running.
      planned_rows: for a folder (as it is named in `workdirs`) how many rows its results.csv will have in the end; a
        folder that has fewer is called unfinished, and a folder that is not named is not judged.

    Returns:
      The path of report.html.

    Raises:
      UserError: no folder is given, one holds no study or a shard of another one, or its results.csv cannot be read.

    Example:
      write_report(["runs/fig5_1", "gs://BUCKET/fig5_1"])  # runs/fig5_1/report.html
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
    goes = runs.table([go for folder in folders for go in folder.goes])
    _write_files(paths[0] / "report", [section for folder in folders for section in folder.sections], goes)
    html = paths[0] / "report.html"
    storage.write_atomically(html, render(" + ".join(dict.fromkeys(study.name for study in studies)), folders))
    return html


def render(title: str, folders: Sequence[Folder]) -> str:
    """The HTML page, with its pictures inside."""
    goes = runs.condensed([go for folder in folders for go in folder.goes])
    source = importlib.resources.files("mnnjax.report").joinpath("template.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    environment.filters["unbroken"] = unbroken
    return environment.from_string(source).render(
        title=title,
        folders=folders,
        sections=[section for folder in folders for section in folder.sections],
        runs=RUNS,
        goes=runs.table(goes),
    )


def _stems(paths: Sequence[AnyPath], studies: Sequence[Study]) -> list[dict[str, str]]:
    """For each folder, study name -> file name; folder names, then numbers, are put before names that meet.

    Names meet in lower case, since some file systems do not tell cases apart.
    """
    names = collections.Counter(part.name.lower() for study in studies for part in study.parts)
    taken = {RUNS}
    result = []
    for path, study in zip(paths, studies, strict=True):
        own = {}
        for part in study.parts:
            folder = re.sub(r"[^\w-]", "_", storage.resolve(path).name)
            wanted = part.name if names[part.name.lower()] == 1 else f"{folder}_{part.name}"
            stem, number = wanted, 2
            while file_stems(stem, part) & taken:
                stem, number = f"{wanted}_{number}", number + 1
            taken |= file_stems(stem, part)
            own[part.name] = stem
        result.append(own)
    return result


def _folder(path: AnyPath, study: Study, planned: int | None, stems: Mapping[str, str]) -> Folder:
    rows = read_rows(Workdir(path).results, study)
    unfinished = planned is not None and len(rows) < planned
    counts = {part.name: len(rows_of(part, rows)) for part in study.parts}
    missing = [name for name, count in counts.items() if not count]
    strangers = len(rows) - sum(counts.values())
    remarks = [f"No results yet: {', '.join(missing)}."] if missing else []
    if strangers:
        remarks.append(f"Not shown: {plural(strangers, 'row')} of results.csv that name no study of config.json.")
    return Folder(
        name=storage.resolve(path).name,
        progress=f"{of(len(rows), planned, 'repetition')} so far: the study is unfinished"
        if planned is not None and unfinished
        else plural(len(rows), "repetition"),
        unfinished=unfinished,
        remarks=tuple(remarks),
        sections=tuple(of_part(study, part, stems[part.name], rows) for part in study.parts if counts[part.name]),
        goes=tuple(runs.goes(path)),
    )


def _write_files(folder: AnyPath, sections: Sequence[Section], goes: Table) -> None:
    storage.make_folder(folder)
    for section in sections:
        for picture in section.pictures:
            storage.write_atomically(folder / f"{section.stem}{picture.suffix}.png", picture.png)
            storage.write_atomically(folder / f"{section.stem}{picture.suffix}.svg", picture.svg)
        for suffix, _, table in section.tables:
            storage.write_atomically(folder / f"{section.stem}{suffix}.csv", table.to_csv())
    storage.write_atomically(folder / f"{RUNS}.csv", goes.to_csv())
