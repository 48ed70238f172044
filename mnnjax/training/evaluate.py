"""What a trained network is measured by: in float64, whatever precision trained it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import mnnjax.jax_setup  # noqa: F401
from mnnjax import objective
from mnnjax.config import Network, Problem
from mnnjax.network import MNN


class Evaluation(NamedTuple):
    mse: Float[Array, ""]
    mce: Float[Array, ""]
    min_abs_neural_input: Float[Array, ""]  # min over points, units and hidden layers of |neural input|


def make_evaluation(problem: Problem, network: Network, hidden_layers: int, d1: int) -> Callable[..., Evaluation]:
    """The pure function evaluate(params, X, y, N) -> Evaluation in float64; only the first N rows of X are points."""
    module = MNN((d1,) * hidden_layers, network.rho, network.bias, network.init, jnp.float64)

    def evaluate(params, X, y, N) -> Evaluation:
        params, X, y = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (params, X, y))
        output, neural_inputs = module.apply({"params": params}, X, method=MNN.forward)
        is_point = jnp.arange(X.shape[0]) < N
        weights = is_point.astype(jnp.float64)
        smallest = [jnp.min(jnp.where(is_point[:, None], jnp.abs(U), jnp.inf)) for U in neural_inputs]
        return Evaluation(
            objective.mean_squared_error(output, y, weights),
            objective.mean_classification_error(output, y, problem.threshold, weights),
            jnp.min(jnp.stack(smallest)),
        )

    return evaluate
