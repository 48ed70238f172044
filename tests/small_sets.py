"""Small data sets in the published formats: what the tests write in place of downloads."""

import gzip
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mnnjax.data import DATA_SETS
from mnnjax.data.source import Source

Sets = dict[str, tuple[np.ndarray, np.ndarray]]
"""Of each split the images (n, height, width, channels) uint8 and the classes (n,)."""


def source_that(act: Callable[[], object]) -> Source:
    """A source that gives 3 of its 6 training images, and then does something."""

    def blocks(split):
        yield np.zeros((3, 784), np.uint8), np.arange(3)
        act()
        yield np.zeros((3, 784), np.uint8), np.arange(3)

    return Source("test images", {"train": 6, "test": 6}, blocks)


def draw(name: str, train: int = 12, test: int = 5, seed: int = 0) -> Sets:
    """Random images with random classes, the last class among them."""
    data_set, rng = DATA_SETS[name], np.random.default_rng(seed)
    sets = {}
    for split, count in (("train", train), ("test", test)):
        y = rng.integers(0, data_set.classes, count)
        y[-1] = data_set.classes - 1
        sets[split] = (rng.integers(0, 256, (count, *data_set.image_shape), np.uint8), y)
    return sets


def planar(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, sets: Sets, gz: bool = False, dot: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        X, y = sets[split]
        for kind, array in (("images-idx3", X[..., 0]), ("labels-idx1", y)):
            name = f"{prefix}-{kind.replace('-', '.') if dot else kind}-ubyte"
            content = idx(array)
            (folder / (name + ".gz" * gz)).write_bytes(gzip.compress(content) if gz else content)
    return folder


def _batches(sets: Sets, count: int, names: list[str], test: str):
    X, y = sets["train"]
    yield from zip(names, np.array_split(X, count), np.array_split(y, count), strict=True)
    yield test, *sets["test"]


def cifar_batches(sets: Sets):
    return _batches(sets, 5, [f"data_batch_{i}" for i in range(1, 6)], "test_batch")


def write_cifar_binary(folder: Path, sets: Sets) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, X, y in cifar_batches(sets):
        rows = np.concatenate([y[:, None].astype(np.uint8), planar(X)], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return folder


def write_cifar_python(folder: Path, sets: Sets, protocol: int = 2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, X, y in cifar_batches(sets):
        batch = {b"batch_label": b"a batch", b"labels": y.tolist(), b"data": planar(X), b"filenames": [b"a.png"]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))
    return folder


def write_imagenet(folder: Path, sets: Sets, save=np.savez) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"train_data_batch_{i}" for i in range(1, 11)]
    for name, X, y in _batches(sets, 10, names, "val_data"):
        save(folder / f"{name}.npz", data=planar(X), labels=y + 1, mean=np.zeros(3))
    return folder


def write_tfds(root: Path, name: str, sets: Sets, file_format: str = "array_record") -> Path:
    """What TFDS prepares of it, in ROOT/NAME[/CONFIG]/VERSION; without TensorFlow only as array_record."""
    import tensorflow_datasets as tfds

    data_set = DATA_SETS[name]
    module, _, config = data_set.tfds_name.partition("/")

    def info(self):
        image = tfds.features.Image(shape=data_set.image_shape)
        label = tfds.features.ClassLabel(num_classes=data_set.classes)
        features = {"id": tfds.features.Text(), "image": image, "label": label}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def split_generators(self, _):
        return {"train": examples(*sets["train"]), data_set.tfds_test_split: examples(*sets["test"])}

    def examples(X, y):
        for i, (image, label) in enumerate(zip(X, y, strict=True)):
            yield i, {"id": f"image {i}", "image": png(image), "label": int(label)}

    methods = {
        "VERSION": tfds.core.Version("1.2.3"),
        "BUILDER_CONFIGS": [tfds.core.BuilderConfig(name=config, version="1.2.3")] if config else [],
        "_info": info,
        "_split_generators": split_generators,
        "_generate_examples": lambda self: None,
        "name": module,
    }
    builder = type(tfds.core.GeneratorBasedBuilder)(
        "Small", (tfds.core.GeneratorBasedBuilder,), methods, skip_registration=True
    )(data_dir=root)
    builder.download_and_prepare(file_format=file_format)
    return Path(builder.data_dir)


def png(image: np.ndarray) -> bytes:
    """Encoded here: TFDS would need TensorFlow for it."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "png")
    return file.getvalue()


def rows_of(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    """Images with their classes, in an order that does not depend on theirs."""
    return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))


def assert_holds(stored, sets: Sets) -> None:
    """The stored data set has these images, in this order."""
    for split, (X, y) in sets.items():
        assert stored.images(split).dtype == np.uint8
        np.testing.assert_array_equal(stored.images(split), X.reshape(len(X), -1))
        np.testing.assert_array_equal(stored.labels(split), y)


def flip(path: Path, place: int) -> None:
    """Turn over the bits of one byte of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 255
    path.write_bytes(content)


def names_in(folder: Path) -> set[str]:
    """What lies in a folder of data sets, but for the locks, which stay."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def edit_manifest(path: Path, **changes) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | changes))
