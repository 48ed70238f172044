"""What a region's minima are, if it holds any: Definition 4 read off the residual that they share (Lemma 2)."""

import numpy as np
from jaxtyping import Float

from mnnjax.landscape.membership import holds_dlm_with_output
from mnnjax.landscape.minima import ZERO_TO_ROUNDING


def is_zero(e: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"]) -> bool:
    """Whether a region's residual is zero to rounding: its minima, if it holds any, are global."""
    return bool(np.linalg.norm(e) <= ZERO_TO_ROUNDING * np.linalg.norm(y))


def is_bad(e: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"], eps: float, threshold: float) -> bool:
    """Whether a region's minima, if it holds any, are sub-optimal with MCE > eps (Definition 4).

    An output that is the threshold to rounding is of the lower class. It is common: a point that is inactive in every
    ReLU has the output 0, the threshold of labels -1 and 1.
    """
    if is_zero(e, y):
        return False
    above = y - e > threshold + ZERO_TO_ROUNDING * np.max(np.abs(y))
    return bool(np.mean(above != (y > threshold)) > eps)


def holds_minimum(A, X, y, e: Float[np.ndarray, " N"], rho: float, signs=None) -> bool:
    """Whether a region that is not empty, with residual e, holds a DLM (signs: see holds_dlm_with_output)."""
    target = y if is_zero(e, y) else y - e
    if np.linalg.norm(target) <= ZERO_TO_ROUNDING * np.linalg.norm(y):
        target = np.zeros_like(y)
    return holds_dlm_with_output(A, X, target, rho, signs)
