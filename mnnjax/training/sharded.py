"""Training on points that the devices share: each holds some rows of X, all hold all parameters, gradients are summed.

The rows lie in ROW_BLOCKS blocks, whatever the number of devices; a device holds whole blocks. A mini-batch takes the
same number of rows from every block, in an order that each block draws for itself. So neither the points nor the
batches depend on how many devices there are, or on how many processes they belong to, and the training curve does so
to rounding only. N that does not fill the blocks is padded with rows of weight zero.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt16

import mnnjax.jax_setup  # noqa: F401
from mnnjax import objective
from mnnjax.config import ROW_BLOCKS, Network, Problem, Train, UserError
from mnnjax.network import MNN
from mnnjax.training.loop import descend, first_failure, learning_rate, make_optimizer
from mnnjax.training.state import Metrics, TrainState

AXIS = "rows"

# Of the rows, in the precision of training, that a device multiplies at once.
PIECE_BYTES = 2**28


@dataclasses.dataclass(frozen=True)
class RowLayout:
    """How N points lie in blocks, and how batches are made of them."""

    N: int
    batch_size: int | None

    @property
    def points(self) -> int:
        """Of a block; the last ones may have fewer."""
        return math.ceil(self.N / ROW_BLOCKS)

    @property
    def batch_rows(self) -> int:
        """That a batch takes from each block."""
        return self.points if self.batch_size is None else min(self.batch_size // ROW_BLOCKS, self.points)

    @property
    def rows(self) -> int:
        """Of a block, padding included: whole batches."""
        return math.ceil(self.points / self.batch_rows) * self.batch_rows

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return self.rows // self.batch_rows

    def points_of(self, block: int) -> range:
        """Which of the N points lie in a block, in its first rows."""
        start = min(block * self.points, self.N)
        return range(start, min(start + self.points, self.N))


class Rows(NamedTuple):
    """What the devices hold; the leading axis is theirs, the second that of a device's blocks."""

    X: Float[Array, "devices blocks rows d0"] | UInt16[Array, "devices blocks rows d0"]
    """In bfloat16 as whole numbers of the same bits (from_bits): a CPU, which does not compute in bfloat16, would else
    turn all of X to float32 to take a batch out of it."""
    y: Float[Array, "devices blocks rows"]
    weights: Float[Array, "devices blocks rows"]
    """1 for a point, 0 for padding."""
    first_block: Int[Array, " devices"]


