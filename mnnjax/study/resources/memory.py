"""The memory of a cell, before it runs: the arrays that the code holds at once. It is an upper bound, about: XLA shares
buffers, and programs were measured to take down to two thirds of it. XLA's own account would need every program
compiled, which takes seconds each; tests compare the two."""

from collections.abc import Sequence

import jax

from mnnjax import landscape
from mnnjax.config import ROW_BLOCKS
from mnnjax.jax_setup import Device
from mnnjax.landscape.certificates import cost
from mnnjax.landscape.certificates.linear_systems import EXACT_RANK_ENTRIES
from mnnjax.landscape.descent import cost as descent_cost
from mnnjax.problems import nominal_shape
from mnnjax.problems.whitening import BLOCK_ROWS, MANY_PIXELS
from mnnjax.study.execution.certify_cell import workers
from mnnjax.study.execution.descents import WORKER_BYTES, descents_at_once
from mnnjax.study.execution.seed_parallel import placement
from mnnjax.study.plan.grid import Cell
from mnnjax.training import RowLayout, row_devices
from mnnjax.training.sharded import pieces_of

# A process: Python, JAX and the programs of a study, measured.
PROCESS_BYTES = 350 * 2**20
# Arrays of a batch's activations, (rows, d1) per hidden layer, that are alive at once.
ACTIVATIONS = 3
# N x N arrays that are alive at once in a Levenberg-Marquardt step.
STEP_SQUARES = 5
# Sums of an evaluation that are alive at once: one per level of the tree of blocks, and those in work.
EVALUATION_SUMS = ROW_BLOCKS.bit_length() + 3
# Copies of A o X, or of J, while its singular values are computed.
SPECTRUM_COPIES = 3
# Copies of A o X where its rank is in doubt: elimination and singular value decompositions.
EXACT_COPIES = 15


def memory_per_device(cell: Cell, devices: Sequence[Device]) -> int:
    """Bytes that a device holds while the cell trains: its points, the parameters with their optimizer state (two
    moments, as of Adam) before and after a step, a batch, and activations and gradients of what is computed at once.
    Volumes are measured on the host and take none. devices: all that train, of all processes."""
    if cell.part.volume is not None:
        return 0
    if cell.data_parallel:
        return memory_data_parallel(cell, len(row_devices(devices)))
    N = cell.N_padded
    at_once, groups, _ = placement(cell, devices)
    mini_batches = cell.part.training.batch_size is not None
    # The points of a seed are transposed; those of a mini-batch are copied, in a random order.
    working = mini_batches * 3 * N + cell.parameters + STEP_SQUARES * cell.gram_entries
    working += cell.batch_rows * (cell.d0 + ACTIVATIONS * cell.d1 * cell.hidden_layers)
    return cell.itemsize * at_once * (groups * (N * (cell.d0 + 1) + 6 * cell.parameters) + working)


def memory_data_parallel(cell: Cell, devices: int) -> int:
    """memory_per_device, in bytes, of a cell whose rows so many devices share."""
    train, repeats, size = cell.part.training, cell.repeats, cell.itemsize
    layout, blocks = RowLayout(cell.N, train.batch_size), ROW_BLOCKS // devices
    X_size = size if train.rows_precision == "same" else 2
    rows, batch = blocks * layout.rows, blocks * layout.batch_rows
    # Multiplied as a whole, or by blocks, whose sums wait for each other.
    group, sums = (layout.batch_rows, blocks.bit_length() + 3) if train.reproducible else (batch, 0)
    piece = group // pieces_of(group, cell.d0, size)
    # A full batch is X itself, a mini-batch is a copy of its rows, and so is a block; a piece of it is transposed.
    copied = (batch * (layout.steps > 1) + group * train.reproducible) * cell.d0 * X_size
    activations = repeats * ACTIVATIONS * cell.d1 * cell.hidden_layers
    working = piece * (cell.d0 + activations) + (7 + sums) * repeats * cell.parameters
    # Before training the rows are drawn, block by block.
    drawn = 0 if cell.part.problem.is_image else 2 * layout.points * cell.d0 * size
    return rows * (cell.d0 * X_size + 2 * size) + max(copied + size * working, drawn)


def memory_on_host(cell: Cell, devices: Sequence[Device], large_certificates: bool = True) -> int:
    """Bytes of the host at the cell's peak, in a process that has these devices to itself: what they hold if they are
    the CPU's; then a copy of the points with an evaluation, certificates or descents side by side, or a batch of a
    volume's draws. Images are whitened before, and the transform stays. Large certificates can be left out, since a run
    omits those that do not fit."""
    is_whitened = cell.part.problem.is_image and cell.part.problem.whitening != "none"
    whitening, transform = _whitening_and_transform(cell) if is_whitened else (0, 0)
    return PROCESS_BYTES + max(whitening, transform + _after_whitening(cell, devices, large_certificates))


