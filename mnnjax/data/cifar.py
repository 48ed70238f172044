"""CIFAR-10's batches: the binary version, and the pickles of the Python version, read without running their code."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mnnjax.data.sets import SPLITS, DataSet
from mnnjax.data.source import Block, Source, complete, damage_named, one_line, read_rows, to_rows
from mnnjax.errors import UserError, require

LOOKED_FOR = "data_batch_1 to _5 and test_batch, binary (.bin) or Python"
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


def find_binary(data_set: DataSet, folder: Path) -> Source | None:
    """The binary batches in a folder, or in its cifar-10-batches-bin; None where there are none, UserError where some
    are missing or cut short."""
    record = 1 + data_set.pixels
    files = _files(folder, "cifar-10-batches-bin", ".bin")
    if files is None:
        return None

    def records(path: Path) -> int:
        size = path.stat().st_size
        require(size % record == 0, f"{path} is cut short: {size} bytes are not whole records of {record} bytes")
        return size // record

    def blocks(split: str) -> Iterator[Block]:
        for path in files[split]:
            with damage_named(path), open(path, "rb") as file:
                for rows in read_rows(file, path, records(path), record):
                    yield to_rows(rows[:, 1:], data_set.image_shape), rows[:, 0]

    counts = {split: sum(map(records, files[split])) for split in SPLITS}
    return Source("CIFAR-10 binary batches", counts, blocks)


def find_python(data_set: DataSet, folder: Path) -> Source | None:
    """The Python batches in a folder, or in its cifar-10-batches-py; None where there are none, UserError where some
    are missing, damaged, or hold anything but arrays and builtin containers."""
    files = _files(folder, "cifar-10-batches-py", "")
    if files is None:
        return None
    counts = {split: sum(len(_unpickle(path, data_set)[1]) for path in files[split]) for split in SPLITS}

    def blocks(split: str) -> Iterator[Block]:
        for path in files[split]:
            planar, labels = _unpickle(path, data_set)
            yield to_rows(planar, data_set.image_shape), labels

    return Source("CIFAR-10 Python batches", counts, blocks)


def _files(folder: Path, inner: str, suffix: str) -> dict[str, list[Path]] | None:
    """The batches of each split, in the folder or its folder `inner`."""
    names = [name + suffix for split in SPLITS for name in BATCHES[split]]
    for home in (folder, folder / inner):
        if found := complete(home, {name: [home / name] for name in names}):
            return {split: [found[name + suffix] for name in BATCHES[split]] for split in SPLITS}
    return None


class _ArraysOnly(pickle.Unpickler):
    """Reads pickles of unknown origin: a pickle may call any function by its name, so these are the only ones."""

    def find_class(self, module: str, name: str) -> Callable:
        allowed = {
            "_reconstruct": np.empty(0).__reduce__()[0],
            "ndarray": np.ndarray,
            "dtype": _dtype,
            "encode": _encode,  # how Python 3 writes bytes for Python 2
        }
        modules = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray") if name != "encode" else ("_codecs",)
        if name not in allowed or module not in modules:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not allowed")
        return allowed[name]


def _dtype(spec: str, align: int = 0, copy: int = 0) -> np.dtype:
    """numpy.dtype, which warns about the integers that old pickles give it for truth values."""
    return np.dtype(spec, bool(align), bool(copy))


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it holds text in {encoding}, which is not allowed")
    return text.encode("latin1")


def _unpickle(path: Path, data_set: DataSet) -> tuple[np.ndarray, np.ndarray]:
    """One batch: images (k, pixels) uint8, planar, and labels (k,)."""
    try:
        with open(path, "rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
    except Exception as error:  # a damaged pickle raises nearly everything
        raise UserError(f"{path} is no CIFAR-10 batch ({one_line(error)}); fetch it again") from error
    items = batch.items() if isinstance(batch, dict) else ()
    fields = {key.decode() if isinstance(key, bytes) else key: value for key, value in items}
    data, labels = fields.get("data"), fields.get("labels")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (data_set.pixels,):
        raise UserError(f"{path} is no CIFAR-10 batch: no data (images, {data_set.pixels}) of type uint8 in it")
    if not isinstance(labels, list) or len(labels) != len(data) or any(type(label) is not int for label in labels):
        raise UserError(f"{path} is no CIFAR-10 batch: not one label for each image in it")
    return data, np.array(labels, np.int64)