def row_devices(available: Sequence[jax.Device]) -> list[jax.Device]:
    """As many of the devices as can share ROW_BLOCKS blocks evenly, as many of each process.

    Raises:
      UserError: the processes cannot share the blocks evenly.
    """
    by_process: dict[int, list[jax.Device]] = {}
    for device in available:
        by_process.setdefault(device.process_index, []).append(device)
    processes = len(by_process)
    if ROW_BLOCKS % processes:
        raise UserError(
            f"train.parallel: {processes} processes cannot share {ROW_BLOCKS} blocks of rows evenly; take 1, 2, 4, ..."
        )
    most = min(ROW_BLOCKS // processes, *map(len, by_process.values()))
    each = max(k for k in range(1, most + 1) if ROW_BLOCKS % (k * processes) == 0)
    return [device for _, own in sorted(by_process.items()) for device in own[:each]]


def pieces_of(rows: int, d0: int, itemsize: int) -> int:
    """In how many equal pieces a device multiplies so many rows: the fewest within PIECE_BYTES, unless that would be
    more than sixteen times what unequal ones would take."""
    least = -(-rows // max(PIECE_BYTES // (d0 * itemsize), 1))
    larger = max(k for k in range(1, least + 1) if rows % k == 0)
    return next((k for k in range(least, 16 * least + 1) if rows % k == 0), larger)


def place_rows(
    layout: RowLayout,
    d0: int,
    dtype,
    devices: Sequence[jax.Device],
    block_of: Callable[[int, range, jax.Device], Iterable[tuple[Array, Array]]],
    X_dtype: str | None = None,
) -> Rows:
    """Fill the devices of this process block by block; other processes fill theirs.

    block_of(block, points, device) gives a block's points in order as parts X (any, d0), y (any,), on the host or on
    the device; each part is let go before the next one is asked for.

    X_dtype: "bfloat16" rounds X to it; None: X is in dtype too.
    """
    each = ROW_BLOCKS // len(devices)
    write = jax.jit(_write, donate_argnums=0)
    parts = []
    for k, device in enumerate(devices):
        if device.process_index != jax.process_index():
            continue
        held_as = jnp.uint16 if X_dtype == "bfloat16" else dtype
        # Compiled for this device: jnp.zeros(device=...) makes them on the first one, which is full, and copies them.
        on_device = jax.sharding.SingleDeviceSharding(device)
        shape = 1, each, layout.rows, d0
        X = jax.jit(functools.partial(jnp.zeros, shape, held_as), out_shardings=on_device)()
        y = np.zeros((1, each, layout.rows), dtype)
        weights = np.zeros_like(y)
        for own in range(each):
            points = layout.points_of(k * each + own)
            weights[0, own, : len(points)] = 1
            row = 0
            for part_X, part_y in block_of(k * each + own, points, device):
                X = write(X, jax.device_put(part_X, device), own, row)
                y[0, own, row : row + len(part_y)] = part_y
                row += len(part_y)
                del part_X, part_y
        parts.append(Rows(X, *jax.device_put((y, weights, np.array([k * each])), device)))
    sharding = jax.sharding.NamedSharding(
        jax.sharding.Mesh(np.asarray(devices), (AXIS,)), jax.sharding.PartitionSpec(AXIS)
    )

    def whole(*own):
        return jax.make_array_from_single_device_arrays((len(devices), *own[0].shape[1:]), sharding, list(own))

    return Rows(*map(whole, *parts))


def _write(held, part, block, row):
    if held.dtype == jnp.uint16:
        part = jax.lax.bitcast_convert_type(part.astype(jnp.bfloat16), jnp.uint16)
    return jax.lax.dynamic_update_slice(held, part[None, None].astype(held.dtype), (0, block, row, 0))


def from_bits(X):
    """The numbers that Rows.X holds, on a device or as a NumPy array."""
    if X.dtype != jnp.uint16:
        return X
    return X.view(jnp.bfloat16) if isinstance(X, np.ndarray) else jax.lax.bitcast_convert_type(X, jnp.bfloat16)


class ShardedTraining(NamedTuple):
    """The functions that train all seeds on the same rows; states and metrics have the seeds as leading axis.

    init(keys) -> TrainState.
    run_epochs(state, batch_key, rows, first_epoch, epochs) -> TrainState, Metrics: `epochs` (static) further epochs.
    """

    init: Callable[[PRNGKeyArray], TrainState]
    run_epochs: Callable[..., tuple[TrainState, Metrics]]


def make_row_training(
    problem: Problem,
    network: Network,
    train: Train,
    hidden_layers: int,
    d0: int,
    d1: int,
    N: int,
    devices: Sequence[jax.Device],
) -> ShardedTraining:
    """Training on N points that lie on the devices (place_rows).

    Raises:
      UserError: from make_optimizer.
    """
    make_optimizer(train, train.learning_rate)
    dtype = jnp.dtype(train.precision)
    module = MNN((d1,) * hidden_layers, network.rho, network.bias, network.init, dtype)
    epochs_on_device = make_device_epochs(module, problem.threshold, train, RowLayout(N, train.batch_size))

    def init(key: PRNGKeyArray) -> TrainState:
        params = module.init(key, jnp.zeros((1, d0), dtype))["params"]
        return TrainState(params, make_optimizer(train, train.learning_rate).init(params), jnp.int32(-1))

    @functools.cache
    def on_all(epochs: int):
        return jax.pmap(
            functools.partial(epochs_on_device, epochs=epochs),
            axis_name=AXIS,
            in_axes=(None, None, 0, None),
            out_axes=None,
            devices=devices,
        )

    def run_epochs(state, batch_key, rows: Rows, first_epoch: int, epochs: int):
        return on_all(epochs)(state, batch_key, rows, first_epoch)

    return ShardedTraining(jax.jit(jax.vmap(init)), run_epochs)


def make_device_epochs(module: MNN, threshold: float, train: Train, layout: RowLayout) -> Callable[..., Any]:
    """The pure function of one device: epochs_on_device(state, batch_key, rows, first_epoch, epochs), to be mapped over
    the devices as AXIS; the state has the seeds as leading axis and is the same on all devices."""
    dtype = module.dtype

    def step(params, opt_state, pieces, batch_points, rate):
        """Of one seed, on a batch of so many points on all devices; pieces: X, y, weights of this device's rows."""

        def piece_loss(params, piece):
            bits, y, weights = piece
            output, _ = module.apply({"params": params}, from_bits(bits).astype(dtype).T, method=MNN.by_columns)
            wrong = objective.misclassified(output, y, threshold).astype(dtype)
            return jnp.sum(weights * (y - output) ** 2) / batch_points, jnp.sum(weights * wrong) / batch_points

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

    def cut(X, y, weights):
        """A batch as equal pieces, on the leading axis."""
        pieces = pieces_of(*X.shape, dtype.itemsize)
        return jax.tree.map(lambda leaf: leaf.reshape(pieces, -1, *leaf.shape[1:]), (X, y, weights))

    def epochs_on_device(state: TrainState, batch_key, rows: Rows, first_epoch, epochs: int):
        def one_epoch(state: TrainState, epoch):
            rate, batch = learning_rate(train, epoch), batches(batch_key, rows, epoch)

            def one_batch(carry, i):
                params, opt_state, sums = carry
                X, y, weights = batch(i)
                batch_points = jax.lax.psum(jnp.sum(weights), AXIS)
                pieces = cut(X, y, weights)
                each = jax.vmap(lambda p, o: step(p, o, pieces, batch_points, rate))
                params, opt_state, metrics = each(params, opt_state)
                return (params, opt_state, jax.tree.map(jnp.add, sums, metrics)), None

            zero = jnp.zeros(state.non_finite_epoch.shape, dtype)
            start = (state.params, state.opt_state, Metrics(zero, zero))
            (params, opt_state, metrics), _ = jax.lax.scan(one_batch, start, jnp.arange(layout.steps))
            failed = first_failure(state.non_finite_epoch, metrics.mse, epoch)
            return TrainState(params, opt_state, failed), metrics

        state, metrics = jax.lax.scan(one_epoch, state, first_epoch + jnp.arange(epochs))
        return state, jax.tree.map(lambda leaf: leaf[-1], metrics)

    return epochs_on_device


def _summed(piece_loss: Callable, pieces) -> Callable:
    """The loss and its count of errors, summed over the pieces (leading axis) and the devices, with the gradient summed
    as well.

    Written out, for the derivative of a sum over devices is taken on every device and would count each term as often
    as there are devices; and that of a sum over pieces would keep the activations of all of them.
    """

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
        found = over_pieces(lambda piece: jax.value_and_grad(piece_loss, has_aux=True)(params, piece))
        return jax.lax.psum(found, AXIS)

    def backward(gradient, cotangents):
        return (jax.tree.map(lambda leaf: cotangents[0] * leaf, gradient),)

    loss.defvjp(forward, backward)
    return loss
