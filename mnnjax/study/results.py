"""A study's results as files: one CSV a finished cell, written by rename, and results.csv made of them all.

Nothing in these files depends on when or in how many goes the study ran: times live in metrics.jsonl.
"""

import csv
import io
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from mnnjax.checks import first_difference
from mnnjax.config import Study, UserError, from_dict, to_dict

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


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a run after a crash, sees the old content or the new one, never a part."""
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


class Workdir:
    """The files of one study: config.json, cells/, results.csv, metrics.jsonl, checkpoints/, whitening/ and
    report.html."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.results = self.path / "results.csv"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.whitening = self.path / "whitening"
        self._cells = self.path / "cells"

    def check(self, study: Study) -> None:
        """The folder is this study's, or free for it; writes nothing.

        Raises:
          UserError: it belongs to another study (names the first field that differs), or holds other things.
        """
        if self.config.exists():
            difference = first_difference(to_dict(self.study()), to_dict(study))
            if difference:
                raise UserError(
                    f"{self.path} belongs to another study ({difference}); "
                    "choose another --workdir, or restore that field"
                )
            return
        strangers = [p.name for p in self.path.iterdir()] if self.path.is_dir() else []
        if any(name not in ("lock", "config.json.part") for name in strangers):
            raise UserError(f"{self.path} is not empty and holds no config.json; choose another --workdir")

    def claim(self, study: Study) -> None:
        """Make the folder this study's, after `check`."""
        self.check(study)
        if not self.config.exists():
            write_atomically(self.config, json.dumps(to_dict(study), indent=1) + "\n")

    def study(self) -> Study:
        """The study that the folder belongs to.

        Raises:
          UserError: there is none, or config.json cannot be read.
        """
        try:
            return from_dict(Study, json.loads(self.config.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(
                f"{self.path} holds no study (no config.json); give a folder that `mnnjax run` made"
            ) from error
        except json.JSONDecodeError as error:
            raise UserError(f"{self.config} is damaged ({error}); choose another --workdir") from error

    def cell_file(self, cell_id: str) -> Path:
        return self._cells / f"{cell_id}.csv"

    def is_finished(self, cell_id: str) -> bool:
        return self.cell_file(cell_id).exists()

    def finish_cell(self, cell_id: str, rows: Sequence[dict]) -> None:
        """Keep a finished cell's rows."""
        self._cells.mkdir(parents=True, exist_ok=True)
        write_atomically(self.cell_file(cell_id), _to_csv(rows))

    def collect(self, cell_ids: Iterable[str]) -> None:
        """Write results.csv from the finished cells among cell_ids, in that order."""
        write_atomically(self.results, _to_csv([row for c in cell_ids for row in self._cell_rows(c)]))

    def _cell_rows(self, cell_id: str) -> list[dict]:
        return read_csv(self.cell_file(cell_id)) if self.is_finished(cell_id) else []

    def log(self, event: str, **values) -> None:
        """Append a line to metrics.jsonl: the only file with times in it."""
        entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **values}
        with open(self.metrics, "a+b") as file:
            # A killed process may have left half a line.
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                file.write(b"\n")
            file.write(json.dumps(entry).encode() + b"\n")

    def read_log(self) -> list[dict]:
        """The whole lines of metrics.jsonl."""
        entries = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines() if self.metrics.exists() else ():
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return entries


def _to_csv(rows: Sequence[dict]) -> str:
    out = io.StringIO()
    columns = (*COLUMNS, *VOLUME_COLUMNS) if any(row.get("method") for row in rows) else COLUMNS
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    # repr of a float reads back as the same float.
    writer.writerows({k: repr(float(v)) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return out.getvalue()


def read_csv(path: Path) -> list[dict]:
    """Rows of a results.csv as dictionaries of strings; older files may lack columns."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
