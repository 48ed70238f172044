"""The Khatri-Rao product A o X (section 1): row n is kron(A[n], X[n]), what multiplies theta = z w.

Everything here works under jit and vmap. Products of float32 arrays are float32; integers and booleans become float64.
A may be any real matrix, not only an activation pattern.
"""

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from mnnjax.arrays import AnyArray, check_array
from mnnjax.jax_setup import require_x64
from mnnjax.landscape._check import check_rows, in_float64, on_jax


def _check(A, X) -> tuple[Array, Array]:
    require_x64()
    check_rows(A, X)
    return on_jax(A), on_jax(X)


def khatri_rao(A: Float[AnyArray, "N d1"], X: Float[AnyArray, "N d0"]) -> Float[Array, "N d1*d0"]:
    """The N x (d1 d0) matrix A o X of section 1, whose row n is kron(A[n], X[n]); A (N, d1), X (N, d0).

    Raises:
      ValueError: shapes that do not match, NaN or infinite entries; jax_enable_x64 switched off.
    """
    return _product(*_check(A, X))


def _product(A: Float[Array, "N d1"], X: Float[Array, "N d0"]) -> Float[Array, "N d1*d0"]:
    return (A[:, :, None] * X[:, None, :]).reshape(X.shape[0], -1)


def khatri_rao_gram(A: Float[AnyArray, "N d1"], X: Float[AnyArray, "N d0"]) -> Float[Array, "N N"]:
    """The Gram matrix (N, N) of the rows of A o X, (A A^T) * (X X^T) elementwise (section 1); never forms the product.

    Raises:
      ValueError: as khatri_rao.
    """
    A, X = _check(A, X)
    return (A @ A.T) * (X @ X.T)


def khatri_rao_matvec(
    A: Float[AnyArray, "N d1"], X: Float[AnyArray, "N d0"], theta: Float[AnyArray, "d1 d0"]
) -> Float[Array, " N"]:
    """(A o X) vec(theta), matrix-free: the output of the region's network with z_i w_i = theta[i] (section 2).

    Raises:
      ValueError: as khatri_rao; theta of another shape.
    """
    A, X = _check(A, X)
    check_array(
        "theta", theta, (A.shape[1], X.shape[1]), f"give one row a neuron of A {A.shape}, as wide as X {X.shape}"
    )
    return jnp.sum(A * (X @ on_jax(theta).T), axis=1)


def khatri_rao_rmatvec(
    A: Float[AnyArray, "N d1"], X: Float[AnyArray, "N d0"], e: Float[AnyArray, " N"]
) -> Float[Array, "d1 d0"]:
    """(A o X)^T e as a (d1, d0) array, matrix-free: sum over n of e_n A[n, i] X[n]; zero at every DLM (eq 3.2).

    Raises:
      ValueError: as khatri_rao; e of another shape.
    """
    A, X = _check(A, X)
    check_array("e", e, (A.shape[0],), f"give one entry for each row of A {A.shape}")
    return (A * on_jax(e)[:, None]).T @ X


def rank_tolerance(shape: tuple[int, ...]) -> float:
    """Singular values up to this fraction of the largest count as zero: max(N, d0 d1) * 2.2e-16."""
    return max(shape) * float(jnp.finfo(jnp.float64).eps)


def khatri_rao_rank(A: Float[AnyArray, "N d1"], X: Float[AnyArray, "N d0"]) -> Int[Array, ""] | int:
    """rank(A o X) in float64: where it is N, every DLM of the region is a global minimum (Lemma 2).

    Counts the singular values above max(N, d0 d1) * 2.2e-16 times the largest, of the product with its rows scaled to
    norm 1. An int, computed on the CPU; under jit and vmap an integer array, computed where they are.

    Raises:
      ValueError: as khatri_rao.
    """
    _check(A, X)
    rank = in_float64(_rank, A, X)
    return rank if isinstance(rank, Tracer) else int(rank)


def _rank(A: Float[Array, "N d1"], X: Float[Array, "N d0"]) -> Int[Array, ""]:
    # Rows by a power of two, for nothing to overflow.
    A, X = (jnp.ldexp(V, -jnp.frexp(jnp.max(jnp.abs(V), axis=1, keepdims=True))[1]) for V in (A, X))
    M = _product(A, X)
    # Positive factors of rows leave the rank alone; with them gone, the tolerance means the same for every point.
    lengths = jnp.linalg.norm(M, axis=1, keepdims=True)
    values = jnp.linalg.svd(M / jnp.where(lengths > 0, lengths, 1.0), compute_uv=False)
    return jnp.sum(values > rank_tolerance(M.shape) * jnp.max(values))
