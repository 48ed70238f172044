"""The known data sets, and the folder they are kept in."""

import dataclasses
import math
import os
from pathlib import Path

import numpy as np

from mnnjax.errors import UserError, did_you_mean

SPLITS = ("train", "test")


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A published set of labelled images, or a user's set of images or real points."""

    name: str
    tfds_name: str
    """Its name in TFDS: NAME or NAME/CONFIG; of a user's set "", since TFDS has none."""
    image_shape: tuple[int, ...]
    """Height, width, channels; of real points d0."""
    classes: int
    published: dict[str, int]
    """Images of the splits train and test; a user's set may lack test."""
    download_bytes: int
    """Bytes that TFDS downloads, and that it unpacks to the disk."""
    tfds_test_split: str = "test"
    dtype: str = "uint8"
    """Type of its images; of real points float32 or float64."""

    @property
    def pixels(self) -> int:
        """Numbers in one image."""
        return math.prod(self.image_shape)

    @property
    def label_dtype(self) -> np.dtype:
        """The smallest unsigned integers that hold every class."""
        return np.min_scalar_type(self.classes - 1)

    def bytes(self, counts: dict[str, int]) -> int:
        """Bytes of the images and labels, for these numbers of images per split."""
        return sum(counts.values()) * (self.pixels * np.dtype(self.dtype).itemsize + self.label_dtype.itemsize)


DATA_SETS: dict[str, DataSet] = {
    data_set.name: data_set
    for data_set in (
        DataSet("mnist", "mnist", (28, 28, 1), 10, {"train": 60_000, "test": 10_000}, 66_000_000),
        DataSet("fashion_mnist", "fashion_mnist", (28, 28, 1), 10, {"train": 60_000, "test": 10_000}, 86_000_000),
        DataSet("cifar10", "cifar10", (32, 32, 3), 10, {"train": 50_000, "test": 10_000}, 355_000_000),
        # The labels of TFDS's validation split are public, those of the challenge's test images are not.
        DataSet("imagenet64", "imagenet_resized/64x64", (64, 64, 3), 1000, {"train": 1_281_167, "test": 50_000},
                14_100_000_000, "validation"),
    )
}  # fmt: skip


def published(name: str) -> DataSet | None:
    """The published data set of this name, which may be TFDS's; None where there is none."""
    return next((known for known in DATA_SETS.values() if name in (known.name, known.tfds_name)), None)


def find(name: str, hint: str = "") -> DataSet:
    """The published data set of this name, which may be TFDS's; UserError, which ends in `hint`, where there is
    none."""
    if (known := published(name)) is not None:
        return known
    meant = did_you_mean(name, DATA_SETS)
    raise UserError(f"data set {name!r} is not known{meant}; take one of {known_names()}{hint}")


def known_names() -> str:
    """The names that `find` accepts, for messages."""
    return ", ".join(d.name if d.name == d.tfds_name else f"{d.name} (or {d.tfds_name})" for d in DATA_SETS.values())


def default_folder() -> Path:
    """Where data sets are kept: $MNNJAX_DATA_DIR, else $XDG_DATA_HOME/mnnjax, else ~/.local/share/mnnjax."""
    if folder := os.environ.get("MNNJAX_DATA_DIR"):
        return Path(folder).expanduser()
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".local/share") / "mnnjax"


def by_hand(data_set: DataSet) -> str:
    """What to do where the network fails, for errors."""
    return f"run it again, or fetch the files elsewhere and run `mnnjax data import {data_set.name} --from DIR`"
