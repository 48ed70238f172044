"""Published files in, arrays out; and what is said of files that are wrong."""

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from mnnjax.data import import_data, open_stored
from mnnjax.errors import UserError
from tests.small_sets import (
    assert_holds,
    draw,
    flip,
    idx,
    names_in,
    planar,
    write_cifar_binary,
    write_cifar_python,
    write_idx,
    write_imagenet,
)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("form", [{}, {"gz": True}, {"dot": True}, {"gz": True, "dot": True}], ids=str)
def test_idx(tmp_path, name, form):
    sets = draw(name)
    said = []
    stored = import_data(name, write_idx(tmp_path / "in", sets, **form), tmp_path / "kept", say=said.append)
    assert_holds(stored, sets)
    assert stored.labels("train").dtype == np.uint8
    assert (stored.image_shape, stored.classes, stored.source) == ((28, 28, 1), 10, "IDX files")
    assert stored.counts == {"train": 12, "test": 5}
    assert "note: 12 train images, 60000 expected; what is there is kept" in said
    assert "note: 5 test images, 10000 expected; what is there is kept" in said


def test_cifar_binary_and_python_give_the_same_arrays(tmp_path):
    sets = draw("cifar10")
    folders = {
        "binary": write_cifar_binary(tmp_path / "binary", sets),
        "python": write_cifar_python(tmp_path / "python", sets),
        "newer python": write_cifar_python(tmp_path / "newer", sets, protocol=4),
        # What the archives unpack to.
        "binary archive": write_cifar_binary(tmp_path / "a/cifar-10-batches-bin", sets).parent,
        "python archive": write_cifar_python(tmp_path / "b/cifar-10-batches-py", sets).parent,
    }
    digests = set()
    for kind, folder in folders.items():
        stored = import_data("cifar10", folder, tmp_path / "kept" / kind)
        assert_holds(stored, sets)
        digests.add(stored.digest)
    assert len(digests) == 1


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_imagenet(tmp_path, save):
    sets = draw("imagenet64", train=23)
    folder = write_imagenet(tmp_path / "in", sets, save)
    # Half of the batches in a folder of their own, as the two archives have them.
    (folder / "part2").mkdir()
    for i in range(6, 11):
        (folder / f"train_data_batch_{i}.npz").rename(folder / f"part2/train_data_batch_{i}.npz")
    stored = import_data("imagenet_resized/64x64", folder, tmp_path / "kept")
    assert_holds(stored, sets)
    assert stored.labels("test").dtype == np.uint16
    assert stored.labels("test")[-1] == 999


def test_large_sets_go_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr("mnnjax.data.source.BLOCK_BYTES", 7 * 3073)
    sets = draw("cifar10", train=53, test=20)
    assert_holds(import_data("cifar10", write_cifar_binary(tmp_path / "in", sets), tmp_path / "kept"), sets)
    sets = draw("mnist", train=53, test=20)
    assert_holds(import_data("mnist", write_idx(tmp_path / "idx", sets, gz=True), tmp_path / "kept"), sets)
    sets = draw("imagenet64", train=50, test=20)
    assert_holds(import_data("imagenet64", write_imagenet(tmp_path / "npz", sets), tmp_path / "kept"), sets)


def test_of_several_formats_the_binary_batches_come_first(tmp_path):
    write_cifar_python(tmp_path / "in", draw("cifar10", seed=1))
    sets = draw("cifar10", seed=2)
    assert_holds(import_data("cifar10", write_cifar_binary(tmp_path / "in", sets), tmp_path / "kept"), sets)


def cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def grow(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
BATCH, VALID = "train_data_batch_3.npz", "val_data.npz"
# What is written, the file that is spoilt, how, and words of the one line.
WRONG = {
    "idx cut short": (write_idx, "mnist", IMAGES, lambda p: cut(p, 1), "cut short"),
    "idx cut in its header": (write_idx, "mnist", LABELS, lambda p: cut(p, 9), "ends within its header"),
    "idx empty": (write_idx, "mnist", LABELS, lambda p: p.write_bytes(b""), "ends within its header"),
    "idx too long": (write_idx, "mnist", LABELS, lambda p: grow(p, b"\0"), "goes on after the 5 rows"),
    "idx wrong magic number": (write_idx, "mnist", IMAGES, lambda p: flip(p, 2), "magic number 0x0000f703"),
    "idx labels for images": (write_idx, "mnist", IMAGES, lambda p: p.write_bytes(idx(np.arange(9))), "0x00000801"),
    "idx header too large": (write_idx, "mnist", IMAGES, lambda p: flip(p, 4), "cut short: it announces 42781"),
    "idx other size": (
        *(write_idx, "mnist", IMAGES),
        *(lambda p: p.write_bytes(idx(np.zeros((12, 32, 32)))), "[32, 32] pixels, not [28, 28]"),
    ),
    "idx fewer labels": (write_idx, "mnist", LABELS, lambda p: p.write_bytes(idx(np.arange(4))), "5 images but"),
    "idx no images": (
        *(write_idx, "mnist", IMAGES),
        *(lambda p: [p.unlink(), p.with_name(LABELS).unlink()], f"lacks {IMAGES} (or .gz)"),
    ),
    "idx file missing": (write_idx, "mnist", LABELS, Path.unlink, f"lacks {LABELS} (or .gz)"),
    "idx class 10": (
        *(write_idx, "mnist", LABELS),
        *(lambda p: p.write_bytes(idx(np.array([1, 2, 10, 4, 5]))), "image 2 of test has class 10, not one of 0 to 9"),
    ),
    "binary cut short": (write_cifar_binary, "cifar10", "data_batch_2.bin", lambda p: cut(p, 1), "not whole records"),
    "binary missing": (write_cifar_binary, "cifar10", "data_batch_5.bin", Path.unlink, "lacks data_batch_5.bin"),
    "binary empty": (write_cifar_binary, "cifar10", "test_batch.bin", lambda p: p.write_bytes(b""), "no test images"),
    "binary class 255": (write_cifar_binary, "cifar10", "test_batch.bin", lambda p: flip(p, 0), "of test has class 2"),
    "python cut short": (write_cifar_python, "cifar10", "data_batch_2", lambda p: cut(p, 100), "no CIFAR-10 batch"),
    "python missing": (write_cifar_python, "cifar10", "test_batch", Path.unlink, "lacks test_batch"),
    "python no dictionary": (
        *(write_cifar_python, "cifar10", "test_batch"),
        *(lambda p: p.write_bytes(pickle.dumps([1], 2)), "no data (images, 3072)"),
    ),
    "python other length": (
        *(write_cifar_python, "cifar10", "test_batch"),
        *(
            lambda p: p.write_bytes(pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, 2)),
            "not one label for each image",
        ),
    ),
    "npz cut short": (write_imagenet, "imagenet64", BATCH, lambda p: cut(p, 50), "damaged or cut short"),
    "npz flipped byte": (write_imagenet, "imagenet64", BATCH, lambda p: flip(p, 5000), "damaged or cut short"),
    "npz missing": (write_imagenet, "imagenet64", VALID, Path.unlink, f"lacks {VALID}"),
    "npz other arrays": (
        *(write_imagenet, "imagenet64", VALID),
        *(lambda p: np.savez(p, images=np.zeros((3, 4))), "holds no array data"),
    ),
    "npz other size": (
        *(write_imagenet, "imagenet64", VALID),
        *(lambda p: np.savez(p, data=np.zeros((3, 3072), np.uint8), labels=np.ones(3, int)), "another size's batch?"),
    ),
    "npz pickled labels": (
        *(write_imagenet, "imagenet64", VALID),
        *(lambda p: np.savez(p, data=np.zeros((2, 12288), np.uint8), labels=np.array([1, "b"], object)), "labels are"),
    ),
    "npz class 0": (
        *(write_imagenet, "imagenet64", VALID),
        *(lambda p: np.savez(p, data=np.zeros((2, 12288), np.uint8), labels=np.array([1, 0])), "image 1 of test"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_named_in_one_line_and_nothing_is_kept(tmp_path, case):
    make, name, spoilt, spoil, words = WRONG[case]
    folder = make(tmp_path / "in", draw(name))
    spoil(folder / spoilt)
    with pytest.raises(UserError) as error:
        import_data(name, folder, tmp_path / "kept")
    message = str(error.value)
    assert words in message
    assert "\n" not in message
    # A class that does not exist, or a split without images, is not one file's fault.
    assert spoilt in message or "test" in words
    assert not names_in(tmp_path / "kept")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: cut(p, 12), "cut short"),
        (lambda p: flip(p, -6), "cannot be read: CRC check failed"),
        (lambda p: flip(p, 0), "cannot be read: Not a gzipped file"),
        (lambda p: p.write_bytes(gzip.compress(idx(np.zeros((12, 28, 28)))[:-1])), "12 rows announced, 11 there"),
    ],
)
def test_a_damaged_gz_is_named(tmp_path, spoil, words):
    folder = write_idx(tmp_path / "in", draw("mnist"), gz=True)
    spoil(folder / f"{IMAGES}.gz")
    with pytest.raises(UserError, match=words) as error:
        import_data("mnist", folder, tmp_path / "kept")
    assert f"{IMAGES}.gz" in str(error.value)
    assert not names_in(tmp_path / "kept")


