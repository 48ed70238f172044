"""The images of a study, or a user's own data, and their whitening, which the work folder keeps with their checksum: a
run that resumes, perhaps on another machine, trains on the same numbers."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from mnnjax.config import Problem, Study, UserError
from mnnjax.config.problem import STORED
from mnnjax.data import OwnData, default_folder, open_stored, own_data, read_own
from mnnjax.errors import require
from mnnjax.problems import Images, Unwhitened, Whitening, draw_images, fit_whitening, nominal_shape, open_images
from mnnjax.study.distributed import processes
from mnnjax.study.plan import grid as plan
from mnnjax.study.plan.grid import Cell
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.weights import from_bytes, to_bytes
from mnnjax.study.workdir.workdir import WHITENING, Workdir
from mnnjax.wording import integer

WHITENED = {
    "none": "as they are", "pca": "PCA-whitened", "zca": "ZCA-whitened", "cholesky": "whitened by Cholesky's factor",
}  # fmt: skip
# The fields that decide which images there are and how they are whitened; the rest of a problem may differ.
FIELDS = ("inputs", "split", "whitening", "whitening_images", "lower_classes", "upper_classes")


class Sources:
    """Opens images and whitens them, once per data set. The work folder keeps the whitenings. `mnnjax data` keeps its
    sets in data_dir; None is its default folder. `tell` is called with one line before something that takes long. data:
    X and y of inputs="file", where the user gave them from Python."""

    def __init__(
        self, workdir: Workdir, data_dir: Path | None, tell: Callable[[str], None], data: tuple[Any, Any] | None = None
    ):
        self._workdir, self._data_dir, self._tell = workdir, data_dir, tell
        self._data = data
        self._file: OwnData | None = None
        self._open: dict[tuple[str, str], tuple[Images, Whitening | Unwhitened]] = {}

    def check(self, study: Study, finished: bool) -> None:
        """Raise UserError where data of the study are missing, or are a user's own and not those that it began with. A
        finished study needs none, and takes no others either. Nothing is written."""
        takes = [part.problem for part in study.parts if part.problem.inputs == "file"]
        given = self._data is None or (bool(takes) and takes[0].path is None)
        require(given, "data: only for a study whose problem has inputs='file' and no path; leave out one of them")
        for problem in unwhitened(self._workdir, study):
            if problem.inputs in STORED:
                open_stored(problem.inputs, self._data_dir)
        for problem in (part.problem for part in study.parts if part.problem.is_own):
            if not finished or self._is_there(problem):
                self._opened(problem, _known(problem, self._workdir))
                if problem.labels == "random" and not finished:
                    self._tell(f"{problem.data_name}: labels are drawn; problem.labels='classes' takes its own")

    def _is_there(self, problem: Problem) -> bool:
        if problem.inputs == "file":
            return self._data is not None or (problem.path is not None and Path(problem.path).expanduser().exists())
        return (Path(self._data_dir or default_folder()) / problem.inputs).exists()

    def shape(self, problem: Problem) -> tuple[int, int] | None:
        """recorded_shape; that of a user's own data which the work folder does not know yet is read."""
        if not problem.is_own or _known(problem, self._workdir) is not None:
            return recorded_shape(self._workdir)(problem)
        images = self._opened(problem, None)
        return images.N, images.pixels

    def _opened(self, problem: Problem, known: dict | None, verify: bool = False) -> Images:
        """The images of a problem. Raises UserError where they are missing or damaged, or not those that the study
        began with: the record `known`."""
        images = open_images(problem, self._data_dir, verify, self._in_file(problem))
        if known is not None and known["digest"] != images.digest:
            differ = f"checksum {images.digest[:12]}, there {known['digest'][:12]}"
            what = f"the data of {problem.data_name} are not those that {self._workdir.home} began with ({differ})"
            raise UserError(f"{what}; restore them, or choose another --workdir")
        return images

    def _in_file(self, problem: Problem) -> OwnData | None:
        """The data of inputs="file", which a study has once; None for others."""
        if self._file is None and problem.inputs == "file":
            if self._data is not None:
                require(len(self._data) == 2, "data: give a pair (X, y)")
                self._file = own_data(dict(zip("Xy", self._data, strict=True)), "data: ")
            elif problem.path is not None:
                self._file = read_own(problem.path, self._tell)
        return self._file if problem.inputs == "file" else None

    def get(self, problem: Problem) -> tuple[Images, Whitening | Unwhitened]:
        """The images of a problem and their whitening. Raises UserError where the data are missing or damaged, or not
        those that the study began with."""
        # Problems with the same whitening may have different labels.
        key = _name(problem), problem.labels
        if key not in self._open:
            self._open[key] = self._load(problem)
        return self._open[key]

    def _load(self, problem: Problem) -> tuple[Images, Whitening | Unwhitened]:
        workdir = self._workdir
        record, known = processes.from_writer(lambda: (_record(problem, [workdir.path]), _known(problem, workdir)))
        # Each process reads its own copy, or a shared one. All images are read when they are whitened for the first
        # time, and not always later.
        images = processes.together(lambda: self._opened(problem, known, verify=record is None))
        if len(set(processes.gathered(images.digest))) > 1:
            what = f"the processes have different data of {problem.data_name}"
            raise UserError(f"{what}; give all of them the same files")
        return images, processes.from_writer(lambda: self._whitening(problem, record, images))

    def _whitening(self, problem: Problem, record: dict | None, images: Images) -> Whitening | Unwhitened:
        """Read from the work folder, or computed and written there."""
        if images.whitening == "none":
            unchanged = Unwhitened(images.pixels)
            if record is None:
                self._write_record(problem, images, unchanged)
            return unchanged
        matrices = self._workdir.whitening / f"{_name(problem)}.npz"
        if record is not None and (whitening := _read_whitening(matrices, record)) is not None:
            return whitening
        count = min(problem.whitening_images or images.N, images.N)
        self._tell(f"whitening {problem.data_name} by {count} of {images.N} images ({images.pixels} pixels)")

        def read(rows):
            return images.read(rows * images.N // count)

        whitening = fit_whitening(read, count, images.pixels, images.whitening, jax.local_devices())
        if record is not None and _sha256(whitening) != record["sha256"]:
            # Checkpoints are of networks that were trained with the other one.
            what = f"{matrices} is damaged, and computed anew it differs in its last digits"
            raise UserError(f"{what}; restore the file, or choose another --workdir")
        self._workdir.write(matrices, to_bytes({"mean": whitening.mean, "transform": whitening.transform}))
        self._write_record(problem, images, whitening)
        return whitening

    def _write_record(self, problem: Problem, images: Images, whitening: Whitening | Unwhitened) -> None:
        found = {"N": images.N, "pixels": images.pixels, "d0": whitening.d0, "digest": images.digest}
        content = _deciding(problem) | found | {"whitening": images.whitening, "sha256": _sha256(whitening)}
        self._workdir.write(self._workdir.whitening / f"{_name(problem)}.json", json.dumps(content, indent=1) + "\n")


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
    """The shapes of a study's images, as its folders know them or as published, for plan.cells; no image is read. The
    function raises UserError for a user's data that no folder knows yet."""

    def shape(problem: Problem) -> tuple[int, int] | None:
        record = _known(problem, workdir) if problem.is_image else None
        new = f"{workdir.path} has not read {problem.data_name} yet; wait a moment, or run the study again"
        require(record is not None or not problem.is_own, new)
        return nominal_shape(problem) if record is None else (record["N"], record["d0"])

    return shape


def recorded_cells(workdir: Workdir, study: Study) -> list[Cell]:
    """The cells of a study, or of the work folder's shard, with the shapes that are known there. Raises what plan.cells
    raises."""
    return workdir.own_cells(plan.cells(study, recorded_shape(workdir)))


def own_data_lines(workdir: Workdir, study: Study) -> list[str]:
    """One line about each of the user's own data that a study trains on, as its folder knows them."""
    problems = {_name(part.problem): part.problem for part in study.parts if part.problem.is_own}
    found = [(problem, _known(problem, workdir)) for problem in problems.values()]
    return [
        f"{problem.data_name}: {integer(record['N'])} points, d0 = {record['d0']}, "
        f"{WHITENED[record['whitening']]}; SHA-256 {record['digest']}"
        for problem, record in found if record is not None
    ]  # fmt: skip


def _deciding(problem: Problem) -> dict:
    return {field: getattr(problem, field) for field in FIELDS} | {"whitening": problem.known_whitening}


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
        arrays = from_bytes(file.read_bytes())
        whitening = Whitening(arrays["mean"], arrays["transform"])
    except Exception:  # NumPy and zipfile raise many kinds for a damaged file.
        return None
    return whitening if _sha256(whitening) == record["sha256"] else None


def _sha256(whitening: Whitening | Unwhitened) -> str:
    found = hashlib.sha256()
    for array in () if isinstance(whitening, Unwhitened) else (whitening.mean, whitening.transform):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
