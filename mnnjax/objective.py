"""The residual, mean squared error (eq 2.3) and mean classification error (MCE, a fraction in [0, 1]), over rows that
may carry weight zero. Nothing is raised here: shapes are for JAX to check."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

import mnnjax.jax_setup  # noqa: F401
from mnnjax.arrays import AnyArray


def mean_squared_error(
    output: Float[AnyArray, " N"], y: Float[AnyArray, " N"], weights: Real[AnyArray, " N"] | None = None
) -> Float[Array, ""]:
    """|e|^2 / N with the residual e = y - output (eq 2.3); output (N,), y (N,). weights (N,), 0 or 1, say which rows
    are points; the others are padding and N is the sum of the weights."""
    squares = (y - output) ** 2
    return jnp.mean(squares) if weights is None else jnp.sum(weights * squares) / jnp.sum(weights)


def misclassified(output: Float[AnyArray, " N"], y: Float[AnyArray, " N"], threshold: float) -> Bool[Array, " N"]:
    """Which points (N,) fall on the wrong side of the threshold (section 1: 0.5 for labels 0 and 1, 0 for -1 and +1).
    An output at the threshold is of the lower class, and a NaN output is always wrong."""
    return ((output > threshold) != (y > threshold)) | jnp.isnan(output)


def default_threshold(y: Real[AnyArray, " N"]) -> float | Float[Array, ""]:
    """The threshold of the MCE where none is given (section 1): 0 where a label of y (N,) is -1, else 0.5."""
    return 0.5 * (y != -1).all()


def mean_classification_error(
    output: Float[AnyArray, " N"], y: Float[AnyArray, " N"], threshold: float,
    weights: Real[AnyArray, " N"] | None = None,
) -> Float[Array, ""]:  # fmt: skip
    """The fraction of points misclassified (MCE, section 1), in [0, 1]; weights as in mean_squared_error.

    Example:
      mean_classification_error(jnp.array([0.9, 0.2, 0.1]), jnp.array([1.0, 1.0, 0.0]), threshold=0.5)  # 1/3
    """
    wrong = misclassified(output, y, threshold).astype(output.dtype)
    return jnp.mean(wrong) if weights is None else jnp.sum(weights * wrong) / jnp.sum(weights)
