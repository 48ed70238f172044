"""Where the points X (N, d0) and labels y (N,) come from: drawn (make_problem), or images that are read and whitened
(open_images, fit_whitening, draw_images)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mnnjax.config import Problem
from mnnjax.problems.gaussian import draw_inputs, random_labels, teacher_labels
from mnnjax.problems.images import Images, draw_images, nominal_shape, open_images
from mnnjax.problems.whitening import Whitening, fit_whitening

__all__ = [
    "Images", "Whitening", "draw_images", "draw_inputs", "fit_whitening", "make_problem", "nominal_shape",
    "open_images", "random_labels", "teacher_labels",
]  # fmt: skip

Draw = Callable[..., tuple[Float[Array, "rows d0"], Float[Array, " rows"]]]


def make_problem(problem: Problem, rows: int, d0: int, rho: float, dtype: DTypeLike) -> Draw:
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
