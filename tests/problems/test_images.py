"""Images as binary problems: which images, of which label, in which rows; the stored ones are a small set of ours."""

import dataclasses
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from mnnjax.config import Problem
from mnnjax.data import import_data
from mnnjax.errors import UserError
from mnnjax.problems import Images, Whitening, draw_images, fit_whitening, nominal_shape, open_images
from mnnjax.problems.images import chosen_rows
from tests.small_sets import flip, write_idx

DIGITS = Problem("digits", "classes", "zero_one")
# Images and classes of each split: 23 + 11 images, among which are all classes but 9.
RNG = np.random.default_rng(0)
SPLITS = {
    split: (RNG.integers(0, 256, (count, 28, 28, 1), np.uint8), RNG.permutation(np.arange(count) % 9))
    for split, count in (("train", 23), ("test", 11))
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """The folder of data sets in which SPLITS are kept as MNIST."""
    folder = tmp_path_factory.mktemp("images")
    import_data("mnist", write_idx(folder / "in", SPLITS), folder / "kept")
    return folder / "kept"


def mnist(**fields) -> Problem:
    return Problem(**{"inputs": "mnist", "labels": "classes", **fields})


def expected(splits: tuple[str, ...], upper: set[int], lower: set[int]) -> tuple[np.ndarray, np.ndarray]:
    """Images and whether they are upper, of the classes of both groups, in the order of the splits."""
    images = np.concatenate([SPLITS[split][0].reshape(-1, 784) for split in splits])
    classes = np.concatenate([SPLITS[split][1] for split in splits])
    kept = [n for n, c in enumerate(classes.tolist()) if c in upper | lower]
    return images[kept], np.array([int(classes[n]) in upper for n in kept], int)


GROUPS = {
    # lower_classes, upper_classes: the groups that they stand for.
    ((), ()): (range(5), range(5, 10)),
    ((1, 7), ()): ({1, 7}, set(range(10)) - {1, 7}),
    ((), (0,)): (range(1, 10), {0}),
    ((2, 0), (8, 3)): ({0, 2}, {3, 8}),
}


@pytest.mark.parametrize(("given", "groups"), GROUPS.items(), ids=str)
@pytest.mark.parametrize("split", ["train", "all"])
def test_the_images_of_both_groups_are_there_in_order(stored, given, groups, split):
    images = open_images(mnist(split=split, lower_classes=given[0], upper_classes=given[1]), stored, verify=True)
    lower, upper = map(set, groups)
    pixels, labels = expected(("train", "test") if split == "all" else ("train",), upper, lower)
    np.testing.assert_array_equal(images.upper, labels)
    np.testing.assert_array_equal(images.read(np.arange(images.N)), pixels)
    rows = np.array([images.N - 1, 0, 3, 3])
    np.testing.assert_array_equal(images.read(rows), pixels[rows])
    assert images.pixels == 784
    if split == "all":
        assert images.held_out is None
    else:
        pixels, labels = expected(("test",), upper, lower)
        np.testing.assert_array_equal(images.held_out.upper, labels)
        np.testing.assert_array_equal(images.held_out.read(np.arange(len(labels))), pixels)


def test_random_labels_take_all_images(stored):
    images = open_images(mnist(labels="random"), stored)
    assert (images.N, images.held_out.N) == (23, 11)
    np.testing.assert_array_equal(images.read(np.arange(23)), expected(("train",), set(range(10)), set())[0])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"upper_classes": (10,)}, "mnist has classes 0 to 9"),
        ({"lower_classes": tuple(range(10))}, "one group has all classes"),
        ({"upper_classes": (9,)}, "problem.upper_classes: mnist has no image of these classes"),
        ({"lower_classes": (9,), "upper_classes": (1,)}, "problem.lower_classes: mnist has no image of these"),
    ],
)
def test_groups_that_cannot_be_are_refused(stored, fields, words):
    with pytest.raises(UserError) as caught:
        open_images(mnist(**fields), stored)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_sets_and_damaged_ones_are_not_taken(stored, tmp_path):
    with pytest.raises(UserError, match=r"no fashion_mnist in .*: run `mnnjax data prepare fashion_mnist`"):
        open_images(mnist(inputs="fashion_mnist"), stored)
    flip(shutil.copytree(stored / "mnist", tmp_path / "mnist") / "test_images.npy", -1)
    with pytest.raises(UserError, match="test_images"):
        open_images(mnist(), tmp_path, verify=True)


def test_the_content_has_a_name_of_its_own(stored):
    digests = [open_images(p, stored).digest for p in (mnist(), mnist(split="all"), DIGITS, Problem("patches32"))]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_published_shapes_are_known_before_anything_is_read():
    assert nominal_shape(mnist()) == (60_000, 784)
    assert nominal_shape(mnist(split="all")) == (70_000, 784)
    assert nominal_shape(Problem("cifar10", "classes", split="all")) == (60_000, 3072)
    assert nominal_shape(Problem("imagenet64", "classes")) == (1_281_167, 12_288)
    assert nominal_shape(DIGITS) == (1797, 61)
    assert nominal_shape(Problem(d0=(5,), N=(9,))) is None


