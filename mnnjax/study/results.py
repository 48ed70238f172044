"""A study's results as files: one CSV a finished cell, written by rename, and results.csv made of them all.

Nothing in these files depends on when or in how many goes the study ran: times live in metrics.jsonl. What the columns
mean is told in columns.py.
"""

import contextlib
import csv
import functools
import io
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from mnnjax.checks import first_difference
from mnnjax.config import Study, UserError, from_dict, to_dict
from mnnjax.study import storage
from mnnjax.study.plan import Cell
from mnnjax.study.shard import Shard
from mnnjax.study.storage import AnyPath

CONFIG, CELLS, WHITENING = "config.json", "cells", "whitening"
# What a run that died at its very beginning may leave; and what other shards are just making.
_OWN_NAMES = re.compile(r"lock|config\.json\..*part")

COLUMNS = (
    "study", "cell", "inputs", "labels", "hidden_layers", "d0", "d1", "N", "rho", "bias", "parameters",
    "optimizer", "precision", "epochs", "seed", "mse", "mce", "min_abs_neural_input", "non_finite_epoch", "verdict",
    "rank", "margin", "grad_norm", "region_mse", "region_mce", "reason", "data_seed", "first_order_residual",
    "held_out_mce", "held_out_N",
)  # fmt: skip
# Of volume studies, which leave what belongs to training empty; `method` is theirs alone.
QUANTITIES = ("suboptimal", "candidates", "global_minima", "rank_deficient", "ratio")
VOLUME_COLUMNS = (
    "method", "eps", *(q + suffix for q in QUANTITIES for suffix in ("", "_low", "_high", "_hits", "_draws")),
)  # fmt: skip

# A repetition's verdict: that of its certificate, or where there is none because the loss overflowed or became NaN, or
# because the problem is too large for one.
NON_FINITE = "non_finite"
TOO_LARGE = "not_certified"


def cell_columns(cell: Cell) -> dict:
    """What all rows of a cell have in common, whether it is trained or its volumes are measured."""
    problem = cell.part.problem
    return {
        "study": cell.part.name, "cell": cell.id, "inputs": problem.inputs, "labels": problem.labels,
        "hidden_layers": cell.hidden_layers, "d0": cell.d0, "d1": cell.d1, "N": cell.N, "rho": cell.part.network.rho,
        "parameters": cell.parameters,
    }  # fmt: skip


