"""What a trained network is measured by: in float64, whatever precision trained it."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import mnnjax.jax_setup  # noqa: F401
from mnnjax import objective
from mnnjax.config import Network, Problem
from mnnjax.network import MNN, leaky_relu


class Evaluation(NamedTuple):
    mse: Float[Array, ""]
    mce: Float[Array, ""]
    min_abs_neural_input: Float[Array, ""]  # min over points, units and hidden layers of |neural input|
    first_order_residual: Float[Array, ""]  # |(A o X) e| / N (eq 3.2), of the last hidden layer and its inputs X


class Sums(NamedTuple):
    """Of some of the points; those of all points are their sums, and the smallest of `smallest`."""

    squares: Float[Array, ""]
    wrong: Float[Array, ""]
    smallest: Float[Array, ""]
    stationarity: Float[Array, "d1 inputs"]
    """(A o X) e, one row a neuron of the last hidden layer; with biases the last input is the constant 1."""


def make_sums(problem: Problem, network: Network, hidden_layers: int, d1: int) -> Callable[..., Sums]:
    """The pure function sums(params, X, y, weights) -> Sums in float64; weights (N,): 1 for points, 0 for padding."""
    module = MNN((d1,) * hidden_layers, network.rho, network.bias, network.init, jnp.float64)

    def sums(params, X, y, weights) -> Sums:
        params, X, y, weights = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (params, X, y, weights))
        output, neural_inputs = module.apply({"params": params}, X, method=MNN.forward)
        is_point = weights > 0
        smallest = [jnp.min(jnp.where(is_point[:, None], jnp.abs(U), jnp.inf)) for U in neural_inputs]
        h = X
        for U in neural_inputs[:-1]:
            h = leaky_relu(U, network.rho)
        if network.bias:
            h = jnp.hstack([h, jnp.ones((h.shape[0], 1))])
        A = jnp.where(neural_inputs[-1] > 0, 1.0, network.rho)
        # Not weights * e: a padding row may hold what is no number.
        e = jnp.where(is_point, y - output, 0)
        wrong = objective.misclassified(output, y, problem.threshold)
        return Sums(
            jnp.sum(e**2),
            jnp.sum(jnp.where(is_point, wrong, 0), dtype=jnp.float64),
            jnp.min(jnp.stack(smallest)),
            (A * e[:, None]).T @ h,
        )

    return sums


def add_sums(a: Sums, b: Sums) -> Sums:
    """The sums of the points of both."""
    added = jax.tree.map(lambda x, y: x + y, a, b)
    return added._replace(smallest=jnp.minimum(a.smallest, b.smallest))


def from_sums(sums: Sums, N) -> Evaluation:
    """The evaluation of N points from their sums; leading axes stay."""
    size = jnp.sqrt(jnp.sum(jnp.square(sums.stationarity), axis=(-2, -1)))
    return Evaluation(sums.squares / N, sums.wrong / N, sums.smallest, size / N)


def make_evaluation(problem: Problem, network: Network, hidden_layers: int, d1: int) -> Callable[..., Evaluation]:
    """The pure function evaluate(params, X, y, N) -> Evaluation in float64; only the first N rows of X are points."""
    sums = make_sums(problem, network, hidden_layers, d1)

    def evaluate(params, X, y, N) -> Evaluation:
        return from_sums(sums(params, X, y, (jnp.arange(X.shape[0]) < N).astype(jnp.float64)), N)

    return evaluate


def make_stream(problem: Problem, network: Network, hidden_layers: int, d1: int) -> Callable[..., tuple[Sums, float]]:
    """The function stream(params, parts) -> (Sums, N) of all seeds (leading axis of params, and of the sums) and the
    number of points; from_sums makes an Evaluation of them.

    parts: (X, y, weights) of some points each, which are looked at one after the other and let go; all seeds have the
    same points. Work goes to this process's CPU devices in turn, for only they have float64 everywhere.
    """
    sums = jax.jit(jax.vmap(make_sums(problem, network, hidden_layers, d1), in_axes=(0, None, None, None)))
    add = jax.jit(add_sums)

    def stream(params, parts) -> tuple[Sums, float]:
        devices = jax.local_devices(backend="cpu")
        own_params = [jax.device_put(params, device) for device in devices]
        totals: list[Sums | None] = [None] * len(devices)
        N = 0.0
        for number, (X, y, weights) in enumerate(parts):
            k = number % len(devices)
            N += float(np.sum(weights))
            # A device has one part at a time.
            jax.block_until_ready(totals[k])
            found = sums(own_params[k], *jax.device_put((X, y, weights), devices[k]))
            totals[k] = found if totals[k] is None else add(totals[k], found)
        found = [jax.device_get(total) for total in totals if total is not None]
        return jax.device_get(functools.reduce(add_sums, found)), N

    return stream
