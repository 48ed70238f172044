"""What the volumes of a cell take on this machine: as probes.py, for volumes."""

import dataclasses
import math
import time

import numpy as np
from threadpoolctl import threadpool_limits

from mnnjax import landscape
from mnnjax.jax_setup import on_cpu
from mnnjax.study.distributed.stopping import Interrupted
from mnnjax.study.execution.volume_cell import TARGETS, Measurement
from mnnjax.study.plan.grid import Cell
from mnnjax.study.resources.extrapolate import Timed
from mnnjax.study.resources.time_training import CALL_SECONDS, on_random_points

# As measured on two cores: seconds of a draw or a particle's neuron, and for each pair of points; multisets a second.
DRAW_SECONDS, PAIR_SECONDS, MULTISETS = 1e-5, 8e-8, 500
# And of a linear program, and for each point and weight of it.
PROGRAM_SECONDS, ENTRY_SECONDS = 2e-3, 2e-6
# How much longer a multiset takes for each neuron more: it takes more linear programs.
MORE_PROGRAMS = 1.5
# Pilot runs of splitting, about.
PILOTS = 8
LEAST_PARTICLES = 64
# A batch of draws is let go when its linear programs take longer.
MOST_SECONDS = 1.0


def volume_model(cell: Cell) -> float:
    """Seconds of all repetitions' volumes, up to a factor."""
    volume = cell.part.measurement
    if volume.method == "exact":
        return cell.part.repeats * _enumeration(cell, cell.d1) / MULTISETS
    draws, programs = volume.samples, _asked(cell)
    if volume.method == "splitting":
        draws += len(TARGETS) * (volume.runs + PILOTS) * volume.particles * cell.d1
        programs += volume.runs * volume.max_linear_programs
    program = PROGRAM_SECONDS + ENTRY_SECONDS * cell.N * cell.d0 * cell.d1
    return cell.part.repeats * (draws * _draw_seconds(cell) + programs * program)


def time_volumes(cell: Cell) -> Timed:
    """Seconds of all repetitions' volumes, and to compile their programs; all draws are counted, also where intervals
    may be narrow enough before."""
    cell = on_random_points(cell)
    with on_cpu(), threadpool_limits(limits=1, user_api="blas"):
        if cell.part.measurement.method == "exact":
            return Timed(_time_exact(cell))
        small = _cut(cell)
        began = time.monotonic()
        _time_steps(small)
        compiled = time.monotonic()
        seconds = _time_steps(small)
        compiling = (compiled - began) - (time.monotonic() - compiled)
    volume, few = cell.part.measurement, small.part.measurement
    total = seconds[0] * cell.part.repeats * volume.samples / few.samples
    for fit_and_run, run in zip(seconds[1::2], seconds[2::2], strict=True):
        once = max(fit_and_run - run, 0.0) + volume.runs * run
        total += once * cell.part.repeats * volume.particles / few.particles
    return Timed(total, max(compiling, 0.0))


def _cut(cell: Cell) -> Cell:
    """The cell with one repetition, which has all cores for its linear programs; fewer draws, particles and runs."""
    volume, draw = cell.part.measurement, _draw_seconds(cell)
    draws = min(max(int(CALL_SECONDS / draw) // 16, 1) * 16, -(-volume.samples // 16) * 16, volume.batch)
    share = draws / volume.samples
    limits = {
        name: None if getattr(volume, name) is None else math.ceil(getattr(volume, name) * share)
        for name in ("suboptimal_samples", "global_samples")
    }
    particles = int(CALL_SECONDS / (draw * cell.d1 * PILOTS))
    particles = min(max(particles, LEAST_PARTICLES), volume.particles)
    programs = math.ceil(volume.max_linear_programs * particles / volume.particles)
    few = dataclasses.replace(
        volume, samples=draws, batch=draws, relative_width=None, runs=2, particles=particles,
        max_linear_programs=programs, **limits,
    )  # fmt: skip
    return dataclasses.replace(cell, part=dataclasses.replace(cell.part, volume=few, repeats=1, also=()))


def _time_steps(cell: Cell) -> list[float]:
    """Seconds of the batch of draws, and of the first repetition's splitting runs, target by target."""
    volume, asked = cell.part.measurement, 0
    deadline = math.inf

    def too_late() -> bool:
        nonlocal asked
        asked += 1
        return time.monotonic() > deadline

    measure = Measurement(cell, None, too_late)
    counts = {name: np.zeros((1, 3), np.int64) for name in ("hits", "draws")}
    state = counts | {"splitting": np.full((1, 3, volume.runs), np.nan)}
    began = time.monotonic()
    deadline = began + MOST_SECONDS
    try:
        state = measure.chunk(state, 0)[0]
        seconds = [time.monotonic() - began]
    except Interrupted:
        seconds = [(time.monotonic() - began) * _asked(cell) / asked]
    deadline = math.inf
    for number in range(len(TARGETS) * volume.runs if volume.method == "splitting" else 0):
        began = time.monotonic()
        state = measure.chunk(state, 1 + number)[0]
        seconds.append(time.monotonic() - began)
    return seconds


def _asked(cell: Cell) -> int:
    """How many draws of a repetition are asked whether their region holds a minimum, of both kinds together."""
    volume = cell.part.measurement
    limits = (0 if volume.method == "splitting" else volume.suboptimal_samples, volume.global_samples)
    return sum(volume.samples if limit is None else min(limit, volume.samples) for limit in limits)


def _draw_seconds(cell: Cell) -> float:
    return DRAW_SECONDS + PAIR_SECONDS * cell.N**2


def _time_exact(cell: Cell) -> float:
    d1 = max(k for k in range(1, cell.d1 + 1) if k == 1 or cell.multisets(k) <= MULTISETS)
    X, y = np.random.default_rng(0).standard_normal((cell.N, cell.d0)), np.arange(cell.N) % 2
    if cell.part.problem.constant_input:
        X = np.hstack([X, np.ones((cell.N, 1))])
    began = time.monotonic()
    landscape.exact_volumes(X, y, d1, cell.part.network.rho, cell.part.measurement.eps, threshold=0.5)
    seconds = time.monotonic() - began
    return seconds * cell.part.repeats * _enumeration(cell, cell.d1) / _enumeration(cell, d1)


def _enumeration(cell: Cell, d1: int) -> float:
    return cell.multisets(d1) * MORE_PROGRAMS**d1
