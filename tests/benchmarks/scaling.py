"""How the time of ours grows with points and seeds, and what compiling costs.

Command:  .venv/bin/python tests/benchmarks/run.py --only scaling
Compares: seconds a step of the study machinery at d = 20 for N = 400, 800, 1600 and for 10, 30, 100 seeds, and at
          d = 50, N = 2500; what lowering and compiling a shape's programs takes, with an empty compilation cache and
          with a warm one, each in a fresh process; a study of 60 cells from nothing, whose time spent compiling is
          what JAX's monitoring events cover.
Wanted:   less than a quarter of the study's time goes into compiling.
"""

import tempfile
import time

from harness import Worker, alternate, spread, wanted, workers

# d, N, seeds
SHAPES = ((20, 400, 30), (20, 800, 30), (20, 1600, 30), (20, 400, 10), (20, 400, 100), (50, 2500, 30))
COMPILED = {
    "Adam, d = 20, N = 400": {"d": 20, "N": 400},
    "Levenberg-Marquardt, d = 20, N = 80": {
        "d": 20,
        "N": 80,
        "optimizer": "levenberg_marquardt",
        "decay_epochs": 0,
        "precision": "float64",
    },
}
STUDY = {
    "d0": (10, 20, 30, 40),
    "ratios": (1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 2.0, 2.2, 2.5, 2.8, 3.2, 3.6, 4.0, 5.0),
    "epochs": 2000,
}


def growth(quick: bool) -> list[dict]:
    flops, ways = {}, {}
    for d, N, seeds in SHAPES:
        # About as much work a turn in each.
        steps = max(int(4e10 / (4 * N * d * d * seeds) / (20 if quick else 1)), 1)
        train = {"epochs": steps, "decay_epochs": 0, "chunk_epochs": steps}
        name = f"{d} {N} {seeds}"
        ways[name] = ("study_jax", "Cell", {"d": d, "N": N, "repeats": seeds, **train})
        flops[name] = 4 * N * d * d * seeds
    with workers(**ways) as running:
        seconds = alternate(running, 2 if quick else 5, "step")
        how = {name: worker.ask("how") for name, worker in running.items()}
    return [
        dict(zip(("d", "N", "seeds"), map(int, name.split()), strict=True))
        | {"ms a step": spread(values, 1e3), "Gflop/s": spread([flops[name] / s for s in values], 1e-9)}
        | {"how": how[name]}
        for name, values in seconds.items()
    ]


def compiling(repeats: int) -> list[dict]:
    """A row a shape and state of the cache; each time is that of a fresh process."""
    rows = []
    for name, settings in COMPILED.items():
        times = {"empty": [], "warm": []}
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as cache:
                for state in times:
                    worker = Worker(
                        "scaling_jax", "Compile", environment={"JAX_COMPILATION_CACHE_DIR": cache}, **settings
                    )
                    times[state].append(worker.ask("seconds"))
                    worker.close()
        for state, measured in times.items():
            row = {"shape": name, "cache": state, "seconds": spread([sum(m.values()) for m in measured])}
            rows.append(row | {key: spread([m[key] for m in measured]) for key in measured[0]})
    return rows


def whole_study(quick: bool) -> dict:
    settings = STUDY | {"d0": (10,), "ratios": (2.0, 5.0), "epochs": 200} if quick else STUDY
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        environment = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        worker = Worker("scaling_jax", "WholeStudy", environment=environment, **settings)
        row = worker.ask("run", f"{folder}/run")
        row["seconds with start and imports"] = time.perf_counter() - began
        worker.close()
    return row | {"% compiling": 100 * row["compiling"] / row["seconds with start and imports"]}


def run(quick: bool) -> dict:
    study = whole_study(quick)
    tables = {
        "Adam in float32, a step over all seeds": growth(quick),
        "Lowering and compiling a shape's programs": compiling(1 if quick else 2),
        "A study from nothing": [{"what": name, "is": value} for name, value in study.items()],
    }
    return {"tables": tables, "wanted": [wanted("study of 60 cells: % compiling", study["% compiling"], most=25)]}
