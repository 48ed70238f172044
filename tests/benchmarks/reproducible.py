"""What the same bits on any number of devices cost: train.reproducible on and off.

Command:  .venv/bin/python tests/benchmarks/run.py --only reproducible
Compares: processor time of an epoch of `configs/gaussian_large.py --small`, and of Adam on Gaussian points in the
          shape of CIFAR-10 (N = 50 000, d0 = 3072, 16 ReLUs), in mini-batches of 1024 and in full batches.
Wanted:   nothing is; launch/README.md says what the option is for.
"""

from harness import alternate, ratio, spread, workers

CIFAR = {"problem": {"d0": (3072,), "N": (50_000,)}, "d1": 16}
CELLS = {
    "gaussian_large --small": {
        "problem": {"d0": (1260,), "N": (32_500,)}, "d1": 26, "batch_size": 1024, "rows_precision": "bfloat16"
    },
    "CIFAR-10, batches of 1024": CIFAR | {"batch_size": 1024},
    "CIFAR-10, full batch": CIFAR,
}  # fmt: skip


def run(quick: bool) -> dict:
    rows = []
    for name, settings in CELLS.items():
        ways = {way: ("study_jax", "SharedRows", settings | {"reproducible": way == "on"}) for way in ("off", "on")}
        with workers(**ways) as running:
            seconds = alternate(running, 2 if quick else 5, "epoch")
        row = {"cell": name} | {f"{way}, CPU ms an epoch": spread(values, 1e3) for way, values in seconds.items()}
        rows.append(row | {"on over off": ratio(seconds["on"], seconds["off"])})
    return {"tables": {"train.reproducible, float32, 1 repetition": rows}, "wanted": []}
