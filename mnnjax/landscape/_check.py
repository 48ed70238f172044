"""Checks of the arguments of landscape functions; mnnjax.arrays has those that other packages need too."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from mnnjax.arrays import check_array, refuse_traced, shape_of
from mnnjax.errors import UserError, require
from mnnjax.jax_setup import on_cpu
from mnnjax.landscape.numerics import row_norms
from mnnjax.objective import default_threshold

LARGEST_RATIO, LARGEST_NORM = 1e5, 1e100  # the ratio of the norms of two points; the norm of one


def check_eps(eps: float) -> float:
    """eps as a float, where it is in [0, 1)."""
    check_array("eps", eps, (), "give one number")
    if not 0 <= eps < 1:
        raise UserError(f"eps: {eps} is outside [0, 1); give the fraction of points that a bad minimum misclassifies")
    return float(eps)


def threshold_of(threshold: float | None, y: Float[np.ndarray, " N"]) -> float:
    """threshold, where it is a finite number; the default for labels y (N,) where it is None."""
    limit = default_threshold(y) if threshold is None else threshold
    check_array("threshold", limit, (), "give one number")
    return float(limit)


def check_key(key) -> None:
    """key is a JAX key, typed or raw."""
    is_array = isinstance(key, (jax.Array, np.ndarray))
    typed = is_array and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed and not (is_array and key.dtype == np.uint32 and key.ndim == 1):
        raise UserError(f"key: {repr(key).splitlines()[0]:.40} is not a JAX key; give jax.random.key(0)")
    require(not (typed and key.shape), f"key: has shape {key.shape}; give one key, as key[0]")
    refuse_traced(key=key)


def on_jax(value) -> Float[Array, "..."]:
    """value, of any shape, as an array of JAX: floating ones in their precision, but at least float32; others, whose
    products would overflow (uint8) or be logical (bool), in float64."""
    array = jnp.asarray(value if isinstance(value, jax.Array) else np.asarray(value))
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32) if floating else jnp.float64)


def in_float64(function: Callable, *values):
    """function(*values) in float64 on this process's CPU; for traced values, wherever they are."""
    if any(isinstance(value, Tracer) for value in values):
        return function(*(on_jax(value).astype(jnp.float64) for value in values))
    with on_cpu():  # from NumPy's arrays, so that the result is not committed to the CPU
        return function(*(jnp.asarray(np.asarray(value), jnp.float64) for value in values))


def check_not_zero(X: Float[np.ndarray, "N d0"]) -> None:
    """No point is at the origin."""
    if (zero := np.flatnonzero(~X.any(axis=1))).size:
        why = "so its neural inputs are 0 and no region is differentiable"
        raise UserError(f"X: point {zero[0]} is zero, {why}; drop it")


def check_scale(X: Float[np.ndarray, "N d0"]) -> None:
    """The squares of the longest point neither overflow nor underflow."""
    longest = row_norms(X).max()
    if not (1 / LARGEST_NORM <= longest <= LARGEST_NORM or longest == 0):
        raise UserError(f"X: has points of norm {longest:.3g}; divide X by that, which changes no region and no volume")


def check_lengths(X: Float[np.ndarray, "N d0"]) -> None:
    """No point but those at the origin is so short that rounding of the others hides its outputs: these are known to
    1e-16 of the longest point's norm, and needed to 1e-9 of each point's own."""
    lengths = row_norms(X)
    longest, shortest = lengths.max(), np.where(lengths > 0, lengths, np.inf).argmin()
    if 0 < lengths[shortest] < longest / LARGEST_RATIO:
        raise UserError(
            f"X: point {shortest} has norm {lengths[shortest]:.3g} and the longest {longest:.3g}; beyond a factor "
            f"{LARGEST_RATIO:g} rounding hides which minima a region holds; drop it, or change units of coordinates"
        )


def check_spread(X: Float[np.ndarray, "N d0"]) -> None:
    """All three checks of points: what the volumes of regions need."""
    check_not_zero(X)
    check_scale(X)
    check_lengths(X)


def check_rows(A, X) -> None:
    """A (N, d1) and X (N, d0) have as many rows; both may be traced."""
    check_array("A", A, (None, None), "give one row per point and one column per neuron")
    N, d1 = np.shape(A)
    hint = "; or A.T, if its rows are the neurons" if shape_of(X)[:1] == (d1,) else ""
    check_array("X", X, (N, None), f"give one row for each row of A {(N, d1)}", hint)


def check_region(A, X, y) -> None:
    """check_rows; A (N, d1) has at most two values, 1 among them if there are two; y (N,) goes with it."""
    check_rows(A, X)
    if not isinstance(A, Tracer):
        values = np.unique(np.asarray(A, np.float64))
        if len(values) > 2 or (1.0 not in values and len(values) == 2):
            raise UserError(f"A: of shape {np.shape(A)} has entries other than rho and 1; use activation_pattern")
    check_array("y", y, (np.shape(A)[0],), f"give one label for each row of A {np.shape(A)}")
