"""What compiling costs: of a shape's programs, and of a study."""

import contextlib
import os
import time

import jax
import jax.numpy as jnp
from study_jax import Cell

from mnnjax import jax_setup
from mnnjax.config import Problem, Study, Train
from mnnjax.study.plan import grid as plan
from mnnjax.study.runner import run_study

# Tracing, lowering, and XLA's part; where the cache holds a program the last one includes reading it.
EVENTS = tuple(
    f"/jax/core/compile/{name}"
    for name in ("jaxpr_trace_duration", "jaxpr_to_mlir_module_duration", "backend_compile_duration")
)


class Compile:
    """The programs of a shape, lowered and compiled anew."""

    def __init__(self, **settings):
        jax_setup.use_all_cores()
        jax_setup.use_compilation_cache()
        jax.block_until_ready(jax.jit(lambda a: a + 1)(jnp.zeros(8)))
        self.settings = settings

    def seconds(self) -> dict[str, float]:
        cell = _Uncompiled(**self.settings)
        return cell.seconds


class _Uncompiled(Cell):
    """A cell whose programs are compiled one by one, each before its first use."""

    def _draw(self, start) -> None:
        self.seconds = {}
        cell, programs, timed = self.cell, self.programs, self._timed
        seeds, data_seeds = programs.pad((jnp.asarray(cell.seeds), jnp.asarray(cell.data_seeds)))
        keys, data_keys = programs.keys(seeds, cell.training_salt), programs.keys(data_seeds, cell.data_salt)
        X, y = timed("draw", programs.draw, data_keys, cell.N)
        state = timed("init", programs.init, keys)
        host = jax.device_put(jax.device_get((state.params, X, y)), jax.devices("cpu")[0])
        timed("evaluate", programs.evaluate, *host, cell.N)
        began = time.perf_counter()
        programs.run_epochs.lower(state, keys, X, y, cell.N, 0, cell.part.train.chunk_epochs).compile()
        self.seconds["run_epochs"] = time.perf_counter() - began

    def _timed(self, name: str, function, *args):
        began = time.perf_counter()
        compiled = function.lower(*args).compile()
        self.seconds[name] = time.perf_counter() - began
        return compiled(*args)


class WholeStudy:
    """A study from nothing to results.csv, certificates included, and how much of it went into compiling."""

    def __init__(self, d0: tuple[int, ...], ratios: tuple[float, ...], epochs: int):
        jax_setup.use_compilation_cache()
        problem = Problem(d0=d0, d0_d1_over_N=ratios)
        self.study = Study(name="bench", problem=problem, train=Train(epochs=epochs // 2, decay_epochs=epochs // 2))
        self.spans: dict[str, list[tuple[float, float]]] = {name: [] for name in EVENTS}
        jax.monitoring.register_event_duration_secs_listener(self._heard)

    def _heard(self, event: str, duration: float, **_) -> None:
        if event in self.spans:
            now = time.perf_counter()
            self.spans[event].append((now - duration, now))

    def run(self, folder: str) -> dict:
        began = time.perf_counter()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            run_study(self.study, folder)
        seconds = time.perf_counter() - began
        cells = plan.cells(self.study)
        row = {"cells": len(cells), "shapes": len({cell.shape for cell in cells}), "seconds": seconds}
        row["compiling"] = covered([span for spans in self.spans.values() for span in spans])
        return row | {f"of it {name.split('/')[-1]}": covered(spans) for name, spans in self.spans.items()}


def covered(spans: list[tuple[float, float]]) -> float:
    """Seconds in at least one of the spans: tracing a function includes tracing those that it calls."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return total
