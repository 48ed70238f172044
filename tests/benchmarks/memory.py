"""Peak memory of training a cell, against the least that it can be.

Command:  .venv/bin/python tests/benchmarks/run.py --only memory
Compares: the peak resident memory of a fresh process, less what it holds after its imports and a trivial program, with
          the data, parameters, optimizer state and one activation of all seeds; d = 50, 30 seeds, N = 2500 and 8333.
          A stage's peak is the highest until then; compiling is part of it. Certificates are of 2 seeds.
Wanted:   nothing is; the rows say what to plan for.
"""

from harness import Worker

SEEDS, D = 30, 50


def least_bytes(d: int, N: int) -> int:
    parameters = d * d + d
    return 4 * SEEDS * (N * (d + 1) + 3 * parameters + N * d)


def run(quick: bool) -> dict:
    rows = []
    for N in (2500, 8333):
        worker = Worker("study_jax", "Memory", d=D, N=N, repeats=SEEDS)
        stages = worker.ask("stages", 3 if quick else 20, 0 if quick else 2)
        worker.close()
        least = least_bytes(D, N)
        for stage, peak in stages.items():
            row = {"d": D, "N": N, "stage": stage, "peak MB": peak / 1e6, "least MB": least / 1e6}
            rows.append(row | {"times": peak / least})
    return {"tables": {"Peak memory, 30 seeds in float32": rows}, "wanted": []}
