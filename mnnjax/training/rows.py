"""How points lie on devices that share them: each holds some rows of X.

The rows lie in ROW_BLOCKS blocks, whatever the number of devices; a device holds whole blocks. A mini-batch takes the
same number of rows from every block. N that does not fill the blocks is padded with rows of weight zero.
"""

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

from mnnjax.config import ROW_BLOCKS, UserError
from mnnjax.jax_setup import Device

# The devices' axis of Rows.
AXIS = "rows"


@dataclasses.dataclass(frozen=True)
class RowLayout:
    """How N points lie in blocks, and how batches are made of them.

    batch_size: points of a mini-batch over all blocks, a multiple of ROW_BLOCKS; None is full batch.
    """

    N: int
    batch_size: int | None

    @property
    def points(self) -> int:
        """Points of a block; the last blocks may have fewer."""
        return math.ceil(self.N / ROW_BLOCKS)

    @property
    def batch_rows(self) -> int:
        """Rows that a batch takes from each block."""
        return self.points if self.batch_size is None else min(self.batch_size // ROW_BLOCKS, self.points)

    @property
    def rows(self) -> int:
        """Rows of a block, padding included: whole batches."""
        return math.ceil(self.points / self.batch_rows) * self.batch_rows

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
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
    """The number of a device's first block among all."""


def row_devices(available: Sequence[Device]) -> list[Device]:
    """As many of the devices as can share ROW_BLOCKS blocks evenly, from every process as many.

    Raises:
      UserError: the processes cannot share the blocks evenly.
    """
    by_process: dict[int, list[Device]] = {}
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


def place_rows(
    layout: RowLayout,
    d0: int,
    dtype: DTypeLike,
    devices: Sequence[Device],
    block_of: Callable[[int, range, Device], Iterable[tuple[Array, Array]]],
    X_dtype: str | None = None,
) -> Rows:
    """Fill the devices of this process block by block; other processes fill theirs.

    Args:
      dtype: of y and the weights, and of X unless X_dtype says otherwise.
      devices: from row_devices, of all processes.
      block_of: block_of(block, points, device) gives a block's points, those of these numbers among 0 ... N - 1, in
        order as parts X (any, d0), y (any,), on the host or on the device; each part is let go before the next one is
        asked for.
      X_dtype: "bfloat16" rounds X to it; None leaves it in dtype.
    """
    each = ROW_BLOCKS // len(devices)
    shape, held_as = (1, each, layout.rows, d0), jnp.uint16 if X_dtype == "bfloat16" else dtype
    write = jax.jit(_write, donate_argnums=0)
    parts = []
    for k, device in enumerate(devices):
        if device.process_index != jax.process_index():
            continue
        # Compiled for this device: jnp.zeros(device=...) makes them on the first one, which is full, and copies them.
        on_device = jax.sharding.SingleDeviceSharding(device)
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


def from_bits(X: Real[Array, "..."] | Real[np.ndarray, "..."]) -> Float[Array, "..."] | Float[np.ndarray, "..."]:
    """The numbers that some of Rows.X, of any shape, holds: on a device, or as a NumPy array."""
    if X.dtype != jnp.uint16:
        return X
    return X.view(jnp.bfloat16) if isinstance(X, np.ndarray) else jax.lax.bitcast_convert_type(X, jnp.bfloat16)
