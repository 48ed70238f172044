"""The images of a study and their whitening, which the work folder keeps: a run that resumes, perhaps on another
machine, trains on the same numbers."""

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from mnnjax.config import Problem, Study, UserError
from mnnjax.problems import Images, Whitening, draw_images, fit_whitening, nominal_shape, open_images
from mnnjax.study.distributed import processes
from mnnjax.study.plan import grid as plan
from mnnjax.study.plan.grid import Cell
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.weights import to_bytes
from mnnjax.study.workdir.workdir import WHITENING, Workdir

# The fields that decide which images there are and how they are whitened; the rest of a problem may differ.
FIELDS = ("inputs", "split", "whitening", "whitening_images", "lower_classes", "upper_classes")


class Sources:
    """Opens images and whitens them, once per data set. The work folder keeps the whitenings. `mnnjax data` keeps its
    sets in data_dir; None is its default folder. `tell` is called with one line before something that takes long."""

    def __init__(self, workdir: Workdir, data_dir: Path | None, tell: Callable[[str], None]):
        self._workdir, self._data_dir, self._tell = workdir, data_dir, tell
        self._open: dict[tuple[str, str], tuple[Images, Whitening]] = {}

    def get(self, problem: Problem) -> tuple[Images, Whitening]:
        """The images of a problem and their whitening. Raises UserError where the data are missing or damaged, or not
        those that the study began with."""
        # Problems with the same whitening may have different labels.
        key = _name(problem), problem.labels
        if key not in self._open:
            self._open[key] = self._load(problem)
        return self._open[key]

    def _load(self, problem: Problem) -> tuple[Images, Whitening]:
        workdir = self._workdir
        record, known = processes.from_writer(lambda: (_record(problem, [workdir.path]), _known(problem, workdir)))

        def opened() -> Images:
            # All images are read when they are whitened for the first time, and not always later.
            images = open_images(problem, self._data_dir, verify=record is None)
            if known is not None and known["digest"] != images.digest:
                differ = f"checksum {images.digest[:12]}, there {known['digest'][:12]}"
                what = f"the data of {problem.inputs} are not those that {workdir.home} began with ({differ})"
                raise UserError(f"{what}; restore them, or choose another --workdir")
            return images

        # Each process reads its own copy, or a shared one.
        images = processes.together(opened)
        if len(set(processes.gathered(images.digest))) > 1:
            raise UserError(f"the processes have different data of {problem.inputs}; give all of them the same files")
        return images, processes.from_writer(lambda: self._whitening(problem, record, images))

    def _whitening(self, problem: Problem, record: dict | None, images: Images) -> Whitening:
        """Read from the work folder, or computed and written there."""
        matrices, sidecar = (self._workdir.whitening / f"{_name(problem)}.{end}" for end in ("npz", "json"))
        if record is not None and (whitening := _read_whitening(matrices, record)) is not None:
            return whitening
        count = min(problem.whitening_images or images.N, images.N)
        self._tell(f"whitening {problem.inputs} by {count} of {images.N} images ({images.pixels} pixels)")

        def read(rows):
            return images.read(rows * images.N // count)

        whitening = fit_whitening(read, count, images.pixels, problem.whitening, jax.local_devices())
        if record is not None and _sha256(whitening) != record["sha256"]:
            # Checkpoints are of networks that were trained with the other one.
            what = f"{matrices} is damaged, and computed anew it differs in its last digits"
            raise UserError(f"{what}; restore the file, or choose another --workdir")
        self._workdir.write(matrices, to_bytes({"mean": whitening.mean, "transform": whitening.transform}))
        found = {"N": images.N, "pixels": images.pixels, "d0": whitening.d0, "digest": images.digest}
        content = _deciding(problem) | found | {"sha256": _sha256(whitening)}
        self._workdir.write(sidecar, json.dumps(content, indent=1) + "\n")
        return whitening


def read_images(
    cell: Cell, sources: Sources, keys: Key[Array, " repeats"], rows: int, dtype
) -> tuple[Float[np.ndarray, "repeats rows d0"], Float[np.ndarray, "repeats rows"]]:
    """X and y of a cell's N images, whitened: those of one repetition per key, padded with rows of zeros."""
    problem = cell.part.problem
    drawn = [draw_images(problem, *sources.get(problem), key, rows, cell.N, dtype) for key in keys]
    X, y = (np.stack(parts) for parts in zip(*drawn, strict=True))
    return X, y


def unwhitened(workdir: Workdir, study: Study) -> list[Problem]:
    """The problems of images that no folder of the study has whitened yet."""
    problems = (part.problem for part in study.parts)
    return [problem for problem in problems if problem.is_image and _known(problem, workdir) is None]


def recorded_shape(workdir: Workdir) -> Callable[[Problem], tuple[int, int] | None]:
    """The shapes of a study's images, as its folders know them or as published, for plan.cells; no image is read."""

    def shape(problem: Problem) -> tuple[int, int] | None:
        record = _known(problem, workdir) if problem.is_image else None
        return nominal_shape(problem) if record is None else (record["N"], record["d0"])

    return shape


def recorded_cells(workdir: Workdir, study: Study) -> list[Cell]:
    """The cells of a study, or of the work folder's shard, with the shapes that are known there. Raises what plan.cells
    raises."""
    return workdir.own_cells(plan.cells(study, recorded_shape(workdir)))


def _deciding(problem: Problem) -> dict:
    return {field: getattr(problem, field) for field in FIELDS}


def _name(problem: Problem) -> str:
    """The name of the files of a problem's whitening."""
    return f"{problem.inputs}-{hashlib.sha256(json.dumps(_deciding(problem)).encode()).hexdigest()[:8]}"


def _known(problem: Problem, workdir: Workdir) -> dict | None:
    """The record of any folder of the study, this one first."""
    return _record(problem, [workdir.path, *workdir.folders])


def _record(problem: Problem, folders: Iterable[AnyPath]) -> dict | None:
    """What the first of the folders that has one says of the problem's images; damaged ones do not count."""
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, TypeError, ValueError):  # damaged JSON, or no text at all
            record = json.loads((folder / WHITENING / f"{_name(problem)}.json").read_text(encoding="utf-8"))
            if {"N", "d0", "digest", "sha256"} <= set(record):
                return record
    return None


def _read_whitening(file: AnyPath, record: dict) -> Whitening | None:
    """None where the file is missing or not what was written."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as arrays:
            whitening = Whitening(arrays["mean"], arrays["transform"])
    except Exception:  # NumPy and zipfile raise many kinds for a damaged file.
        return None
    return whitening if _sha256(whitening) == record["sha256"] else None


def _sha256(whitening: Whitening) -> str:
    found = hashlib.sha256()
    for array in (whitening.mean, whitening.transform):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