class Workdir:
    """The files of one study: config.json, cells/, results.csv, metrics.jsonl, checkpoints/, whitening/, report.html.

    A shard's folder is such a folder too, inside that of its study. A cell that any folder of the study holds is
    finished for all of them.

    Args:
      path: local, or gs://BUCKET/NAME; of a study, or of a shard.
      shard: the folder is that shard's, below `path`.

    Raises:
      UserError: from storage.open_path; or `path` is a shard's folder itself.
    """

    def __init__(self, path: AnyPath | str, shard: Shard | None = None):
        path = storage.open_path(path)
        inside = Shard.of_folder(path.name)
        # Elsewhere it is a name like any other.
        if inside is not None and not (path.parent / CONFIG).exists():
            inside = None
        if inside is not None and shard is not None:
            raise UserError(f"{path} is the folder of shard {inside}; give --workdir {path.parent}")
        self.shard = shard or inside
        self.home = path if inside is None else path.parent
        """The study's folder."""
        self.path = self.home / self.shard.folder if self.shard else self.home
        self.config = self.path / CONFIG
        self.results = self.path / "results.csv"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.whitening = self.path / WHITENING
        self._log = storage.LineLog(self.metrics)
        self._check_lock: Callable[[], None] = lambda: None
        self._contents: dict[str, bytes] = {}  # of finished cells' files, once they are asked for

    # Whether the folder may be used, and by whom.

    def check(self, study: Study) -> None:
        """The folder is this study's, or free for it; writes nothing.

        Raises:
          UserError: it belongs to another study (names the first field that differs), or holds other things.
        """
        with storage.clear_errors(self.home):
            for folder in dict.fromkeys((self.home, self.path)):
                if (folder / CONFIG).exists():
                    _require_same(folder, study, "choose another --workdir, or restore that field")
                    continue
                strangers = [name for name in storage.names(folder) if not _OWN_NAMES.fullmatch(name)]
                if any(Shard.of_folder(name) is None for name in strangers):
                    raise UserError(f"{folder} is not empty and holds no config.json; choose another --workdir")

    def claim(self, study: Study) -> None:
        """Make the folder this study's, after `check`; for a shard, the study's folder too. What decides no result may
        have another value from then on."""
        for folder in dict.fromkeys((self.home, self.path)):
            if not (folder / CONFIG).exists() or to_dict(_read_study(folder)) != to_dict(study):
                # Other shards may be at the same.
                self.write(folder / CONFIG, json.dumps(to_dict(study), indent=1) + "\n", shared=True)
        self.check(study)

    @contextlib.contextmanager
    def sole_user(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Make the folder, and keep other processes from working in it; `tell` is called before it has to wait.

        Raises:
          UserError: another process is at work in it, or it cannot be used.
        """
        with storage.sole_user(self.path, self._log, tell) as self._check_lock:
            yield

    def study(self) -> Study:
        """The study that the folder belongs to.

        Raises:
          UserError: there is none, or config.json cannot be read.
        """
        return _read_study(self.path)

    @functools.cached_property
    def folders(self) -> list[AnyPath]:
        """All folders of the study: its own, and those of its shards; as they are when this is asked for first.

        Raises:
          UserError: one holds another study.
        """
        shards = [shard for name in storage.names(self.home) if (shard := Shard.of_folder(name))]
        some = [self.home / shard.folder for shard in sorted(shards, key=lambda shard: (shard.count, shard.index))]
        begun = [f for f, there in zip(some, storage.each(lambda f: (f / CONFIG).exists(), some), strict=True) if there]
        if begun:
            study, mend = _read_study(self.home), f"move that folder out of {self.home}"
            storage.each(lambda folder: _require_same(folder, study, mend), begun)
        return list(dict.fromkeys((self.home, *begun, self.path)))

    # Finished cells.

    def is_finished(self, cell_id: str) -> bool:
        """Whether any folder of the study holds the cell's rows, as `folders` were when this was asked first."""
        return cell_id in self._files

    def finish_cell(self, cell_id: str, rows: Sequence[dict], weights: bytes | None = None) -> None:
        """Keep a finished cell's rows, and before them, so that no finished cell lacks them, its trained weights: an
        .npz (trained.to_npz)."""
        self._check_lock()
        if weights is not None:
            self.write(self.path / CELLS / f"{cell_id}.npz", weights)
        file = self.path / CELLS / f"{cell_id}.csv"
        self.write(file, _to_csv(rows))
        self._files[cell_id] = file

    def weights_file(self, cell_id: str) -> AnyPath:
        """Where a finished cell's trained weights lie; those of older versions have no such file."""
        return self._files[cell_id].parent / f"{cell_id}.npz"

    def rows(self, cell_ids: Iterable[str]) -> list[dict]:
        """The rows of the finished cells among cell_ids, in that order; each a dictionary of strings."""
        wanted = [cell_id for cell_id in cell_ids if self.is_finished(cell_id)]
        new = [cell_id for cell_id in wanted if cell_id not in self._contents]
        contents = storage.each(lambda file: file.read_bytes(), [self._files[cell_id] for cell_id in new])
        self._contents |= zip(new, contents, strict=True)
        return [row for cell_id in wanted for row in _from_csv(self._contents[cell_id])]

    def collect(self, cell_ids: Iterable[str]) -> None:
        """Write results.csv from the finished cells among cell_ids, in that order."""
        self.write(self.results, _to_csv(self.rows(cell_ids)))

    @functools.cached_property
    def _files(self) -> dict[str, AnyPath]:
        """A finished cell's file, in whatever folder; the own one where there are several."""
        some = [folder / CELLS for folder in (*self.folders, self.path)]
        found = zip(some, storage.each(storage.names, some), strict=True)
        return {name[:-4]: folder / name for folder, names in found for name in names if name.endswith(".csv")}

    # What is written.

    def write(self, path: AnyPath, content: str | bytes, shared: bool = False) -> None:
        """Write a file of the folder, as storage.write_atomically does."""
        storage.make_folder(path.parent)
        storage.write_atomically(path, content, shared)

    def log(self, event: str, **values) -> None:
        """Add a line to metrics.jsonl: the only file with times in it.

        Raises:
          StudyError: another process has taken the folder over.
        """
        self._check_lock()
        self._log.add(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **values}))

    def read_log(self) -> list[dict]:
        """The whole lines of metrics.jsonl."""
        entries = []
        for line in self._log.read().decode(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entries.append(json.loads(line))
        return entries


class Elsewhere(Workdir):
    """A study's folder, for those of its processes that do not write: they read nothing there, and leave nothing."""

    @contextlib.contextmanager
    def sole_user(self, tell: Callable[[str], None]) -> Iterator[None]:
        yield

    def check(self, study: Study) -> None:
        pass

    def claim(self, study: Study) -> None:
        pass

    def collect(self, cell_ids: Iterable[str]) -> None:
        pass

    def write(self, path: AnyPath, content: str | bytes, shared: bool = False) -> None:
        pass

    def log(self, event: str, **values) -> None:
        pass


def _read_study(folder: AnyPath) -> Study:
    file = folder / CONFIG
    try:
        with storage.clear_errors(folder):
            content = file.read_bytes()
        return from_dict(Study, json.loads(content))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder} holds no study (no config.json); give a folder that `mnnjax run` made") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is damaged ({error}); choose another --workdir") from error


def _require_same(folder: AnyPath, study: Study, mend: str) -> None:
    difference = first_difference(*(_deciding(to_dict(some)) for some in (_read_study(folder), study)))
    if difference:
        raise UserError(f"{folder} belongs to another study ({difference}); {mend}")


def _deciding(study: dict) -> dict:
    """What decides a study's results: not its pictures, and not how often it saves."""
    train = study["train"] and {name: value for name, value in study["train"].items() if name != "checkpoint_chunks"}
    others = [_deciding(part) for part in study["also"]]
    return {name: value for name, value in study.items() if name != "figure"} | {"train": train, "also": others}


def _to_csv(rows: Sequence[dict]) -> str:
    out = io.StringIO()
    columns = (*COLUMNS, *VOLUME_COLUMNS) if any(row.get("method") for row in rows) else COLUMNS
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    # repr of a float reads back as the same float.
    writer.writerows({k: repr(float(v)) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return out.getvalue()


def _from_csv(content: bytes) -> list[dict]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def read_csv(path: AnyPath) -> list[dict]:
    """Rows of a results.csv as dictionaries of strings; older files may lack columns."""
    return _from_csv(path.read_bytes())
