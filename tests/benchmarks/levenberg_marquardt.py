"""Levenberg-Marquardt's way to a global minimum against Adam's, in float64, through the same study machinery.

Command:  .venv/bin/python tests/benchmarks/run.py --only levenberg_marquardt
Compares: 30 seeds on N = d^2 / 5 points, d = 20 and 40: train.optimizer "levenberg_marquardt" until no seed changes
          any more, with
          1000 epochs of Adam at 1e-2 and 1000 in which the rate decays. Both train the same problems from the same
          weights.
Wanted:   every seed of levenberg_marquardt at MSE <= 1e-20, at least 20 times faster than Adam.
"""

from harness import alternate, ratio, spread, wanted, workers

LEVENBERG_MARQUARDT = {
    "optimizer": "levenberg_marquardt",
    "epochs": 400,
    "decay_epochs": 0,
    "chunk_epochs": 400,
    "precision": "float64",
}
ADAM = {"learning_rate": 1e-2, "epochs": 1000, "decay_epochs": 1000, "precision": "float64"}


def run(quick: bool) -> dict:
    rows, goals = [], []
    adam = ADAM | {"epochs": 100, "decay_epochs": 100} if quick else ADAM
    for d in (20,) if quick else (20, 40):
        shape = {"d": d, "N": d * d // 5}
        ways = {
            "levenberg_marquardt": ("study_jax", "Cell", shape | LEVENBERG_MARQUARDT),
            "adam": ("study_jax", "Cell", shape | adam),
        }
        with workers(**ways) as running:
            seconds = alternate(running, 2 if quick else 3)
            mse = {name: worker.ask("mse") for name, worker in running.items()}
        for name, values in seconds.items():
            row = shape | {
                "optimizer": name,
                "seconds": spread(values),
                "over levenberg_marquardt": ratio(values, seconds["levenberg_marquardt"]),
            }
            rows.append(row | {"worst MSE": float(mse[name].max()), "best MSE": float(mse[name].min())})
        goals.append(
            wanted(
                f"d = {d}: Adam's time over levenberg_marquardt's",
                rows[-1]["over levenberg_marquardt"]["median"],
                least=20,
            )
        )
        goals.append(
            wanted(f"d = {d}: levenberg_marquardt's worst MSE", float(mse["levenberg_marquardt"].max()), most=1e-20)
        )
    return {"tables": {"To a global minimum, 30 seeds": rows}, "wanted": goals}
