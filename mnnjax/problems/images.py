"""Real images as binary problems."""

import functools

import numpy as np
from jaxtyping import Float

from mnnjax.problems.whitening import pca_whiten


@functools.cache
def digits() -> tuple[Float[np.ndarray, "N d0"], Float[np.ndarray, " N"]]:
    """scikit-learn's bundled digits: X (1797, 61), PCA-whitened in float64 with the three constant pixels dropped,
    and y (1797,), 0 for the digits 0-4 and 1 for 5-9."""
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    return pca_whiten(images), (classes >= 5).astype(np.float64)