class Evil:
    def __init__(self, call, argument):
        self.call, self.argument = call, argument

    def __reduce__(self):
        return self.call, (self.argument,)


@pytest.mark.parametrize("call", [os.mkdir, eval, getattr, np.load, np.frombuffer])
def test_a_pickle_that_runs_code_is_refused_before_it_does(tmp_path, call):
    sets = draw("cifar10")
    folder = write_cifar_python(tmp_path / "in", sets)
    batch = {b"data": planar(sets["test"][0]), b"labels": Evil(call, str(tmp_path / "done"))}
    (folder / "test_batch").write_bytes(pickle.dumps(batch, 2))
    with pytest.raises(UserError, match=r"test_batch is no CIFAR-10 batch \(it names .*, which is not allowed\)"):
        import_data("cifar10", folder, tmp_path / "kept")
    assert not (tmp_path / "done").exists()


def test_a_folder_without_files_says_what_was_looked_for(tmp_path):
    for name, words in (("mnist", "t10k"), ("cifar10", "data_batch_1"), ("imagenet64", "train_data_batch_1.npz")):
        with pytest.raises(UserError, match=f"no files of {name} in .* looked for .*{words}.*dataset_info.json"):
            import_data(name, tmp_path, tmp_path / "kept")
    with pytest.raises(UserError, match="no such folder"):
        import_data("mnist", tmp_path / "nowhere", tmp_path / "kept")
    with pytest.raises(
        UserError,
        match=r"not known \(did you mean mnist\?\); take one of mnist, .*imagenet64 \(or imagenet_resized/64x64\)",
    ):
        import_data("emnist", tmp_path, tmp_path / "kept")


def test_real_mnist(real_mnist, tmp_path):
    said = []
    import_data("mnist", real_mnist, tmp_path, say=said.append)
    stored = open_stored("mnist", tmp_path, verify=True)
    assert stored.counts == {"train": 60_000, "test": 10_000}
    assert not any("note" in line for line in said)
    # Known of the published files: images of each class, and the mean of the training pixels.
    counts = np.bincount(stored.labels("train"))
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(stored.labels("test")).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert stored.images("train").mean() == pytest.approx(33.318, abs=1e-3)
    assert stored.labels("train")[:5].tolist() == [5, 0, 4, 1, 9]
