"""Training on points that the devices share: each holds some rows of X, all hold all parameters, gradients are summed.
Each block of rows (rows.py) draws its own order of rows for an epoch's mini-batches. So neither the points nor the
batches depend on the numbers of devices and processes, and the training curve depends on them by rounding only, with
train.reproducible not at all."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import host_local_array_to_global_array

from mnnjax import objective
from mnnjax.config import Network, Problem, Train
from mnnjax.jax_setup import Device
from mnnjax.network import MNN
from mnnjax.training.jacobian import point_weights
from mnnjax.training.loop import descend, learning_rate, make_init
from mnnjax.training.optimizer import check_optimizer, make_optimizer
from mnnjax.training.own import init_of
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
    module = MNN((d1,) * hidden_layers, network.rho, network.bias, init_of(network), jnp.dtype(train.precision))
    epochs_on_device = make_device_epochs(module, problem.threshold, train, RowLayout(N, train.batch_size))
    mesh = jax.sharding.Mesh(np.asarray(devices), (AXIS,))
    on_all_devices = map_epochs(epochs_on_device, mesh, train.reproducible)

    def run_epochs(state, batch_key, rows: Rows, first_epoch: int, epochs: int):
        """See ShardedTraining."""
        if train.reproducible:
            # Each process has them whole; pmap does this itself.
            whole = jax.sharding.PartitionSpec()
            state, batch_key = host_local_array_to_global_array((state, batch_key), mesh, whole)
        return on_all_devices(state, batch_key, rows, first_epoch, epochs)

    return ShardedTraining(jax.jit(jax.vmap(make_init(module, train, d0))), run_epochs)


def map_epochs(epochs_on_device: Callable, mesh: jax.sharding.Mesh, reproducible: bool) -> Callable:
    """epochs_on_device (make_device_epochs) on all devices of a mesh, each of which has its part of the rows."""
    if not reproducible:
        return jax.pmap(
            epochs_on_device, AXIS, in_axes=(None, None, 0, None, None), out_axes=None, static_broadcasted_argnums=4,
            devices=list(mesh.devices.flat),
        )  # fmt: skip
    whole = jax.sharding.PartitionSpec()

    # What pmap does, with an option of the compiler. XLA eliminates common subexpressions early in programs for several
    # devices, but not in those for one, and rounds otherwise then: it makes a quotient by x a product with 1 / x unless
    # something else divides by x.
    @functools.partial(jax.jit, static_argnums=4, compiler_options={"xla_disable_hlo_passes": "cse"})
    def on_all_devices(state, batch_key, rows, first_epoch, epochs: int):
        def on_device(state, batch_key, rows, first_epoch):
            return epochs_on_device(state, batch_key, jax.tree.map(lambda leaf: leaf[0], rows), first_epoch, epochs)

        parts = whole, whole, jax.sharding.PartitionSpec(AXIS), whole
        shared = jax.shard_map(on_device, mesh=mesh, in_specs=parts, out_specs=whole, check_vma=False)
        return shared(state, batch_key, rows, first_epoch)

    return on_all_devices


def make_device_epochs(module: MNN, threshold: float, train: Train, layout: RowLayout) -> Callable[..., Any]:
    """The pure function of one device: epochs_on_device(state, batch_key, rows, first_epoch, epochs). It is mapped over
    the devices as AXIS; the state has the seeds as leading axis and is the same on all devices."""
    dtype = module.dtype

    def step(params, opt_state, total, points, rate):
        """One seed's step on a batch of so many points; total: see _summed."""
        batch_points = points.astype(dtype)

        def piece_loss(params, piece):
            bits, y, weights = piece
            X = from_bits(bits).astype(dtype)
            output, neural_inputs = module.apply({"params": params}, X.T, method=MNN.by_columns)
            wrong = objective.misclassified(output, y, threshold).astype(dtype)
            squares = weights * (y - output) ** 2
            metrics = Metrics(jnp.sum(squares) / batch_points, jnp.sum(weights * wrong) / batch_points)
            if not train.point_weights:
                return metrics.mse, metrics
            equalizing = point_weights(params, X.T, neural_inputs, module.rho, train.point_weights)
            return jnp.sum(equalizing * squares) / batch_points, metrics

        params, opt_state, metrics = descend(make_optimizer(train, rate), _summed(piece_loss, total), params, opt_state)
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

                def total(of_piece):
                    if train.reproducible:
                        return _tree_sum(of_piece, (X, y, weights), len(rows.y), points)
                    return jax.lax.psum(_sum_of_pieces(of_piece, (X, y, weights)), AXIS)

                each = jax.vmap(lambda p, o: step(p, o, total, points, rate))
                params, opt_state, metrics = each(params, opt_state)
                return (params, opt_state, jax.tree.map(jnp.add, sums, metrics)), None

            zero = jnp.zeros(state.non_finite_epoch.shape, dtype)
            start = (state.params, state.opt_state, Metrics(zero, zero))
            (params, opt_state, metrics), _ = jax.lax.scan(one_batch, start, jnp.arange(layout.steps))
            return TrainState(params, opt_state, first_failure(state.non_finite_epoch, metrics.mse, epoch)), metrics

        state, metrics = jax.lax.scan(one_epoch, state, first_epoch + jnp.arange(epochs))
        return state, jax.tree.map(lambda leaf: leaf[-1], metrics)

    return epochs_on_device


