"""Reading stored data sets: one folder each, with .npy arrays and a manifest of their sha256."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
from jaxtyping import Real, UInt

from mnnjax.config.problem import is_own_name
from mnnjax.data.sets import DATA_SETS, SPLITS, DataSet, default_folder, published
from mnnjax.errors import UserError, did_you_mean, require

MANIFEST = "manifest.json"
FILES = {split: (f"{split}_images.npy", f"{split}_labels.npy") for split in SPLITS}


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stored data set; its images are memory-mapped, so a process reads only the rows that it uses."""

    name: str
    path: Path
    image_shape: tuple[int, ...]
    """Height, width, channels; of real points d0."""
    classes: int
    source: str
    """The format that it was made from."""
    counts: dict[str, int]
    """Images of the splits train and test; a user's set may lack test."""
    bytes: int
    """Bytes of all its arrays."""
    digest: str
    """sha256 over the sha256, size and shape of every array: equal if the data are."""

    def images(self, split: str) -> Real[np.ndarray, "images pixels"]:
        """The images of a split, "train" or "test", uint8, each flattened height-width-channel; or real points, float32
        or float64. Read-only, memory-mapped."""
        return np.load(self.path / FILES[split][0], mmap_mode="r")

    def labels(self, split: str) -> UInt[np.ndarray, " images"]:
        """The classes of a split's images, uint8 or uint16."""
        return np.load(self.path / FILES[split][1])


class _Damaged(Exception):
    """A stored data set cannot be used; the message says why."""


def open_stored(name: str, data_dir: Path | str | None = None, verify: bool = False) -> Stored:
    """A data set that `prepare` or `import_data` has written; UserError where it is unknown, missing or damaged.

    data_dir: where data sets are kept; `default_folder()` where None. verify: read all arrays and compare their sha256,
    besides presence, size and header.

    Example:
        mnist = open_stored("mnist")
        mnist.images("train")[:100].reshape(-1, *mnist.image_shape)  # (100, 28, 28, 1)
    """
    data_dir, known = Path(data_dir or default_folder()), published(name)
    name = known.name if known else name
    path = data_dir / name
    meant = "" if known else did_you_mean(name, [*DATA_SETS, *_own_names(data_dir)])
    require(path.exists(), f"no {name} in {data_dir}{meant}: {how_to_get(name)}, or give --data-dir")
    try:
        return _open(path, verify)
    except _Damaged as why:
        raise UserError(f"{name} in {data_dir} cannot be used ({why}): {how_to_get(name)}") from why


def how_to_get(name: str) -> str:
    """The commands that store a data set, for errors."""
    if name in DATA_SETS:
        return f"run `mnnjax data prepare {name}` (or `mnnjax data import {name} --from DIR`)"
    return f"run `mnnjax data import {name} --from FILE.npz`"


def list_stored(data_dir: Path | str | None = None, verify: bool = True) -> list[dict]:
    """For each known data set, and each of the user's own, its name, train and test (images), bytes, path, and state:
    "verified", "not verified" without `verify`, "absent: ...", or what is wrong. The numbers are None unless it can be
    used, and test where there is none. `data_dir` and `verify` are those of open_stored."""
    data_dir, rows = Path(data_dir or default_folder()), []
    for name in (*DATA_SETS, *_own_names(data_dir)):
        path = data_dir / name
        row = {"name": name, "train": None, "test": None, "bytes": None, "path": str(path)}
        try:
            stored = _open(path, verify)
            row |= stored.counts | {"bytes": stored.bytes, "state": "verified" if verify else "not verified"}
        except _Damaged as problem:
            row["state"] = f"{problem}: {how_to_get(name)}" if path.exists() else f"absent: {how_to_get(name)}"
        rows.append(row)
    return rows


def _own_names(data_dir: Path) -> list[str]:
    return sorted(path.parent.name for path in data_dir.glob(f"*/{MANIFEST}") if is_own_name(path.parent.name))


def _open(path: Path, verify: bool) -> Stored:
    """The set in the folder of its name."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        found = (manifest["name"], manifest["classes"], *manifest["image_shape"])
        data_set = DATA_SETS.get(path.name) or _own_set(path.name, manifest)
        files = {name: dict(manifest["files"][name]) for split in data_set.published for name in FILES[split]}
        counts = {split: int(files[FILES[split][1]]["shape"][0]) for split in data_set.published}
        total, source = sum(int(file["bytes"]) for file in files.values()), str(manifest["source"])
    except OSError as error:
        raise _Damaged(f"{MANIFEST}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _Damaged(f"{MANIFEST} is damaged") from error
    if found != (data_set.name, data_set.classes, *data_set.image_shape):
        raise _Damaged(f"{MANIFEST} is that of other images")
    for split in data_set.published:
        images, labels = FILES[split]
        _check(path / images, files[images], (counts[split], data_set.pixels), np.dtype(data_set.dtype), verify)
        _check(path / labels, files[labels], (counts[split],), data_set.label_dtype, verify)
    digest = hashlib.sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return Stored(data_set.name, path, data_set.image_shape, data_set.classes, source, counts, total, digest)


def _own_set(name: str, manifest: dict) -> DataSet:
    """A user's set, as its manifest describes it."""
    shape, classes, dtype = tuple(map(int, manifest["image_shape"])), int(manifest["classes"]), str(manifest["dtype"])
    splits = {split: 0 for split in SPLITS if split == "train" or FILES[split][0] in manifest["files"]}
    if classes < 2 or dtype not in ("uint8", "float32", "float64"):
        raise _Damaged(f"{MANIFEST} is damaged")
    return DataSet(name, "", shape, classes, splits, 0, dtype=dtype)


def _check(path: Path, entry: dict, shape: tuple[int, ...], dtype: np.dtype, verify: bool) -> None:
    """Presence, size and header of an array, and its sha256 where asked."""
    try:
        found = path.stat().st_size
        if found != entry.get("bytes"):
            raise _Damaged(f"{path.name}: {found} bytes, not {entry.get('bytes')}")
        array = np.load(path, mmap_mode="r")
        if array.shape != shape or array.dtype != dtype or list(shape) != entry.get("shape"):
            raise _Damaged(f"{path.name}: {array.dtype} of shape {array.shape}, not {dtype} {shape}")
        if verify:
            with open(path, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != entry.get("sha256"):
                    raise _Damaged(f"{path.name}: its sha256 is not the manifest's, the file has changed")
    except _Damaged:
        raise
    except OSError as error:
        raise _Damaged(f"{path.name}: {error.strerror or error}") from error
    except Exception as error:  # a damaged header raises what Python's own parser does
        raise _Damaged(f"{path.name}: damaged header") from error
