"""A study's results as files: one CSV per finished cell, written by rename, and results.csv made of them all.

Nothing in these files depends on when, or in how many runs, the study was computed: times are in metrics.jsonl.
results_table.py says what the columns mean.
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from mnnjax.config import Study, UserError, to_dict
from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.growth import cells_like, obstacle, to_train_again
from mnnjax.study.plan.shard import Shard
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.cell_file import Kept, damage, kept
from mnnjax.study.workdir.results_table import _from_csv, _to_csv
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.study_file import CONFIG, read_study, require_growable, require_same_sources, to_json
from mnnjax.study.workdir.weights import Arrays, from_bytes, joined, to_bytes

CELLS, WHITENING, SET_ASIDE = "cells", "whitening", "set_aside"
# What a run that died at its very beginning may leave, and what other shards may be writing now.
_OWN_NAMES = re.compile(r"lock|config\.json\..*part")
# The files of a finished cell's arrays: trained weights, those of the minima below them, and the last state of a
# training that can go on.
WEIGHTS, MINIMUM, STATE = ".npz", ".minimum.npz", ".state.npz"
# Tries, and seconds between them, to have the study's folder for a moment, which other shards may want too.
_TRIES, _TRY_SECONDS = 50, 0.2


class Workdir:
    """The files of one study: config.json, cells/, results.csv, metrics.jsonl, checkpoints/, whitening/, report.html.

    A shard has such a folder too, inside that of its study. A cell that any folder of the study holds is finished for
    all of them.

    The study may grow (plan/growth.py). What a folder has of a cell is then kept: its first repetitions, to which
    finish_cell joins the others, or a shorter training. The cells of a folder were trained as its config.json says;
    those that the larger study trains by another program are set aside before that file is written anew.

    Args:
      path: local, or gs://BUCKET/NAME; of a study, or of a shard.
      shard: the folder is that shard's, below `path`.

    Raises:
      UserError: from storage.open_path; or `path` is a shard's folder itself.
    """

    def __init__(self, path: AnyPath | str, shard: Shard | None = None):
        path = storage.open_path(path)
        inside = Shard.of_folder(path.name)
        if inside is not None and not (path.parent / CONFIG).exists():
            inside = None  # outside of a study it is a name like any other
        if inside is not None and shard is not None:
            raise UserError(f"{path} is the folder of shard {inside}; give --workdir {path.parent}")
        self.shard = shard or inside
        self.home = path if inside is None else path.parent
        """The study's folder."""
        self.path = self.home / self.shard.folder if self.shard else self.home
        self.results = self.path / "results.csv"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.whitening = self.path / WHITENING
        self._log = storage.LineLog(self.metrics)
        self._check_lock: Callable[[], None] = lambda: None
        self._forget()

    def _forget(self) -> None:
        """Read the folders anew from now on: other processes may have changed them."""
        # Per cell that was asked for: its file and content; or what is kept of it since it grew, with file and content;
        # or damaged files, and what is wrong with each.
        self._whole: dict[str, tuple[AnyPath, bytes]] = {}
        self._kept: dict[str, tuple[Kept, AnyPath, bytes]] = {}
        self._damaged: dict[str, dict[AnyPath, str]] = {}
        for cached in ("folders", "_files"):
            self.__dict__.pop(cached, None)

    def own_cells(self, planned: list[Cell]) -> list[Cell]:
        """Of all cells of the study those that belong to this folder: a shard's, or all."""
        return self.shard.of(planned) if self.shard else planned

    # Whether the folder may be used, and by whom.

    def check(self, study: Study) -> None:
        """The folder is this study's, or that of one that can grow into it, or free for it; nothing is written. Raises
        UserError where it belongs to another study (names the first field in the way), or holds other files."""
        with storage.clear_errors(self.home):
            for folder in dict.fromkeys((self.home, self.path)):
                # Listed before config.json is looked for: another shard may be about to write it and more.
                strangers = [name for name in storage.names(folder) if not _OWN_NAMES.fullmatch(name)]
                if (folder / CONFIG).exists():
                    require_growable(folder, study, "choose another --workdir, or restore that field")
                    require_same_sources(folder, study)
                elif any(Shard.of_folder(name) is None for name in strangers):
                    raise UserError(f"{folder} is not empty and holds no config.json; choose another --workdir")

    def claim(self, study: Study, planned: Sequence[Cell]) -> None:
        """Write config.json, after `check`; for a shard, in the study's folder too. The study may have grown since it
        was written, and fields that decide no result may have changed. planned: all cells of the study; those that it
        trains by other programs than before are set aside. Raises UserError where another process is at work in the
        study's folder, which has such cells."""
        for folder in dict.fromkeys((self.home, self.path)):
            if not (folder / CONFIG).exists():
                # Other shards may write it at the same time.
                self.write(folder / CONFIG, to_json(study), shared=True)
            elif to_dict(read_study(folder)) != to_dict(study):
                self._set_grown_aside(folder, study, planned)
                self.write(folder / CONFIG, to_json(study), shared=True)
        self.check(study)

    def has_study(self) -> bool:
        """Whether a study has begun in the folder."""
        with storage.clear_errors(self.home):
            return (self.home / CONFIG).exists()

    def before_growth(self, study: Study, planned: Sequence[Cell]) -> list[Cell] | None:
        """The cells of the study that the folder belongs to, where that is smaller than `study`, whose cells are given;
        None where it is not, or the folder is free."""
        if not self.has_study():
            return None
        before = read_study(self.home)
        return cells_like(before, planned) if obstacle(study, before, "") else None

    def _set_grown_aside(self, folder: AnyPath, study: Study, planned: Sequence[Cell]) -> None:
        """Move the files of a folder, of cells that a larger study trains otherwise, out of the way."""
        before = cells_like(read_study(folder), planned)
        again, steps = to_train_again(before, planned), {cell.id: cell.steps for cell in planned}
        longer = {cell.id for cell in before if cell.part.train is not None and steps[cell.id] != cell.steps}
        moved = [
            (folder / place, name)
            for place, of_cells in ((CELLS, _of_cells(again)), ("checkpoints", _of_checkpoints(again, longer)))
            for name in storage.names(folder / place)
            if of_cells(name)
        ]
        # Rows first: without them what is left of a cell counts for nothing.
        moved.sort(key=lambda file: not file[1].endswith(".csv"))
        if not moved:
            return
        with contextlib.ExitStack() as stack:
            if folder != self.path:
                stack.enter_context(_briefly(folder))
            for place, name in moved:
                # Another shard may have moved it meanwhile.
                if (place / name).exists():
                    storage.move(place / name, storage.free_name(place / SET_ASIDE / name))

    @contextlib.contextmanager
    def sole_user(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Make the folder, and keep other processes from working in it; `tell` is called before a wait. Raises
        UserError where another process is at work in it, or it cannot be used."""
        with storage.sole_user(self.path, self._log, tell) as self._check_lock:
            self._forget()
            yield

    def study(self) -> Study:
        """The study that the folder belongs to; raises UserError where there is none, or config.json cannot be read."""
        return read_study(self.path)

    @functools.cached_property
    def folders(self) -> list[AnyPath]:
        """All folders of the study: its own, and those of its shards; read once. A shard's may be that of the study
        before it grew. Raises UserError where one holds another study."""
        shards = [shard for name in storage.names(self.home) if (shard := Shard.of_folder(name))]
        shards.sort(key=lambda shard: (shard.count, shard.index))
        folders = [self.home / shard.folder for shard in shards]
        has_config = storage.each(lambda folder: (folder / CONFIG).exists(), folders)
        if begun := list(itertools.compress(folders, has_config)):
            study, hint = read_study(self.home), f"move that folder out of {self.home}"
            storage.each(lambda folder: _require_related(folder, study, hint), begun)
        return list(dict.fromkeys((self.home, *begun, self.path)))

    # Finished cells.

    def finished(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the cells whose rows any folder of the study holds, undamaged; each is read once."""
        return [cell for cell in self._read_cells(cells) if cell.id in self._whole]

    def kept(self, cell: Cell) -> Kept | None:
        """What any folder of the study has of a cell that grew since; None where it has nothing, or all."""
        self._read_cells([cell])
        return self._kept[cell.id][0] if cell.id in self._kept and cell.id not in self._whole else None

    def left(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells that are not finished, each with the repetitions that it lacks; those whose training goes on lack
        all."""
        found = []
        for cell in self._read_cells(cells):
            if cell.id not in self._whole:
                have = self.kept(cell)
                done = have is not None and have.epochs == (cell.steps if cell.part.train is not None else 0)
                first = have.repetitions if have is not None and done else 0
                found.append(dataclasses.replace(cell, only=range(first, cell.part.repeats)) if first else cell)
        return found

    def damaged(self, cells: Iterable[Cell]) -> dict[AnyPath, str]:
        """The damaged files of cells that are therefore not finished, and what is wrong with each."""
        missing = [cell.id for cell in self._read_cells(cells) if cell.id not in self._whole]
        return {file: why for cell_id in missing for file, why in self._damaged[cell_id].items()}

    def set_aside_damaged(self, cells: Iterable[Cell]) -> list[str]:
        """Move the damaged files of this folder out of the way, with one line about each. Other folders may belong
        to processes that are at work: theirs stay."""
        self._check_lock()
        lines = []
        for file, why in self.damaged(cells).items():
            line = f"{file} is damaged ({why}): its cell is trained again"
            if file.parent == self.path / CELLS:
                target = storage.free_name(file.parent / SET_ASIDE / file.name)
                storage.move(file, target)
                line += f"; set aside as {target}"
            lines.append(line)
        return lines

    def finish_cell(self, cell: Cell, rows: Sequence[dict], arrays: Mapping[str, Arrays] | None = None) -> None:
        """Write the arrays of a cell, repetitions on their leading axes, to its files WEIGHTS, MINIMUM or STATE, and
        then its rows, which make it finished. Those of the repetitions before cell.only are joined from what is kept.
        """
        self._check_lock()
        rows, arrays, first = list(rows), dict(arrays or {}), cell.repetitions.start
        if first:
            rows, earlier = self.kept_rows(cell)[:first] + rows, self.kept_arrays(cell)
            arrays = {end: joined(earlier[end], each, first) for end, each in arrays.items() if end in earlier}
        for end, content in arrays.items():
            self.write(self.path / CELLS / f"{cell.id}{end}", to_bytes(content))
        file, text = self.path / CELLS / f"{cell.id}.csv", _to_csv(rows)
        self.write(file, text)
        if cell.id in self._kept:
            # Such as the state of a training at a constant rate, which has been followed by one that decays.
            for end in (WEIGHTS, MINIMUM, STATE):
                if end not in arrays and (stale := self.path / CELLS / f"{cell.id}{end}").exists():
                    stale.unlink()
        if len(rows) < cell.part.repeats:
            epochs = cell.steps if cell.part.train is not None else 0
            self._kept[cell.id] = Kept(len(rows), epochs), file, text.encode()
        else:
            self._whole[cell.id] = file, text.encode()

    def kept_rows(self, cell: Cell) -> list[dict]:
        """The rows of what is kept of a cell, each a dictionary of strings."""
        return _from_csv(self._kept[cell.id][2])

    def kept_arrays(self, cell: Cell) -> dict[str, Arrays]:
        """The arrays of what is kept of a cell, by the end of their file's name; without those that are missing or
        damaged."""
        folder, found = self._kept[cell.id][1].parent, {}
        for end in (WEIGHTS, MINIMUM, STATE):
            # NumPy and zipfile raise many kinds for a damaged file.
            with contextlib.suppress(Exception):
                found[end] = from_bytes((folder / f"{cell.id}{end}").read_bytes())
        return found

    def drop_kept(self, cell: Cell) -> None:
        """Count what is kept of a cell for nothing: it is trained from the beginning."""
        self._kept.pop(cell.id, None)

    def weights_file(self, cell: Cell) -> AnyPath:
        """Where a finished cell's trained weights lie."""
        return self._whole[cell.id][0].parent / f"{cell.id}{WEIGHTS}"

    def rows(self, cells: Iterable[Cell]) -> list[dict]:
        """The rows of the finished cells, and of the repetitions that are kept of others, in the order of the cells;
        each a dictionary of strings."""
        found = []
        for cell in self._read_cells(cells):
            if cell.id in self._whole:
                found += _from_csv(self._whole[cell.id][1])
            elif (have := self.kept(cell)) and (cell.part.train is None or have.epochs == cell.steps):
                found += self.kept_rows(cell)
        return found

    def collect(self, cells: Iterable[Cell]) -> None:
        """Write results.csv from those rows."""
        self.write(self.results, _to_csv(self.rows(cells)))

    def _read_cells(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells, after the files of those that were not read before have been."""
        cells = list(cells)
        new = [cell for cell in cells if cell.id not in self._whole and cell.id not in self._damaged]
        pairs = [(cell, file) for cell in new for file in self._files.get(cell.id, ())]
        others = {folder: self._otherwise_trained(folder, new) for folder in {file.parent.parent for _, file in pairs}}
        pairs = [(cell, file) for cell, file in pairs if cell.id not in others[file.parent.parent]]
        contents = storage.each(lambda file: file.read_bytes(), [file for _, file in pairs])
        self._damaged |= {cell.id: {} for cell in new}
        for (cell, file), content in zip(pairs, contents, strict=True):
            if (why := damage(content, cell)) is None:
                self._whole.setdefault(cell.id, (file, content))
            elif (have := kept(content, cell)) is None:
                self._damaged[cell.id][file] = why
            else:
                # Of several folders, the one that came furthest.
                found = have, file, content
                self._kept[cell.id] = max(
                    found, self._kept.get(cell.id, found), key=lambda each: (each[0].epochs, each[0].repetitions)
                )
        return cells

    def _otherwise_trained(self, folder: AnyPath, cells: Sequence[Cell]) -> set[str]:
        """The ids of those of the cells that a folder has from before its study grew, and that other programs train
        now."""
        if not cells or not (folder / CONFIG).exists():
            return set()
        return to_train_again(cells_like(read_study(folder), cells), cells)

    @functools.cached_property
    def _files(self) -> dict[str, list[AnyPath]]:
        """The files that may hold a cell's rows, in any folder of the study, this one first."""
        found: dict[str, list[AnyPath]] = {}
        folders = [folder / CELLS for folder in dict.fromkeys((self.path, *self.folders))]
        for folder, names in zip(folders, storage.each(storage.names, folders), strict=True):
            for name in names:
                if name.endswith(".csv"):
                    found.setdefault(name[:-4], []).append(folder / name)
        return found

    # What is written.

    def write(self, path: AnyPath, content: str | bytes, shared: bool = False) -> None:
        """Write a file of the folder (storage.write_atomically)."""
        storage.make_folder(path.parent)
        storage.write_atomically(path, content, shared)

    def log(self, event: str, **values) -> None:
        """Add a line to metrics.jsonl, the only file with times in it. Raises StudyError where another process has
        taken the folder over."""
        self._check_lock()
        self._log.add(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **values}))

    def read_log(self) -> list[dict]:
        """The complete lines of metrics.jsonl: a killed process, or an interrupted copy, may have left half of one."""
        entries = []
        for line in self._log.read().decode(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entries.append(json.loads(line))
        return [entry for entry in entries if isinstance(entry, dict) and "event" in entry]


def _require_related(folder: AnyPath, study: Study, hint: str) -> None:
    """A shard's folder belongs to the study, or to a smaller one, or, as another process has just made it grow, to a
    larger one. Raises UserError where it does not."""
    if obstacle(study, read_study(folder), hint):
        require_growable(folder, study, hint)


def _of_cells(ids: Collection[str]) -> Callable[[str], bool]:
    """Whether a name is that of a file of one of the cells."""
    return lambda name: any(name == f"{cell_id}{end}" for cell_id in ids for end in (".csv", WEIGHTS, MINIMUM, STATE))


def _of_checkpoints(ids: Collection[str], of_descents: Collection[str]) -> Callable[[str], bool]:
    """Whether a name is that of a folder of checkpoints of one of the cells; of others, of their descents."""

    def found(name: str) -> bool:
        match = re.fullmatch(r"(.*\.N\d+)(\.from\d+)?(\.descents)?", name)
        return match is not None and (match[1] in ids or (match[1] in of_descents and match[3] is not None))

    return found


@contextlib.contextmanager
def _briefly(folder: AnyPath) -> Iterator[None]:
    """Hold the lock of the study's folder for a moment; waits for others that do so too. Raises UserError where another
    process is at work in it."""
    with contextlib.ExitStack() as stack:
        for left in reversed(range(_TRIES)):
            try:
                stack.enter_context(storage.sole_user(folder, storage.LineLog(folder / "metrics.jsonl"), _say_nothing))
                break
            except UserError:
                if not left:
                    raise
                time.sleep(_TRY_SECONDS)
        yield


def _say_nothing(text: str) -> None:
    """A wait for a moment needs no line."""


class NonWritingWorkdir(Workdir):
    """A study's folder, for processes that leave nothing there; those of a run get from the writer what it found."""

    @contextlib.contextmanager
    def sole_user(self, tell: Callable[[str], None]) -> Iterator[None]:
        yield

    def _do_nothing(self, *_: object, **__: object) -> None: ...

    check = claim = collect = write = log = _do_nothing
