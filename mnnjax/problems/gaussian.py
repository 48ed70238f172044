"""Problems that are drawn: near-isotropic inputs, and random or teacher's labels (Assumptions 1 and 5). Draws of more
rows begin with those of fewer rows from the same key (JAX's partitionable Threefry), so padding changes no point."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray, Real

import mnnjax.jax_setup  # noqa: F401
from mnnjax.arrays import AnyArray
from mnnjax.config import Problem
from mnnjax.network import leaky_relu


def draw_inputs(key: PRNGKeyArray, kind: str, N: int, d0: int, dtype: DTypeLike) -> Float[Array, "N d0"]:
    """X (N, d0) with independent rows; ValueError for another kind than "gaussian" (Assumption 1), "sphere" (uniform on
    the sphere of radius sqrt(d0)), "rademacher" (+1 or -1), all of covariance identity, or "uniform" (on [0, 1]^d0)."""
    if kind == "rademacher":
        return jax.random.rademacher(key, (N, d0), dtype)
    if kind == "uniform":
        return jax.random.uniform(key, (N, d0), dtype)
    X = jax.random.normal(key, (N, d0), dtype)
    if kind == "gaussian":
        return X
    if kind == "sphere":
        return X * (jnp.sqrt(jnp.asarray(d0, dtype)) / jnp.linalg.norm(X, axis=1, keepdims=True))
    raise ValueError(f"kind: {kind!r} is none of 'gaussian', 'sphere', 'rademacher', 'uniform'")


def random_labels(key: PRNGKeyArray, N: int, dtype: DTypeLike) -> Real[Array, " N"]:
    """y (N,) in {0, 1}, each with probability 1/2."""
    return jax.random.bernoulli(key, 0.5, (N,)).astype(dtype)


def teacher_labels(key: PRNGKeyArray, X: Float[AnyArray, "N d0"], units: int, rho: float) -> Float[Array, " N"]:
    """y (N,) in {0, 1}: whether a random network with `units` hidden units, independent of X, has a positive output
    (Assumption 5). Rows of its first layer and moduli of its second are standard normal; the signs of the second
    alternate, so that neither class is empty for most teachers."""
    key_W, key_z = jax.random.split(key)
    W = jax.random.normal(key_W, (units, X.shape[1]), X.dtype)
    z = jnp.abs(jax.random.normal(key_z, (units,), X.dtype)) * (-1) ** jnp.arange(units)
    return (leaky_relu(X @ W.T, rho) @ z > 0).astype(X.dtype)


def make_problem(problem: Problem, rows: int, d0: int, rho: float, dtype: DTypeLike) -> Callable:
    """The pure function draw(key, N, teacher_key=None) -> X (rows, d0), y (rows,) that draws one repetition's data.

    The first N <= rows rows are points, which do not depend on `rows`; the others are zero. Of the problem the kinds of
    inputs and labels count, not d0 and N. rho is the slope of the teacher's hidden units; teacher_key, for parts of
    one problem, is the teacher's own key. draw raises ValueError for images, which are read (draw_images).

    Example:
        draw = make_problem(Problem(d0=(20,), N=(200,)), rows=200, d0=20, rho=0.0, dtype=jnp.float32)
        X, y = draw(jax.random.key(0), 200)
    """

    def draw(key, N, teacher_key=None):
        if problem.is_image:
            raise ValueError(f"problem: {problem.inputs} are images; read them with draw_images")
        key_X, key_y = jax.random.split(key)
        X = draw_inputs(key_X, problem.inputs, rows, d0, dtype)
        if problem.labels == "random":
            y = random_labels(key_y, rows, dtype)
        else:
            y = teacher_labels(key_y if teacher_key is None else teacher_key, X, problem.teacher_units, rho)
        y = problem.labels_of(y)
        is_point = jnp.arange(rows) < N
        return jnp.where(is_point[:, None], X, 0), jnp.where(is_point, y, 0)

    return draw
