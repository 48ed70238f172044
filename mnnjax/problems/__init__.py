"""Where the points X (N, d0) and labels y (N,) come from."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from mnnjax.config import Problem
from mnnjax.problems.gaussian import draw_inputs, random_labels, teacher_labels
from mnnjax.problems.images import digits
from mnnjax.problems.whitening import pca_whiten

__all__ = ["digits", "draw_inputs", "image_shape", "make_problem", "pca_whiten", "random_labels", "teacher_labels"]

Draw = Callable[[PRNGKeyArray, Array], tuple[Float[Array, "rows d0"], Float[Array, " rows"]]]


def image_shape(problem: Problem) -> tuple[int, int] | None:
    """(number of images, d0) where the inputs are images; None where they are drawn."""
    return digits()[0].shape if problem.inputs == "digits" else None


def make_problem(problem: Problem, rows: int, d0: int, rho: float, dtype) -> Draw:
    """The pure function draw(key, N) -> X (rows, d0), y (rows,) that draws one repetition's data.

    Only the first N <= rows rows are points, the rest are zero; they do not depend on `rows`. For images, a point is
    an image drawn without replacement. rho is the slope of the teacher's hidden units.
    """

    def draw(key, N):
        key_X, key_y = jax.random.split(key)
        if problem.inputs == "digits":
            images, classes = digits()
            order = jax.random.permutation(key_X, len(images))[:rows]
            X, y = jnp.asarray(images, dtype)[order], jnp.asarray(classes, dtype)[order]
        else:
            X = draw_inputs(key_X, problem.inputs, rows, d0, dtype)
        if problem.labels == "random":
            y = random_labels(key_y, rows, dtype)
        elif problem.labels == "teacher":
            y = teacher_labels(key_y, X, problem.teacher_units, rho)
        if problem.label_values == "plus_minus_one":
            y = 2 * y - 1
        is_point = jnp.arange(rows) < N
        return jnp.where(is_point[:, None], X, 0), jnp.where(is_point, y, 0)

    return draw
