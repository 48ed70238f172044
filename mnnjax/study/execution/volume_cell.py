"""Measures the volumes of a cell: counts batches of draws, splitting runs or exact volumes, and saves between them."""

import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from mnnjax import landscape
from mnnjax.config import Study
from mnnjax.jax_setup import on_cpu
from mnnjax.landscape.telling import Told
from mnnjax.landscape.volumes import sampling
from mnnjax.landscape.volumes.intervals import Counts, volumes_from_counts
from mnnjax.problems import make_problem
from mnnjax.study.distributed.stopping import Interrupted
from mnnjax.study.execution.chunks import Context, Work, run_chunks
from mnnjax.study.execution.images import Sources, read_images
from mnnjax.study.execution.volume_results import State, rows_of, summary, uneven
from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.keys import seed_keys

SECONDS_BETWEEN_CHECKPOINTS = 30.0
TARGETS = ("suboptimal", "rank_deficient")
# Folded into a repetition's key for its splitting runs; its draws fold in the numbers of their blocks, from 0 on.
SPLITTING = 2**31


def run_volume_cell(cell: Cell, context: Context) -> None:
    """Measure the cell's volumes, from the latest valid checkpoint on, and write its rows. Raises Stopped, with the
    state saved, where a stop was requested."""
    began = time.monotonic()
    with context.checkpoints(cell) as checkpoints, on_cpu():
        tell = functools.partial(_tell_within_step, cell, context)
        measurement = Measurement(cell, context.sources, context.stop_requested, tell)
        state = run_chunks(cell, measurement, context, checkpoints, began)
        if count := uneven(state):
            why = f"{count} of its splitting estimates come from runs that spread by more than their mean"
            hint = "their intervals may be too narrow; give more volume.particles"
            context.warn(cell, f"{cell.id}: {why}: {hint}")
        rows = rows_of(cell, state)
        context.workdir.finish_cell(cell, rows)
        checkpoints.delete()
    context.workdir.log("cell_end", cell=cell.id, seconds=round(time.monotonic() - began, 3))
    context.progress.cell_finished(cell, summary(rows))


def _tell_within_step(cell: Cell, context: Context, done: int, line: str) -> None:
    context.progress.chunk(cell, done, f"{Measurement.unit} {done + 1} of {cell.steps}: {line}")


