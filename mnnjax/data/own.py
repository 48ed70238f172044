"""A user's own data: an .npz, a folder of .npy files, or arrays from Python, all checked here before they are used."""

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt, UInt8

from mnnjax.data.source import Block, block_rows, one_line
from mnnjax.errors import UserError, require

# Of each split, the names that the points may have, and those of their labels.
NAMES = {"train": (("X", "images"), ("y", "labels")), "test": (("X_test", "test_images"), ("y_test", "test_labels"))}
ALL_NAMES = [name for kinds in NAMES.values() for names in kinds for name in names]
LOOKED_FOR = "an .npz, or a folder of .npy files, with X or images, and y or labels"
# Beyond it float32, which trains, has no numbers.
LARGEST = np.finfo(np.float32).max
MOST_SHOWN = 8
OBJECTS = "holds Python objects, such as images of different sizes; give numbers, and images all of one size"


@dataclasses.dataclass(frozen=True, eq=False)
class OwnData:
    """A user's points and labels, checked."""

    shape: tuple[int, ...]
    """Of an image: height, width, channels. Of a real point: d0."""
    classes: int
    rows: dict[str, UInt8[np.ndarray, "images pixels"] | Float[np.ndarray, "points d0"]]
    """Of each split the images, uint8, flattened height-width-channel, or the points, float32 or float64."""
    labels: dict[str, UInt[np.ndarray, " labels"]]
    """Of each split the classes, from 0 to classes - 1."""

    @property
    def counts(self) -> dict[str, int]:
        """Points of each split."""
        return {split: len(rows) for split, rows in self.rows.items()}

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the types, shapes and entries of all arrays, after labels have become classes: equal if the data
        are, whatever file they come from."""
        found = hashlib.sha256()
        for split in self.rows:
            for array in (self.rows[split], self.labels[split]):
                found.update(f"{split} {array.dtype} {array.shape}".encode())
                for block in _blocks(array):
                    found.update(np.ascontiguousarray(block).data)
        return found.hexdigest()

    def blocks(self, split: str) -> Iterator[Block]:
        """The rows of a split with their labels, in order, block by block."""
        start = 0
        for block in _blocks(self.rows[split]):
            yield block, self.labels[split][start : start + len(block)]
            start += len(block)


def holds_own(path: Path) -> bool:
    """Whether a path is a file, or a folder with points in the form of a user's own data."""
    return path.is_file() or any((path / f"{name}.npy").is_file() for name in NAMES["train"][0])


def read_own(path: Path | str, say: Callable[[str], None] = lambda line: None) -> OwnData:
    """The data in an .npz, which are read into memory, or in a folder of .npy files, which are memory-mapped.

    X (N, d0), real, or images (N, height, width[, channels]), uint8; y or labels (N,). For points held out also X_test
    or test_images, and y_test or test_labels. say: called with one line about other arrays, which are not used.

    UserError, with one line, where the path cannot be read or its arrays are not these; see own_data.

    Example:
        np.savez("mine.npz", X=X, y=y)
        own = read_own("mine.npz")
    """
    path = Path(path).expanduser()
    with _named(path), contextlib.ExitStack() as stack:
        if path.is_dir():
            files = {file.stem: file for file in sorted(path.glob("*.npy"))}
            names, load = list(files), lambda name: np.load(files[name], mmap_mode="r", allow_pickle=False)
        else:
            archive = np.load(stack.enter_context(open(path, "rb")), allow_pickle=False)
            require(isinstance(archive, np.lib.npyio.NpzFile), f"{path} is no .npz; write it with numpy.savez")
            names, load = archive.files, archive.__getitem__
        if others := [name for name in names if name not in ALL_NAMES]:
            say(f"{path}: not used: {', '.join(others[:MOST_SHOWN])}")
        arrays = {}
        for name in ALL_NAMES:
            if name in names:
                with _named(path, name):
                    arrays[name] = load(name)
    return own_data(arrays, f"{path}: ")


def own_data(arrays: Mapping[str, Any], where: str = "") -> OwnData:
    """The arrays of NAMES, by name, as OwnData. Labels of two values become classes by their order; others must be the
    integers 0 to K - 1, each of which the training points have.

    UserError, one line that begins with `where`: an array is missing or of another shape or type; NaN or infinite
    entries; points that are all equal; labels of one value, of many real values, or of the test points alone.
    """
    names = _chosen_names(arrays, where)
    rows = {split: _points(f"{where}{name}", arrays[name], "image" in name) for split, (name, _) in names.items()}
    first, name = rows["train"], names["train"][0]
    varies = any(bool((block != first[0]).any()) for block in _blocks(first))
    require(varies, f"{where}{name}: all points are equal; give different ones")
    shape, dtype = first.shape[1:], first.dtype
    for split, (name, _) in names.items():
        wanted = f"{shape} as of {names['train'][0]}; give points of one kind and size"
        same = rows[split].shape[1:] == shape and _is_image(rows[split]) == _is_image(first)
        require(same, f"{where}{name}: has rows of shape {rows[split].shape[1:]}, not {wanted}")
    y = {split: _label_values(f"{where}{name}", arrays[name], len(rows[split])) for split, (_, name) in names.items()}
    values = _class_values(f"{where}{names['train'][1]}", y["train"])
    for split, (_, name) in names.items():
        strange = [f"{value:g}" for value in np.setdiff1d(y[split], values)[:1]]
        known = f"which no training point has ({values[0]:g} to {values[-1]:g})"
        require(not strange, f"{where}{name}: has the label {''.join(strange)}, {known}; leave those points out")
    return OwnData(
        (*shape, 1) if len(shape) == 2 else shape,
        len(values),
        {split: array.reshape(len(array), -1).astype(dtype, copy=False) for split, array in rows.items()},
        {split: np.searchsorted(values, of).astype(np.min_scalar_type(len(values) - 1)) for split, of in y.items()},
    )


