"""The memory of a cell, before it runs: the arrays that the code holds at once. It is an upper bound, about: XLA shares
buffers, and programs were measured to take down to two thirds of it. XLA's own account would need every program
compiled, which takes seconds each; tests compare the two."""

from collections.abc import Sequence

import jax

from mnnjax import landscape
from mnnjax.config import ROW_BLOCKS
from mnnjax.jax_setup import Device
from mnnjax.landscape.certificates.linear_systems import EXACT_RANK_ENTRIES
from mnnjax.study.execution.certify_cell import workers
from mnnjax.study.execution.seed_parallel import placement
from mnnjax.study.plan.grid import Cell
from mnnjax.training import RowLayout, row_devices
from mnnjax.training.sharded import pieces_of

# A process: Python, JAX and the programs of a study, measured.
PROCESS_BYTES = 350 * 2**20
# Arrays of a batch's activations, (rows, d1) per hidden layer, that are alive at once.
ACTIVATIONS = 3
# N x N arrays that are alive at once: in a Levenberg-Marquardt step; in a certificate, which keeps a factorization and
# needs four more while it builds another system.
STEP_SQUARES, CERTIFICATE_SQUARES = 5, 5
# Copies of A o X where its rank is in doubt: elimination and singular value decompositions.
EXACT_COPIES = 15


def memory_per_device(cell: Cell, devices: Sequence[Device]) -> int:
    """Bytes that a device holds while the cell trains: its points, the parameters with their optimizer state (two
    moments, as of Adam) before and after a step, a batch, and activations and gradients of what is computed at once.
    Volumes are measured on the host and take none.

    devices: all that train, of all processes.
    """
    if cell.part.volume is not None:
        return 0
    if cell.data_parallel:
        return memory_data_parallel(cell, len(row_devices(devices)))
    return _memory_seed_parallel(cell, devices)


def _memory_seed_parallel(cell: Cell, devices: Sequence[Device]) -> int:
    N = cell.N_padded
    at_once, groups, _ = placement(cell, devices)
    held = at_once * groups
    mini_batches = cell.part.training.batch_size is not None
    # The points of a seed are transposed; those of a mini-batch are copied, in a random order.
    working = mini_batches * 3 * N + cell.parameters
    working += cell.batch_rows * (cell.d0 + ACTIVATIONS * cell.d1 * cell.hidden_layers)
    working += STEP_SQUARES * cell.gram_entries
    return cell.itemsize * (held * (N * (cell.d0 + 1) + 6 * cell.parameters) + at_once * working)


def memory_data_parallel(cell: Cell, devices: int) -> int:
    """memory_per_device, in bytes, of a cell whose rows so many devices share."""
    train, repeats, size = cell.part.training, cell.part.repeats, cell.itemsize
    layout, blocks = RowLayout(cell.N, train.batch_size), ROW_BLOCKS // devices
    X_size = size if train.rows_precision == "same" else 2
    rows, batch = blocks * layout.rows, blocks * layout.batch_rows
    piece = batch // pieces_of(batch, cell.d0, size)
    # A full batch is X itself, a mini-batch is a copy of its rows; a piece of it is transposed.
    copied = batch * cell.d0 * X_size if layout.steps > 1 else 0
    working = piece * (cell.d0 + repeats * ACTIVATIONS * cell.d1 * cell.hidden_layers) + 7 * repeats * cell.parameters
    # Before training the rows are drawn, block by block.
    drawn = 0 if cell.part.problem.is_image else 2 * layout.points * cell.d0 * size
    return rows * (cell.d0 * X_size + 2 * size) + max(copied + size * working, drawn)


def memory_on_host(cell: Cell, devices: Sequence[Device]) -> int:
    """Bytes of the host at the cell's peak, in a process that has these devices to itself: what they hold if they are
    the CPU's; then a copy of the points with an evaluation, or certificates side by side, or a batch of a volume's
    draws. Images that are read and whitened are not counted."""
    if cell.part.volume is not None:
        return PROCESS_BYTES + _draws(cell)
    shared = row_devices(devices) if cell.data_parallel else devices
    own = sum(device.process_index == jax.process_index() for device in shared)
    training = own * memory_per_device(cell, devices) if devices[0].platform == "cpu" else 0
    return PROCESS_BYTES + training + max(_evaluation(cell), _certificates(cell))


def _draws(cell: Cell) -> int:
    """Bytes of a batch of a volume's draws on its way to the host, of all repetitions."""
    volume = cell.part.measurement
    own_points = 8 * cell.d0 if volume.redraw else 0
    return cell.part.repeats * volume.batch * cell.N_padded * (cell.d1 + own_points)


def _evaluation(cell: Cell) -> int:
    if cell.data_parallel:
        return 0  # read part by part
    points = cell.part.repeats * cell.N_padded * (cell.d0 + 1) * cell.itemsize
    return 2 * points + 8 * cell.N_padded * (2 * cell.d0 + 4 * cell.d1 * cell.hidden_layers)


def _certificates(cell: Cell) -> int:
    """Bytes of the certificates that are computed at once; 0 where there are none."""
    inputs, d1 = cell.last_layer
    if not landscape.certifiable(cell.N, inputs, d1):
        return 0
    sets = 1 if cell.data_parallel else cell.part.repeats
    points = sets * cell.N * (cell.d0 + 1) * cell.itemsize
    return points + certificates_at_once(cell) * certificate_bytes(cell.N, inputs, d1, cell.part.problem.is_image)


def certificates_at_once(cell: Cell) -> int:
    """The number of a cell's certificates that one process computes side by side."""
    return min(workers(), cell.part.repeats)


def rank_in_doubt(N: int, d0: int, d1: int, is_image: bool) -> bool:
    """Whether a certificate is expected to compute a rank exactly: of images, some of whose pixels hardly ever vary."""
    return is_image and N * d0 * d1 <= EXACT_RANK_ENTRIES


def certificate_bytes(N: int, d0: int, d1: int, is_image: bool = False) -> int:
    """Bytes of one certificate; d0, d1 of the certified layer. The square system has the smaller
    side of A o X (N, d0 d1), which itself is formed, twice, only where it is tall or where its rank is in doubt."""
    side, product = min(N, d0 * d1), N * d0 * d1
    copies = 2 if d0 * d1 < N else 0
    if rank_in_doubt(N, d0, d1, is_image):
        copies = EXACT_COPIES
    return 8 * (CERTIFICATE_SQUARES * side**2 + copies * product + 10 * N * (d0 + d1))
