"""The report: one section per study, as files and as one HTML page that needs no other file."""

import base64
import collections
import dataclasses
import math
import re
from collections.abc import Mapping, Sequence

import jinja2
from matplotlib.figure import Figure

from mnnjax.config import UserError
from mnnjax.report import provenance
from mnnjax.report.common.rows import read_rows, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.sections import section_of
from mnnjax.study.execution.images import own_data_lines
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.wording import of, plural, unbroken

# The table of invocations, in the folder of tables; no study's files have this name.
RUNS = "runs"


@dataclasses.dataclass(frozen=True)
class Folder:
    """A work folder as the page shows it. studies: the names of its study's parts, the first is that of the study;
    time: total run time of its invocations."""

    name: str
    studies: tuple[str, ...]
    progress: str
    unfinished: bool
    remarks: tuple[str, ...]
    sections: tuple[Section, ...]
    invocations: tuple[provenance.Invocation, ...]
    time: str


def write_report(
    workdirs: Sequence[storage.AnyPath | str], planned_rows: Mapping[storage.AnyPath | str, int] | None = None
) -> storage.AnyPath:
    """Write report.html and the folder report/ (pictures, tables) into the first work folder; returns the page's path.

    The same results give the same pictures and tables, byte for byte; report.html, report/runs.csv and the times of
    Table 1 also depend on the logs. Files of an earlier report that this one lacks stay where they are. For example,
    write_report(["runs/fig5_1", "gs://BUCKET/fig5_1"]) writes runs/fig5_1/report.html.

    Args:
      workdirs: folders that `mnnjax run` made; their studies may still be running.
      planned_rows: for a folder (as it is named in `workdirs`) how many rows its results.csv will have in the end. A
        folder with fewer is shown as unfinished.

    Raises:
      UserError: no folder is given, one holds no study or a shard of another one, or its results.csv cannot be read.
    """
    if not workdirs:
        raise UserError("report: no work folder is given; name at least one that `mnnjax run` made")
    planned = {storage.resolve(storage.open_path(path)): count for path, count in (planned_rows or {}).items()}
    # A folder named twice is shown once.
    paths = list({storage.resolve(path): path for path in map(storage.open_path, workdirs)}.values())
    folders = _with_stems([_folder(path, planned.get(storage.resolve(path))) for path in paths])
    sections = [section for folder in folders for section in folder.sections]
    invocations = provenance.table([invocation for folder in folders for invocation in folder.invocations])
    files = paths[0] / "report"
    storage.make_folder(files)
    for section in sections:
        for picture in section.pictures:
            storage.write_atomically(files / f"{section.stem}{picture.suffix}.png", picture.png)
            storage.write_atomically(files / f"{section.stem}{picture.suffix}.svg", picture.svg)
        for suffix, _, table in section.tables:
            storage.write_atomically(files / f"{section.stem}{suffix}.csv", table.to_csv())
    storage.write_atomically(files / f"{RUNS}.csv", invocations.to_csv())
    html = paths[0] / "report.html"
    title = " + ".join(dict.fromkeys(folder.studies[0] for folder in folders))
    page = _template().render(title=title, folders=folders, sections=sections, runs=RUNS, invocations=invocations)
    storage.write_atomically(html, page)
    return html


def figure(workdir: storage.AnyPath | str, name: str | None = None) -> Figure:
    """The picture of a work folder's study as a Matplotlib figure, in the style of the report.

    Args:
      workdir: a folder that `mnnjax run` made; its study may still be running.
      name: of the picture, as its files are named in the folder report, without their ending; by default the first.

    Raises:
      UserError: the folder holds no study, or no picture (of this name) yet.
    """
    (folder,) = _with_stems([_folder(storage.open_path(workdir), None)])
    pictures = {f"{section.stem}{p.suffix}": p for section in folder.sections for p in section.pictures}
    if not pictures:
        raise UserError(f"{workdir}: no picture yet, since no cell has finished, or the study has tables alone")
    if name is not None and name not in pictures:
        raise UserError(f"{workdir}: no picture {name!r}; there are: {', '.join(pictures)}")
    return pictures[name or next(iter(pictures))].figure()


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mnnjax.report", ""),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"base64": lambda data: base64.b64encode(data).decode("ascii"), "unbroken": unbroken}
    return environment.get_template("template.html.jinja")


def _with_stems(folders: Sequence[Folder]) -> list[Folder]:
    """The folders with names for the files of their sections: folder names are put before the names of studies that
    several folders have, and numbers behind names whose files would meet. Names meet in lower case, since some file
    systems do not tell cases apart."""
    names = collections.Counter(name.lower() for folder in folders for name in folder.studies)
    taken, result = {RUNS}, []
    for folder in folders:
        sections = []
        for section in folder.sections:
            prefix = "" if names[section.stem.lower()] == 1 else re.sub(r"[^\w-]", "_", folder.name) + "_"
            wanted, number = prefix + section.stem, 2
            section = dataclasses.replace(section, stem=wanted)
            while section.files & taken:
                section, number = dataclasses.replace(section, stem=f"{wanted}_{number}"), number + 1
            taken |= section.files
            sections.append(section)
        result.append(dataclasses.replace(folder, sections=tuple(sections)))
    return result


def _folder(path: storage.AnyPath, planned: int | None) -> Folder:
    workdir = Workdir(path)
    study, found = workdir.study(), provenance.invocations(path)
    seconds = provenance.cell_seconds(found)
    rows = [dataclasses.replace(r, seconds=seconds.get(r.cell, math.nan)) for r in read_rows(workdir.results)]
    unfinished = planned is not None and len(rows) < planned
    so_far = f"{of(len(rows), planned or 0, 'repetition')} so far: the study is unfinished"
    counts = {part.name: len(rows_of(part, rows)) for part in study.parts}
    missing = [name for name, count in counts.items() if not count]
    remarks = [f"No results yet: {', '.join(missing)}."] if missing else []
    if strangers := len(rows) - sum(counts.values()):
        remarks.append(f"Not shown: {plural(strangers, 'row')} of results.csv that name no study of config.json.")
    remarks += own_data_lines(workdir, study)
    return Folder(
        name=storage.resolve(path).name,
        studies=tuple(counts),
        progress=so_far if unfinished else plural(len(rows), "repetition"),
        unfinished=unfinished,
        remarks=tuple(remarks),
        sections=tuple(section_of(study, part, rows) for part in study.parts if counts[part.name]),
        invocations=tuple(found),
        time=provenance.total(found),
    )
