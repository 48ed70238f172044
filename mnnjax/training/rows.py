"""How points lie on devices that share them: each holds some rows of X. The rows lie in ROW_BLOCKS blocks, whatever the
number of devices; a device holds whole blocks. A mini-batch takes the same number of rows from every block. N that does
not fill the blocks is padded with rows of weight zero."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Real, UInt16

from mnnjax.config import ROW_BLOCKS
from mnnjax.errors import require
from mnnjax.jax_setup import Device

# The devices' axis of Rows.
AXIS = "rows"


@dataclasses.dataclass(frozen=True)
class RowLayout:
    """How N points lie in blocks, and how batches are made of them."""

    N: int
    batch_size: int | None
    """Points of a mini-batch over all blocks, a multiple of ROW_BLOCKS; None is full batch."""

    @property
    def points(self) -> int:
        """Points per block; the last blocks may have fewer."""
        return math.ceil(self.N / ROW_BLOCKS)

    @property
    def batch_rows(self) -> int:
        """Rows of a batch per block."""
        return self.points if self.batch_size is None else min(self.batch_size // ROW_BLOCKS, self.points)

    @property
    def rows(self) -> int:
        """Rows per block, in whole batches, padding included."""
        return math.ceil(self.points / self.batch_rows) * self.batch_rows

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return self.rows // self.batch_rows

    def points_of(self, block: int) -> range:
        """The indices, among the N points, of those in a block's first rows."""
        start = min(block * self.points, self.N)
        return range(start, min(start + self.points, self.N))


class Rows(NamedTuple):
    """What the devices hold; the first axis is that of the devices, the second that of a device's blocks."""

    X: Float[Array, "devices blocks rows d0"] | UInt16[Array, "devices blocks rows d0"]
    """bfloat16 is held as integers of the same bits (from_bits): a CPU, which does not compute in bfloat16, would
    otherwise convert all of X to float32 to take a batch from it."""
    y: Float[Array, "devices blocks rows"]
    weights: Float[Array, "devices blocks rows"]
    """1 for a point, 0 for padding."""
    first_block: Int[Array, " devices"]
    """The index of a device's first block among all blocks."""


def row_devices(available: Sequence[Device]) -> list[Device]:
    """As many of the devices as can share ROW_BLOCKS blocks evenly, the same number from every process; UserError where
    the processes cannot share them evenly."""
    by_process: dict[int, list[Device]] = {}
    for device in available:
        by_process.setdefault(device.process_index, []).append(device)
    processes = len(by_process)
    unshared = f"{processes} processes cannot share {ROW_BLOCKS} blocks of rows evenly"
    require(ROW_BLOCKS % processes == 0, f"train.parallel: {unshared}; take 1, 2, 4, ...")
    most = min(ROW_BLOCKS // processes, *map(len, by_process.values()))
    each = max(k for k in range(1, most + 1) if ROW_BLOCKS % (k * processes) == 0)
    return [device for _, of_process in sorted(by_process.items()) for device in of_process[:each]]


def place_rows(
    layout: RowLayout, d0: int, dtype: DTypeLike, devices: Sequence[Device],
    block_of: Callable[[int, range, Device], Iterable[tuple[Array, Array]]], X_dtype: str | None = None,
) -> Rows:  # fmt: skip
    """Fill the devices of this process block by block; other processes fill theirs.

    Args:
      dtype: of y and the weights, and of X unless X_dtype is given.
      devices: from row_devices, of all processes.
      block_of: block_of(block, points, device) yields a block's points, with these indices among 0 ... N - 1, in order
        as parts X (any, d0), y (any,) on the host or the device. Each part is released before the next one is made.
      X_dtype: "bfloat16" rounds X to it.
    """
    each = ROW_BLOCKS // len(devices)
    shape, held_as = (1, each, layout.rows, d0), jnp.uint16 if X_dtype == "bfloat16" else dtype

    @functools.partial(jax.jit, donate_argnums=0)
    def write(held, part, block, row):
        if held.dtype == jnp.uint16:
            part = jax.lax.bitcast_convert_type(part.astype(jnp.bfloat16), jnp.uint16)
        return jax.lax.dynamic_update_slice(held, part[None, None].astype(held.dtype), (0, block, row, 0))

    parts = []
    for k, device in enumerate(devices):
        if device.process_index != jax.process_index():
            continue
        # Compiled for this device: jnp.zeros(device=...) makes them on the first device, which is full, and copies.
        on_device = jax.sharding.SingleDeviceSharding(device)
        X = jax.jit(functools.partial(jnp.zeros, shape, held_as), out_shardings=on_device)()
        y = np.zeros((1, each, layout.rows), dtype)
        weights = np.zeros_like(y)
        for i in range(each):
            points = layout.points_of(k * each + i)
            weights[0, i, : len(points)] = 1
            row = 0
            for part_X, part_y in block_of(k * each + i, points, device):
                X = write(X, jax.device_put(part_X, device), i, row)
                y[0, i, row : row + len(part_y)] = part_y
                row += len(part_y)
                del part_X, part_y
        parts.append(Rows(X, *jax.device_put((y, weights, np.array([k * each])), device)))
    mesh = jax.sharding.Mesh(np.asarray(devices), (AXIS,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))

    def join(*shards):
        return jax.make_array_from_single_device_arrays((len(devices), *shards[0].shape[1:]), sharding, list(shards))

    return Rows(*map(join, *parts))


def from_bits(X: Real[Array, "..."] | Real[np.ndarray, "..."]) -> Float[Array, "..."] | Float[np.ndarray, "..."]:
    """The numbers held by a part of Rows.X, of any shape, on a device or in a NumPy array."""
    if X.dtype != jnp.uint16:
        return X
    return X.view(jnp.bfloat16) if isinstance(X, np.ndarray) else jax.lax.bitcast_convert_type(X, jnp.bfloat16)
