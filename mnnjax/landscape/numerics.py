"""What NumPy's arithmetic needs throughout: machine precision, norms that do not overflow, the leaky ReLU."""

import numpy as np
from jaxtyping import Float

EPS = float(np.finfo(np.float64).eps)
# The smallest number above 0: a product that underflows is off by at most half of it.
TINY = float(np.finfo(np.float64).smallest_subnormal)


def row_norms(X: Float[np.ndarray, "N d0"]) -> Float[np.ndarray, " N"]:
    """Euclidean norms of the rows, also where their squares overflow or underflow."""
    largest = np.max(np.abs(X), axis=1)  # dividing by it keeps squares from overflow
    return largest * np.linalg.norm(X / np.where(largest > 0, largest, 1.0)[:, None], axis=1)


def leaky_relu(U: Float[np.ndarray, "..."], rho: float) -> Float[np.ndarray, "..."]:
    """network.leaky_relu in NumPy: float64 also where JAX's is switched off."""
    return np.where(U > 0, U, rho * U)
