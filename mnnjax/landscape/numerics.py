"""What numbers in NumPy need throughout: machine precision, norms that do not overflow, the leaky ReLU, equal nan."""

import numpy as np
from jaxtyping import Float

EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).smallest_subnormal)  # products that underflow are off by at most half of it


def row_norms(X: Float[np.ndarray, "N d0"]) -> Float[np.ndarray, " N"]:
    """Euclidean norms of the rows, also where their squares overflow or underflow."""
    largest = np.max(np.abs(X), axis=1)  # dividing by it keeps squares from overflow
    return largest * np.linalg.norm(X / np.where(largest > 0, largest, 1.0)[:, None], axis=1)


def leaky_relu(U: Float[np.ndarray, "..."], rho: float) -> Float[np.ndarray, "..."]:
    """network.leaky_relu in NumPy: float64 also where JAX's is switched off."""
    return np.where(U > 0, U, rho * U)


class EqualWithNan:
    """Mixin for frozen dataclasses made with eq=False: equal where all fields are, and nan equals nan. The generated
    __eq__ compares nan by identity up to Python 3.12 and by value from 3.13 on."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._without_nan() == other._without_nan()

    def __hash__(self) -> int:
        return hash(self._without_nan())

    def _without_nan(self) -> tuple:
        return tuple("nan" if value != value else value for value in vars(self).values())
