"""Data-parallel training of a cell: the devices share its points, on which all repetitions train."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from mnnjax import training
from mnnjax.arrays import AnyArray
from mnnjax.config import ROW_BLOCKS
from mnnjax.problems import make_problem
from mnnjax.problems.images import chosen_rows, image_labels
from mnnjax.problems.whitening import BLOCK_ROWS
from mnnjax.study.distributed import processes
from mnnjax.study.execution.chunks import CellTraining
from mnnjax.study.execution.images import Sources
from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.keys import seed_keys

# Rows per call of an evaluation.
EVALUATED_ROWS = 2048


class DataParallel(CellTraining):
    """The points of a cell are shared by the devices of all processes; every device has the same state; sources: None
    where points are drawn. Raises UserError where the cell's images are missing, or the processes cannot share its
    rows."""

    def __init__(self, cell: Cell, sources: Sources | None):
        super().__init__(cell)
        part = cell.part
        self._layout = training.RowLayout(cell.N, part.training.batch_size)
        devices = training.row_devices(jax.devices())
        sizes = cell.hidden_layers, cell.d0, cell.d1, cell.N
        self._training = training.make_row_training(part.problem, part.network, part.training, *sizes, devices)
        self._keys = seed_keys(cell.seeds, cell.training_salt)
        self._batch_key = seed_keys([part.seed], cell.training_salt)[0]
        data_key = seed_keys([part.seed], cell.data_salt)[0]
        if part.problem.is_image:
            assert sources is not None
            blocks = _image_blocks(cell, sources, data_key)
        else:
            blocks = _drawn_blocks(cell, data_key, self._layout)
        rounded = None if part.training.rows_precision == "same" else part.training.rows_precision
        # An error of one process ends all: the others would wait for its rows.
        self._rows = processes.together(
            lambda: training.place_rows(self._layout, cell.d0, part.training.precision, devices, blocks, rounded)
        )
        self._stream = training.make_stream(part.problem, part.network, cell.hidden_layers, cell.d1)

    @property
    def template(self):
        return jax.eval_shape(self._training.init, self._keys)

    def start(self, saved=None):
        return self._training.init(self._keys) if saved is None else saved

    def start_at(self, params, non_finite_epoch):
        return self._training.init(self._keys, params)._replace(non_finite_epoch=jnp.asarray(non_finite_epoch))

    def run(self, state, epoch: int, epochs: int):
        state, metrics = self._training.run_epochs(state, self._batch_key, self._rows, epoch, epochs)
        return state, jax.device_get(metrics)

    def saved(self, state):
        return jax.device_get(state)

    def evaluate(self, params):
        # Each process goes through its own blocks, part by part. The sum is the same for any number of processes.
        sums, parts = self._stream(params, self._parts()), math.ceil(self._layout.points / EVALUATED_ROWS)
        blocks = range(ROW_BLOCKS // jax.process_count())
        own = training.add_in_halves(functools.reduce(training.add_sums, itertools.islice(sums, parts)) for _ in blocks)
        whole = training.add_in_halves(processes.gathered(own))
        return jax.device_get(training.from_sums(whole, self._cell.N))

    def points(self):
        kept = [(X[weights > 0], y[weights > 0]) for X, y, weights in self._parts()]
        parts = [part for parts in processes.gathered(kept) for part in parts]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def _parts(self) -> Iterator[tuple[AnyArray, np.ndarray, np.ndarray]]:
        """All rows of this process, a few at a time, in the order of the points."""
        shards = (leaf.addressable_shards for leaf in (self._rows.X, self._rows.y, self._rows.weights))
        for X, y, weights in zip(*shards, strict=True):
            y, weights = np.asarray(y.data)[0], np.asarray(weights.data)[0]
            for block in range(len(y)):
                for start in range(0, self._layout.points, EVALUATED_ROWS):
                    rows = slice(start, min(start + EVALUATED_ROWS, self._layout.points))
                    yield training.from_bits(np.asarray(X.data[0, block, rows])), y[block, rows], weights[block, rows]


def _image_blocks(cell: Cell, sources: Sources, key) -> Callable:
    """Reads and whitens a block of the cell's images, part by part; see place_rows."""
    problem = cell.part.problem
    images, whitening = sources.get(problem)
    # In the order in which they are stored: a block is then read from one place.
    chosen = np.arange(images.N) if cell.N == images.N else np.sort(chosen_rows(images, key, cell.N))
    y = image_labels(problem, images.upper[chosen], key)

    def block_of(block, points, device):
        for start in range(points.start, points.stop, BLOCK_ROWS):
            part = slice(start, min(start + BLOCK_ROWS, points.stop))
            yield whitening.apply(images.read(chosen[part]), cell.part.training.precision), y[part]

    return block_of


def _drawn_blocks(cell: Cell, key, layout: training.RowLayout) -> Callable:
    """Draws a block on its device, from a key of its own; see place_rows."""
    problem, dtype = cell.part.problem, jnp.dtype(cell.part.training.precision)
    draw = jax.jit(make_problem(problem, layout.points, cell.d0, cell.part.network.rho, dtype))
    # One teacher labels all blocks.
    teacher_key = jax.random.split(key)[1]

    def block_of(block, points, device):
        own_key, own_teacher = jax.device_put((jax.random.fold_in(key, block), teacher_key), device)
        X, y = draw(own_key, len(points), own_teacher)
        yield X[: len(points)], np.asarray(y)[: len(points)]

    return block_of