def _summed(piece_loss: Callable, total: Callable) -> Callable:
    """The loss and its count of errors on a batch, whose gradient is a sum, too. total(of_piece): the sum of
    of_piece((X, y, weights)) over pieces of all devices' rows. The gradient is written out: autodiff of a sum over
    devices would count each term once per device, and that of a sum over pieces would keep the activations of all."""

    @jax.custom_vjp
    def loss(params):
        return total(lambda piece: piece_loss(params, piece))

    def forward(params):
        return total(lambda piece: jax.value_and_grad(piece_loss, has_aux=True)(params, piece))

    def backward(gradient, cotangents):
        return (jax.tree.map(lambda leaf: cotangents[0] * leaf, gradient),)

    loss.defvjp(forward, backward)
    return loss


def _sum_of_pieces(of_piece: Callable, rows):
    """The sum of of_piece over equal pieces (pieces_of) of rows: X (rows, d0), y, weights (rows,)."""
    X, y, _ = rows
    if (number := pieces_of(len(X), X.shape[1], y.dtype.itemsize)) == 1:
        return of_piece(rows)
    pieces = _cut(rows, number)

    def add(sums, piece):
        return _added(sums, of_piece(piece)), None

    first = jax.tree.map(lambda leaf: leaf[0], pieces)
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(of_piece, first))
    return jax.lax.scan(add, nothing, pieces)[0]


def _tree_sum(of_piece: Callable, rows, blocks: int, points):
    """The sum of of_piece over pieces of each of a device's blocks, over the blocks, and over the devices, 2^k each: as
    that of halves, of halves of these, down to blocks. So neither the order of additions nor the shape of a product
    depends on the number of devices. points: their number on all devices, an integer."""
    # XLA must not fuse a block, or what is made of the total, with what differs between numbers of devices: it would
    # round otherwise. It does not fuse across loops whose number of rounds it cannot know.
    none = jnp.minimum(points, 0)
    cut = _cut(rows, blocks)

    def of_block(number):
        return _sum_of_pieces(of_piece, jax.tree.map(lambda leaf: leaf[number], cut))

    def add(number, waiting):
        """waiting: at index k, a sum of 2^k blocks that waits for that of the next 2^k, as in a binary counter."""

        def join(carry):
            level, total = carry
            return level + 1, _added(jax.tree.map(lambda leaf: leaf[level], waiting), total)

        level, total = jax.lax.while_loop(lambda carry: (number >> carry[0]) % 2 == 1, join, (0, of_block(number)))
        return jax.tree.map(
            lambda leaf, sums: jax.lax.dynamic_update_index_in_dim(leaf, sums, level, 0), waiting, total
        )

    levels = blocks.bit_length()
    waiting = jax.tree.map(lambda leaf: jnp.zeros((levels, *leaf.shape), leaf.dtype), jax.eval_shape(of_block, 0))
    total = jax.tree.map(lambda leaf: leaf[-1], jax.lax.fori_loop(0, blocks + none, add, waiting))
    devices, distance = jax.lax.axis_size(AXIS), 1
    while distance < devices:
        # Both partners add the same two sums: a + b is b + a, to the last bit.
        pairs = [(k, k ^ distance) for k in range(devices)]
        total = _added(total, jax.lax.ppermute(total, AXIS, pairs))
        distance *= 2
    return jax.lax.fori_loop(0, none, lambda _, total: _added(total, total), total)


def _cut(rows, parts: int):
    """The rows in so many equal parts, on a leading axis."""
    return jax.tree.map(lambda leaf: leaf.reshape(parts, -1, *leaf.shape[1:]), rows)


def _added(a, b):
    return jax.tree.map(jnp.add, a, b)
