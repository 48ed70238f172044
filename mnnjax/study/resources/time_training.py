"""What a cell takes on this machine: models of the arithmetic, up to a factor, and timings of real programs on random
points of the cell's shape, from which scaling.py learns the factor."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mnnjax.config import Problem
from mnnjax.study.execution.certify_cell import certify_seeds
from mnnjax.study.execution.seed_parallel import placement
from mnnjax.study.execution.train_cell import training_of
from mnnjax.study.plan.grid import Cell
from mnnjax.study.resources.extrapolate import Timed
from mnnjax.study.resources.memory import certificates_at_once, memory_per_device, rank_in_doubt
from mnnjax.training import LEVENBERG_MARQUARDT, RowLayout, row_devices

# Of the models, as measured on two cores: what a step takes whatever its size, multiplications with a parameter a
# second on a device, and those of the factorizations of certificates on a core.
STEP_SECONDS, RATE, FACTOR_RATE = 2e-5, 1.5e10, 3e9
# Of a chunk of epochs, on its way to the devices and back.
CHUNK_SECONDS = 1e-3
# Passes over the activations of a step, each as slow as so many multiplications.
ELEMENTWISE = 10
# What is timed is cut until it should take no longer than this, and no more memory.
CALL_SECONDS, CERTIFICATE_SECONDS, MOST_BYTES = 0.3, 1.0, 2**29
# Calls are repeated until they took so long together, or so often.
TIMED_SECONDS, MOST_CALLS = 0.5, 10
# Steps of Levenberg-Marquardt that are timed: after more, runs could be done, and steps of those take no time.
LEVENBERG_MARQUARDT_STEPS = 6
# From so many columns of A o X a row on, training is taken to end at a global minimum, whose certificate is cheapest.
REACHED, REACHED_BY_LEVENBERG_MARQUARDT = 3.0, 1.0


def epoch_model(cell: Cell) -> float:
    """Seconds of an epoch of all repetitions, up to a factor."""
    train, repeats = cell.part.training, cell.part.repeats
    # A layer after the first has a gradient in its inputs too: three products in place of two.
    point = cell.parameters + (ELEMENTWISE * cell.hidden_layers + cell.d1 * (cell.hidden_layers - 1) / 2) * cell.d1
    chunk = CHUNK_SECONDS / train.chunk_epochs
    if cell.by_rows:
        layout = RowLayout(cell.N, train.batch_size)
        rows = layout.N / layout.steps / len(row_devices(jax.devices()))
        return chunk + layout.steps * (STEP_SECONDS + repeats * (rows * point + ELEMENTWISE * cell.parameters) / RATE)
    together, turns, _ = placement(cell)
    work = cell.batch_rows * point
    if cell.gram_entries:
        work = cell.N_padded**3 / 3 + cell.gram_entries * (cell.d0 + cell.d1) * cell.hidden_layers
    return chunk + turns * math.ceil(cell.N / cell.batch_rows) * (STEP_SECONDS + together * work / RATE)


def step_size(cell: Cell) -> float:
    """How large a step is: cells of equal size run at the same rate, about."""
    return float(cell.batch_rows * cell.parameters)


def time_epoch(cell: Cell) -> Timed:
    """Seconds of an epoch of all repetitions, and to compile all programs of the shape."""
    small = cut(on_random_points(cell))
    by_levenberg_marquardt = small.part.training.optimizer == LEVENBERG_MARQUARDT
    most = LEVENBERG_MARQUARDT_STEPS if by_levenberg_marquardt else small.part.training.chunk_epochs
    epochs = max(1, min(most, small.part.training.chunk_epochs, int(CALL_SECONDS / epoch_model(small))))
    began = time.monotonic()
    training = training_of(small, None)
    state, _ = training.run(training.start(), 0, epochs)
    first = time.monotonic() - began
    params = training.saved(state.params)
    began = time.monotonic()
    training.evaluate(params)
    first += time.monotonic() - began
    # Each call starts anew: a used state is given away, and Levenberg-Marquardt would soon be done.
    seconds = _repeatedly(lambda state: training.run(state, 0, epochs), training.start)
    began = time.monotonic()
    training.evaluate(params)
    evaluating = time.monotonic() - began
    return Timed(seconds / epochs * epoch_model(cell) / epoch_model(small), max(first - seconds - evaluating, 0.0))


def _repeatedly(call: Callable[[Any], object], prepare: Callable[[], Any] = lambda: None) -> float:
    """The median time of a call with what is prepared for it."""
    times: list[float] = []
    while not times or (sum(times) < TIMED_SECONDS and len(times) < MOST_CALLS):
        prepared = jax.block_until_ready(prepare())
        began = time.monotonic()
        call(prepared)
        times.append(time.monotonic() - began)
    return statistics.median(times)


def on_random_points(cell: Cell) -> Cell:
    """The cell with points that are drawn, where it has images."""
    problem = cell.part.problem
    if not problem.is_image:
        return cell
    drawn = Problem(
        label_values=problem.label_values, data_sets=problem.data_sets, d0=(cell.d0,), N=problem.N or (cell.N,)
    )
    return dataclasses.replace(cell, part=dataclasses.replace(cell.part, problem=drawn, also=(), figure="none"))


def cut(cell: Cell) -> Cell:
    """The cell with fewer repetitions, rows and points a batch, so that an epoch takes little time and memory."""
    devices = jax.devices()
    while epoch_model(cell) > CALL_SECONDS or memory_per_device(cell, devices) * len(devices) > MOST_BYTES:
        part = cell.part
        batch = part.training.batch_size or cell.N
        if not cell.by_rows and part.repeats > len(devices):
            cell = dataclasses.replace(cell, part=dataclasses.replace(part, repeats=-(-part.repeats // 2)))
        elif 4 * batch <= cell.N or (part.training.batch_size is None and cell.N >= 512):
            cell = dataclasses.replace(cell, N=cell.N // 2, N_padded=cell.N // 2)
        elif memory_per_device(cell, devices) * len(devices) > MOST_BYTES and batch >= 512:
            train = dataclasses.replace(part.training, batch_size=batch // 128 * 64)
            cell = dataclasses.replace(cell, part=dataclasses.replace(part, train=train))
        else:
            break
    return cell


def certificate_model(cell: Cell) -> float:
    """Seconds of the certificates of all repetitions, up to a factor."""
    at_once = certificates_at_once(cell)
    return math.ceil(cell.part.repeats / at_once) * certificate_size(cell) / FACTOR_RATE


def certificate_size(cell: Cell) -> float:
    """Of one certificate."""
    return _certificate_work(cell.N, *cell.last_layer, cell.part.problem.is_image)


def certificate_kind(cell: Cell) -> tuple[bool, ...]:
    """What decides how a certificate goes: the system that it solves, and whether it has a minimum to find."""
    inputs, d1 = cell.last_layer
    per_row = inputs * d1 / cell.N
    in_doubt = rank_in_doubt(cell.N, inputs, d1, cell.part.problem.is_image)
    reached = per_row >= (
        REACHED_BY_LEVENBERG_MARQUARDT if cell.part.training.optimizer == LEVENBERG_MARQUARDT else REACHED
    )
    return per_row >= 1, reached, in_doubt


def _certificate_work(N: int, d0: int, d1: int, is_image: bool) -> float:
    columns = d0 * d1
    side = min(N, columns)
    work = 2 / 3 * side**3 + (N * columns**2 if columns < N else (4 * (d0 + d1) + 60) * N**2)
    if rank_in_doubt(N, d0, d1, is_image):
        work += 30 * N * columns * side
    return work


def time_certificates(cell: Cell) -> Timed:
    """Seconds of the certificates of all repetitions, from those of one random network a worker."""
    d0, d1 = cell.last_layer
    at_once = certificates_at_once(cell)
    image, (_, reached, in_doubt) = cell.part.problem.is_image, certificate_kind(cell)
    N, cut = cell.N, 1.0
    while _certificate_work(N, d0, d1, image) > CERTIFICATE_SECONDS * FACTOR_RATE and min(d0, d1) > 4:
        # The ratio of weights and points stays.
        cut *= 0.9
        N = max(1, round(cell.N * cut**2))
        d0, d1 = (max(1, round(size * cut)) for size in cell.last_layer)
    draw = np.random.default_rng(0).standard_normal
    X, W, z = draw((at_once, N, d0)), draw((at_once, d1, d0)), draw((at_once, d1))
    if in_doubt:
        # As pixels that hardly ever vary.
        X[:, 2:, :3] = 0
    y = np.sign(draw((at_once, N)))
    if reached:
        y = 1e-7 * y + np.einsum("snu,su->sn", np.maximum(X @ W.transpose(0, 2, 1), 0), z)
    network = dataclasses.replace(cell.part.network, rho=0.0, bias=False)
    seconds = _repeatedly(lambda _: certify_seeds({"W1": W, "z": z}, network, 1, X, y, 0.0))
    turns = math.ceil(cell.part.repeats / at_once)
    return Timed(seconds * turns * certificate_size(cell) / _certificate_work(N, d0, d1, image))
