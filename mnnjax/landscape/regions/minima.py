"""What Lemma 2 says of a region's differentiable local minima (DLMs) before training: their residual, MSE and MCE."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Real

from mnnjax import objective
from mnnjax.arrays import AnyArray, check_array
from mnnjax.jax_setup import require_x64
from mnnjax.landscape._check import check_region, in_float64, on_jax
from mnnjax.landscape.regions.khatri_rao import above_rounding, khatri_rao, khatri_rao_rank, without_projection

ZERO_TO_ROUNDING = 1e-9  # a residual or output that is not known to be larger than this times |y| counts as zero


def region_residual(
    A: Real[AnyArray, "N d1"], X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"]
) -> Float[Array, " N"]:
    """e (N,), the residual that all differentiable local minima of the region D_A(X) share (Lemma 2).

    (A o X)^T e = 0 makes it e = y - P y with P the projection on the column space of the N x (d0 d1) matrix A o X, so
    it is known before training. Where khatri_rao_rank is N, e is zero; elsewhere singular values up to max(N, d0 d1) *
    2.2e-16 times the largest, here of the product as it is, are zero. Whether a minimum exists: region_holds_dlm.

    A (N, d1), X (N, d0), y (N,), of any real type: all is computed in float64, on the CPU. Works under jit and vmap,
    which compute it where they are. Raises ValueError as khatri_rao, and for y of another shape."""
    require_x64()
    check_region(A, X, y)
    return in_float64(_residual, A, X, y)


def _residual(A: Float[Array, "N d1"], X: Float[Array, "N d0"], y: Float[Array, " N"]) -> Float[Array, " N"]:
    M = khatri_rao(A, X)
    vectors, values, _ = jnp.linalg.svd(M, full_matrices=False)
    e = without_projection(y, jnp.where(above_rounding(values, M.shape), vectors, 0.0))
    return jnp.where(khatri_rao_rank(A, X) == e.shape[0], 0.0, e)


def region_errors(
    A: Real[AnyArray, "N d1"], X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"], threshold: float | None = None
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(MSE, MCE) that all differentiable local minima of the region D_A(X) share (Lemma 2): |e|^2 / N (eq 2.3), and the
    fraction in [0, 1] of the points that y - e puts on the wrong side of the threshold (see is_upper).

    A (N, d1), X (N, d0), y (N,), of any real type; works under jit and vmap.
    threshold: of the MCE; None takes 0 where a label is -1 and 0.5 elsewhere, by the labels of each call or vmapped y.
    Raises ValueError as region_residual, and for a threshold that is not a finite number.

    Example:
      mse, mce = region_errors(activation_pattern(W, X, rho=0.0), X, y)
    """
    e = region_residual(A, X, y)
    y = on_jax(y).astype(e.dtype)
    limit = objective.default_threshold(y) if threshold is None else threshold
    check_array("threshold", limit, (), "give one number")
    wrong = is_upper(y - e, y, limit) != (y > limit)
    return objective.mean_squared_error(y - e, y), jnp.mean(wrong.astype(y.dtype))


def is_upper(
    output: Real[AnyArray, " N"], y: Real[AnyArray, " N"], threshold: float | Float[Array, ""]
) -> Bool[AnyArray, " N"]:
    """Which outputs (N,) of a region's minima, fitted to labels y (N,), are above the threshold by more than rounding.
    Outputs at the threshold are common: a point that is inactive in every ReLU has the output 0, the threshold of
    labels -1 and 1. Section 1 leaves their class open; here it is the lower one, as in objective.misclassified."""
    return output > threshold + ZERO_TO_ROUNDING * abs(y).max()


def is_zero(e: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"]) -> bool:
    """Whether a region's residual is zero to rounding: its minima, if it holds any, are global."""
    return bool(np.linalg.norm(e) <= ZERO_TO_ROUNDING * np.linalg.norm(y))


def is_bad(e: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"], eps: float, threshold: float) -> bool:
    """Whether a region's minima, if it holds any, are sub-optimal with MCE > eps, a fraction (Definition 4)."""
    return not is_zero(e, y) and bool(np.mean(is_upper(y - e, y, threshold) != (y > threshold)) > eps)
