"""Seconds of a cell on this machine: models of the arithmetic, up to a factor, and timings of real programs on random
points, from which estimate.py learns the factor."""

import contextlib
import dataclasses
import math
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from threadpoolctl import threadpool_limits

from mnnjax.config import Problem, Train
from mnnjax.jax_setup import cores, on_cpu
from mnnjax.landscape.certificates import cost
from mnnjax.study.distributed.stopping import Interrupted
from mnnjax.study.execution.chunks import Work
from mnnjax.study.execution.descent_workers import go_down
from mnnjax.study.execution.descents import descents_at_once, start_of
from mnnjax.study.execution.seed_parallel import placement
from mnnjax.study.execution.train_cell import training_of
from mnnjax.study.execution.volume_cell import Measurement
from mnnjax.study.plan.grid import Cell
from mnnjax.study.resources.memory import certificates_at_once, memory_per_device, rank_in_doubt
from mnnjax.training import LEVENBERG_MARQUARDT

# Measured on two cores: seconds of a step whatever its size, multiplications of training per second on a device, and
# those of a certificate's factorizations on a core.
STEP_SECONDS, RATE, FACTOR_RATE = 2e-5, 1.5e10, 3e9
# A cell is cut until a timing should take no longer than this, and no more memory.
CALL_SECONDS, CERTIFICATE_SECONDS, MOST_BYTES = 0.3, 1.0, 2**29
# Timings are repeated until they took so long together, or so often; volumes are given up after MOST_SECONDS.
TIMED_SECONDS, MOST_CALLS, MOST_SECONDS = 0.5, 10, 10.0
# Exact volumes are timed on so many multisets at most; splitting with so many particles at least; certificates of so
# many inputs and units at least.
MOST_MULTISETS, LEAST_PARTICLES, LEAST_WIDTH = 500, 64, 4
# After more steps of Levenberg-Marquardt runs could be done, whose steps take no time.
LEVENBERG_MARQUARDT_STEPS = 6


class Timed(NamedTuple):
    """Seconds of one kind of work on a cell, and to compile the programs of its shape."""

    seconds: float
    compiling: float = 0.0


def steps_model(cell: Cell) -> float:
    """Seconds of training all repetitions, or of their volumes, up to a factor; without descents."""
    arithmetic = cell.work_of_steps / RATE / jax.device_count()
    if cell.part.volume is not None:
        return arithmetic
    groups = 1 if cell.data_parallel else placement(cell).groups_per_device
    return arithmetic + STEP_SECONDS * cell.steps * math.ceil(cell.N / cell.batch_rows) * groups


def steps_kind(cell: Cell) -> tuple:
    """Cells of one kind train, or are measured, at similar rates."""
    if (train := cell.part.train) is None:
        return (cell.part.name,)
    way = train.parallel, train.reproducible
    return train.optimizer, train.precision, train.batch_size is None, *way, cell.hidden_layers


def time_steps(cell: Cell) -> Timed:
    """Seconds of training all repetitions, or of their volumes, and to compile all programs of the shape. All draws of
    volumes are counted, also where intervals may be narrow enough before."""
    small, is_volume = cut(cell), cell.part.volume is not None
    deadline = time.monotonic() + MOST_SECONDS

    def run(work: Work) -> float:
        # Anew each time: a used state is given away, and Levenberg-Marquardt would soon be done.
        state, done = jax.block_until_ready(work.start()), 0
        began = time.monotonic()
        while done < small.steps:
            state, done, _ = work.chunk(state, done)
        return time.monotonic() - began

    try:
        with on_cpu() if is_volume else contextlib.nullcontext(), threadpool_limits(limits=1, user_api="blas"):
            began = time.monotonic()
            if is_volume:
                work = Measurement(small, None, lambda: time.monotonic() > deadline, lambda done, line: None)
            else:
                work = training_of(small, None)
                work.evaluate(work.saved(work.start().params))
            run(work)
            first = time.monotonic() - began
            seconds = _median(lambda: run(work))
    except Interrupted:
        return Timed(steps_model(cell))
    return Timed(seconds * steps_model(cell) / steps_model(small), max(first - seconds, 0.0))


def _median(call: Callable[[], float]) -> float:
    """The median of the seconds that calls return."""
    times: list[float] = []
    while not times or (sum(times) < TIMED_SECONDS and len(times) < MOST_CALLS):
        times.append(call())
    return statistics.median(times)


def _changed(cell: Cell, **changes: Any) -> Cell:
    """The cell with other fields of its study; with other `repeats`, all of them are to run."""
    only = None if "repeats" in changes else cell.only
    return dataclasses.replace(cell, part=dataclasses.replace(cell.part, also=(), figure="none", **changes), only=only)


def _on_random_points(cell: Cell) -> Cell:
    given = cell.part.problem
    if not given.is_image:
        return cell
    drawn = Problem(label_values=given.label_values, data_sets=given.data_sets, d0=(cell.d0,), N=(cell.N,))
    return _changed(cell, problem=drawn)


def cut(cell: Cell) -> Cell:
    """The cell on random points, so small that all of its steps take little time and memory."""
    return (_cut_training if cell.part.volume is None else _cut_volumes)(_on_random_points(cell))


