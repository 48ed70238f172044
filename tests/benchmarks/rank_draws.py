"""Rank draws a second: is rank(A o X) = N for random W and X, here and one sample at a time in PyTorch.

Command:  .venv/bin/pip install torch && .venv/bin/python tests/benchmarks/rank_draws.py [--json FILE]
Compares: the batched decision of mnnjax.landscape.volume (float64, every draw decided as khatri_rao_rank decides it)
          with what section 6's later work does for each sample: the Jacobian of the N outputs in W by
          torch.func.jacrev, then torch.linalg.matrix_rank (float32, PyTorch's default, and float64).
          Both draw X and W anew for each draw, on the same cores, turn by turn.
Wanted:   at N = 190, d0 = 95, d1 = 15, at most a tenth of PyTorch's time a draw.
"""

import argparse
import functools
import json
import os
import statistics
import time

import jax
import numpy as np
import torch

from mnnjax.config import Problem
from mnnjax.landscape import volume
from mnnjax.problems import make_problem

SIZES = ((190, 95, 15), (100, 50, 15), (50, 25, 8))
DRAWS, TORCH_DRAWS, TURNS = 1024, 16, 5


def ours(N: int, d0: int, d1: int):
    """A function that decides DRAWS draws and returns how many are deficient."""
    draw = make_problem(Problem(d0=(d0,), N=(N,)), N, d0, 0.0, np.float64)
    screen = jax.jit(volume.make_screen(N, d0, d1, 0.0, DRAWS, draw))

    def decide(turn: int) -> int:
        screened = jax.device_get(screen(jax.random.key(0), turn * DRAWS // volume.BLOCK, None, N, d1))
        return int(volume.decide(screened, None, None, N, d1, 0.0, 0.0, 0.0, (0, 0)).hits[2])

    return decide


def pytorch(N: int, d0: int, d1: int, dtype):
    """A function that decides TORCH_DRAWS draws, one by one."""
    z = torch.randn(d1, dtype=dtype)

    def output(W, X):
        return torch.relu(X @ W.T) @ z

    def decide(turn: int) -> int:
        deficient = 0
        for _ in range(TORCH_DRAWS):
            X, W = torch.randn(N, d0, dtype=dtype), torch.randn(d1, d0, dtype=dtype)
            J = torch.func.jacrev(functools.partial(output, X=X))(W).reshape(N, -1)
            deficient += int(torch.linalg.matrix_rank(J)) < N
        return deficient

    return decide


def measure(N: int, d0: int, d1: int) -> dict:
    """Median seconds a draw of each way."""
    ways = {
        "mnnjax float64": (ours(N, d0, d1), DRAWS),
        "PyTorch float32": (pytorch(N, d0, d1, torch.float32), TORCH_DRAWS),
        "PyTorch float64": (pytorch(N, d0, d1, torch.float64), TORCH_DRAWS),
    }
    seconds = {name: [] for name in ways}
    deficient = dict.fromkeys(ways, 0)
    for decide, _ in ways.values():
        decide(0)
    for turn in range(1, TURNS + 1):
        for name, (decide, draws) in ways.items():
            began = time.perf_counter()
            deficient[name] += decide(turn)
            seconds[name].append((time.perf_counter() - began) / draws)
    return {
        "N": N, "d0": d0, "d1": d1,
        "seconds_a_draw": {name: statistics.median(values) for name, values in seconds.items()},
        "deficient": {name: deficient[name] / (TURNS * draws) for name, (_, draws) in ways.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="file to write the numbers to")
    arguments = parser.parse_args()
    results = [measure(*size) for size in SIZES]
    print(f"{os.cpu_count()} cores, jax {jax.__version__}, torch {torch.__version__}, median of {TURNS} turns")
    print(f"{'N':>4} {'d0':>4} {'d1':>4}  {'way':<16} {'ms a draw':>10} {'times ours':>11} {'deficient':>10}")
    for result in results:
        own = result["seconds_a_draw"]["mnnjax float64"]
        for name, value in result["seconds_a_draw"].items():
            sizes = f"{result['N']:>4} {result['d0']:>4} {result['d1']:>4}"
            print(f"{sizes}  {name:<16} {1e3 * value:>10.3f} {value / own:>11.1f} {result['deficient'][name]:>10.3f}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