def _whitening_and_transform(cell: Cell) -> tuple[int, int]:
    """Bytes while a cell's images are whitened for the first time, and of what stays."""
    problem = cell.part.problem
    published, pixels = (None if problem.is_own else nominal_shape(problem)) or (cell.N, cell.d0)
    images, kind = problem.whitening_images or published, problem.known_whitening or "pca"
    # Float32 coordinates of many pixels are products with a copy in float32.
    copied = pixels > MANY_PIXELS and cell.part.train is not None and cell.itemsize == 4
    kept = pixels * min(cell.d0, pixels if kind in ("zca", "cholesky") else images)
    return whitening_bytes(images, pixels, kind), kept * (12 if copied else 8)


def _after_whitening(cell: Cell, devices: Sequence[Device], large_certificates: bool) -> int:
    repeats, N = cell.repeats, cell.N_padded
    if (volume := cell.part.volume) is not None:
        return repeats * volume.batch * N * (cell.d1 + (8 * cell.d0 if volume.redraw else 0))
    shared = row_devices(devices) if cell.data_parallel else devices
    training = count_local(shared) * memory_per_device(cell, devices) if devices[0].platform == "cpu" else 0
    certificates, (inputs, d1) = 0, cell.last_layer
    # Of shared rows part by part: sums of blocks that wait for each other, in float64.
    evaluation = 8 * EVALUATION_SUMS * repeats * inputs * d1
    if not cell.data_parallel:
        points = repeats * N * (cell.d0 + 1) * cell.itemsize
        evaluation = 2 * points + 8 * N * (2 * cell.d0 + 4 * cell.d1 * cell.hidden_layers)
    sizes = cell.N, inputs, d1
    if cell.part.training.spectrum:
        points = (1 if cell.data_parallel else repeats) * cell.N * (cell.d0 + 1) * cell.itemsize
        spectra = points + 8 * SPECTRUM_COPIES * certificates_at_once(cell) * cell.N * inputs * d1
        evaluation = max(evaluation, spectra)
    if landscape.certifiable(*sizes) and (large_certificates or not cost.is_large(*sizes)):
        points = (1 if cell.data_parallel else repeats) * cell.N * (cell.d0 + 1) * cell.itemsize
        each = certificate_bytes(*sizes, cell.part.problem.is_image)
        certificates = points + certificates_at_once(cell) * each
    descents = 0
    if cell.descents and landscape.certifiable(*sizes) and descent_cost.omission(*sizes) is None:
        each = WORKER_BYTES + descent_cost.descent_bytes(*sizes)
        descents = (1 if cell.data_parallel else repeats) * cell.N * (cell.d0 + 1) * cell.itemsize
        descents += descents_at_once(cell) * each
    return training + max(evaluation, certificates, descents)


def whitening_bytes(images: int, pixels: int, kind: str) -> int:
    """Bytes of whitening by so many images, at its peak: the covariance and twice its size for LAPACK, for "cholesky"
    once its size for a copy; or, where images are fewer than pixels, four copies of them and three of their inner
    products, or two of zca's transform. A block of bytes that are read is added."""
    numbers = (2 if kind == "cholesky" else 3) * pixels**2
    if min(pixels, BLOCK_ROWS) > images and kind != "cholesky":
        numbers = max(images * (4 * pixels + 3 * images), 2 * (kind == "zca") * pixels**2)
    return 8 * numbers + 3 * min(images, BLOCK_ROWS) * pixels


def count_local(devices: Sequence[Device]) -> int:
    """The number of devices that are this process's."""
    return sum(device.process_index == jax.process_index() for device in devices)


def certificates_at_once(cell: Cell) -> int:
    """The number of a cell's certificates that one process computes side by side."""
    return min(workers(cell.N, *cell.last_layer), cell.repeats)


def rank_in_doubt(N: int, d0: int, d1: int, is_image: bool) -> bool:
    """Whether a certificate is expected to compute a rank exactly: of images, some of whose pixels hardly ever vary."""
    return is_image and N * d0 * d1 <= EXACT_RANK_ENTRIES


def certificate_bytes(N: int, d0: int, d1: int, is_image: bool = False) -> int:
    """Bytes of one certificate; d0, d1 of the certified layer. A o X (N, d0 d1) itself is formed only where its rank is
    in doubt."""
    copies = EXACT_COPIES if rank_in_doubt(N, d0, d1, is_image) else 0
    return cost.certificate_bytes(N, d0, d1) + 8 * copies * N * d0 * d1
