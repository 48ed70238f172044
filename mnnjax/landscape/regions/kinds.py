"""What a region's minima are, if it holds any: Definition 4 read off the residual that they share (Lemma 2)."""

import numpy as np
from jaxtyping import Float, Int

from mnnjax.landscape.regions.membership import Answer, holds_dlm_with_output
from mnnjax.landscape.regions.minima import ZERO_TO_ROUNDING, is_upper


def is_zero(e: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"]) -> bool:
    """Whether a region's residual is zero to rounding: its minima, if it holds any, are global."""
    return bool(np.linalg.norm(e) <= ZERO_TO_ROUNDING * np.linalg.norm(y))


def is_bad(e: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"], eps: float, threshold: float) -> bool:
    """Whether a region's minima, if it holds any, are sub-optimal with MCE > eps, a fraction (Definition 4)."""
    if is_zero(e, y):
        return False
    return bool(np.mean(is_upper(y - e, y, threshold) != (y > threshold)) > eps)


def holds_minimum(
    A: Float[np.ndarray, "N d1"], X: Float[np.ndarray, "N d0"], y: Float[np.ndarray, " N"], e: Float[np.ndarray, " N"],
    rho: float, signs: Int[np.ndarray, " d1"] | None = None,
) -> Answer:  # fmt: skip
    """Whether a region that is not empty, with residual e, holds a DLM: A (N, d1), X (N, d0), y (N,), and signs as in
    holds_dlm_with_output."""
    target = y if is_zero(e, y) else y - e
    if np.linalg.norm(target) <= ZERO_TO_ROUNDING * np.linalg.norm(y):
        target = np.zeros_like(y)
    return holds_dlm_with_output(A, X, target, rho, signs)
