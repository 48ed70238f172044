"""Training on points that the devices share: each holds some rows of X, all hold all parameters, gradients are summed.
Each block of rows (rows.py) draws its own order of rows for an epoch's mini-batches. So neither the points nor the
batches depend on the numbers of devices and processes, and the training curve depends on them by rounding only."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mnnjax import objective
from mnnjax.config import Network, Problem, Train
from mnnjax.jax_setup import Device
from mnnjax.network import MNN
from mnnjax.training.loop import descend, learning_rate, make_init
from mnnjax.training.optimizer import check_optimizer
from mnnjax.training.rows import AXIS, RowLayout, Rows, from_bits
from mnnjax.training.state import Metrics, TrainState, first_failure

# Bytes of the rows, in the precision of training, that a device multiplies at once.
PIECE_BYTES = 2**28


def pieces_of(rows: int, d0: int, itemsize: int) -> int:
    """The number of equal pieces in which a device multiplies rows of d0 numbers of itemsize bytes: the fewest of at
    most PIECE_BYTES, unless these are more than sixteen times as many as unequal ones."""
    least = -(-rows // max(PIECE_BYTES // (d0 * itemsize), 1))
    larger = max(k for k in range(1, least + 1) if rows % k == 0)
    return next((k for k in range(least, 16 * least + 1) if rows % k == 0), larger)


class ShardedTraining(NamedTuple):
    """The functions that train all seeds on the same rows; states and metrics have the seeds as leading axis.

    init(keys, params=None) -> TrainState: initial weights, one seed per key; params, with the seeds as leading axis
      too: start there instead of at random weights.
    run_epochs(state, batch_key, rows, first_epoch, epochs) -> TrainState, Metrics: `epochs` further epochs, after
      first_epoch of them; one key serves all epochs and seeds. Each value of `epochs` is compiled once.
    """

    init: Callable[..., TrainState]
    run_epochs: Callable[..., tuple[TrainState, Metrics]]


def make_row_training(
    problem: Problem, network: Network, train: Train, hidden_layers: int, d0: int, d1: int, N: int,
    devices: Sequence[Device],
) -> ShardedTraining:  # fmt: skip
    """Training on N points that lie on the devices (row_devices, place_rows); as in make_training, the sizes are the
    arguments. UserError from check_optimizer.

    Example:
        def block_of(block, points, device):
            yield X[points.start : points.stop], y[points.start : points.stop]

        problem, train = Problem(d0=(20,), N=(4000,), data_sets=1), Train(batch_size=1024, parallel="data")
        devices = row_devices(jax.devices())
        rows = place_rows(RowLayout(4000, 1024), 20, "float32", devices, block_of)
        training = make_row_training(problem, Network(), train, hidden_layers=1, d0=20, d1=200, N=4000, devices=devices)
        state = training.init(jax.random.split(jax.random.key(0), 5))  # of five seeds
        state, metrics = training.run_epochs(state, jax.random.key(1), rows, first_epoch=0, epochs=100)
    """
    check_optimizer(train)
    module = MNN((d1,) * hidden_layers, network.rho, network.bias, network.init, jnp.dtype(train.precision))
    epochs_on_device = make_device_epochs(module, problem.threshold, train, RowLayout(N, train.batch_size))
    on_all_devices = jax.pmap(
        epochs_on_device, AXIS, in_axes=(None, None, 0, None, None), out_axes=None, static_broadcasted_argnums=4,
        devices=devices,
    )  # fmt: skip

    def run_epochs(state, batch_key, rows: Rows, first_epoch: int, epochs: int):
        """See ShardedTraining."""
        return on_all_devices(state, batch_key, rows, first_epoch, epochs)

    return ShardedTraining(jax.jit(jax.vmap(make_init(module, train, d0))), run_epochs)


def make_device_epochs(module: MNN, threshold: float, train: Train, layout: RowLayout) -> Callable[..., Any]:
    """The pure function of one device: epochs_on_device(state, batch_key, rows, first_epoch, epochs). It is mapped over
    the devices as AXIS; the state has the seeds as leading axis and is the same on all devices."""
    dtype = module.dtype

    def step(params, opt_state, pieces, batch_points, rate):
        """One seed's step on a batch of batch_points over all devices; pieces: X, y, weights of this device's rows."""

        def piece_loss(params, piece):
            bits, y, weights = piece
            X = from_bits(bits).astype(dtype)
            output, _ = module.apply({"params": params}, X.T, method=MNN.by_columns)
            wrong = objective.misclassified(output, y, threshold).astype(dtype)
            squares = weights * (y - output) ** 2
            metrics = Metrics(jnp.sum(squares) / batch_points, jnp.sum(weights * wrong) / batch_points)
            if train.point_weights == "equal":
                return metrics.mse, metrics
            return jnp.sum(objective.inverse_square_norms(X) * squares) / batch_points, metrics

        params, opt_state, metrics = descend(train, _summed(piece_loss, pieces), params, opt_state, rate)
        share = batch_points / layout.N
        return params, opt_state, jax.tree.map(lambda m: share * m, metrics)

    def batches(key, rows: Rows, epoch):
        """batch(i) -> X, y, weights of the device's rows of the epoch's i-th batch."""
        blocks = rows.first_block + jnp.arange(rows.y.shape[0])
        X, y, weights = rows.X.reshape(-1, rows.X.shape[-1]), rows.y.reshape(-1), rows.weights.reshape(-1)
        if layout.steps == 1:
            return lambda i: (X, y, weights)
        epoch_key = jax.random.fold_in(key, epoch)
        keys = jax.vmap(lambda block: jax.random.fold_in(epoch_key, block))(blocks)
        order = jax.vmap(lambda k: jnp.argsort(jax.random.uniform(k, (layout.rows,))))(keys)
        places = order + layout.rows * jnp.arange(len(blocks))[:, None]

        def batch(i):
            start = (0, i * layout.batch_rows)
            chosen = jax.lax.dynamic_slice(places, start, (len(blocks), layout.batch_rows)).reshape(-1)
            return X[chosen], y[chosen], weights[chosen]

        return batch

    def epochs_on_device(state: TrainState, batch_key, rows: Rows, first_epoch, epochs: int):
        def one_epoch(state: TrainState, epoch):
            rate, batch = learning_rate(train, epoch), batches(batch_key, rows, epoch)

            def one_batch(carry, i):
                params, opt_state, sums = carry
                X, y, weights = batch(i)
                batch_points = jax.lax.psum(jnp.sum(weights), AXIS)
                number = pieces_of(X.shape[0], X.shape[1], dtype.itemsize)
                pieces = jax.tree.map(lambda leaf: leaf.reshape(number, -1, *leaf.shape[1:]), (X, y, weights))
                each = jax.vmap(lambda p, o: step(p, o, pieces, batch_points, rate))
                params, opt_state, metrics = each(params, opt_state)
                return (params, opt_state, jax.tree.map(jnp.add, sums, metrics)), None

            zero = jnp.zeros(state.non_finite_epoch.shape, dtype)
            start = (state.params, state.opt_state, Metrics(zero, zero))
            (params, opt_state, metrics), _ = jax.lax.scan(one_batch, start, jnp.arange(layout.steps))
            return TrainState(params, opt_state, first_failure(state.non_finite_epoch, metrics.mse, epoch)), metrics

        state, metrics = jax.lax.scan(one_epoch, state, first_epoch + jnp.arange(epochs))
        return state, jax.tree.map(lambda leaf: leaf[-1], metrics)

    return epochs_on_device


def _summed(piece_loss: Callable, pieces) -> Callable:
    """The loss and its count of errors, summed over the pieces (leading axis) and the devices, as is the gradient. The
    gradient is written out: autodiff of a sum over devices would count each term once per device, and that of a sum
    over pieces would keep the activations of all of them."""

    def over_pieces(of_piece):
        first = jax.tree.map(lambda leaf: leaf[0], pieces)
        if len(pieces[1]) == 1:
            return of_piece(first)
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(of_piece, first))

        def add(sums, piece):
            return jax.tree.map(jnp.add, sums, of_piece(piece)), None

        return jax.lax.scan(add, nothing, pieces)[0]

    @jax.custom_vjp
    def loss(params):
        return jax.lax.psum(over_pieces(lambda piece: piece_loss(params, piece)), AXIS)

    def forward(params):
        return jax.lax.psum(over_pieces(lambda part: jax.value_and_grad(piece_loss, has_aux=True)(params, part)), AXIS)

    def backward(gradient, cotangents):
        return (jax.tree.map(lambda leaf: cotangents[0] * leaf, gradient),)

    loss.defvjp(forward, backward)
    return loss
