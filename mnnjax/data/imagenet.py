"""The published .npz batches of ImageNet at 64x64, read as a stream: a batch unpacked is 1.6 GB."""

import contextlib
import io
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np

from mnnjax.data.sets import SPLITS, DataSet
from mnnjax.data.source import Block, Source, complete, damage_named, read_rows, to_rows, with_labels
from mnnjax.errors import require

LOOKED_FOR = "train_data_batch_1.npz to _10.npz and val_data.npz"
BATCHES = {"train": [f"train_data_batch_{i}.npz" for i in range(1, 11)], "test": ["val_data.npz"]}


def find(data_set: DataSet, folder: Path) -> Source | None:
    """The batches in a folder, or one folder below; None where there are none, UserError where some are missing,
    damaged or other arrays."""
    names = [name for split in SPLITS for name in BATCHES[split]]
    found = complete(folder, {name: [folder / name, *sorted(folder.glob(f"*/{name}"))] for name in names})
    if found is None:
        return None
    counts = {split: sum(_count(found[name], data_set.pixels) for name in BATCHES[split]) for split in SPLITS}

    def blocks(split: str) -> Iterator[Block]:
        for name in BATCHES[split]:
            path = found[name]
            images = (to_rows(planar, data_set.image_shape) for planar in _read(path, "data"))
            labels = np.concatenate([*_read(path, "labels")])[:, 0].astype(np.int64)
            yield from with_labels(images, labels - 1)  # the files count classes from 1

    return Source("ImageNet 64x64 .npz batches", counts, blocks)


@contextlib.contextmanager
def _array(path: Path, name: str) -> Iterator[tuple[io.BufferedIOBase, tuple[int, ...], np.dtype]]:
    """An array of an .npz: the stream of its numbers, its shape and its type."""
    with damage_named(path), zipfile.ZipFile(path) as archive:
        require(f"{name}.npy" in archive.namelist(), f"{path} holds no array {name}; it is no ImageNet batch")
        with archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            require(not (fortran and len(shape) > 1), f"{path}: {name} is stored by columns; save it by rows")
            yield cast(io.BufferedIOBase, file), shape, dtype


def _count(path: Path, pixels: int) -> int:
    """The number of images of a batch, from its headers."""
    with _array(path, "data") as (_, shape, dtype):
        other = f"{path}: data is {dtype} of shape {shape}, not uint8 (images, {pixels}); another size's batch?"
        require(shape[1:] == (pixels,) and dtype == np.uint8, other)
        images = shape[0]
        require(images > 0, f"{path} holds no images; fetch it again")
    with _array(path, "labels") as (_, shape, dtype):
        other = f"{path}: labels are {dtype} of shape {shape}, not integers ({images},)"
        require(shape == (images,) and dtype.kind in "iu", other)
    return images


def _read(path: Path, name: str) -> Iterator[np.ndarray]:
    """Blocks (k, ...) of an array of a batch whose headers `_count` has checked."""
    with _array(path, name) as (file, shape, dtype):
        for block in read_rows(file, path, shape[0], math.prod(shape[1:]) * dtype.itemsize):
            yield block.view(dtype)
