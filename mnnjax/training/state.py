"""What a run is made of, whichever way the network is trained."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int


class TrainState(NamedTuple):
    """All that changes while one network trains; a checkpoint holds this and the number of epochs done."""

    params: Any
    opt_state: Any
    non_finite_epoch: Int[Array, ""]  # the first epoch whose loss overflowed or was NaN; -1: none


class Metrics(NamedTuple):
    """Of the last epoch of a chunk, before its step; with mini-batches, the mean over points of each batch's value
    before that batch's step."""

    mse: Float[Array, ""]
    mce: Float[Array, ""]


class Training(NamedTuple):
    """The functions that make up one run.

    draw(key, N) -> X (rows, d0), y (rows,): the data, the first N rows of which are points.
    init(key) -> TrainState: initial weights.
    run_epochs(state, key, X, y, N, first_epoch, epochs) -> TrainState, Metrics: `epochs` (static) further epochs.
    """

    draw: Callable
    init: Callable
    run_epochs: Callable
