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


def patch_classes(size: int) -> Int[np.ndarray, " N"]:
    """The photograph (0 or 1) that each of the COUNTS[size] patches comes from."""
    return _places(np.arange(COUNTS[size]), size)[0]


def read_patches(rows: Int[np.ndarray, " rows"], size: int) -> UInt8[np.ndarray, "rows pixels"]:
    """The patches with the given indices, each size x size x 3, flattened in this order."""
    photo, orientation, top, left = _places(np.asarray(rows), size)
    offsets = np.arange(size)
    windows = photographs()[
        photo[:, None, None], (top[:, None] + offsets)[:, :, None], (left[:, None] + offsets)[:, None, :]
    ]
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
