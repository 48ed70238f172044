"""Real images, and users' own data, as binary problems: which images, of which label, read a few rows at a time.
Patches of scikit-learn's two photographs have the shapes of CIFAR-10 and ImageNet 64x64, and need no download."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float, Int, PRNGKeyArray, Real, UInt8

from mnnjax import data
from mnnjax.config import Problem
from mnnjax.errors import UserError, require
from mnnjax.problems.gaussian import random_labels
from mnnjax.problems.whitening import Unwhitened, Whitening

PATCH_SIZES = {"patches32": 32, "patches64": 64}
# Patch size -> number of patches: the sizes of the paper's Table 1.
COUNTS = {32: 50_000, 64: 1_280_000}
# Each patch is a window of a photograph, mirrored or not, turned by 0, 90, 180 or 270 degrees.
ORIENTATIONS = 8
# Windows are taken in steps of the golden ratio through all of them: without repetition, evenly spread, in no order.
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclasses.dataclass(frozen=True)
class Images:
    """N images, or points of a user's own, and whether each is of the upper group of classes."""

    pixels: int
    upper: Int[np.ndarray, " N"]
    """1 in the upper group of classes, 0 in the lower."""
    read: Callable[[Int[np.ndarray, " rows"]], Real[np.ndarray, "rows pixels"]]
    """The images with the given indices, 0 to N - 1, uint8; or real points. No others are read."""
    digest: str
    """Identifies the content: a checksum, or where the images come from."""
    whitening: Literal["pca", "zca", "cholesky", "none"] = "pca"
    """How they are whitened: as the problem says, or else images by pca and real points not at all."""
    held_out: "Images | None" = None
    """The test split, where it is not trained on."""

    @property
    def N(self) -> int:
        """How many images there are."""
        return len(self.upper)


def nominal_shape(problem: Problem, data_dir: Path | None = None) -> tuple[int, int] | None:
    """(number of images, d0) as published, known before anything is read; whitening may drop directions. None where
    inputs are drawn. A user's own data are opened; UserError as from open_images."""
    if size := PATCH_SIZES.get(problem.inputs):
        return COUNTS[size], 3 * size**2
    if problem.inputs == "digits":
        return 1797, 64 if problem.whitening == "none" else 61
    if problem.is_own:
        images = open_images(problem, data_dir)
        return images.N, images.pixels
    if not problem.is_image:
        return None
    known = data.DATA_SETS[problem.inputs]
    return sum(known.published.values()) if problem.split == "all" else known.published["train"], known.pixels


def open_images(
    problem: Problem, data_dir: Path | None = None, verify: bool = False, own: data.OwnData | None = None
) -> Images:
    """The images of a problem's split and classes; with labels="random", of all classes. UserError where the data are
    missing or damaged, or have no images of a group of classes. data_dir: the folder of `mnnjax data`; None is its
    default. verify: whether their checksums are computed. own: the data of inputs="file", where they are read already
    (data.read_own) or came from Python (data.own_data).

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
        images, classes = np.asarray(images), np.asarray(classes)
        return _chosen(problem, images.astype(np.uint8).__getitem__, classes, images.shape[1], 10, "scikit-learn's")
    if problem.inputs == "file":
        own = own or data.read_own(_path(problem))
        return _of_splits(problem, own.rows, own.labels, own.classes, own.digest)
    stored = data.open_stored(problem.inputs, data_dir, verify=verify)
    arrays, classes = ({split: get(split) for split in stored.counts} for get in (stored.images, stored.labels))
    return _of_splits(problem, arrays, classes, stored.classes, stored.digest)


def _path(problem: Problem) -> str:
    if problem.path is None:
        raise UserError("problem.path: none is given; data from Python need run_study(study, workdir, data=(X, y))")
    return problem.path


def _of_splits(
    problem: Problem, arrays: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], classes: int, digest: str
) -> Images:
    """The images of the problem's splits, of those that there are."""

    def part(splits: list[str]) -> Images:
        parts = [arrays[split] for split in splits]

        def read(rows):
            result = np.empty((len(rows), parts[0].shape[1]), parts[0].dtype)
            first = 0
            for array in parts:
                inside = (rows >= first) & (rows < first + len(array))
                result[inside] = array[rows[inside] - first]
                first += len(array)
            return result

        found = np.concatenate([labels[split] for split in splits])
        chosen = _chosen(problem, read, found, parts[0].shape[1], classes, digest)
        default = "pca" if parts[0].dtype == np.uint8 else "none"
        return dataclasses.replace(chosen, whitening=problem.whitening or default)

    if problem.split == "all" or "test" not in arrays:
        images = part(list(arrays))
    else:
        images = dataclasses.replace(part(["train"]), held_out=part(["test"]))
    least = 1 if problem.constant_input else 2
    require(images.pixels >= least, f"{problem.data_name}: its points have d0 = 1; give at least {least} inputs")
    unused = problem.whitening_images and images.whitening == "none"
    require(not unused, f"problem.whitening_images: {problem.data_name} is not whitened; give problem.whitening too")
    return images


def _chosen(problem: Problem, read: Callable, classes: np.ndarray, pixels: int, count: int, digest: str) -> Images:
    """The images whose class is in one of the problem's two groups."""
    kind, name = problem.whitening or "pca", problem.data_name
    if problem.labels == "random":
        return Images(pixels, np.zeros(len(classes), np.int64), read, digest, kind)
    lower, upper = problem.lower_classes, problem.upper_classes
    group = "problem.lower_classes, upper_classes"
    require(max((*lower, *upper), default=0) < count, f"{group}: {name} has classes 0 to {count - 1}")
    if not lower and not upper:
        lower = tuple(range(count // 2))
    lower = lower or tuple(c for c in range(count) if c not in upper)
    upper = upper or tuple(c for c in range(count) if c not in lower)
    require(bool(lower and upper), f"{group}: one group has all classes; leave some out")
    kept = np.flatnonzero(np.isin(classes, (*lower, *upper)))
    is_upper = np.isin(classes[kept], upper).astype(np.int64)
    for side, found in (("lower", len(kept) - is_upper.sum()), ("upper", is_upper.sum())):
        require(bool(found), f"problem.{side}_classes: {name} has no image of these classes")
    return Images(pixels, is_upper, lambda rows: read(kept[rows]), digest, kind)


def chosen_rows(images: Images, key: PRNGKeyArray, N: int) -> Int[np.ndarray, " N"]:
    """The indices of the N images of one repetition, drawn without replacement from its key."""
    return np.asarray(jax.random.permutation(jax.random.split(key)[0], images.N)[:N])


def draw_images(
    problem: Problem,
    images: Images,
    whitening: Whitening | Unwhitened,
    key: PRNGKeyArray,
    rows: int,
    N: int,
    dtype: DTypeLike,
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
