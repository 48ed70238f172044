"""The IDX files of the MNIST family: train and t10k, images and labels, plain or gzip."""

import contextlib
import gzip
import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from mnnjax.data.sets import SPLITS, DataSet
from mnnjax.data.source import Block, Source, damage_named, read_rows, with_labels
from mnnjax.errors import UserError, require

LOOKED_FOR = "train- and t10k-images-idx3-ubyte and -labels-idx1-ubyte, plain or .gz"
PREFIXES = {"train": "train", "test": "t10k"}
UNSIGNED_BYTE = 8
DEFLATE_LIMIT = 1100  # deflate shrinks nothing more than 1032 times


def find(data_set: DataSet, folder: Path) -> Source | None:
    """The set's IDX files in a folder; None where there are none at all.

    Raises:
      UserError: a file is missing, or its header does not fit the data set, or the other files.
    """
    if data_set.name not in ("mnist", "fashion_mnist"):
        return None
    looked_for = {(split, kind): _file(folder, split, kind) for split in SPLITS for kind in ("images", "labels")}
    found = {key: path for key, path in looked_for.items() if path is not None}
    if not found:
        return None
    for split, kind in looked_for:
        require((split, kind) in found, f"{folder} lacks {_names(split, kind)[0]} (or .gz); put it there")
    counts = {}
    for split in SPLITS:
        counts[split] = _rows(found[split, "labels"], ())
        images = _rows(found[split, "images"], data_set.image_shape[:2])
        if images != counts[split]:
            labels = found[split, "labels"].name
            raise UserError(f"{found[split, 'images']} announces {images} images but {labels} {counts[split]} labels")

    def blocks(split: str) -> Iterator[Block]:
        labels = np.concatenate([*_read(found[split, "labels"], 8, counts[split], 1)])[:, 0]
        return with_labels(_read(found[split, "images"], 16, counts[split], data_set.pixels), labels)

    return Source("IDX files", counts, blocks)


def _names(split: str, kind: str) -> list[str]:
    """What a file may be called, the published name first."""
    stem = f"{PREFIXES[split]}-{kind}"
    number = {"images": 3, "labels": 1}[kind]
    return [f"{stem}{dot}idx{number}-ubyte{gz}" for dot in "-." for gz in ("", ".gz")]


def _file(folder: Path, split: str, kind: str) -> Path | None:
    return next((folder / name for name in _names(split, kind) if (folder / name).is_file()), None)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        yield cast(BinaryIO, file)  # which a GzipFile is too, but for its type


def _read(path: Path, header_bytes: int, rows: int, row_bytes: int) -> Iterator[np.ndarray]:
    with damage_named(path), _opened(path) as file:
        file.read(header_bytes)
        yield from read_rows(file, path, rows, row_bytes)


def _rows(path: Path, row_shape: tuple[int, ...]) -> int:
    """The number of rows that the header of a file of rows of this shape announces."""
    dimensions = 1 + len(row_shape)
    with damage_named(path), _opened(path) as file:
        content = file.read(4 * (1 + dimensions))
        size = os.fstat(file.fileno()).st_size
    require(len(content) == 4 * (1 + dimensions), f"{path} is cut short: it ends within its header")
    magic, rows, *shape = struct.unpack(f">{1 + dimensions}I", content)
    expected = UNSIGNED_BYTE << 8 | dimensions
    kind = "images" if row_shape else "labels"
    require(magic == expected, f"{path} is no IDX file of {kind}: magic number {magic:#010x}, not {expected:#010x}")
    require(tuple(shape) == row_shape, f"{path} holds images of {shape} pixels, not {list(row_shape)}")
    # A wrong header must not be taken for a lack of room on the disk.
    most = size * (DEFLATE_LIMIT if path.suffix == ".gz" else 1)
    require(rows * math.prod(row_shape) <= most, f"{path} is cut short: it announces {rows} {kind} and is too small")
    return rows