def _cut_training(cell: Cell) -> Cell:
    """Fewer repetitions, points, points per batch and epochs."""
    devices = len(jax.devices())

    def is_large() -> bool:
        return memory_per_device(cell, jax.devices()) * devices > MOST_BYTES

    while steps_model(cell) / cell.steps > CALL_SECONDS or is_large():
        train, repeats = cell.part.training, cell.repeats
        batch = train.batch_size or cell.N
        if not cell.data_parallel and repeats > devices:
            cell = _changed(cell, repeats=-(-repeats // 2))
        elif 4 * batch <= cell.N or (train.batch_size is None and cell.N >= 512):
            cell = dataclasses.replace(cell, N=cell.N // 2, N_padded=cell.N // 2)
        elif is_large() and batch >= 512:
            cell = _changed(cell, train=dataclasses.replace(train, batch_size=batch // 128 * 64))
        else:
            break
    train = cell.part.training
    epochs = min(train.chunk_epochs, max(1, int(CALL_SECONDS / steps_model(cell) * cell.steps)))
    if train.optimizer == LEVENBERG_MARQUARDT:
        epochs = min(epochs, LEVENBERG_MARQUARDT_STEPS)
    return _changed(cell, train=dataclasses.replace(train, epochs=epochs, decay_epochs=0, chunk_epochs=epochs))


def _cut_volumes(cell: Cell) -> Cell:
    """One repetition with fewer draws, particles and runs; of exact volumes, fewer neurons."""
    cell, volume = _changed(cell, repeats=1), cell.part.measurement
    if volume.method == "exact":
        d1 = max(k for k in range(1, cell.d1 + 1) if k == 1 or cell.multisets(k) <= MOST_MULTISETS)
        return dataclasses.replace(cell, d1=d1)
    share = min(CALL_SECONDS / steps_model(cell), 1.0)
    draws = min(max(int(volume.samples * share) // 16, 1) * 16, volume.batch)
    limited = ("suboptimal_samples", "global_samples", "max_linear_programs")
    limits = {name: math.ceil(limit * share) for name in limited if (limit := getattr(volume, name)) is not None}
    few = dataclasses.replace(
        volume, samples=draws, batch=draws, relative_width=None, runs=2,
        particles=min(max(int(volume.particles * share), LEAST_PARTICLES), volume.particles), **limits,
    )  # fmt: skip
    return _changed(cell, volume=few)


def certificate_model(cell: Cell) -> float:
    """Seconds of the certificates of all repetitions, up to a factor."""
    (d0, d1), N = cell.last_layer, cell.N
    _, in_doubt = certificate_kind(cell)
    side = min(N, d0 * d1)
    work = cost.certificate_work(N, d0, d1) / (cores() if cost.is_large(N, d0, d1) else 1) + 60 * side**2
    work += 30 * N * d0 * d1 * side * in_doubt
    return math.ceil(cell.repeats / certificates_at_once(cell)) * work / FACTOR_RATE


def certificate_kind(cell: Cell) -> tuple[bool, bool]:
    """Whether A o X has as many columns as rows, and whether its rank is computed exactly."""
    inputs, d1 = cell.last_layer
    return inputs * d1 >= cell.N, rank_in_doubt(cell.N, inputs, d1, cell.part.problem.is_image)


def descent_model(cell: Cell) -> float:
    """Seconds of the descents of all repetitions, up to a factor."""
    return cell.work_of_descents / RATE / descents_at_once(cell)


def time_descents(cell: Cell) -> Timed:
    """Seconds of the descents of all repetitions, from one of an untrained network."""
    untrained = _changed(_on_random_points(cell), repeats=1, train=Train(finish="minimum"))
    small = _narrowed(untrained, descent_model(untrained))
    training = training_of(small, None)
    start = start_of(small, training.saved(training.start().params), training.points(), 0)
    began = time.monotonic()
    go_down(start)
    return Timed((time.monotonic() - began) * descent_model(cell) / descent_model(small))


def _narrowed(cell: Cell, seconds: float) -> Cell:
    """The cell with fewer inputs, units and points where it takes so many seconds, so that it takes about a second."""
    # The ratio of weights and points stays, and work is up to the cube of either.
    factor = (CERTIFICATE_SECONDS / seconds) ** (1 / 6)
    factor = min(max(factor, LEAST_WIDTH / min(cell.d0, cell.d1)), 1.0)
    (d0, d1), N = (round(size * factor) for size in (cell.d0, cell.d1)), max(1, round(cell.N * factor**2))
    return dataclasses.replace(cell, d0=d0, d1=d1, d1_padded=d1, N=N, N_padded=N)


def time_certificates(cell: Cell) -> Timed:
    """Seconds of the certificates of all repetitions, from those of one untrained network per worker."""
    untrained = _changed(_on_random_points(cell), repeats=certificates_at_once(cell), train=Train())
    small = _narrowed(untrained, certificate_model(untrained))
    training = training_of(small, None)
    params = training.saved(training.start().params)

    def certify() -> float:
        began = time.monotonic()
        training.certify(params, lambda: None)
        return time.monotonic() - began

    return Timed(_median(certify) * certificate_model(cell) / certificate_model(small))
