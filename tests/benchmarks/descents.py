"""Descents to proven minima: seconds per run and core, from where Adam ends, against N and d0 d1.

Command:  .venv/bin/python tests/benchmarks/run.py --only descents
          .venv/bin/python tests/benchmarks/descents.py prints a row at a time and needs no PyTorch.
Measures: landscape.descend from the end of 2000 epochs of Adam as in Figure 5.1, d0 = d1 = d, one core, in float64,
          with the certificates of its start and its end. d = 10, 20, 30 over N, and d = 50, N = 2500.
Wanted:   d = 20, N = 400: a median of at most 0.5 s. d = 50, N = 2500: at most 120 s. All ends proven.
"""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from harness import wanted

from mnnjax.config import Network, Problem, Train
from mnnjax.landscape import descend
from mnnjax.problems import make_problem
from mnnjax.training import make_training

ADAM = Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000)
MINIMA = ("global_minimum", "suboptimal_dlm", "suboptimal_kink")
# d, N, repetitions.
SHAPES = (
    (10, 200, 10), (10, 100, 10), (20, 1334, 4), (20, 800, 10), (20, 400, 10), (20, 267, 10), (30, 1800, 2),
    (30, 900, 2), (30, 600, 4), (50, 2500, 1),
)  # fmt: skip
WANTED = {(20, 400): 0.5, (50, 2500): 120.0}


def ends_of_adam(d: int, N: int, repeats: int) -> tuple[Any, ...]:
    """X (repeats, N, d), y, W and z of trained networks."""
    problem = Problem(d0=(d,), N=(N,))
    draw, training = make_problem(problem, N, d, 0.0, jnp.float32), make_training(problem, Network(), ADAM, 1, d, d, N)

    def end(key):
        for_data, for_weights, for_batches = jax.random.split(key, 3)
        X, y = draw(for_data, N)
        start = training.init(for_weights)
        state, *_ = training.run_epochs(start, for_batches, X, y, N, 0, ADAM.total_epochs)
        return X, y, state.params["W1"], state.params["z"]

    found = jax.jit(jax.vmap(end))(jax.random.split(jax.random.key(0), repeats))
    return tuple(np.asarray(each, float) for each in jax.device_get(found))


def run(quick: bool) -> dict:
    rows, goals = [], []
    for d, N, repeats in SHAPES[:2] if quick else SHAPES:
        seconds, found = [], []
        for X, y, W, z in zip(*ends_of_adam(d, N, repeats), strict=True):
            began = time.perf_counter()
            found.append(descend(W, z, X, y, 0.0))
            seconds.append(time.perf_counter() - began)
        proven = sum(end.certificate.verdict in MINIMA for end in found)
        rows.append({
            "d": d, "N": N, "d0 d1 / N": round(d * d / N, 2), "runs": repeats, "proven": proven,
            "s per run, median": round(statistics.median(seconds), 3), "most": round(max(seconds), 3),
            "steps, median": statistics.median(end.steps for end in found),
            "kinks, median": statistics.median(end.certificate.kinks for end in found),
            "MSE before": float(f"{statistics.median(end.mse_before for end in found):.3g}"),
            "MSE after": float(f"{statistics.median(end.certificate.mse for end in found):.3g}"),
        })  # fmt: skip
        if limit := WANTED.get((d, N)):
            goals.append(wanted(f"d = {d}, N = {N}: median s per run", statistics.median(seconds), most=limit))
        print(rows[-1], flush=True)
    return {"tables": {"Descents from Adam's ends": rows}, "wanted": goals}


if __name__ == "__main__":
    run(quick=False)
