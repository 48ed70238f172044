"""Full-batch Adam on 30 seeds: ours as a study runs it against PyTorch, and against what the machine can do.

Command:  .venv/bin/python tests/benchmarks/run.py --only adam
Compares: ReLU, one hidden layer, d1 = d0 = d, MSE, learning rate 1e-2, float32; d = 20, N = 400 and d = 50, N = 2500.
          All ways start from the same weights and data, and must agree on each seed's MSE to 1e-3 after a number of
          steps, 100 at d = 20 and 20 at d = 50 (later, rounding in float32 has grown: ours in its two ways differ too).
          PyTorch a seed at a time takes fewer steps a turn; all times are a step over all seeds.
          The limit is a float32 matrix product of 2048 x 2048, of 4 N d0 d1 flops a step and seed; "products alone"
          are a step's two products, run as ours are: the ceiling that the library's kernels set at this shape.
Wanted:   at least 1.2 times faster than the fastest PyTorch at d = 20, never slower at d = 50; 75 % of the limit at
          d = 50.
"""

import numpy as np
from harness import alternate, random_start, ratio, spread, wanted, workers

SEEDS = 30
# d, N, steps a turn, steps a turn of PyTorch a seed at a time
SHAPES = ((20, 400, 1000, 100), (50, 2500, 100, 10))
CHECK_STEPS, CHECK_TOLERANCE = {20: 100, 50: 20}, 1e-3
PRODUCT = 2048


def ours(d: int, N: int, steps: int) -> dict:
    # Epochs at the constant rate: enough for the check as well.
    train = {"learning_rate": 1e-2, "epochs": max(steps, CHECK_STEPS[d]), "decay_epochs": 0, "chunk_epochs": steps}
    return {"d": d, "N": N, "repeats": SEEDS, "start": random_start(d, N, SEEDS), "steps": steps, **train}


def contest(d: int, N: int, steps: int, fewer: int, turns: int, threads: dict) -> tuple[list[dict], dict]:
    """Rows of the table, and seconds a step of each way, turn by turn."""
    jax_settings, same = ours(d, N, steps), {"start": random_start(d, N, SEEDS), "steps": steps, **threads}
    ways = {
        "ours": ("study_jax", "Cell", jax_settings),
        "jit(vmap)": ("study_jax", "Plain", jax_settings),
        "PyTorch, a seed at a time": ("adam_torch", "Adam", same | {"way": "one", "steps": fewer}),
        "PyTorch, batched": ("adam_torch", "Adam", same | {"way": "batched"}),
        "PyTorch, compiled": ("adam_torch", "Adam", same | {"way": "compiled"}),
        "products alone": ("study_jax", "Products", jax_settings),
        "PyTorch, compiled, a process a core": ("adam_torch", "Processes", same),
    }
    with workers(**ways) as running:
        training = {name: worker for name, worker in running.items() if name != "products alone"}
        mse = {name: worker.ask("mse_after", CHECK_STEPS[d]) for name, worker in training.items()}
        seconds = alternate(running, turns, "step")
        how = {name: worker.ask("how") for name, worker in running.items()}
    rows = []
    for name, values in seconds.items():
        row = {"d": d, "N": N, "way": name, "ms a step": spread(values, 1e3)}
        row["over ours"] = ratio(values, seconds["ours"])
        if name in mse:
            row["check: mean MSE"] = float(mse[name].mean())
            row["farthest seed"] = float(np.max(np.abs(mse[name] / mse["ours"] - 1)))
        rows.append(row | {"how": how[name]})
    return rows, seconds


def limits(turns: int) -> list[dict]:
    """Flops a second of a large matrix product."""
    n = PRODUCT
    rows = []
    with workers(jax=("study_jax", "Limits", {"n": n}), torch=("adam_torch", "Limits", {"n": n})) as running:
        for name, worker, method in (
            ("JAX, one product", running["jax"], "turn"),
            ("JAX, one a device at once", running["jax"], "turn_each"),
            ("PyTorch, one product", running["torch"], "turn"),
        ):
            rates = alternate({name: worker}, turns, method)[name]
            rows.append({"limit": name, "n": n, "Gflop/s": spread(rates, 1e-9)})
    return rows


def achieved(d: int, N: int, seconds: dict[str, list[float]], rates: list[dict]) -> list[dict]:
    """Fractions of the larger of JAX's two rates."""
    flops = 4 * N * d * d * SEEDS
    limit = max(1e9 * row["Gflop/s"]["median"] for row in rates if row["limit"].startswith("JAX"))
    rows = []
    for name, values in seconds.items():
        speeds = [flops / s for s in values]
        row = {"d": d, "N": N, "way": name, "Gflop/s": spread(speeds, 1e-9)}
        rows.append(row | {"% of the limit": spread([100 * s / limit for s in speeds])})
    return rows


def run(quick: bool) -> dict:
    turns = 2 if quick else 5
    rates = limits(2 * turns)
    times, fractions, goals = [], [], []
    threads = {"threads": (1,)} if quick else {}
    for d, N, steps, fewer in SHAPES:
        if quick:
            steps, fewer = steps // 10, fewer // 5
        rows, seconds = contest(d, N, steps, fewer, turns, threads)
        times += rows
        fractions += (reached := achieved(d, N, seconds, rates))
        farthest = max(row["farthest seed"] for row in rows if "farthest seed" in row)
        goals.append(wanted(f"d = {d}: relative difference of a seed's MSE", farthest, most=CHECK_TOLERANCE))
        fastest = min((row["over ours"]["median"], row["way"]) for row in rows if row["way"].startswith("PyTorch"))
        goals.append(wanted(f"d = {d}: {fastest[1]} over ours", fastest[0], least=1.2 if d == 20 else 1.0))
        if d == 50:
            (own,) = (row for row in reached if row["way"] == "ours")
            goals.append(wanted("d = 50: % of the limit", own["% of the limit"]["median"], least=75))
    tables = {"Adam, a step over 30 seeds": times, "What the machine can do": rates, "Of the limit": fractions}
    return {"tables": tables, "wanted": goals}