@pytest.mark.wrong_types
def test_only_the_rows_that_are_asked_for_are_read(stored, monkeypatch):
    """Of a file of images no more than these rows are taken."""
    taken = []

    class Recording:
        shape, dtype = (23, 784), np.uint8

        def __len__(self):
            return 23

        def __getitem__(self, rows):
            taken.append(np.asarray(rows).tolist())
            return np.zeros((len(rows), 784), np.uint8)

    monkeypatch.setattr("mnnjax.data.Stored.images", lambda self, split: Recording())
    images = open_images(mnist(), stored)
    assert not taken
    images.read(np.array([5, 2]))
    assert taken == [[5, 2]]


@pytest.fixture(scope="module")
def digits() -> tuple[Images, Whitening, np.ndarray]:
    """With all of them whitened."""
    images = open_images(DIGITS, None)
    whitening = fit_whitening(images.read, images.N, images.pixels)
    return images, whitening, whitening.apply(images.read(np.arange(images.N)), np.float64)


def draw(digits, N, rows=None, problem=DIGITS, seed=0, dtype=np.float64):
    images, whitening, _ = digits
    return draw_images(problem, images, whitening, jax.random.key(seed), rows or N, N, dtype)


def places(X: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The image that each row of X is nearest to; it is that image to rounding, and no other."""
    distances = np.abs(X[:, None] - whole[None]).max(axis=2)
    # The same sums of 64 products in another order; two images differ by far more.
    assert ((distances < 1e-8).sum(axis=1) == 1).all()
    return distances.argmin(axis=1)


def test_digits_are_the_lower_and_the_upper_half_of_the_ten(digits):
    pixels, classes = load_digits(return_X_y=True)
    images, whitening, _ = digits
    assert (images.N, images.pixels, whitening.d0) == (1797, 64, 61)
    np.testing.assert_array_equal(images.upper, classes >= 5)
    np.testing.assert_array_equal(images.read(np.arange(1797)), pixels)
    assert images.read(np.arange(3)).dtype == np.uint8


def test_a_subset_is_drawn_without_replacement_and_keeps_its_classes(digits):
    X, y = draw(digits, 40, rows=50)
    assert (X.shape, y.shape) == ((50, 61), (50,))
    assert not X[40:].any()
    assert not y[40:].any()
    found = places(X[:40], digits[2])
    assert len(set(found.tolist())) == 40
    np.testing.assert_array_equal(y[:40], load_digits().target[found] >= 5)
    # Padding changes no point.
    np.testing.assert_array_equal(draw(digits, 40)[0], X[:40])


def test_the_key_decides_the_subset(digits):
    assert (draw(digits, 40)[0] == draw(digits, 40)[0]).all()
    numbers = [chosen_rows(digits[0], jax.random.key(seed), 900) for seed in range(4)]
    assert all(len(set(rows.tolist())) == 900 for rows in numbers)
    assert set(np.concatenate(numbers).tolist()) <= set(range(1797))
    # Two draws of half of the images share half of each, give or take 5 standard errors (hypergeometric).
    shared = len(set(numbers[0].tolist()) & set(numbers[1].tolist()))
    assert abs(shared - 900**2 / 1797) < 5 * np.sqrt(900 * 0.5 * 0.5 * 0.5)


def test_all_images_are_drawn_once(digits):
    X, y = draw(digits, 1797)
    assert y.sum() == (load_digits().target >= 5).sum()
    np.testing.assert_allclose(np.sort(X[:, 0]), np.sort(digits[2][:, 0]), atol=1e-8)


def test_labels_may_be_minus_one_and_one(digits):
    zero_one = draw(digits, 40)[1]
    plus_minus = draw(digits, 40, problem=dataclasses.replace(DIGITS, label_values="plus_minus_one"))[1]
    np.testing.assert_array_equal(plus_minus, np.where(zero_one == 1, 1.0, -1.0))
    assert set(zero_one) == {0.0, 1.0}


def test_random_labels_are_fair_and_not_of_the_classes(digits):
    random = (open_images(Problem("digits", "random"), None), *digits[1:])
    y = draw(random, 1797, problem=Problem("digits", "random"))[1]
    assert set(np.unique(y)) == {-1.0, 1.0}
    # 5 standard errors of a fair coin, and of its agreement with the classes.
    assert abs(y.mean()) < 5 / np.sqrt(1797)
    upper = digits[0].upper[chosen_rows(digits[0], jax.random.key(0), 1797)]
    assert abs(np.mean(y * (2 * upper - 1))) < 5 / np.sqrt(1797)
    assert (draw(random, 40, problem=Problem("digits", "random"), seed=1)[1] != y[:40]).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_have_the_asked_precision(digits, dtype):
    X, y = draw(digits, 5, dtype=dtype)
    assert (X.dtype, y.dtype) == (dtype, dtype)
