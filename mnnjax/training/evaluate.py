"""What a trained network is measured by: in float64, whatever precision trained it. All functions raise UserError while
jax_enable_x64 is off."""

import collections
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from mnnjax import objective
from mnnjax.config import Network, Problem
from mnnjax.jax_setup import require_x64
from mnnjax.network import MNN, leaky_relu


class Evaluation(NamedTuple):
    """The measures of a network on N points, in float64; for several networks, each field has them as leading axis."""

    mse: Float[Array, ""]
    """|e|^2 / N (eq 2.3)."""
    mce: Float[Array, ""]
    """The fraction of points that are misclassified, in [0, 1]."""
    min_abs_neural_input: Float[Array, ""]
    """The minimum over points, units and hidden layers of |neural input| (Figure 5.2)."""
    first_order_residual: Float[Array, ""]
    """|(A o X) e| / N (eq 3.2), for the last hidden layer and its inputs X."""


class Sums(NamedTuple):
    """What an Evaluation is made of, over a part of the points (add_sums, from_sums): the sum of |e|^2, the number of
    misclassified points, the smallest |neural input|, and (A o X) e, one row per neuron of the last hidden layer; with
    biases the last input is the constant 1."""

    squares: Float[Array, ""]
    wrong: Float[Array, ""]
    smallest: Float[Array, ""]
    stationarity: Float[Array, "d1 inputs"]


def make_sums(problem: Problem, network: Network, hidden_layers: int, d1: int) -> Callable[..., Sums]:
    """The pure function sums(params, X, y, weights) -> Sums in float64, over the rows of X (rows, d0) and y (rows,)
    with weight 1; padding has weight 0."""
    module = MNN((d1,) * hidden_layers, network.rho, network.bias, network.init, jnp.float64)

    def sums(params, X, y, weights) -> Sums:
        require_x64()
        params, X, y, weights = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (params, X, y, weights))
        found = module.apply({"params": params}, X, method=MNN.forward)
        output, neural_inputs = cast(tuple[Array, list[Array]], found)
        is_point = weights > 0
        smallest = [jnp.min(jnp.where(is_point[:, None], jnp.abs(U), jnp.inf)) for U in neural_inputs]
        h = X
        for U in neural_inputs[:-1]:
            h = leaky_relu(U, network.rho)
        if network.bias:
            h = jnp.hstack([h, jnp.ones((h.shape[0], 1))])
        A = jnp.where(neural_inputs[-1] > 0, 1.0, network.rho)
        # Not weights * e: a padding row may hold NaN.
        e = jnp.where(is_point, y - output, 0)
        wrong = objective.misclassified(output, y, problem.threshold)
        return Sums(
            squares=jnp.sum(e**2),
            wrong=jnp.sum(jnp.where(is_point, wrong, 0), dtype=jnp.float64),
            smallest=jnp.min(jnp.stack(smallest)),
            stationarity=(A * e[:, None]).T @ h,
        )

    return sums


def add_sums(a: Sums, b: Sums) -> Sums:
    """The sums over the points of both, with any leading axes."""
    # Seeds that overflowed may have infinities of both signs.
    with np.errstate(all="ignore"):
        added = jax.tree.map(lambda x, y: x + y, a, b)
    return added._replace(smallest=np.minimum(a.smallest, b.smallest))


def add_in_halves(sums: Iterable[Sums]) -> Sums:
    """add_sums of 2^k sums: of their halves, of halves of these, and so on. So those who add up 2^j of them in a row,
    and then what each has, get the same to the last bit, however many they are."""
    waiting: list[Sums] = []
    for number, total in enumerate(sums):
        # As a binary counter carries.
        while number % 2:
            total, number = add_sums(waiting.pop(), total), number // 2
        waiting.append(total)
    (whole,) = waiting
    return whole


def from_sums(sums: Sums, N: float | Real[Array, "..."]) -> Evaluation:
    """The evaluation of N points (a number, or one per network) from their sums, with any leading axes."""
    size = jnp.sqrt(jnp.sum(jnp.square(sums.stationarity), axis=(-2, -1)))
    return Evaluation(sums.squares / N, sums.wrong / N, sums.smallest, size / N)


def make_evaluation(problem: Problem, network: Network, hidden_layers: int, d1: int) -> Callable[..., Evaluation]:
    """The pure function evaluate(params, X, y, N) -> Evaluation, of one network in float64.

    params are those of network.MNN with `hidden_layers` layers of width d1, in any precision; only the first N rows of
    X (rows, d0) and y (rows,) are points. Of the problem only the label values count.

    Example:
        evaluate = jax.jit(make_evaluation(Problem(d0=(20,), N=(200,)), Network(), hidden_layers=1, d1=20))
        evaluate({"W1": W, "z": z}, X, y, 200).mce
    """
    sums = make_sums(problem, network, hidden_layers, d1)

    def evaluate(params, X, y, N) -> Evaluation:
        """The Evaluation of the network params (as in TrainState) on the first N rows of X (rows, d0) and y (rows,)."""
        return from_sums(sums(params, X, y, jnp.arange(X.shape[0]) < N), N)

    return evaluate


@functools.lru_cache(maxsize=4)
def make_stream(problem: Problem, network: Network, hidden_layers: int, d1: int) -> Callable[..., Iterator[Sums]]:
    """The function stream(params, parts) that yields the Sums of each part, in turn, of all seeds (leading axis of
    params and sums). add_sums adds them up, and from_sums makes an Evaluation of the total. It is cached, with its
    compiled programs.

    parts: at least one (X, y, weights): X (rows, d0), y (rows,), and weights (rows,), 1 for points and 0 for padding.
    They are taken one by one and released; all seeds have the same points. Work goes to this process's CPU devices in
    turn, since only they have float64 everywhere.

    Example:
        stream = make_stream(problem, network, hidden_layers=1, d1=20)
        total = functools.reduce(add_sums, stream(params, [(X, y, np.ones(len(X)))]))
        from_sums(total, len(X)).mce  # (seeds,)
    """
    sums = jax.jit(jax.vmap(make_sums(problem, network, hidden_layers, d1), in_axes=(0, None, None, None)))

    def stream(params, parts) -> Iterator[Sums]:
        devices = jax.local_devices(backend="cpu")
        params_on = [jax.device_put(params, device) for device in devices]
        computing: collections.deque[Sums] = collections.deque()
        for number, part in enumerate(parts):
            # A device has one part at a time.
            if len(computing) == len(devices):
                yield jax.device_get(computing.popleft())
            k = number % len(devices)
            computing.append(sums(params_on[k], *jax.device_put(part, devices[k])))
        yield from map(jax.device_get, computing)

    return stream
