"""The report: one section per study, as files and as one HTML page that needs no other file."""

import base64
import collections
import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import jinja2
import markupsafe
from matplotlib.figure import Figure

from mnnjax.config import Study, UserError
from mnnjax.report import joint, provenance
from mnnjax.report.common import charts
from mnnjax.report.common.figure_style import Picture
from mnnjax.report.common.rows import read_rows, rows_of
from mnnjax.report.common.section import Section
from mnnjax.report.common.training_curves import histories
from mnnjax.report.sections import section_of
from mnnjax.study.execution.images import own_data_lines
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.wording import of, plural, unbroken

# The table of invocations, and what several folders have together; no study's files have these names.
RUNS, JOINT = "runs", "joint"


# Names of the files that a report has written, so that the next one removes those that it does not write again.
WRITTEN = ".written"
_HERE = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Folder:
    """A work folder as the page shows it. label: its name beside other folders; time: total run time of its
    invocations."""

    name: str
    label: str
    study: Study
    progress: str
    unfinished: bool
    remarks: tuple[str, ...]
    sections: tuple[Section, ...]
    invocations: tuple[provenance.Invocation, ...]
    time: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of its study's parts, the first is that of the study."""
        return tuple(part.name for part in self.study.parts)


def write_report(
    workdirs: Sequence[storage.AnyPath | str],
    planned_rows: Mapping[storage.AnyPath | str, int] | None = None,
    output: storage.AnyPath | str | None = None,
) -> storage.AnyPath:
    """Write report.html and the folder report/ (pictures, tables) beside it; returns the page's path.

    The same results give the same pictures and tables, byte for byte; report.html, report/runs.csv, training curves and
    the times of Table 1 also depend on the logs. Files that an earlier report left there, and that this one lacks, are
    removed. For example, write_report(["runs/fig5_1"]) writes runs/fig5_1/report.html.

    Args:
      workdirs: folders that `mnnjax run` made; their studies may still be running.
      planned_rows: for a folder (as it is named in `workdirs`) how many rows its results.csv will have in the end. A
        folder with fewer is shown as unfinished.
      output: the folder of report.html; by default the work folder, and report/joint in the first of several.

    Raises:
      UserError: no folder is given, one holds no study or a shard of another one, or its results.csv cannot be read.
    """
    if not workdirs:
        raise UserError("report: no work folder is given; name at least one that `mnnjax run` made")
    planned = {storage.resolve(storage.open_path(path)): count for path, count in (planned_rows or {}).items()}
    # A folder named twice is shown once.
    paths = list({storage.resolve(path): path for path in map(storage.open_path, workdirs)}.values())
    folders = _with_stems([_folder(path, planned.get(storage.resolve(path))) for path in paths])
    names, studies = [folder.name for folder in folders], [folder.study for folder in folders]
    labels = joint.labels(names, studies)
    folders = [dataclasses.replace(f, label=label) for f, label in zip(folders, labels, strict=True)]
    sections = [section for folder in folders for section in folder.sections]
    together = joint.joint(labels, names, studies, [f.sections for f in folders]) if len(folders) > 1 else None
    invocations = provenance.table([invocation for folder in folders for invocation in folder.invocations])
    own = paths[0] if len(paths) == 1 else paths[0] / "report" / "joint"
    where = own if output is None else storage.open_path(output)
    _write_files(where / "report", dict(_files(sections, together)) | {f"{RUNS}.csv": invocations.to_csv()})
    page = _template().render(
        title=" + ".join(dict.fromkeys(folder.study.name for folder in folders)), folders=folders, sections=sections,
        joint=together, runs=RUNS, invocations=invocations, css=_text("page.css"), script=_text("page.js"),
        plotly=_text("vendor/plotly-basic.min.js"),
    )  # fmt: skip
    storage.write_atomically(where / "report.html", page)
    return where / "report.html"


def _files(sections: Sequence[Section], together: joint.Joint | None) -> Iterator[tuple[str, str | bytes]]:
    """Pictures and tables as files."""
    if together:
        pictures = [(JOINT, picture) for picture in together.pictures]
        tables = [(f"{JOINT}_fields", together.fields)]
    else:
        pictures, tables = [], []
    pictures += [(section.stem, picture) for section in sections for picture in section.pictures]
    tables += [(f"{s.stem}{suffix}", table) for s in sections for suffix, _, table in s.tables]
    for stem, picture in pictures:
        yield f"{stem}{picture.suffix}.png", picture.png
        yield f"{stem}{picture.suffix}.svg", picture.svg
    for stem, table in tables:
        yield f"{stem}.csv", table.to_csv()


def _write_files(folder: storage.AnyPath, files: Mapping[str, str | bytes]) -> None:
    """Write the files, and remove those that an earlier report wrote and this one does not."""
    storage.make_folder(folder)
    record = folder / WRITTEN
    before = record.read_text().split("\n") if record.exists() else []
    present = set(storage.names(folder))
    for name in before:
        if name in present and name not in files:
            (folder / name).unlink()
    for name, content in files.items():
        storage.write_atomically(folder / name, content)
    storage.write_atomically(record, "\n".join(sorted(files)))


def _text(name: str) -> markupsafe.Markup:
    """A file of the page's own, as it is."""
    return markupsafe.Markup((_HERE / name).read_text(encoding="utf-8"))


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
    environment.filters |= {
        "base64": lambda data: base64.b64encode(data).decode("ascii"), "unbroken": unbroken, "chart": _chart
    }  # fmt: skip
    return environment.get_template("template.html.jinja")


def _chart(picture: Picture) -> markupsafe.Markup:
    """The picture's chart as JSON within a page, where a "<" would end it."""
    found = charts.chart(picture.saved[2])
    return markupsafe.Markup(json.dumps(found, separators=(",", ":")).replace("<", "\\u003c"))


def _with_stems(folders: Sequence[Folder]) -> list[Folder]:
    """The folders with names for the files of their sections: folder names are put before the names of studies that
    several folders have, and numbers behind names whose files would meet. Names meet in lower case, since some file
    systems do not tell cases apart."""
    names = collections.Counter(name.lower() for folder in folders for name in folder.parts)
    taken, result = {RUNS, JOINT, f"{JOINT}_fields"}, []
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
    curves = histories(event for invocation in found for event in invocation.events)
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
        label=storage.resolve(path).name,
        study=study,
        progress=so_far if unfinished else plural(len(rows), "repetition"),
        unfinished=unfinished,
        remarks=tuple(remarks),
        sections=tuple(section_of(study, part, rows, curves) for part in study.parts if counts[part.name]),
        invocations=tuple(found),
        time=provenance.total(found),
    )
