"""The IDX files of the MNIST family: train and t10k, images and labels, plain or gzip."""

import gzip
import io
import itertools
import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mnnjax.data.sets import SPLITS, DataSet
from mnnjax.data.source import Block, Source, complete, damage_named, read_rows, with_labels
from mnnjax.errors import require

LOOKED_FOR = "train- and t10k-images-idx3-ubyte and -labels-idx1-ubyte, plain or .gz"
PREFIXES = {"train": "train", "test": "t10k"}
UNSIGNED_BYTE = 8
DEFLATE_LIMIT = 1100  # deflate shrinks nothing by more than a factor of 1032


def find(data_set: DataSet, folder: Path) -> Source | None:
    """The set's IDX files in a folder; None where there are none, UserError where some are missing or do not match."""
    kinds: list[tuple[str, str]] = list(itertools.product(SPLITS, ("images", "labels")))
    names = [_names(*kind) for kind in kinds]
    files = complete(folder, {f"{first} (or .gz)": [folder / n for n in (first, *more)] for first, *more in names})
    if files is None:
        return None
    found = dict(zip(kinds, files.values(), strict=True))
    counts = {}
    for split in SPLITS:
        images, labels = found[split, "images"], found[split, "labels"]
        counts[split], rows = _rows(labels, ()), _rows(images, data_set.image_shape[:2])
        require(rows == counts[split], f"{images} announces {rows} images but {labels.name} {counts[split]} labels")

    def blocks(split: str) -> Iterator[Block]:
        labels = np.concatenate([*_read(found[split, "labels"], 8, counts[split], 1)])[:, 0]
        return with_labels(_read(found[split, "images"], 16, counts[split], data_set.pixels), labels)

    return Source("IDX files", counts, blocks)


def _names(split: str, kind: str) -> list[str]:
    """The possible names of a file, the published one first."""
    number = {"images": 3, "labels": 1}[kind]
    return [f"{PREFIXES[split]}-{kind}{dot}idx{number}-ubyte{gz}" for dot in "-." for gz in ("", ".gz")]


def _opened(path: Path) -> io.BufferedIOBase:
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")


def _read(path: Path, header_bytes: int, rows: int, row_bytes: int) -> Iterator[np.ndarray]:
    with damage_named(path), _opened(path) as file:
        file.read(header_bytes)
        yield from read_rows(file, path, rows, row_bytes)


def _rows(path: Path, row_shape: tuple[int, ...]) -> int:
    """The number of rows that the header of a file of rows of this shape announces."""
    header = struct.Struct(f">{2 + len(row_shape)}I")
    with damage_named(path), _opened(path) as file:
        content = file.read(header.size)
        size = os.fstat(file.fileno()).st_size
    require(len(content) == header.size, f"{path} is cut short: it ends within its header")
    magic, rows, *shape = header.unpack(content)
    expected = UNSIGNED_BYTE << 8 | 1 + len(row_shape)
    kind = "images" if row_shape else "labels"
    require(magic == expected, f"{path} is no IDX file of {kind}: magic number {magic:#010x}, not {expected:#010x}")
    require(tuple(shape) == row_shape, f"{path} holds images of {shape} pixels, not {list(row_shape)}")
    # A wrong header must not be taken for a lack of room on the disk.
    most = size * (DEFLATE_LIMIT if path.suffix == ".gz" else 1)
    require(rows * math.prod(row_shape) <= most, f"{path} is cut short: it announces {rows} {kind} and is too small")
    return rows