def _chosen_names(arrays: Mapping[str, Any], where: str) -> dict[str, tuple[str, str]]:
    """Of each split that is there, which of the possible names its points and its labels have."""
    chosen = {}
    for split, kinds in NAMES.items():
        found = [[name for name in names if name in arrays] for names in kinds]
        if split == "test" and not any(found):
            continue
        for names, there in zip(kinds, found, strict=True):
            has = " and ".join(there) or f"neither {names[0]} nor {names[1]}"
            require(len(there) == 1, f"{where}holds {has}; give one of {names[0]} and {names[1]}")
        chosen[split] = found[0][0], found[1][0]
    return chosen


def _is_image(rows: np.ndarray) -> bool:
    return rows.ndim > 2


def _points(name: str, value: Any, only_images: bool) -> np.ndarray:
    """Images as they are, or finite real points as float32 or float64."""
    array = _array(name, value)
    form = "give X (N, d0) of real numbers, or images (N, height, width[, channels]) of type uint8"
    shaped = array.size > 0 and (array.ndim in (3, 4) or (array.ndim == 2 and not only_images))
    require(shaped, f"{name}: has shape {array.shape}; {form}")
    typed = array.dtype == np.uint8 if _is_image(array) else _is_real(array)
    require(typed, f"{name}: has shape {array.shape} and type {array.dtype}; {form}")
    if _is_image(array):
        return array
    # Whole numbers, too, in the type that holds them.
    single = np.result_type(array.dtype, np.float32) == np.float32
    array = array.astype(np.float32 if single else np.float64, copy=False)
    start = 0
    for block in _blocks(array):
        bad = np.flatnonzero(~(np.abs(block) <= LARGEST).all(axis=1))
        where = f"{name}: row {start + bad[0]}" if bad.size else name
        require(not bad.size, f"{where} holds NaN, infinity or a number beyond 3e38; replace it, or leave the row out")
        start += len(block)
    return array


def _label_values(name: str, value: Any, N: int) -> np.ndarray:
    """The labels (N,) as finite real numbers."""
    y = _array(name, value)
    require(y.shape == (N,), f"{name}: has shape {y.shape}, not ({N},); give one label per point")
    require(_is_real(y), f"{name}: has type {y.dtype}; give numbers: two values, or classes 0, 1, ..., K - 1")
    y = y.astype(np.float64)
    require(bool(np.isfinite(y).all()), f"{name}: holds NaN or infinity; give every point a label")
    return y


def _class_values(name: str, y: np.ndarray) -> np.ndarray:
    """The values of the training labels, in order: two, or 0 to K - 1."""
    values = np.unique(y)
    require(len(values) > 1, f"{name}: all labels are {values[0]:g}; give points of two classes at least")
    classes = len(values) == 2 or np.array_equal(values, np.arange(len(values)))
    whole = bool((values == np.floor(values)).all())
    shown = ", ".join(f"{value:g}" for value in values[:3])
    lack = f"has {len(values)} values ({shown}, ..., {values[-1]:g}), which are neither two nor classes"
    hint = "number the classes 0, 1, ..., K - 1, each with points" if whole else "give each point one of two values"
    require(classes, f"{name}: {lack}; {hint}")
    return values


def _is_real(array: np.ndarray) -> bool:
    return bool(np.can_cast(array.dtype, np.float64, "same_kind"))


def _array(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:  # ragged lists; PyTorch, for tensors that require grad
        raise UserError(f"{name}: is no array ({one_line(error)}); give numbers, and images all of one size") from error
    require(array.dtype != object, f"{name}: {OBJECTS}")
    return array


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive rows, a few megabytes at a time."""
    step = block_rows(max(array[:1].nbytes, 1))
    return (array[start : start + step] for start in range(0, len(array), step))


@contextlib.contextmanager
def _named(path: Path, name: str = "") -> Iterator[None]:
    """Turn what NumPy raises for a missing or damaged file, or an array in it, into a UserError that names it."""
    where = f"{path}: {name}" if name else f"{path}"
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file or folder; give {LOOKED_FOR}") from error
    except MemoryError as error:
        raise UserError(f"{where} does not fit into memory; save .npy files, and give their folder") from error
    except OSError as error:
        raise UserError(f"{where} cannot be read ({error.strerror or one_line(error)}); give one that can") from error
    except Exception as error:  # for damaged files NumPy, zipfile and Python's parser raise nearly everything
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            raise UserError(f"{where} {OBJECTS}" if name else f"{where} is no .npz; give {LOOKED_FOR}") from error
        raise UserError(f"{where} is damaged, cut short or no .npz ({one_line(error)}); write it again") from error
