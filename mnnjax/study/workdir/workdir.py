"""A study's results as files: one CSV per finished cell, written by rename, and results.csv made of them all.

Nothing in these files depends on when, or in how many runs, the study was computed: times are in metrics.jsonl.
results_table.py says what the columns mean.
"""

import contextlib
import functools
import itertools
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from mnnjax.config import Study, UserError, to_dict
from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.shard import Shard
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.cell_file import damage
from mnnjax.study.workdir.results_table import _from_csv, _to_csv
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.study_file import CONFIG, read_study, require_same_sources, require_same_study, to_json

CELLS, WHITENING, SET_ASIDE = "cells", "whitening", "set_aside"
# What a run that died at its very beginning may leave, and what other shards may be writing now.
_OWN_NAMES = re.compile(r"lock|config\.json\..*part")


class Workdir:
    """The files of one study: config.json, cells/, results.csv, metrics.jsonl, checkpoints/, whitening/, report.html.

    A shard has such a folder too, inside that of its study. A cell that any folder of the study holds is finished for
    all of them.

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
        # Per cell that was asked for: its file and content; or damaged files, and what is wrong with each.
        self._whole: dict[str, tuple[AnyPath, bytes]] = {}
        self._damaged: dict[str, dict[AnyPath, str]] = {}
        for cached in ("folders", "_files"):
            self.__dict__.pop(cached, None)

    def own_cells(self, planned: list[Cell]) -> list[Cell]:
        """Of all cells of the study those that belong to this folder: a shard's, or all."""
        return self.shard.of(planned) if self.shard else planned

    # Whether the folder may be used, and by whom.

    def check(self, study: Study) -> None:
        """The folder is this study's, or free for it; nothing is written. Raises UserError where it belongs to another
        study (names the first field that differs), or holds other files."""
        with storage.clear_errors(self.home):
            for folder in dict.fromkeys((self.home, self.path)):
                # Listed before config.json is looked for: another shard may be about to write it and more.
                strangers = [name for name in storage.names(folder) if not _OWN_NAMES.fullmatch(name)]
                if (folder / CONFIG).exists():
                    require_same_study(folder, study, "choose another --workdir, or restore that field")
                    require_same_sources(folder, study)
                elif any(Shard.of_folder(name) is None for name in strangers):
                    raise UserError(f"{folder} is not empty and holds no config.json; choose another --workdir")

    def claim(self, study: Study) -> None:
        """Write config.json, after `check`; for a shard, in the study's folder too. Fields that decide no result may
        have changed since it was written."""
        for folder in dict.fromkeys((self.home, self.path)):
            if not (folder / CONFIG).exists() or to_dict(read_study(folder)) != to_dict(study):
                # Other shards may write it at the same time.
                self.write(folder / CONFIG, to_json(study), shared=True)
        self.check(study)

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
        """All folders of the study: its own, and those of its shards; read once. Raises UserError where one holds
        another study."""
        shards = [shard for name in storage.names(self.home) if (shard := Shard.of_folder(name))]
        shards.sort(key=lambda shard: (shard.count, shard.index))
        folders = [self.home / shard.folder for shard in shards]
        has_config = storage.each(lambda folder: (folder / CONFIG).exists(), folders)
        if begun := list(itertools.compress(folders, has_config)):
            study, hint = read_study(self.home), f"move that folder out of {self.home}"
            storage.each(lambda folder: require_same_study(folder, study, hint), begun)
        return list(dict.fromkeys((self.home, *begun, self.path)))

    # Finished cells.

    def finished(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the cells whose rows any folder of the study holds, undamaged; each is read once."""
        return [cell for cell in self._read_cells(cells) if cell.id in self._whole]

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

    def finish_cell(self, cell: Cell, rows: Sequence[dict], *weights: bytes) -> None:
        """Write the trained weights of a cell (weights.to_bytes), those of the minima below them where it has any, and
        then its rows, which make it finished."""
        self._check_lock()
        for name, content in zip((f"{cell.id}.npz", f"{cell.id}.minimum.npz"), weights, strict=False):
            self.write(self.path / CELLS / name, content)
        file, content = self.path / CELLS / f"{cell.id}.csv", _to_csv(rows)
        self.write(file, content)
        self._whole[cell.id] = file, content.encode()

    def weights_file(self, cell: Cell) -> AnyPath:
        """Where a finished cell's trained weights lie."""
        return self._whole[cell.id][0].parent / f"{cell.id}.npz"

    def rows(self, cells: Iterable[Cell]) -> list[dict]:
        """The rows of the finished cells, in the order of the cells; each a dictionary of strings."""
        return [row for cell in self.finished(cells) for row in _from_csv(self._whole[cell.id][1])]

    def collect(self, cells: Iterable[Cell]) -> None:
        """Write results.csv from the rows of the finished cells."""
        self.write(self.results, _to_csv(self.rows(cells)))

    def _read_cells(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells, after the files of those that were not read before have been."""
        cells = list(cells)
        new = [cell for cell in cells if cell.id not in self._whole and cell.id not in self._damaged]
        pairs = [(cell, file) for cell in new for file in self._files.get(cell.id, ())]
        contents = storage.each(lambda file: file.read_bytes(), [file for _, file in pairs])
        self._damaged |= {cell.id: {} for cell in new}
        for (cell, file), content in zip(pairs, contents, strict=True):
            if (why := damage(content, cell)) is not None:
                self._damaged[cell.id][file] = why
            else:
                self._whole.setdefault(cell.id, (file, content))
        return cells

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


class NonWritingWorkdir(Workdir):
    """A study's folder, for processes that leave nothing there; those of a run get from the writer what it found."""

    @contextlib.contextmanager
    def sole_user(self, tell: Callable[[str], None]) -> Iterator[None]:
        yield

    def _do_nothing(self, *_: object, **__: object) -> None: ...

    check = claim = collect = write = log = _do_nothing
