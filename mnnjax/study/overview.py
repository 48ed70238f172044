"""All studies below a folder at one glance: how far each has come, and what it found; nothing is written."""

import collections
import dataclasses
import datetime
import math
from collections.abc import Iterable, Mapping, Sequence

from mnnjax.config import UserError
from mnnjax.study.execution.images import recorded_cells
from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.shard import Shard
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.results_table import short
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.study_file import CONFIG
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.wording import EMPTY, duration, integer, plural

RUNNING, DONE, STOPPED, UNREADABLE = "running", "done", "stopped", "unreadable"
# Cells that a line names.
MOST_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Overview:
    """How far one study has come."""

    path: AnyPath
    state: str
    """running: a process is at work in it. done: all cells are finished. stopped: neither. unreadable: see `error`."""
    name: str = ""
    finished: int = 0
    """Number of cells that are finished."""
    cells: int = 0
    """Number of all cells."""
    percent: int = 0
    """Share of the work that is done, in %."""
    repetitions: int = 0
    """Number of repetitions in the finished cells."""
    all_repetitions: int = 0
    verdicts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Number of repetitions with each verdict, the most frequent first: of the descent after training where there is
    one. Empty for volumes."""
    changed: datetime.datetime | None = None
    """When a run last wrote to the log; None where none has."""
    training: Sequence[str] = ()
    """A line about each cell that is in training."""
    error: str = ""


def find_studies(path: AnyPath | str) -> list[AnyPath]:
    """The folders of studies below a folder, in the order of their names, or the folder itself if it is one.

    Raises:
      UserError: there is none.
    """
    folder = storage.open_path(path)
    with storage.clear_errors(folder):
        found = list(_studies(folder))
        own = (folder / CONFIG).exists()
        shards_alone = not own and any(Shard.of_folder(name) for name in storage.names(folder))
    if not found or shards_alone:
        # Its message says why the folder is no study itself.
        Workdir(folder).study()
    return found


def overview(path: AnyPath | str) -> Overview:
    """How far a study has come; `error` says why, where its folder cannot be read. A process may be at work in it."""
    folder = storage.open_path(path)
    try:
        return _overview(Workdir(folder))
    except (UserError, OSError) as error:
        return Overview(folder, UNREADABLE, error=str(error))


def columns(found: Overview, base: AnyPath) -> dict[str, str]:
    """What a table says of a study in a folder below `base`: the title of each column, and its text."""
    folder = found.path.name if found.path == base else str(found.path.relative_to(base))
    if found.error:
        return {"study": folder, "state": found.state, "what": found.error}
    age = datetime.datetime.now(datetime.UTC) - found.changed if found.changed else None
    return {
        "study": folder, "state": found.state,
        "cells": f"{integer(found.finished)} of {integer(found.cells)} ({found.percent} %)",
        "repetitions": f"{integer(found.repetitions)} of {integer(found.all_repetitions)}",
        "last change": f"{duration(max(age.total_seconds(), 0.0))} ago" if age else "never",
        "verdicts": ", ".join(f"{integer(count)} {short(name)}" for name, count in found.verdicts.items()) or EMPTY,
    }  # fmt: skip


def percent_done(cells: Sequence[Cell], lacking: Mapping[str, Cell], reached: Mapping[str, int]) -> int:
    """The share of the cells' work that is done, in %; 100 only where all of it is. lacking: by id, the unfinished
    cells with the repetitions that they lack; reached: as last_steps."""
    left = [lacking[cell.id] for cell in cells if cell.id in lacking]
    missing = sum(
        cell.work - cell.work_until(min(reached.get(cell.id, 0), cell.steps + cell.descents)) for cell in left
    )
    return min(math.floor(100 * (1 - missing / sum(cell.work for cell in cells))), 99) if left else 100


def last_steps(workdir: Workdir, lacking: Mapping[str, Cell], logs: Iterable[Iterable[Mapping]]) -> dict[str, int]:
    """The last step that the logs know of each cell; that of the folder where it came furthest. lacking: as in
    percent_done."""
    found: dict[str, int] = {}
    for log in logs:
        # A cell that has ended, and is not finished, begins again: its rows were lost.
        events = (entry for entry in log if entry["event"] in ("cell_start", "chunk", "cell_end") and "cell" in entry)
        last = {entry["cell"]: entry.get("epoch", 0) for entry in events}
        found |= {cell: max(step, found.get(cell, 0)) for cell, step in last.items()}
    # Where training goes on, the log is of the one before.
    kept = {cell_id: have.epochs for cell_id, cell in lacking.items() if (have := workdir.kept(cell)) is not None}
    return found | {cell_id: max(kept[cell_id], found.get(cell_id, 0)) for cell_id in kept if not lacking[cell_id].only}


def _studies(folder: AnyPath) -> Iterable[AnyPath]:
    if (folder / CONFIG).exists():
        yield folder
        return
    below = [folder / name for name in storage.names(folder) if not name.startswith(".")]
    for child, is_folder in zip(below, storage.each(lambda path: path.is_dir(), below), strict=True):
        if is_folder:
            yield from _studies(child)


def _overview(workdir: Workdir) -> Overview:
    study = workdir.study()
    cells = workdir.own_cells(recorded_cells(workdir, study))
    folders = [workdir.path] if workdir.shard else workdir.folders
    in_use = any(storage.each(storage.is_in_use, folders))
    logs = storage.each(lambda folder: Workdir(folder).read_log(), folders)
    finished = workdir.finished(cells)
    done, lacking = {cell.id for cell in finished}, {cell.id: cell for cell in workdir.left(cells)}
    rows = workdir.rows(finished)
    verdicts = collections.Counter(row.get("minimum_verdict") or row.get("verdict") for row in rows)
    times = [time for log in logs if log and (time := _time(log[-1].get("time"))) is not None]
    return Overview(
        workdir.path, RUNNING if in_use else DONE if len(done) == len(cells) else STOPPED, study.name,
        len(done), len(cells), percent_done(cells, lacking, last_steps(workdir, lacking, logs)),
        sum(cell.part.repeats for cell in finished), sum(cell.part.repeats for cell in cells),
        {name: count for name, count in verdicts.most_common() if name}, max(times, default=None),
        _training(logs, [cell for cell in cells if cell.id not in done]),
    )  # fmt: skip


def _training(logs: Iterable[Sequence[Mapping]], left: Iterable[Cell]) -> list[str]:
    """A line about the cell that each log speaks of last, if it is not finished."""
    lines, steps = [], {cell.id: cell.steps + cell.descents for cell in left}
    for log in logs:
        entry = next((e for e in reversed(log) if e["event"] in ("cell_start", "chunk", "checkpoint")), {})
        if entry.get("cell") in steps:
            losses = [f"MSE {entry['mse']:.3g}"] if isinstance(entry.get("mse"), float) else []
            losses += [f"MCE {100 * entry['mce']:.3g} %"] if isinstance(entry.get("mce"), float) else []
            step = f"{entry['cell']}: step {entry.get('epoch', 0)} of {steps[entry['cell']]}"
            lines.append(", ".join([step, *losses]))
    rest = len(lines) - MOST_NAMED
    return lines[:MOST_NAMED] + ([f"and {plural(rest, 'cell')} more"] if rest > 0 else [])


def _time(text: object) -> datetime.datetime | None:
    """The time of an entry of a log; None where another version wrote it in another way."""
    try:
        return datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