class Measurement(Work):
    """The steps of a cell, each a function of the state before it and of its number alone; sources: None where points
    are drawn. tell: gets the number of steps done and a line, now and then within a long one."""

    unit: ClassVar[str] = "step"

    def __init__(
        self, cell: Cell, sources: Sources | None, stop_requested: Callable[[], object],
        tell: Callable[[int, str], object],
    ):  # fmt: skip
        self._cell, self._part, self._volume = cell, cell.part, cell.part.measurement
        self._stop_requested, self._tell = stop_requested, tell
        self._X: Any = None  # None: drawn anew for every draw
        self._y: Any = None
        if not self._volume.redraw:
            self._X, self._y = _points(cell, sources, seed_keys(cell.data_seeds, cell.data_salt))
        self._keys = seed_keys(cell.seeds, cell.training_salt)
        self._fitted: Any = None, None  # the last repetition and target that were split, and their importance

    @property
    def steps(self) -> range:
        return range(self._cell.steps)

    @property
    def template(self) -> State:
        repeats = self._cell.repeats
        if self._volume.method == "exact":
            least = {"global_minimum": np.full(repeats, np.nan)} if self._volume.global_minimum else {}
            return {"exact": np.full((repeats, 3), np.nan)} | least
        counts = {name: np.zeros((repeats, 3), np.int64) for name in ("hits", "draws")}
        runs = {"splitting": np.full((repeats, 3, self._volume.runs), np.nan)}
        return counts | (runs if self._volume.method == "splitting" else {})

    def start(self, saved: State | None = None) -> State:
        return self.template if saved is None else saved

    def checkpoint_due(self, done: int, chunks: int, seconds: float) -> bool:
        # Steps take from milliseconds to minutes.
        return seconds > SECONDS_BETWEEN_CHECKPOINTS

    def chunk(self, state: State, done: int) -> tuple[State, int, dict[str, float]]:
        if self._volume.method == "exact":
            state = self._exact(state, done)
        else:
            batches = -(-self._volume.samples // self._volume.batch)
            state = self._batch(state, done) if done < batches else self._split(state, done - batches)
        return state, done + 1, {}

    def _exact(self, state: State, k: int) -> State:
        network = self._X[k], self._y[k], self._cell.d1, self._part.network.rho, self._volume.eps
        found = landscape.exact_volumes(*network, threshold=self._part.problem.threshold)
        exact = state["exact"].copy()
        exact[k] = found.suboptimal, found.global_minima, found.rank_deficient
        state = state | {"exact": exact}
        if self._volume.global_minimum:
            least = state["global_minimum"].copy()
            # The field stays empty where rounding hides the minimum.
            with contextlib.suppress(ArithmeticError):
                least[k] = landscape.exact_global_minimum(*network[:4]).mse
            state = state | {"global_minimum": least}
        return state

    def _batch(self, state: State, number: int) -> State:
        cell, volume, problem = self._cell, self._volume, self._part.problem
        first = number * volume.batch
        left = min(volume.batch, volume.samples - first)
        active = [k for k in range(len(self._keys)) if not self._is_narrow(state, k)]
        if not active:
            return state
        # Splitting measures V(L_eps) by itself.
        limits = (0 if volume.method == "splitting" else volume.suboptimal_samples, volume.global_samples)
        asked = [left if limit is None else min(max(limit - first, 0), left) for limit in limits]
        screened_by = _screen(self._part, cell.d0, cell.N_padded, cell.d1_padded, cell.repeats)
        padding = (0, cell.N_padded - cell.N)
        X = np.zeros((len(self._keys), 1)) if self._X is None else np.pad(self._X, ((0, 0), padding, (0, 0)))
        screened = jax.device_get(screened_by(self._keys, X, first // sampling.BLOCK, cell.N, cell.d1))
        hits, draws = state["hits"].copy(), state["draws"].copy()
        tell = functools.partial(self._tell, number)
        told = Told(tell, len(active) * sum(asked), "questions of this batch")
        with sampling.blas_threads() as each:

            def heeding_stops(function: Callable, items: Sequence):
                def unless_stopped(item):
                    if self._stop_requested():
                        raise Interrupted
                    return function(item)

                return each(unless_stopped, items)

            for k in active:
                draws_k = jax.tree.map(lambda a, k=k: a[k, :left], screened)
                X_k = None if self._X is None else X[k]
                y_k = None if self._y is None else np.pad(self._y[k], padding)
                counts = sampling.decide(
                    draws_k, X_k, y_k, cell.N, cell.d1, self._part.network.rho, volume.eps, problem.threshold, asked,
                    volume.output_signs, sampling.counted(heeding_stops, told), tell,
                )  # fmt: skip
                hits[k] += counts.hits
                draws[k] += counts.draws
        return state | {"hits": hits, "draws": draws}

    def _is_narrow(self, state: State, k: int) -> bool:
        """Whether repetition k stopped at its last look."""
        width, draws = self._volume.relative_width, int(state["draws"][k, 2])
        looks = sampling.looks_at(self._volume.samples, self._volume.batch)
        if width is None or draws not in looks:
            return False
        # Splitting measures the other two by itself.
        counted = np.array([0, 1, 0] if self._volume.method == "splitting" else [1, 1, 1])
        counts = Counts(state["hits"][k] * counted, state["draws"][k] * counted)
        return sampling.narrow(volumes_from_counts(counts, len(looks)), width)

    def _split(self, state: State, number: int) -> State:
        volume = self._volume
        rest, split = divmod(number, volume.runs)
        k, target = divmod(rest, len(TARGETS))
        key = jax.random.fold_in(self._keys[k], SPLITTING + target)
        network = self._X[k], self._y[k], self._cell.d1, self._part.network.rho, volume.eps
        options: dict[str, Any] = {
            "target": TARGETS[target], "particles": volume.particles, "threshold": self._part.problem.threshold
        }  # fmt: skip
        if self._fitted[0] != (k, target):
            # Anew after a resume: it depends on the seed alone.
            self._fitted = (k, target), landscape.fit_importance(jax.random.fold_in(key, 0), *network, **options)
        options |= {"max_linear_programs": volume.max_linear_programs}
        found = landscape.run_splitting(jax.random.fold_in(key, 1 + split), self._fitted[1], *network, **options)
        runs = state["splitting"].copy()
        runs[k, target, split] = found.volume
        if target == 0:
            runs[k, 2, split] = found.candidate
        return state | {"splitting": runs}


def _points(cell: Cell, sources: Sources | None, keys) -> tuple[np.ndarray, np.ndarray]:
    """X (repeats, N, d0), with the constant column if the problem has one, and y (repeats, N)."""
    if cell.part.problem.is_image:
        assert sources is not None
        X, y = read_images(cell, sources, keys, cell.N, np.float64)
    else:
        draw = make_problem(cell.part.problem, cell.N, cell.d0, cell.part.network.rho, jnp.float64)
        X, y = jax.device_get(jax.lax.map(jax.jit(lambda key: draw(key, cell.N)), keys))
    if cell.part.problem.constant_input:
        X = np.concatenate([X, np.ones((*X.shape[:2], 1))], axis=2)
    return X, y


@functools.lru_cache(maxsize=8)
def _screen(part: Study, d0: int, rows: int, units: int, repeats: int) -> Callable:
    """The screening of a batch for all repetitions, which are spread over as many CPU devices as divide them."""
    problem, rho = part.problem, part.network.rho
    draw = make_problem(problem, rows, d0, rho, jnp.float64) if part.measurement.redraw else None
    columns = d0 + (1 if problem.constant_input and draw is None else 0)
    screen = sampling.make_screen(rows, columns, units, rho, part.measurement.batch, draw, problem.constant_input)

    def screen_all(keys, X, first, N, d1):
        return jax.lax.map(lambda arrays: screen(arrays[0], first, arrays[1], N, d1), (keys, X))

    devices = jax.local_devices(backend="cpu")
    count = max(k for k in range(1, len(devices) + 1) if repeats % k == 0)
    mesh = jax.sharding.Mesh(np.asarray(devices[:count]), ("seeds",))
    seeds, same = PartitionSpec("seeds"), PartitionSpec()
    program = jax.jit(jax.shard_map(screen_all, mesh=mesh, in_specs=(seeds, seeds, same, same, same), out_specs=seeds))
    placed = NamedSharding(mesh, seeds)
    return lambda keys, X, *rest: program(jax.device_put(keys, placed), jax.device_put(X, placed), *rest)
