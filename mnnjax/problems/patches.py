"""Patches of scikit-learn's two photographs: natural images of the shapes of CIFAR-10 and ImageNet 64x64, which need no
download."""

import functools
import math

import numpy as np
from jaxtyping import Int, UInt8

# Patch size -> number of patches: the sizes of the paper's Table 1.
COUNTS = {32: 50_000, 64: 1_280_000}
# Each patch is a window of a photograph, mirrored or not, turned by 0, 90, 180 or 270 degrees.
ORIENTATIONS = 8
# Windows are taken in steps of the golden ratio through all of them: without repetition, evenly spread, in no order.
GOLDEN = (math.sqrt(5) - 1) / 2


@functools.cache
def photographs() -> UInt8[np.ndarray, "2 427 640 3"]:
    """scikit-learn's bundled photographs: a temple (0) and a flower (1)."""
    from sklearn.datasets import load_sample_images

    return np.stack(load_sample_images().images)


def patches(size: int, N: int) -> tuple[UInt8[np.ndarray, "N pixels"], Int[np.ndarray, " N"]]:
    """The first N patches of size x size x 3, flattened, and the photograph (0 or 1) each is of.

    Raises:
      ValueError: another size than 32 and 64, or more than COUNTS[size] patches.
    """
    if size not in COUNTS or not 0 < N <= COUNTS[size]:
        raise ValueError(f"size, N: {size}, {N}; sizes and most patches are {COUNTS}")
    return read_patches(np.arange(N), size), patch_classes(size)[:N]


def patch_pixels(size: int) -> int:
    """Numbers in a patch."""
    return 3 * size**2


def patch_classes(size: int) -> Int[np.ndarray, " N"]:
    """Which photograph (0 or 1) each of the COUNTS[size] patches is of."""
    return _places(np.arange(COUNTS[size]), size)[0]


def read_patches(rows: Int[np.ndarray, " rows"], size: int) -> UInt8[np.ndarray, "rows pixels"]:
    """The patches of the given numbers, each size x size x 3, flattened in this order."""
    photo, orientation, top, left = _places(np.asarray(rows), size)
    offsets = np.arange(size)
    windows = photographs()[
        photo[:, None, None], (top[:, None] + offsets)[:, :, None], (left[:, None] + offsets)[:, None, :]
    ]
    for turn in range(ORIENTATIONS):
        own = orientation == turn
        turned = np.rot90(windows[own], turn % 4, axes=(1, 2))
        windows[own] = turned[:, :, ::-1] if turn >= 4 else turned
    return windows.reshape(len(windows), patch_pixels(size))


def _places(rows: Int[np.ndarray, " rows"], size: int) -> tuple[np.ndarray, ...]:
    """Photograph, orientation, and upper left corner of the patches."""
    photos, height, width, _ = photographs().shape
    shape = (photos, ORIENTATIONS, height - size + 1, width - size + 1)
    total = math.prod(shape)
    step = next(k for k in range(round(GOLDEN * total), total) if math.gcd(k, total) == 1)
    return np.unravel_index(rows.astype(np.int64) * step % total, shape)
