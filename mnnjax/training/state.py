"""What every way of training has in common."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

import mnnjax.jax_setup  # noqa: F401


class TrainState(NamedTuple):
    """All that changes while one network trains; a checkpoint holds this and the number of epochs done. To start from
    your own weights call init(key, params). Do not replace params here: levenberg_marquardt continues from the point in
    opt_state."""

    params: dict[str, Array]
    """Named as in network.MNN: {"W1": (d1, d0), ["W2": (d1, d1), ...] "z": (d1,)}, W with one row per neuron, as in
    torch.nn.Linear; with biases also "b1": (d1,), ["b2": (d1,), ...] and "c": ()."""
    opt_state: Any
    """The state of the Optax optimizer, or a LevenbergMarquardtState."""
    non_finite_epoch: Int[Array, ""]
    """The first epoch with a loss that overflowed or was NaN; -1: none."""


class Metrics(NamedTuple):
    """The loss of the last epoch of a chunk before its step (levenberg_marquardt: after it), in the precision of
    training. With mini-batches: the mean over points of each batch's value before that batch's step."""

    mse: Float[Array, ""]
    mce: Float[Array, ""]
    """A fraction in [0, 1]."""


class Training(NamedTuple):
    """The functions that make up one run.

    draw(key, N) -> X (rows, d0), y (rows,): the data, the first N rows of which are points.
    init(key, params=None) -> TrainState: the given initial weights, or random ones.
    run_epochs(state, key, X, y, N, first_epoch, epochs) -> TrainState, Metrics: `epochs` (static) further epochs, after
      first_epoch of them; one key serves all calls. The learning rate's schedule ends at train.total_epochs.
    """

    draw: Callable
    init: Callable
    run_epochs: Callable


def first_failure(
    before: Int[Array, "*seeds"], mse: Float[Array, "*seeds"], epoch: int | Int[Array, ""]
) -> Int[Array, "*seeds"]:
    """TrainState.non_finite_epoch after an epoch of this MSE."""
    return jnp.where((before < 0) & ~jnp.isfinite(mse), epoch, before).astype(jnp.int32)
