"""A folder that TFDS has prepared, here or elsewhere; TFDS is imported when one is read, TensorFlow if it must be."""

import importlib.util
import itertools
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mnnjax.data.sets import SPLITS, DataSet
from mnnjax.data.source import Block, Source, block_rows, one_line
from mnnjax.errors import UserError, require

LOOKED_FOR = "a folder that TFDS prepared (with dataset_info.json)"
INFO = "dataset_info.json"
# TFDS reads these formats without TensorFlow.
LIGHT_FORMATS = ("array_record", "parquet")


def find(data_set: DataSet, folder: Path) -> Source | None:
    """The set as TFDS prepared it, in an order of its own: in the folder itself, or in its VERSION or
    NAME/CONFIG/VERSION; None where there is none, UserError where it is another set or cannot be read."""
    home = _home(data_set, folder)
    if home is None:
        return None
    try:
        info = json.loads((home / INFO).read_text(encoding="utf-8"))
        name, file_format = info["name"], info.get("fileFormat", "tfrecord")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{home / INFO} is damaged ({one_line(error)}); copy the folder again") from error
    found = "/".join(part for part in (name, info.get("configName")) if part)
    require(found == data_set.tfds_name, f"{home} holds {found} and not {data_set.tfds_name}; give another folder")
    light = file_format in LIGHT_FORMATS
    require_installed("tensorflow_datasets", *(() if light else ("tensorflow",)))
    quieten()
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(home)
        builder.info.splits[data_set.tfds_test_split]
        return from_builder(data_set, builder, light)
    except UserError:
        raise
    except Exception as error:  # TFDS passes on what its readers raise
        raise _unreadable(home, error) from error


def from_builder(data_set: DataSet, builder: Any, light: bool = True) -> Source:
    """The set that a TFDS builder has prepared; `light`: without TensorFlow. UserError for images of another shape."""
    names = {"train": "train", "test": data_set.tfds_test_split}
    shape, wanted = tuple(builder.info.features["image"].shape), data_set.image_shape
    require(shape == wanted, f"{builder.data_dir} holds images of shape {shape}, not {wanted}")
    if light:
        splits = {split: builder.as_data_source(split=names[split]) for split in SPLITS}
        counts = {split: len(splits[split]) for split in SPLITS}
    else:
        counts = {split: builder.info.splits[names[split]].num_examples for split in SPLITS}
    rows = block_rows(data_set.pixels)

    def blocks(split: str) -> Iterator[Block]:
        try:
            if light:
                examples = map(splits[split].__getitem__, range(counts[split]))
            else:
                examples = _tensorflow_examples(builder, names[split])
            while chosen := list(itertools.islice(examples, rows)):
                yield _block(data_set, chosen)
        except Exception as error:  # as in `find`
            raise _unreadable(builder.data_dir, error) from error

    return Source(f"TFDS {data_set.tfds_name} {builder.version}", counts, blocks)


def require_installed(*modules: str) -> None:
    """Raise UserError, which names the extra, unless all modules can be imported."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise UserError(f"this needs {module}, which is not installed; run pip install -e '.[data]'")


def quieten() -> None:
    """Silence the logs of TensorFlow and TFDS; to be called before either is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)


def _home(data_set: DataSet, folder: Path) -> Path | None:
    below = folder / data_set.tfds_name
    homes = [path.parent for place in (folder, below) for path in (*place.glob(INFO), *place.glob(f"*/{INFO}"))]
    versions = {home: [int(n) if n.isdigit() else -1 for n in home.name.split(".")] for home in homes}
    return folder if folder in homes else max(homes, key=versions.__getitem__, default=None)


def _tensorflow_examples(builder, split: str) -> Iterator[dict]:
    import tensorflow_datasets as tfds

    # One file after the other: the order is then that of the files.
    config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
    return iter(tfds.as_numpy(builder.as_dataset(split=split, read_config=config)))


def _block(data_set: DataSet, examples: list[dict]) -> Block:
    images = np.stack([np.asarray(example["image"]) for example in examples])
    return images.reshape(-1, data_set.pixels), np.array([int(example["label"]) for example in examples])


def _unreadable(folder: Path | str, error: Exception) -> UserError:
    reason = one_line(error)[:300]
    return UserError(f"TFDS cannot read {folder} ({type(error).__name__}: {reason}); copy or prepare it again")
