"""Activation patterns: which region W lies in."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from mnnjax.arrays import AnyArray, check_first_layer, check_rho
from mnnjax.jax_setup import require_x64
from mnnjax.landscape._check import on_jax


def neural_inputs(W: Real[AnyArray, "d1 d0"], X: Real[AnyArray, "N d0"]) -> Float[Array, "N d1"]:
    """U = X W^T (N, d1), the neural inputs w_i . x(n) of section 1; W (d1, d0), X (N, d0).

    Computed in float64 also for other W and X, since the signs name the region. Works under jit and vmap. Raises
    ValueError for shapes that do not match, NaN or infinite entries, and where jax_enable_x64 is switched off."""
    require_x64()
    check_first_layer(W, X)
    return on_jax(X).astype(jnp.float64) @ on_jax(W).astype(jnp.float64).T


def activation_pattern(W: Real[AnyArray, "d1 d0"], X: Real[AnyArray, "N d0"], rho: float) -> Float[Array, "N d1"]:
    """A = a(W X) (N, d1), which names W's region (Definition 1): 1 where the neural input is positive, rho elsewhere.

    W (d1, d0), X (N, d0); rho: slope for negative neural inputs. At a neural input of zero a is undefined; this gives
    rho, the slope that autodiff takes. Works under jit and vmap. Raises as neural_inputs, and for rho = 1.

    Example:
      A = activation_pattern(W, X, rho=0.0)  # the ReLU: 1 where it is active, else 0
    """
    check_rho(rho)
    return jnp.where(neural_inputs(W, X) > 0, 1.0, jnp.asarray(rho, jnp.float64))
