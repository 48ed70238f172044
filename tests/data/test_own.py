"""A user's own data: read from files and arrays, stored under a name, and refused in one line where they are wrong."""

import errno
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mnnjax.cli.data import main
from mnnjax.data import import_data, list_stored, open_stored, own_data, read_own
from mnnjax.errors import UserError
from tests.small_sets import draw, edit_manifest, flip, names_in, write_idx

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((30, 4)), np.arange(30) % 3
IMAGES = RNG.integers(0, 256, (30, 5, 6, 3), np.uint8)
X_TEST, Y_TEST = RNG.standard_normal((7, 4)), np.arange(7) % 2


def saved(folder: Path, name: str = "mine.npz", **arrays) -> Path:
    """An .npz of the arrays, or of X and Y."""
    folder.mkdir(exist_ok=True)
    np.savez(folder / name, **(arrays or {"X": X, "y": Y}))
    return folder / name


def in_folder(folder: Path, **arrays) -> Path:
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


FORMS = {
    "float64": ({"X": X, "y": Y}, (4,), np.float64),
    "float32": ({"X": X.astype(np.float32), "labels": Y}, (4,), np.float32),
    "float16": ({"X": X.astype(np.float16), "y": Y}, (4,), np.float32),
    "big-endian": ({"X": X.astype(">f8"), "y": Y.astype(">i2")}, (4,), np.float64),
    "by columns": ({"X": np.asfortranarray(X), "y": Y}, (4,), np.float64),
    "whole numbers": ({"X": np.arange(120).reshape(30, 4), "y": Y}, (4,), np.float64),
    "images": ({"images": IMAGES, "labels": Y}, (5, 6, 3), np.uint8),
    "grey images": ({"images": IMAGES[..., 0], "y": Y}, (5, 6, 1), np.uint8),
    "images named X": ({"X": IMAGES, "y": Y}, (5, 6, 3), np.uint8),
    "with a test split": ({"X": X, "y": Y, "X_test": X_TEST, "y_test": Y_TEST}, (4,), np.float64),
    "test images": (
        {"images": IMAGES, "labels": Y, "test_images": IMAGES[:7], "test_labels": Y_TEST}, (5, 6, 3), np.uint8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_is_stored_is_what_was_given(tmp_path, form):
    arrays, shape, dtype = FORMS[form]
    kept = tmp_path / "kept"
    stored = import_data("mine", saved(tmp_path, **arrays), kept, say=lambda line: None)
    assert (stored.name, stored.image_shape, stored.classes) == ("mine", shape, 3)
    points, labels, *test = arrays.values()
    pairs = {"train": (points, labels)} | ({"test": tuple(test)} if test else {})
    assert stored.counts == {split: len(pair[0]) for split, pair in pairs.items()}
    for split, (rows, y) in pairs.items():
        assert isinstance(stored.images(split), np.memmap)
        assert stored.images(split).dtype == dtype
        np.testing.assert_array_equal(stored.images(split), rows.reshape(len(rows), -1).astype(dtype))
        np.testing.assert_array_equal(stored.labels(split), y)
        assert stored.labels(split).dtype == np.uint8
    assert open_stored("mine", kept, verify=True).digest == stored.digest
    # The same arrays as files of their own.
    again = import_data("again", in_folder(tmp_path / "in", **arrays), kept, say=lambda line: None)
    assert again.digest == stored.digest


LABELS = {
    "signs": (np.where(Y > 1, 1, -1), Y > 1),
    "truth values": (Y > 1, Y > 1),
    "any two numbers, by their order": (np.where(Y > 1, 0.25, 7.5), Y < 2),
    "classes as floats": (Y.astype(float), Y),
    "300 classes": (np.arange(600) % 300, np.arange(600) % 300),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_become_classes(form):
    y, classes = LABELS[form]
    own = own_data({"X": RNG.standard_normal((len(y), 2)), "y": y})
    np.testing.assert_array_equal(own.labels["train"], classes)
    assert own.classes == len(set(classes.tolist()))
    assert own.labels["train"].dtype == (np.uint16 if own.classes > 256 else np.uint8)


def test_the_digest_is_that_of_the_data_wherever_they_are(tmp_path):
    path = saved(tmp_path, X=X, y=Y)
    digest = read_own(path).digest
    assert read_own(path.rename(tmp_path / "moved.npz")).digest == digest
    assert read_own(in_folder(tmp_path / "in", X=X, y=Y)).digest == digest
    assert own_data({"X": X, "y": Y.tolist()}).digest == digest
    others = (X + 1e-12, Y), (X[::-1], Y), (X.astype(np.float32), Y), (X.reshape(60, 2), np.arange(60) % 3), (X, 2 - Y)
    assert len({digest, *(own_data({"X": X, "y": y}).digest for X, y in others)}) == 6


def test_other_arrays_are_not_used_and_named(tmp_path):
    said = []
    read_own(saved(tmp_path, X=X, y=Y, classes=["a", "b"], note=3), said.append)
    assert said == [f"{tmp_path / 'mine.npz'}: not used: classes, note"]


def ragged() -> np.ndarray:
    images = np.empty(2, object)
    images[:] = [IMAGES[0], IMAGES[0, :2]]
    return images


def with_entry(value: float, row: int = 21) -> np.ndarray:
    changed = X.copy()
    changed[row, 1] = value
    return changed


# The arrays of a file, and words of the one line.
WRONG = {
    "NaN": ({"X": with_entry(np.nan), "y": Y}, "X: row 21 holds NaN, infinity or a number beyond 3e38"),
    "infinity": ({"X": with_entry(np.inf), "y": Y}, "X: row 21 holds NaN"),
    "beyond float32": ({"X": with_entry(-1e39), "y": Y}, "X: row 21 holds NaN"),
    "NaN of the test points": ({"X": X, "y": Y, "X_test": with_entry(np.nan, 2), "y_test": Y}, "X_test: row 2 holds"),
    "complex": ({"X": X + 1j, "y": Y}, "X: has shape (30, 4) and type complex128; give X (N, d0) of real numbers"),
    "words": ({"X": X.astype(str), "y": Y}, "type <U32; give X (N, d0) of real numbers"),
    "a vector": ({"X": X[0], "y": Y}, "X: has shape (4,)"),
    "one point, many times": ({"images": IMAGES * 0, "y": Y}, "images: all points are equal"),
    "no points": ({"X": X[:0], "y": Y[:0]}, "X: has shape (0, 4)"),
    "images of different sizes": ({"images": ragged(), "y": Y[:2]}, "images holds Python objects, such as images of"),
    "images as floats": ({"images": IMAGES / 255, "y": Y}, "type float64; give X (N, d0) of real numbers, or images"),
    "flat images": ({"images": IMAGES.reshape(30, -1), "y": Y}, "images: has shape (30, 90)"),
    "test images of another size": (
        {"images": IMAGES, "y": Y, "test_images": IMAGES[:, :3], "test_labels": Y},
        "test_images: has rows of shape (3, 6, 3), not (5, 6, 3) as of images",
    ),
    "test points beside images": (
        {"images": IMAGES, "y": Y, "X_test": X, "y_test": Y}, "X_test: has rows of shape (4,), not (5, 6, 3)",
    ),
    "one class only": ({"X": X, "y": np.ones(30)}, "y: all labels are 1; give points of two classes"),
    "real targets": ({"X": X, "y": X[:, 0]}, "30 values (-2.32503, -"),
    "classes from 1": ({"X": X, "y": Y + 1}, "(1, 2, 3, ..., 3), which are neither two nor classes; number"),
    "a class without points": ({"X": X, "y": Y + (Y == 2)}, "3 values (0, 1, 3, ..., 3), which are neither"),
    "negative classes": ({"X": X, "y": Y - 1}, "3 values (-1, 0, 1, ..., 1), which are neither"),
    "labels out of range": (
        {"X": X, "y": Y, "X_test": X_TEST, "y_test": Y_TEST + 2}, "y_test: has the label 3, which no training point",
    ),
    "NaN among the labels": ({"X": X, "y": np.where(Y == 2, np.nan, Y)}, "y: holds NaN or infinity"),
    "words as labels": ({"X": X, "y": np.array(["cat", "dog"] * 15)}, "y: has type <U3; give numbers"),
    "too few labels": ({"X": X, "y": Y[1:]}, "y: has shape (29,), not (30,)"),
    "labels in a column": ({"X": X, "y": Y[:, None]}, "y: has shape (30, 1), not (30,)"),
    "no labels": ({"X": X}, "holds neither y nor labels"),
    "no points at all": ({"y": Y}, "holds neither X nor images"),
    "two kinds of points": ({"X": X, "images": IMAGES, "y": Y}, "holds X and images; give one of"),
    "test points without labels": ({"X": X, "y": Y, "X_test": X_TEST}, "holds neither y_test nor test_labels"),
}  # fmt: skip


def refused(call) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arrays_are_one_line_and_nothing_is_kept(tmp_path, case):
    arrays, words = WRONG[case]
    path = saved(tmp_path, **arrays)
    for source in (path, in_folder(tmp_path / "in", **arrays)):
        if source.is_dir() and "X" not in arrays and "images" not in arrays:
            continue
        message = refused(lambda source=source: import_data("mine", source, tmp_path / "kept"))
        assert message.startswith(str(source))
        assert words in message
        assert not (tmp_path / "kept").exists()
    if "objects" not in words:
        assert words in refused(lambda: own_data(arrays))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def save_alone(path: Path) -> None:
    with open(path, "wb") as file:
        np.save(file, X)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "text")


# What is done to mine.npz, and words of the one line.
DAMAGED = {
    "cut short": (cut, "is damaged, cut short or no .npz (File is not a zip file); write it again"),
    "a flipped byte": (lambda p: flip(p, 400), "X is damaged, cut short or no .npz (Bad CRC-32"),
    "empty": (lambda p: p.write_bytes(b""), "is damaged, cut short or no .npz (No data left in file)"),
    "a renamed text": (lambda p: p.write_text("x1,x2,y\n0,1,1\n"), "is no .npz; give an .npz, or a folder of .npy"),
    "a renamed .npy": (save_alone, "is no .npz; write it with numpy.savez"),
    "another archive": (archive, "holds neither X nor images"),
    "gone": (Path.unlink, "no such file or folder; give an .npz, or a folder of .npy files"),
}


def npy() -> bytes:
    return (
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".ljust(127) + b"\n" + bytes(8)
    )


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_are_one_line_and_nothing_is_kept(tmp_path, case):
    spoil, words = DAMAGED[case]
    path = saved(tmp_path)
    spoil(path)
    message = refused(lambda: import_data("mine", path, tmp_path / "kept"))
    assert words in message
    assert message.startswith(str(path))
    assert not (tmp_path / "kept").exists()


def test_lists_of_images_of_different_sizes_are_one_line():
    images = [IMAGES[0].tolist(), IMAGES[0, :2].tolist()]
    assert "data: X: is no array (setting an array element with a sequence" in refused(
        lambda: own_data({"X": images, "y": [0, 1]}, "data: ")
    )


@pytest.mark.parametrize("name", ["mnits", "MNIST", "gaussian", "file", "a b", "../x", ".x", ""])
def test_a_name_must_be_free_and_a_file_name(tmp_path, name):
    assert "is not known" in refused(lambda: import_data(name, saved(tmp_path), tmp_path / "kept"))
    assert not (tmp_path / "kept").exists()
    import_data("mnist2", tmp_path / "mine.npz", tmp_path / "kept", say=lambda line: None)


def test_a_published_set_takes_no_file(tmp_path):
    assert "no such folder; give the one with the files of mnist" in refused(
        lambda: import_data("mnist", saved(tmp_path), tmp_path / "kept")
    )


def test_a_set_of_that_name_stays_unless_forced(tmp_path):
    kept = tmp_path / "kept"
    import_data("mine", saved(tmp_path), kept, say=lambda line: None)
    other = saved(tmp_path, "other.npz", X=X + 1, y=Y)
    for source in (other, tmp_path / "mine.npz"):
        assert refused(lambda source=source: import_data("mine", source, kept)) == (
            f"{kept / 'mine'} exists already; import it under another name, or replace it with --force"
        )
    np.testing.assert_array_equal(open_stored("mine", kept, verify=True).images("train"), X)
    import_data("mine", other, kept, force=True, say=lambda line: None)
    np.testing.assert_array_equal(open_stored("mine", kept, verify=True).images("train"), X + 1)
    assert names_in(kept) == {"mine"}
    # A folder that holds something else is never replaced.
    (kept / "notes").mkdir()
    (kept / "notes/a.txt").write_text("mine")
    assert "holds other files (a.txt)" in refused(lambda: import_data("notes", other, kept, force=True))


def test_a_full_disk_is_one_line_and_the_older_copy_stays(tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    path = saved(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5000))
        assert "mine needs 1.0 MB in" in refused(lambda: import_data("mine", path, kept))
    assert not names_in(kept)
    import_data("mine", path, kept, say=lambda line: None)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mnnjax.data.writing._sync", full)
    other = saved(tmp_path, "other.npz", X=X + 1, y=Y)
    assert "the disk of" in refused(lambda: import_data("mine", other, kept, force=True))
    assert names_in(kept) == {"mine"}
    np.testing.assert_array_equal(open_stored("mine", kept, verify=True).images("train"), X)


def test_a_set_is_listed_and_a_missing_or_damaged_one_says_what_to_do(tmp_path, capsys):
    kept = tmp_path / "kept"
    import_data("mnist", write_idx(tmp_path / "idx", draw("mnist")), kept, say=lambda line: None)
    assert main(["import", "mine", "--from", str(saved(tmp_path)), "--data-dir", str(kept)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "mine: writing 30 train points",
        f"mine: 1.2 kB in {kept / 'mine'}, from an .npz",
    ]
    row = list_stored(kept)[-1]
    assert row == {"name": "mine", "train": 30, "test": None, "bytes": 1246, "path": str(kept / "mine"),
                   "state": "verified"}  # fmt: skip
    assert main(["list", "--data-dir", str(kept)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:4] == ["mine", "30", "-", "1.2"]
    assert refused(lambda: open_stored("mime", kept)) == (
        f"no mime in {kept} (did you mean mine?): run `mnnjax data import mime --from FILE.npz`, or give --data-dir"
    )
    flip(kept / "mine/train_images.npy", -1)
    assert "train_images.npy: its sha256 is not the manifest's" in list_stored(kept)[-1]["state"]
    for change in ({"dtype": "object"}, {"classes": 1}, {"image_shape": "x"}, {"files": {}}):
        edit_manifest(kept / "mine", **change)
        assert "manifest.json is damaged" in refused(lambda: open_stored("mine", kept))
