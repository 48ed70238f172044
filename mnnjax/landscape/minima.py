"""What Lemma 2 says of a region's differentiable local minima (DLMs) before anyone trains."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Real

import mnnjax.jax_setup  # noqa: F401
from mnnjax import objective
from mnnjax.landscape._check import check_array, check_pattern
from mnnjax.landscape.khatri_rao import khatri_rao, khatri_rao_rank, rank_tolerance

# A residual or output that is not known to be larger than this times |y| counts as zero.
ZERO_TO_ROUNDING = 1e-9


def region_residual(A: Float[Array, "N d1"], X: Float[Array, "N d0"], y: Float[Array, " N"]) -> Float[Array, " N"]:
    """e (N,), the residual that all differentiable local minima of the region D_A(X) share (Lemma 2).

    (A o X)^T e = 0 makes it e = y - P y with P the projection on the column space of the N x (d0 d1) matrix A o X, so
    it is known before anyone trains. Where khatri_rao_rank says N, e is zero; elsewhere singular values up to
    rank_tolerance times the largest, here of the product as it is, count as zero. That the region has such a minimum
    at all is not claimed.

    A (N, d1), X (N, d0), y (N,); works under jit and vmap.

    Raises:
      ValueError: as khatri_rao; y of another shape.
    """
    check_pattern(A)
    check_array("y", y, (np.shape(A)[0],), "give one label for each row of A")
    M = khatri_rao(jnp.asarray(A, jnp.float64), jnp.asarray(X, jnp.float64))
    vectors, values, _ = jnp.linalg.svd(M, full_matrices=False)
    basis = jnp.where(values > rank_tolerance(M.shape) * jnp.max(values), vectors, 0.0)
    e = jnp.asarray(y, jnp.float64)
    # The second pass removes what rounding left of the column space in the first.
    for _ in range(2):
        e = e - basis @ (basis.T @ e)
    return jnp.where(khatri_rao_rank(A, X) == e.shape[0], 0.0, e)


def region_errors(
    A: Float[Array, "N d1"], X: Float[Array, "N d0"], y: Float[Array, " N"], threshold: float
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(MSE, MCE) that all differentiable local minima of the region D_A(X) share (Lemma 2): |e|^2 / N (eq 2.3), and the
    fraction in [0, 1] of the points that y - e puts on the wrong side of the threshold (0.5 for labels 0 and 1, 0 for
    labels -1 and +1; see is_upper).

    A (N, d1), X (N, d0), y (N,).

    Raises:
      ValueError: as region_residual.
    """
    y = jnp.asarray(y, jnp.float64)
    output = y - region_residual(A, X, y)
    wrong = is_upper(output, y, threshold) != (y > threshold)
    return objective.mean_squared_error(output, y), jnp.mean(wrong.astype(y.dtype))


def is_upper(output: Real[Array, " N"], y: Real[Array, " N"], threshold: float) -> Bool[Array, " N"]:
    """Which outputs (N,) of a region's minima, fitted to labels y (N,), are of the upper class: above the threshold by
    more than rounding.

    Outputs at the threshold are common: a point that is inactive in every ReLU has the output 0, the threshold of
    labels -1 and 1. Section 1 leaves their class open; here it is the lower one, as in objective.misclassified.
    """
    return output > threshold + ZERO_TO_ROUNDING * abs(y).max()
