"""What is kept is opened by memory-mapping, checked, listed, and told in one line where it cannot be used."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnnjax.data import DATA_SETS, default_folder, import_data, list_stored, open_stored
from mnnjax.errors import UserError
from tests.small_sets import assert_holds, draw, edit_manifest, flip, write_idx

NAMES = ["manifest.json", "test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy"]


@pytest.fixture
def kept(tmp_path) -> Path:
    """A folder of data sets that holds mnist."""
    import_data("mnist", write_idx(tmp_path / "in", draw("mnist")), tmp_path / "kept")
    return tmp_path / "kept"


def test_images_are_mapped_and_read_only(kept):
    stored = open_stored("mnist", kept)
    assert isinstance(stored.images("train"), np.memmap)
    assert not stored.images("train").flags.writeable
    assert_holds(stored, draw("mnist"))
    assert sorted(p.name for p in stored.path.iterdir()) == NAMES
    assert stored.bytes == sum(p.stat().st_size for p in stored.path.iterdir() if p.suffix == ".npy")
    for data_set, pixels in zip(DATA_SETS.values(), (784, 784, 3072, 12288), strict=True):
        assert data_set.pixels == pixels


def test_the_digest_is_that_of_the_data(kept, tmp_path):
    folder = write_idx(tmp_path / "gz", draw("mnist"), gz=True)
    assert import_data("mnist", folder, tmp_path / "b").digest == open_stored("mnist", kept).digest
    folder = write_idx(tmp_path / "other", draw("mnist", seed=1))
    assert import_data("mnist", folder, tmp_path / "c").digest != open_stored("mnist", kept).digest
    manifest = (kept / "mnist/manifest.json").read_text()
    assert str(tmp_path) not in manifest
    assert json.loads(manifest)["source"] == "IDX files"


def test_an_absent_set_says_how_to_get_it(kept, tmp_path):
    for folder in (kept, tmp_path / "nowhere"):
        with pytest.raises(UserError) as error:
            open_stored("imagenet_resized/64x64", folder)
        assert str(error.value) == (
            f"no imagenet64 in {folder}: run `mnnjax data prepare imagenet64` "
            "(or `mnnjax data import imagenet64 --from DIR`), or give --data-dir"
        )


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_flipped_byte_is_found_when_verified(kept, name):
    flip(kept / "mnist" / name, -1)
    open_stored("mnist", kept)
    with pytest.raises(UserError, match=rf"cannot be used \({name}: its sha256"):
        open_stored("mnist", kept, verify=True)
    assert "sha256" in list_stored(kept)[0]["state"]
    assert list_stored(kept, verify=False)[0]["state"] == "not verified"


def replace(path: Path, old: bytes, new: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(old, new, 1))


# (what is done to mnist's folder, what is said)
SPOILT = {
    "no manifest": (lambda p: (p / "manifest.json").unlink(), r"manifest.json: No such file"),
    "half a manifest": (lambda p: (p / "manifest.json").write_text('{"name": "mn'), "manifest.json is damaged"),
    "a list": (lambda p: (p / "manifest.json").write_text("[]"), "manifest.json is damaged"),
    "no files": (lambda p: edit_manifest(p, files={}), "manifest.json is damaged"),
    "other files": (lambda p: edit_manifest(p, files=7), "manifest.json is damaged"),
    "another set": (lambda p: edit_manifest(p, name="fashion_mnist"), "that of other images"),
    "other shape": (lambda p: edit_manifest(p, image_shape=[32, 32, 3]), "that of other images"),
    "other classes": (lambda p: edit_manifest(p, classes=100), "that of other images"),
    "no array": (lambda p: (p / "test_labels.npy").unlink(), "test_labels.npy: No such file"),
    "cut array": (lambda p: (p / "train_images.npy").write_bytes(b"\x93NUMPY"), "train_images.npy: 6 bytes, not 9536"),
    "damaged header": (lambda p: flip(p / "train_images.npy", 1), "train_images.npy: damaged header"),
    "other header": (
        lambda p: replace(p / "train_images.npy", b"(12, 784)", b"(11, 784)"),
        r"train_images.npy: uint8 of shape \(11, 784\), not uint8 \(12, 784\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILT)
def test_damage_is_one_line_here_and_in_the_list(kept, case):
    spoil, words = SPOILT[case]
    spoil(kept / "mnist")
    with pytest.raises(UserError, match=words) as error:
        open_stored("mnist", kept)
    assert "\n" not in str(error.value)
    assert "mnnjax data prepare mnist" in str(error.value)
    row = list_stored(kept)[0]
    assert words.partition(": ")[0] in row["state"]
    assert row["bytes"] is None


def test_the_list_names_all_sets(kept):
    rows = {row["name"]: row for row in list_stored(kept)}
    assert list(rows) == list(DATA_SETS)
    size = open_stored("mnist", kept).bytes
    path = str(kept / "mnist")
    assert rows["mnist"] == {
        **{"name": "mnist", "train": 12, "test": 5, "bytes": size, "path": path, "state": "verified"}
    }
    assert rows["cifar10"]["state"].startswith("absent: run `mnnjax data prepare cifar10`")
    assert rows["cifar10"]["train"] is None


def test_default_folder(monkeypatch, tmp_path):
    for name in ("MNNJAX_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local/share/mnnjax"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_folder() == tmp_path / "data/mnnjax"
    monkeypatch.setenv("MNNJAX_DATA_DIR", "~/own")
    assert default_folder() == tmp_path / "own"
    import_data("mnist", write_idx(tmp_path / "in", draw("mnist")))
    assert open_stored("mnist").path == tmp_path / "own/mnist"


def test_the_package_needs_neither_jax_nor_tfds():
    code = "import sys, mnnjax.cli.data; print({'jax', 'tensorflow', 'tensorflow_datasets'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "set()\n", run.stderr
