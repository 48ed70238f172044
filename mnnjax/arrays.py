"""Checks of users' arrays and numbers. An error is one line: the argument, its shape, and what to give instead."""

import contextlib
import math
import operator

import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from mnnjax.errors import UserError, first_line, require

# An array of JAX or NumPy.
AnyArray = Array | np.ndarray

# What np.shape and np.asarray raise; RuntimeError: PyTorch, for tensors that require grad.
UNREADABLE = (RuntimeError, TypeError, ValueError)


def check_rho(rho: float) -> None:
    """Raise UserError unless rho is a finite number other than 1."""
    if isinstance(rho, Tracer):
        return
    try:
        allowed = math.isfinite(rho) and rho != 1
    except TypeError:
        allowed = False
    require(allowed, f"rho: {rho!r} is not allowed; give a finite slope other than 1, such as 0 for the ReLU")


def check_count(name: str, value, least: int = 1) -> int:
    """value as an int; UserError unless it is a whole number of at least `least`."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise UserError(f"{name}: {value!r} is not a whole number; give an int of at least {least}") from None
    require(number >= least, f"{name}: {number} is too small; give an int of at least {least}")
    return number


def check_array(name: str, value, shape: tuple[int | None, ...], why: str, hint: str = "") -> None:
    """Raise UserError unless value has the shape (None: any size of at least 1) and, outside jit, finite entries. The
    error ends in why, what to give; one about the shape also in hint, what may have gone wrong."""
    if value is None or isinstance(value, str):
        raise UserError(f"{name}: {value!r:.40} is not {'an array' if shape else 'a number'}; {why}")
    try:
        found = tuple(np.shape(value))
    except UNREADABLE as error:
        raise UserError(f"{name}: is not an array ({first_line(error)}); {why}") from None
    if not _fits(found, shape):
        wanted = str(tuple("any" if size is None else size for size in shape)).replace("'", "")
        empty = ", which is empty" if 0 in found else ""
        hint = _reshape_hint(name, value, found, shape) + hint
        raise UserError(f"{name}: has shape {found}, not {wanted}{empty}; {why}{hint}")
    if isinstance(value, Tracer):
        return
    try:
        array = np.asarray(value)
    except UNREADABLE as error:
        reason = first_line(error)
        cast = ".float()" if "bfloat16" in reason.lower() else ""
        raise UserError(f"{name}: cannot be read ({reason}); give {name}.detach().cpu(){cast}.numpy()") from None
    try:
        # Not np.float64(...): it would drop imaginary parts with only a warning.
        numbers = array.astype(np.float64, casting="same_kind")
    except (TypeError, ValueError):
        remedy = "convert them"
        with contextlib.suppress(TypeError, ValueError):
            if array.dtype.kind in "OSU" and array.astype(np.float64).size:
                remedy = f"give {name}.astype(float)"
        raise UserError(f"{name}: of shape {found} holds entries that are not real numbers; {remedy}") from None
    if not shape and not np.isfinite(numbers):
        raise UserError(f"{name}: {numbers} is not finite; {why}")
    if not np.isfinite(numbers).all():
        raise UserError(f"{name}: of shape {found} holds NaN or infinite entries; remove or replace them")


def _fits(found: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(found) == len(shape) and all(f >= 1 if s is None else f == s for f, s in zip(found, shape, strict=True))


def _reshape_hint(name: str, value, found: tuple[int, ...], shape: tuple[int | None, ...]) -> str:
    """', as y.ravel()' and the like: how an array of shape `found` gets the wanted shape; '' if that is not clear."""
    array = name if hasattr(value, "reshape") else f"np.array({name})"
    size = math.prod(found)
    ways = {
        0: [(f"float({name})", ())] if size == 1 else [],
        1: [(f"{array}.ravel()", (size,))] if sum(f != 1 for f in found) <= 1 else [],
        2: [
            (f"{array}.T", found[::-1] if len(found) == 2 else ()),
            (f"{array}[:, None]", (*found, 1) if len(found) == 1 else ()),
            (f"{array}[None]", (1, *found)),
            (f"{array}[0]", found[1:] if found[:1] == (1,) else ()),
            (f"{array}.reshape(len({name}), -1)", (found[0], size // found[0]) if len(found) > 2 and size else ()),
        ],
    }[len(shape)]
    fitting = [way for way, new_shape in ways if _fits(new_shape, shape)]
    return f", as {' or '.join(fitting[:2])}" if fitting else ""


def refuse_traced(**values) -> None:
    """Raise UserError if any of the values, given by name, is traced."""
    why = "is traced by JAX, and this function needs numbers; call it outside jit, vmap and grad"
    for name, value in values.items():
        require(not isinstance(value, Tracer), f"{name}: {why}")


def on_host(name: str, value, shape: tuple[int | None, ...], why: str, hint: str = "") -> Float[np.ndarray, "..."]:
    """value in float64, after check_array; UserError if it is traced."""
    refuse_traced(**{name: value})
    check_array(name, value, shape, why, hint)
    return np.asarray(value, np.float64)


def check_points(X, y) -> tuple[Float[np.ndarray, "N d0"], Float[np.ndarray, " N"]]:
    """X (N, d0) and y (N,) in float64; UserError unless they match."""
    X = on_host("X", X, (None, None), "give one row per point")
    hint = "; or X.T, if its columns are the points" if shape_of(y) == X.shape[1:] != X.shape[:1] else ""
    return X, on_host("y", y, X.shape[:1], f"give one label for each row of X {X.shape}", hint)


def check_first_layer(W, X) -> None:
    """Raise UserError unless W (d1, d0) matches X (N, d0); both may be traced."""
    check_array("X", X, (None, None), "give one row per point")
    N, d0 = np.shape(X)
    hint = {
        d0 + 1: "; if W ends in biases, X needs a column of ones: np.hstack([X, np.ones((len(X), 1))])",
        d0 - 1: "; if X ends in a column of ones, W needs the biases: np.hstack([W, b[:, None]])",
    }.get(shape_of(W)[1] if len(shape_of(W)) == 2 else None, "")
    check_array("W", W, (None, d0), f"give one row per neuron, as wide as X {(N, d0)}", hint)


def check_network(
    W, z, X, y, rho
) -> tuple[Float[np.ndarray, "d1 d0"], Float[np.ndarray, " d1"], Float[np.ndarray, "N d0"], Float[np.ndarray, " N"]]:
    """W (d1, d0), z (d1,), X (N, d0) and y (N,) in float64; UserError unless they match, are not traced, and rho is
    allowed."""
    refuse_traced(W=W, z=z, X=X, y=y, rho=rho)
    check_rho(rho)
    X, y = check_points(X, y)
    check_first_layer(W, X)
    W = np.asarray(W, np.float64)
    return W, on_host("z", z, W.shape[:1], f"give one entry for each row of W {W.shape}"), X, y


def shape_of(value) -> tuple[int, ...]:
    """The shape of any value, for hints; () where it has none."""
    try:
        return tuple(np.shape(value))
    except UNREADABLE:
        return ()
