"""The images of a study and their whitening, which the work folder keeps: a run that resumes, perhaps on another
machine, trains on the same numbers."""

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from mnnjax.config import Problem, Study, UserError
from mnnjax.config.problem import STORED
from mnnjax.data import open_stored
from mnnjax.problems import Images, Whitening, draw_images, fit_whitening, nominal_shape, open_images
from mnnjax.study.distributed import processes
from mnnjax.study.plan import grid as plan
from mnnjax.study.plan.grid import Cell
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.workdir import WHITENING, Workdir

# The fields that decide which images there are and how they are whitened; the rest of a problem may differ.
FIELDS = ("inputs", "split", "whitening", "whitening_images", "lower_classes", "upper_classes")


class Sources:
    """Opens images and whitens them, once per data set.

    Args:
      workdir: keeps the whitenings.
      data_dir: where `mnnjax data` keeps its sets; None is its default folder.
      tell: called with one line before something that takes long.
    """

    def __init__(self, workdir: Workdir, data_dir: Path | None, tell: Callable[[str], None]):
        self._workdir, self._data_dir, self._tell = workdir, data_dir, tell
        self._open: dict[tuple[str, str], tuple[Images, Whitening]] = {}

    def get(self, problem: Problem) -> tuple[Images, Whitening]:
        """The images of a problem and their whitening.

        Raises:
          UserError: the data are missing or damaged, or not those that the study began with.
        """
        # Problems with the same whitening may have different labels.
        key = _name(problem), problem.labels
        if key not in self._open:
            self._open[key] = self._load(problem, key[0])
        return self._open[key]

    def shape(self, problem: Problem) -> tuple[int, int] | None:
        """(number of images, d0 after whitening); None where inputs are drawn."""
        if not problem.is_image:
            return None
        # A study that is finished does not need its data any more.
        recorded = processes.from_writer(lambda: _recorded_shape(self._workdir, problem))
        if recorded is not None:
            return recorded
        images, whitening = self.get(problem)
        return images.N, whitening.d0

    def _load(self, problem: Problem, name: str) -> tuple[Images, Whitening]:
        record, known = processes.from_writer(
            lambda: (_read_record(self._workdir.path, name), _any_record(self._workdir, name))
        )
        # Each process reads its own copy, or a shared one.
        images = processes.together(lambda: self._open_images(problem, record, known))
        if len(set(processes.gathered(images.digest))) > 1:
            raise UserError(f"the processes have different data of {problem.inputs}; give all of them the same files")
        return images, processes.from_writer(lambda: self._whitening(problem, name, record, images))

    def _open_images(self, problem: Problem, record: dict | None, known: dict | None) -> Images:
        # All images are read when they are whitened for the first time, and not always later.
        images = open_images(problem, self._data_dir, verify=record is None)
        if known is not None and known["digest"] != images.digest:
            raise UserError(
                f"the data of {problem.inputs} are not those that {self._workdir.home} began with "
                f"(checksum {images.digest[:12]}, there {known['digest'][:12]}); restore them, or choose another "
                "--workdir"
            )
        return images

    def _whitening(self, problem: Problem, name: str, record: dict | None, images: Images) -> Whitening:
        """Read from the work folder, or computed and written there."""
        if record is not None:
            whitening = _read_whitening(self._workdir, name, record)
            if whitening is not None:
                return whitening
        count = min(problem.whitening_images or images.N, images.N)
        self._tell(f"whitening {problem.inputs} by {count} of {images.N} images ({images.pixels} pixels)")

        def read(rows):
            return images.read(rows * images.N // count)

        whitening = fit_whitening(read, count, images.pixels, problem.whitening, jax.local_devices())
        if record is not None and _sha256(whitening) != record["sha256"]:
            # Checkpoints are of networks that were trained with the other one.
            raise UserError(
                f"{self._workdir.whitening / name}.npz is damaged, and computed anew it differs in its last digits; "
                "restore the file, or choose another --workdir"
            )
        self._keep(problem, name, images, whitening)
        return whitening

    def _keep(self, problem: Problem, name: str, images: Images, whitening: Whitening) -> None:
        file = io.BytesIO()
        np.savez(file, mean=whitening.mean, transform=whitening.transform)
        self._workdir.write(self._workdir.whitening / f"{name}.npz", file.getvalue())
        record = {field: getattr(problem, field) for field in FIELDS}
        record |= {"N": images.N, "pixels": images.pixels, "d0": whitening.d0, "digest": images.digest}
        record |= {"sha256": _sha256(whitening)}
        self._workdir.write(self._workdir.whitening / f"{name}.json", json.dumps(record, indent=1) + "\n")


def read_images(
    cell: Cell, sources: Sources, keys: Key[Array, " repeats"], rows: int, dtype
) -> tuple[Float[np.ndarray, "repeats rows d0"], Float[np.ndarray, "repeats rows"]]:
    """X and y of a cell's N images, whitened: those of one repetition per key, padded with rows of zeros."""
    problem = cell.part.problem
    drawn = [draw_images(problem, *sources.get(problem), key, rows, cell.N, dtype) for key in keys]
    X, y = (np.stack(parts) for parts in zip(*drawn, strict=True))
    return X, y


def require_data(workdir: Workdir, study: Study, data_dir: Path | None) -> None:
    """The data sets that the study whitens first are there; data_dir as in Sources.

    Raises:
      UserError: one is missing or damaged.
    """
    for problem in (part.problem for part in study.parts):
        if problem.inputs in STORED and _recorded_shape(workdir, problem) is None:
            open_stored(problem.inputs, data_dir)


def recorded_shape(workdir: Workdir) -> Callable[[Problem], tuple[int, int] | None]:
    """The shapes of a study's images, as its folders know them or as published, for plan.cells; no image is read."""

    def shape(problem: Problem) -> tuple[int, int] | None:
        recorded = _recorded_shape(workdir, problem) if problem.is_image else None
        return recorded or nominal_shape(problem)

    return shape


def recorded_cells(workdir: Workdir, study: Study) -> list[Cell]:
    """The cells of a study, or of the work folder's shard, with the shapes that are known there.

    Raises:
      UserError: from plan.cells.
    """
    return workdir.own_cells(plan.cells(study, recorded_shape(workdir)))


def _recorded_shape(workdir: Workdir, problem: Problem) -> tuple[int, int] | None:
    record = _any_record(workdir, _name(problem))
    return None if record is None else (record["N"], record["d0"])


def _any_record(workdir: Workdir, name: str) -> dict | None:
    """Of any folder of the study, this one first."""
    records = (_read_record(folder, name) for folder in (workdir.path, *workdir.folders))
    return next((record for record in records if record is not None), None)


def _name(problem: Problem) -> str:
    """The name of the files of a problem's whitening."""
    decides = json.dumps({field: getattr(problem, field) for field in FIELDS})
    return f"{problem.inputs}-{hashlib.sha256(decides.encode()).hexdigest()[:8]}"


def _read_record(folder: AnyPath, name: str) -> dict | None:
    """None where there is none, or it is damaged."""
    try:
        record = json.loads((folder / WHITENING / f"{name}.json").read_text(encoding="utf-8"))
        return record if {"N", "d0", "digest", "sha256"} <= set(record) else None
    except (FileNotFoundError, TypeError, ValueError):  # damaged JSON, or no text at all
        return None


def _read_whitening(workdir: Workdir, name: str, record: dict) -> Whitening | None:
    """None where the file is missing or not what was written."""
    try:
        content = io.BytesIO((workdir.whitening / f"{name}.npz").read_bytes())
        with np.load(content, allow_pickle=False) as arrays:
            whitening = Whitening(arrays["mean"], arrays["transform"])
    except Exception:  # NumPy and zipfile raise many kinds for a damaged file.
        return None
    return whitening if _sha256(whitening) == record["sha256"] else None


def _sha256(whitening: Whitening) -> str:
    found = hashlib.sha256()
    for array in dataclasses.astuple(whitening):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
