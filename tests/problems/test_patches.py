"""Patches of the two photographs: how many there are, and that each lies in the photograph that it is labelled with."""

import numpy as np
import pytest

from mnnjax.config import Problem
from mnnjax.problems import nominal_shape, open_images
from mnnjax.problems.images import COUNTS, photographs, read_patches

SHAPES = {"patches32": (32, 50_000, 3072), "patches64": (64, 1_280_000, 12_288)}


def turns(patch: np.ndarray) -> list[np.ndarray]:
    """The patch (size, size) in its eight orientations."""
    return [np.rot90(side, k) for side in (patch, patch[:, ::-1]) for k in range(4)]


def one_number(pixels: np.ndarray) -> np.ndarray:
    """Red, green and blue (..., 3) as one number."""
    return pixels.astype(np.int64) @ [1, 256, 256**2]


def is_in(patch: np.ndarray, photograph: np.ndarray) -> bool:
    """Whether the patch (size, size) lies anywhere in a photograph as it is; both of one number a pixel."""
    size = len(patch)
    corners = photograph[: photograph.shape[0] - size + 1, : photograph.shape[1] - size + 1]
    tops, lefts = np.nonzero(corners == patch[0, 0])
    for i in range(1, size):
        alike = photograph[tops + i, lefts + i] == patch[i, i]
        tops, lefts = tops[alike], lefts[alike]
    return any((photograph[i : i + size, j : j + size] == patch).all() for i, j in zip(tops, lefts, strict=True))


@pytest.mark.parametrize("inputs", SHAPES)
def test_there_are_as_many_as_in_table_1_half_of_each_photograph(inputs):
    images = open_images(Problem(inputs, "classes"), None)
    size, count, pixels = SHAPES[inputs]
    assert (images.N, images.pixels, COUNTS[size]) == (count, pixels, count)
    assert nominal_shape(Problem(inputs, "classes")) == (count, pixels)
    # Steps of the golden ratio leave an interval of the circle with log N points more or fewer than its share, about.
    assert abs(int(images.upper.sum()) - count // 2) < 3 * np.log(count)
    # All prefixes likewise: the order is not photograph by photograph.
    assert abs(int(images.upper[:1000].sum()) - 500) < 3 * np.log(1000)
    assert images.held_out is None


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("inputs", SHAPES)
def test_each_lies_in_the_photograph_of_its_class_in_one_of_eight_orientations(inputs):
    images = open_images(Problem(inputs, "classes"), None)
    size, count, pixels = SHAPES[inputs]
    rows = np.array([0, 17, count - 1, *range(1000, 1032)])
    read = images.read(rows)
    assert (read.shape, read.dtype) == ((35, pixels), np.uint8)
    seen, photos = set(), one_number(photographs())
    for patch, upper in zip(one_number(read.reshape(-1, size, size, 3)), images.upper[rows], strict=True):
        found = [[is_in(turned, photo) for turned in turns(patch)] for photo in photos]
        assert sum(found[upper]) == 1
        assert not any(found[1 - upper])
        seen.add((upper, found[upper].index(True)))
    # Numbers that follow each other are spread evenly over both photographs and all orientations.
    assert seen == {(photo, turn) for photo in range(2) for turn in range(8)}


@pytest.mark.slow
def test_no_two_are_equal():
    images = open_images(Problem("patches32", "classes"), None)
    seen = set()
    for start in range(0, images.N, 2500):
        seen |= {patch.tobytes() for patch in images.read(np.arange(start, start + 2500))[:, ::7]}
    # Every seventh of the 3072 numbers is enough to tell them all apart.
    assert len(seen) == images.N


@pytest.mark.parametrize("inputs", SHAPES)
def test_any_row_is_read_by_itself(inputs):
    size, count, _ = SHAPES[inputs]
    rows = np.array([5, count - 1, 0, 77, 5])
    together = read_patches(rows, size)
    for row, patch in zip(rows, together, strict=True):
        np.testing.assert_array_equal(read_patches(np.array([row]), size)[0], patch)
    assert read_patches(rows[:0], size).shape == (0, 3 * size**2)
