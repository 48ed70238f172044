"""Checks of what users hand in: one line that names the argument, its shape and how to mend it."""

import math

import jax
import numpy as np
from jaxtyping import Float

from mnnjax.config import UserError


def check_rho(rho: float) -> None:
    """rho is a finite number other than 1."""
    if isinstance(rho, jax.core.Tracer):
        return
    try:
        allowed = math.isfinite(rho) and rho != 1
    except TypeError:
        allowed = False
    if not allowed:
        raise UserError(f"rho: {rho!r} is not allowed; give a finite slope other than 1, such as 0 for the ReLU")


def check_array(name: str, value, shape: tuple[int | None, ...], why: str) -> None:
    """value has the shape (None: any size of at least 1) and, where values are known, finite entries."""
    try:
        found = np.shape(value)
    except ValueError as error:
        raise UserError(f"{name}: is not an array ({error}); {why}") from None
    fits = len(found) == len(shape) and all(f >= 1 if s is None else f == s for f, s in zip(found, shape, strict=True))
    if not fits:
        wanted = "(" + ", ".join("any" if s is None else str(s) for s in shape) + ")"
        raise UserError(f"{name}: has shape {found}, not {wanted}; {why}")
    if isinstance(value, jax.core.Tracer):
        return
    try:
        # Not np.float64 at once: it would drop imaginary parts with no more than a warning.
        numbers = np.asarray(value).astype(np.float64, casting="same_kind")
    except (TypeError, ValueError):
        raise UserError(f"{name}: of shape {found} holds entries that are not real numbers; convert them") from None
    if not np.isfinite(numbers).all():
        raise UserError(f"{name}: of shape {found} holds NaN or infinite entries; remove or replace them")


def check_points(X, y) -> tuple[Float[np.ndarray, "N d0"], Float[np.ndarray, " N"]]:
    """X (N, d0) and y (N,) in float64."""
    check_array("X", X, (None, None), "give one row a point")
    check_array("y", y, (np.shape(X)[0],), f"give one label for each row of X, which has shape {np.shape(X)}")
    return np.asarray(X, np.float64), np.asarray(y, np.float64)


def check_not_zero(X: Float[np.ndarray, "N d0"]) -> None:
    """No point is at the origin."""
    zero = np.flatnonzero(~X.any(axis=1))
    if zero.size:
        raise UserError(
            f"X: point {zero[0]} is zero, so that its neural inputs are and no region is differentiable; drop it"
        )


def check_pattern(A) -> None:
    """A (N, d1) has at most two values, and 1 among them if there are two."""
    check_array("A", A, (None, None), "a pattern has one row a point and one column a neuron")
    if not isinstance(A, jax.core.Tracer):
        values = np.unique(np.asarray(A, np.float64))
        if len(values) > 2 or (1.0 not in values and len(values) == 2):
            raise UserError(f"A: of shape {np.shape(A)} has entries other than rho and 1; use activation_pattern")
