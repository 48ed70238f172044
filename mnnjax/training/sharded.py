"""Training on points that the devices share: each holds some rows of X, all hold all parameters, gradients are summed.
Each block of rows (rows.py) draws its own order of rows for an epoch's mini-batches. So neither the points nor the
batches depend on the numbers of devices and processes, and the training curve depends on them by rounding only."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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
    map_over = _map_reproducibly if train.reproducible else _map
    on_all_devices = map_over(epochs_on_device, devices)

    def run_epochs(state, batch_key, rows: Rows, first_epoch: int, epochs: int):
        """See ShardedTraining."""
        return on_all_devices(state, batch_key, rows, first_epoch, epochs)

    return ShardedTraining(jax.jit(jax.vmap(make_init(module, train, d0))), run_epochs)


def _map(epochs_on_device: Callable, devices: Sequence[Device]) -> Callable:
    """run_epochs of a ShardedTraining."""
    return jax.pmap(
        epochs_on_device, AXIS, in_axes=(None, None, 0, None, None), out_axes=None, static_broadcasted_argnums=4,
        devices=devices,
    )  # fmt: skip


def _map_reproducibly(epochs_on_device: Callable, devices: Sequence[Device]) -> Callable:
    """The same, as a program that rounds alike on one device and on several. pmap is this without the option."""
    mesh = jax.sharding.Mesh(np.asarray(devices), (AXIS,))
    everywhere, by_device = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(AXIS)

    # XLA eliminates common subexpressions early in programs for several devices, and late in those for one. In between
    # it makes a quotient by x a product with 1/x where nothing else uses x.
    @functools.partial(jax.jit, static_argnums=4, compiler_options={"xla_disable_hlo_passes": "cse"})
    def mapped(state, batch_key, rows, first_epoch, epochs):
        def on_device(state, batch_key, rows, first_epoch):
            return epochs_on_device(state, batch_key, jax.tree.map(lambda leaf: leaf[0], rows), first_epoch, epochs)

        specs = (everywhere, everywhere, by_device, everywhere)
        on_devices = jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=everywhere, check_vma=False)
        return on_devices(state, batch_key, rows, first_epoch)

    def run_epochs(state, batch_key, rows, first_epoch, epochs):
        state, batch_key = jax.device_put((state, batch_key), jax.sharding.NamedSharding(mesh, everywhere))
        return mapped(state, batch_key, rows, first_epoch, epochs)

    return run_epochs


def make_device_epochs(module: MNN, threshold: float, train: Train, layout: RowLayout) -> Callable[..., Any]:
    """The pure function of one device: epochs_on_device(state, batch_key, rows, first_epoch, epochs). It is mapped over
    the devices as AXIS; the state has the seeds as leading axis and is the same on all devices."""
    dtype = module.dtype

    def step(params, opt_state, pieces, points, rate):
        """One seed's step on a batch of so many points over all devices; pieces: X, y, weights of this device's
        rows."""
        batch_points = points.astype(dtype)

        def piece_loss(params, piece):
            bits, y, weights = piece
            output, _ = module.apply({"params": params}, from_bits(bits).astype(dtype).T, method=MNN.by_columns)
            wrong = objective.misclassified(output, y, threshold).astype(dtype)
            return jnp.sum(weights * (y - output) ** 2) / batch_points, jnp.sum(weights * wrong) / batch_points

        params, opt_state, metrics = descend(
            train, _summed(piece_loss, pieces, points, train.reproducible), params, opt_state, rate
        )
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
                # As integers, whose sum is exact in any order.
                points = jax.lax.psum(jnp.sum(weights.astype(jnp.int32)), AXIS)
                groups = len(rows.y) if train.reproducible else 1
                number = pieces_of(len(X) // groups, X.shape[1], dtype.itemsize)
                pieces = jax.tree.map(lambda leaf: leaf.reshape(groups, number, -1, *leaf.shape[1:]), (X, y, weights))
                each = jax.vmap(lambda p, o: step(p, o, pieces, points, rate))
                params, opt_state, metrics = each(params, opt_state)
                return (params, opt_state, jax.tree.map(jnp.add, sums, metrics)), None

            zero = jnp.zeros(state.non_finite_epoch.shape, dtype)
            start = (state.params, state.opt_state, Metrics(zero, zero))
            (params, opt_state, metrics), _ = jax.lax.scan(one_batch, start, jnp.arange(layout.steps))
            return TrainState(params, opt_state, first_failure(state.non_finite_epoch, metrics.mse, epoch)), metrics

        state, metrics = jax.lax.scan(one_epoch, state, first_epoch + jnp.arange(epochs))
        return state, jax.tree.map(lambda leaf: leaf[-1], metrics)

    return epochs_on_device


def _summed(piece_loss: Callable, pieces, points, reproducible: bool) -> Callable:
    """The loss and its count of errors, summed over the pieces and the devices, as is the gradient. pieces: their first
    axis is that of groups, which are summed as a binary tree if reproducible; else there is one group. The gradient is
    written out: autodiff of a sum over devices would count each term once per device, and that of a sum over pieces
    would keep the activations of all of them."""

    def over_group(of_piece, group):
        first = jax.tree.map(lambda leaf: leaf[0], group)
        if len(group[1]) == 1:
            return of_piece(first)

        def add(sums, piece):
            return _added(sums, of_piece(piece)), None

        return jax.lax.scan(add, _zeros(of_piece, first), group)[0]

    def over_devices(of_piece):
        if reproducible:
            return _tree_sum(lambda group: over_group(of_piece, group), pieces, points)
        return jax.lax.psum(over_group(of_piece, jax.tree.map(lambda leaf: leaf[0], pieces)), AXIS)

    @jax.custom_vjp
    def loss(params):
        return over_devices(lambda piece: piece_loss(params, piece))

    def forward(params):
        return over_devices(lambda piece: jax.value_and_grad(piece_loss, has_aux=True)(params, piece))

    def backward(gradient, cotangents):
        return (jax.tree.map(lambda leaf: cotangents[0] * leaf, gradient),)

    loss.defvjp(forward, backward)
    return loss


def _tree_sum(of_group: Callable, groups, points):
    """The sum of of_group over the leading axis of groups and over the devices, 2^k each: of halves of halves, down to
    single groups, so that neither the order of additions nor any shape depends on the number of devices. points: their
    number in all groups, an integer."""
    # XLA must not fuse a group, or what is made of the total, with what differs between numbers of devices: it would
    # round otherwise. It does not fuse across loops whose number of rounds it cannot know.
    none = jnp.minimum(points, 0)
    count = len(groups[1])
    waiting = jax.tree.map(
        lambda leaf: jnp.zeros((count.bit_length(), *leaf.shape), leaf.dtype),
        jax.eval_shape(of_group, jax.tree.map(lambda leaf: leaf[0], groups)),
    )

    def add(number, waiting):
        """waiting: at index k, a sum of 2^k groups that waits for that of the next 2^k, as in a binary counter."""

        def join(carry):
            level, total = carry
            return level + 1, _added(jax.tree.map(lambda leaf: leaf[level], waiting), total)

        group = jax.tree.map(lambda leaf: leaf[number], groups)
        level, total = jax.lax.while_loop(lambda carry: (number >> carry[0]) % 2 == 1, join, (0, of_group(group)))
        return jax.tree.map(lambda leaf, sums: leaf.at[level].set(sums), waiting, total)

    total = jax.tree.map(lambda leaf: leaf[-1], jax.lax.fori_loop(0, count + none, add, waiting))
    devices, distance = jax.lax.axis_size(AXIS), 1
    while distance < devices:
        # Both partners add the same two sums: a + b is b + a, to the last bit.
        pairs = [(k, k ^ distance) for k in range(devices)]
        total = _added(total, jax.lax.ppermute(total, AXIS, pairs))
        distance *= 2
    return jax.lax.fori_loop(0, none, lambda _, total: _added(total, total), total)


def _added(a, b):
    return jax.tree.map(jnp.add, a, b)


def _zeros(function: Callable, argument):
    """Zeros in the shape of function(argument)."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, argument))
