"""Residual, mean squared error (eq 2.3) and mean classification error (MCE), over rows that may carry weight zero."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Real

import mnnjax.jax_setup  # noqa: F401


def mean_squared_error(
    output: Float[Array, " N"], y: Float[Array, " N"], weights: Real[Array, " N"] | None = None
) -> Float[Array, ""]:
    """|e|^2 / N with the residual e = y - output (eq 2.3).

    weights (N,), 0 or 1, say which rows are points; the others are padding and N is the sum of the weights.
    """
    squares = (y - output) ** 2
    return jnp.mean(squares) if weights is None else jnp.sum(weights * squares) / jnp.sum(weights)


def misclassified(output: Float[Array, " N"], y: Float[Array, " N"], threshold: float) -> Bool[Array, " N"]:
    """Which points fall on the wrong side of the threshold; an output at the threshold is of the lower class, and a
    NaN output is always wrong."""
    return ((output > threshold) != (y > threshold)) | jnp.isnan(output)


def default_threshold(y: Real[np.ndarray, " N"]) -> float:
    """The threshold between the two labels where none is given: 0 where a label is -1, else 0.5."""
    return 0.0 if (y == -1).any() else 0.5


def mean_classification_error(
    output: Float[Array, " N"], y: Float[Array, " N"], threshold: float, weights: Real[Array, " N"] | None = None
) -> Float[Array, ""]:
    """The fraction of points misclassified (MCE), in [0, 1]; weights as in mean_squared_error."""
    wrong = misclassified(output, y, threshold).astype(output.dtype)
    return jnp.mean(wrong) if weights is None else jnp.sum(weights * wrong) / jnp.sum(weights)
