"""Neural inputs and activation patterns: which region a weight matrix lies in (Definition 1)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import mnnjax.jax_setup  # noqa: F401
from mnnjax.landscape._check import check_array, check_rho


def neural_inputs(W: Float[Array, "d1 d0"], X: Float[Array, "N d0"]) -> Float[Array, "N d1"]:
    """U = X W^T (N, d1), the pre-activations w_i . x(n) of section 1; W (d1, d0), X (N, d0).

    Raises:
      ValueError: shapes that do not match, NaN or infinite entries.
    """
    check_array("X", X, (None, None), "give one row a point")
    check_array("W", W, (None, np.shape(X)[1]), "give one row a neuron, as wide as X")
    return jnp.asarray(X) @ jnp.asarray(W).T


def activation_pattern(W: Float[Array, "d1 d0"], X: Float[Array, "N d0"], rho: float) -> Float[Array, "N d1"]:
    """A = a(W X) (N, d1), which names the region of W (Definition 1): 1 where the neural input is positive, rho
    elsewhere.

    a is undefined at a neural input of exactly zero; this gives rho there, the slope that autodiff takes. Works under
    jit and vmap.

    Raises:
      ValueError: shapes that do not match, NaN or infinite entries, rho = 1.

    Example:
      A = activation_pattern(W, X, rho=0.0)  # the ReLU: 1 where it is active, 0 where not
    """
    check_rho(rho)
    return jnp.where(neural_inputs(W, X) > 0, 1.0, rho)
