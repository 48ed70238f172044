"""Real images as binary problems: which images, of which label, read a few rows at a time. Patches of scikit-learn's
two photographs have the shapes of CIFAR-10 and ImageNet 64x64, and need no download."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float, Int, PRNGKeyArray, UInt8

from mnnjax import data
from mnnjax.config import Problem
from mnnjax.errors import require
from mnnjax.problems.gaussian import random_labels
from mnnjax.problems.whitening import Whitening

PATCH_SIZES = {"patches32": 32, "patches64": 64}
# Patch size -> number of patches: the sizes of the paper's Table 1.
COUNTS = {32: 50_000, 64: 1_280_000}
# Each patch is a window of a photograph, mirrored or not, turned by 0, 90, 180 or 270 degrees.
ORIENTATIONS = 8
# Windows are taken in steps of the golden ratio through all of them: without repetition, evenly spread, in no order.
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclasses.dataclass(frozen=True)
class Images:
    """N images and whether each is of the upper group of classes."""

    pixels: int
    upper: Int[np.ndarray, " N"]
    """1 in the upper group of classes, 0 in the lower."""
    read: Callable[[Int[np.ndarray, " rows"]], UInt8[np.ndarray, "rows pixels"]]
    """The images with the given indices, 0 to N - 1; no others are read."""
    digest: str
    """Identifies the content: a checksum, or where the images come from."""
    held_out: "Images | None" = None
    """The test split, where it is not trained on."""

    @property
    def N(self) -> int:
        """How many images there are."""
        return len(self.upper)


def nominal_shape(problem: Problem) -> tuple[int, int] | None:
    """(number of images, d0) as published, known before anything is read; whitening may drop directions. None where
    inputs are drawn."""
    if size := PATCH_SIZES.get(problem.inputs):
        return COUNTS[size], 3 * size**2
    if problem.inputs == "digits":
        return 1797, 61
    if not problem.is_image:
        return None
    known = data.DATA_SETS[problem.inputs]
    return sum(known.published.values()) if problem.split == "all" else known.published["train"], known.pixels


def open_images(problem: Problem, data_dir: Path | None = None, verify: bool = False) -> Images:
    """The images of a problem's split and classes; with labels="random", of all classes. UserError where the data are
    missing or damaged, or have no images of a group of classes. data_dir: the folder of `mnnjax data`; None is its
    default. verify: whether their checksums are computed.

    Example:
        images = open_images(Problem("mnist", "classes", upper_classes=(0,)))
        first = images.read(np.arange(100))  # (100, 784), and images.upper[:100] says which are zeros
    """
    if size := PATCH_SIZES.get(problem.inputs):
        read, digest = functools.partial(read_patches, size=size), f"patches of size {size}"
        return _chosen(problem, read, _places(np.arange(COUNTS[size]), size)[0], 3 * size**2, 2, digest)
    if problem.inputs == "digits":
        from sklearn.datasets import load_digits

        images, classes = load_digits(return_X_y=True)
        return _chosen(problem, images.astype(np.uint8).__getitem__, classes, images.shape[1], 10, "scikit-learn's")
    stored = data.open_stored(problem.inputs, data_dir, verify=verify)

    def part(splits: Sequence[str]) -> Images:
        arrays = [stored.images(split) for split in splits]
        classes = np.concatenate([stored.labels(split) for split in splits])

        def read(rows):
            result = np.empty((len(rows), arrays[0].shape[1]), np.uint8)
            first = 0
            for array in arrays:
                inside = (rows >= first) & (rows < first + len(array))
                result[inside] = array[rows[inside] - first]
                first += len(array)
            return result

        return _chosen(problem, read, classes, arrays[0].shape[1], stored.classes, stored.digest)

    if problem.split == "all":
        return part(["train", "test"])
    return dataclasses.replace(part(["train"]), held_out=part(["test"]))


def _chosen(problem: Problem, read: Callable, classes: np.ndarray, pixels: int, count: int, digest: str) -> Images:
    """The images whose class is in one of the problem's two groups."""
    if problem.labels == "random":
        return Images(pixels, np.zeros(len(classes), np.int64), read, digest)
    lower, upper = problem.lower_classes, problem.upper_classes
    group = "problem.lower_classes, upper_classes"
    require(max((*lower, *upper), default=0) < count, f"{group}: {problem.inputs} has classes 0 to {count - 1}")
    if not lower and not upper:
        lower = tuple(range(count // 2))
    lower = lower or tuple(c for c in range(count) if c not in upper)
    upper = upper or tuple(c for c in range(count) if c not in lower)
    require(bool(lower and upper), f"{group}: one group has all classes; leave some out")
    kept = np.flatnonzero(np.isin(classes, (*lower, *upper)))
    is_upper = np.isin(classes[kept], upper).astype(np.int64)
    for name, found in (("lower", len(kept) - is_upper.sum()), ("upper", is_upper.sum())):
        require(bool(found), f"problem.{name}_classes: {problem.inputs} has no image of these classes")
    return Images(pixels, is_upper, lambda rows: read(kept[rows]), digest)


def chosen_rows(images: Images, key: PRNGKeyArray, N: int) -> Int[np.ndarray, " N"]:
    """The indices of the N images of one repetition, drawn without replacement from its key."""
    return np.asarray(jax.random.permutation(jax.random.split(key)[0], images.N)[:N])


def draw_images(
    problem: Problem, images: Images, whitening: Whitening, key: PRNGKeyArray, rows: int, N: int, dtype: DTypeLike
) -> tuple[Float[np.ndarray, "rows d0"], Float[np.ndarray, " rows"]]:
    """X (rows, d0) and y (rows,) of one repetition, as make_problem's function draws them: the first N rows are
    points, chosen by the key; the others are zero.

    Example:
        problem = Problem("digits", "classes")
        images = open_images(problem)
        whitening = fit_whitening(images.read, images.N, images.pixels)
        X, y = draw_images(problem, images, whitening, jax.random.key(0), rows=500, N=500, dtype=np.float32)
    """
    chosen = chosen_rows(images, key, N)
    X, y = np.zeros((rows, whitening.d0), dtype), np.zeros(rows, dtype)
    X[:N] = whitening.apply(images.read(chosen), dtype)
    y[:N] = image_labels(problem, images.upper[chosen], key)
    return X, y


def image_labels(problem: Problem, upper: Int[np.ndarray, " N"], key: PRNGKeyArray) -> Int[np.ndarray, " N"]:
    """y (N,) in the problem's label values: from the classes, or at random from the repetition's key."""
    if problem.labels == "random":
        upper = np.asarray(random_labels(jax.random.split(key)[1], len(upper), np.int64))
    return problem.labels_of(upper)


@functools.cache
def photographs() -> UInt8[np.ndarray, "2 427 640 3"]:
    """scikit-learn's bundled photographs: a temple (0) and a flower (1)."""
    from sklearn.datasets import load_sample_images

    return np.stack(load_sample_images().images)


def read_patches(rows: Int[np.ndarray, " rows"], size: int) -> UInt8[np.ndarray, "rows pixels"]:
    """The patches with the given indices, each size x size x 3, flattened in this order."""
    photo, orientation, top, left = _places(np.asarray(rows), size)
    offsets = np.arange(size)
    down, across = top[:, None] + offsets, left[:, None] + offsets
    windows = photographs()[photo[:, None, None], down[:, :, None], across[:, None, :]]
    for turn in range(ORIENTATIONS):
        chosen = orientation == turn
        turned = np.rot90(windows[chosen], turn % 4, axes=(1, 2))
        windows[chosen] = turned[:, :, ::-1] if turn >= 4 else turned
    return windows.reshape(len(windows), 3 * size**2)


def _places(rows: Int[np.ndarray, " rows"], size: int) -> tuple[np.ndarray, ...]:
    """Photograph, orientation, and upper left corner of the patches."""
    photos, height, width, _ = photographs().shape
    shape = (photos, ORIENTATIONS, height - size + 1, width - size + 1)
    total = math.prod(shape)
    step = next(k for k in range(round(GOLDEN * total), total) if math.gcd(k, total) == 1)
    return np.unravel_index(rows.astype(np.int64) * step % total, shape)
