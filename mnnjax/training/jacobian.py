"""The Jacobian J = dF/dw (N, parameters) of the outputs F in all weights of an MNN, as Khatri-Rao products.

J is never formed: the weights of layer l move the outputs through (B_l o h_{l-1}), with h_{l-1} the layer's inputs and
B_l the derivatives of the outputs in its neural inputs. The Gram matrix of a Khatri-Rao product is elementwise
(section 1):

    J J^T = sum_l (B_l B_l^T) * (h_{l-1} h_{l-1}^T) + h_L h_L^T,

for one hidden layer (A diag(z^2) A^T) * (X X^T) + H H^T; a bias adds 1 to the second factor. Columns are points, as in
MNN.by_columns. Nothing is raised here.
"""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mnnjax.arrays import AnyArray
from mnnjax.network import leaky_relu


class Factor(NamedTuple):
    """The part of J that belongs to one layer's weights, one row per point: B[:, n] kron h[:, n]; its bias: B[:, n]."""

    B: Float[Array, "d1 N"]
    h: Float[Array, "d0 N"]
    bias: bool  # whether the layer has one


def factors(params: dict, columns: Float[Array, "d0 N"], neural_inputs: list, rho: float) -> list[Factor]:
    """J as Khatri-Rao products: one for each hidden layer and, with B = 1, one for the output layer. params, and
    neural_inputs (d1, N) of every hidden layer on the columns, are those of MNN.by_columns."""
    inputs = [columns, *(leaky_relu(U, rho) for U in neural_inputs)]
    B = params["z"][:, None]
    result = [Factor(jnp.ones_like(columns[:1]), inputs[-1], "c" in params)]
    for layer in range(len(neural_inputs), 0, -1):
        U = neural_inputs[layer - 1]
        B = jnp.where(U > 0, 1.0, rho).astype(U.dtype) * B
        result.insert(0, Factor(B, inputs[layer - 1], f"b{layer}" in params))
        B = params[f"W{layer}"].T @ B
    return result


def gram(a: Float[Array, "d N"]) -> Float[Array, "N N"]:
    """a^T a. The barrier keeps XLA from folding the transposition into the product, which takes twice the time."""
    return jax.lax.optimization_barrier(a.T) @ a


def data_gram(parts: list[Factor], input_gram: Float[Array, "N N"]) -> Float[Array, "N N"]:
    """J J^T (N, N); input_gram is that of the columns."""
    inputs = [input_gram, *(gram(part.h) for part in parts[1:])]
    hidden = sum(gram(B) * (inner + float(bias)) for (B, _, bias), inner in zip(parts[:-1], inputs[:-1], strict=True))
    return hidden + inputs[-1] + float(parts[-1].bias)


def data_gram_diagonal(parts: list[Factor]) -> Float[Array, " N"]:
    """The diagonal of J J^T (N,), without the rest of it."""
    terms = (jnp.sum(B**2, axis=0) * (jnp.sum(h**2, axis=0) + float(bias)) for B, h, bias in parts)
    return cast(Array, sum(terms))


def point_weights(
    params: dict, columns: Float[AnyArray, "d0 N"], neural_inputs: Any, rho: float, exponent: float
) -> Float[Array, " N"]:
    """The weights (d0 |z|^2 / (2 (J J^T)_nn))^exponent (N,) of the points' squares in the loss, constants for autodiff.
    They are 0 where the gradient of point n's output is zero. exponent: above 0; other arguments as in `factors`.

    (J J^T)_nn, of the neural tangent kernel, is the squared norm of that gradient. It is small where |x(n)| is small
    and where few units are active, so that such points are fitted last. Under gradient flow
    de/dt = -2 J J^T diag(weights) e / N. With exponent 1 a residual's own rate is the same for all points. With 1/2
    each point pulls at the weights with the same force, per unit of its residual. The factor makes the weights about 1
    for whitened points at the start. Source: ours."""
    params, columns, neural_inputs = jax.lax.stop_gradient((params, jnp.asarray(columns), neural_inputs))
    diagonal = data_gram_diagonal(factors(params, columns, neural_inputs, rho))
    scale = len(columns) / 2 * jnp.sum(jnp.square(params["z"]))
    return jnp.where(diagonal > 0, scale / jnp.where(diagonal > 0, diagonal, 1), 0) ** exponent
