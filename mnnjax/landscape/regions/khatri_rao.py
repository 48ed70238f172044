"""The Khatri-Rao product A o X (section 1), which multiplies theta = z w; its Gram matrix, rank and column space.

The khatri_rao functions check their arguments and work under jit and vmap. Products of float32 arrays are float32;
integers and booleans become float64. A may be any real matrix. All raise what khatri_rao raises, for theta or e too."""

from types import ModuleType
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Real

from mnnjax.arrays import AnyArray, check_array
from mnnjax.jax_setup import require_x64
from mnnjax.landscape._check import check_rows, in_float64, on_jax
from mnnjax.landscape.numerics import EPS


def _check(A, X) -> tuple[Array, Array]:
    require_x64()
    check_rows(A, X)
    return on_jax(A), on_jax(X)


def khatri_rao(A: Real[AnyArray, "N d1"], X: Real[AnyArray, "N d0"]) -> Float[Array, "N d1*d0"]:
    """The N x (d1 d0) matrix A o X of section 1, whose row n is kron(A[n], X[n]); A (N, d1), X (N, d0). Raises
    ValueError for shapes that do not match, NaN or infinite entries, and where jax_enable_x64 is switched off."""
    return product(*_check(A, X))


def khatri_rao_gram(A: Real[AnyArray, "N d1"], X: Real[AnyArray, "N d0"]) -> Float[Array, "N N"]:
    """The Gram matrix (N, N) of the rows of A o X, (A A^T) * (X X^T) elementwise (section 1), without the product."""
    return gram(*_check(A, X))


def khatri_rao_matvec(
    A: Real[AnyArray, "N d1"], X: Real[AnyArray, "N d0"], theta: Real[AnyArray, "d1 d0"]
) -> Float[Array, " N"]:
    """(A o X) vec(theta), matrix-free: the output of the region's network with z_i w_i = theta[i] (section 2)."""
    A, X = _check(A, X)
    why = f"give one row per neuron of A {A.shape}, as wide as X {X.shape}"
    check_array("theta", theta, (A.shape[1], X.shape[1]), why)
    return jnp.sum(A * (X @ on_jax(theta).T), axis=1)


def khatri_rao_rmatvec(
    A: Real[AnyArray, "N d1"], X: Real[AnyArray, "N d0"], e: Real[AnyArray, " N"]
) -> Float[Array, "d1 d0"]:
    """(A o X)^T e as a (d1, d0) array, matrix-free: sum over n of e_n A[n, i] X[n]; zero at every DLM (eq 3.2)."""
    A, X = _check(A, X)
    check_array("e", e, (A.shape[0],), f"give one entry for each row of A {A.shape}")
    return (A * on_jax(e)[:, None]).T @ X


def khatri_rao_rank(A: Real[AnyArray, "N d1"], X: Real[AnyArray, "N d0"]) -> Int[Array, ""] | int:
    """rank(A o X) in float64: where it is N, every DLM of the region is a global minimum (Lemma 2).

    Counts the singular values above max(N, d0 d1) * 2.2e-16 times the largest, of the product with rows scaled to norm
    1. An int, computed on the CPU; under jit and vmap an integer array, computed where they are."""
    _check(A, X)
    rank = in_float64(_rank, A, X)
    return rank if isinstance(rank, Tracer) else int(rank)


def _rank(A: Float[Array, "N d1"], X: Float[Array, "N d0"]) -> Int[Array, ""]:
    # Rows are divided by powers of two, so that nothing overflows.
    A, X = (jnp.ldexp(V, -jnp.frexp(jnp.max(jnp.abs(V), axis=1, keepdims=True))[1]) for V in (A, X))
    return unit_row_rank(product(A, X), jnp)


# What follows takes NumPy's arrays and JAX's, without checks.
SomeArray = TypeVar("SomeArray", Array, np.ndarray)


def product(A: Real[SomeArray, "N d1"], X: Real[SomeArray, "N d0"]) -> Real[SomeArray, "N d1*d0"]:
    """A o X (N, d1 d0) of A (N, d1), X (N, d0)."""
    return (A[:, :, None] * X[:, None, :]).reshape(X.shape[0], A.shape[1] * X.shape[1])


def gram(
    A: Float[SomeArray, "N d1"],
    X: Float[SomeArray, "N d0"],
    weights: Float[np.ndarray, " d1"] | None = None,
    others: tuple[Float[SomeArray, "M d1"], Float[SomeArray, "M d0"]] | None = None,
):
    """The products (N, M) of the rows of A o X with those of others, (A (M, d1), X (M, d0)); None for the same, whose
    products are the Gram matrix. weights (d1,): of the neurons, None for 1."""
    A2, X2 = others or (A, X)
    return ((A if weights is None else A * weights) @ A2.T) * (X @ X2.T)


def above_rounding(values: Float[SomeArray, " k"], shape: tuple[int, ...]):
    """Which singular values (k,) of a matrix of this shape count for its rank."""
    return values > max(shape) * EPS * values.max(initial=0)


def unit_row_rank(M: Float[SomeArray, "N p"], numpy: ModuleType = np):
    """The rank of M (N, p) by its singular values once its rows have norm 1; numpy: np, or jnp."""
    # Positive factors of rows do not change the rank; without them the tolerance means the same for every point.
    lengths = numpy.linalg.norm(M, axis=1, keepdims=True)
    values = numpy.linalg.svd(M / numpy.where(lengths > 0, lengths, 1.0), compute_uv=False)
    return numpy.sum(above_rounding(values, M.shape))


def column_space(M: Float[np.ndarray, "N p"]) -> Float[np.ndarray, "N r"]:
    """An orthonormal basis of the column space of M (N, p)."""
    vectors, values, _ = np.linalg.svd(M, full_matrices=False)
    return vectors[:, above_rounding(values, M.shape)]


def without_projection(e: Float[SomeArray, " N"], basis: Float[SomeArray, "N r"]):
    """e (N,) minus its projection on the span of an orthonormal basis (N, r)."""
    for _ in range(2):  # the second pass removes what rounding left in the first
        e = e - basis @ (basis.T @ e)
    return e
