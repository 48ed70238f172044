"""Rank draws a second: is rank(A o X) = N for random W and X, here and one sample at a time in PyTorch.

Command:  .venv/bin/python tests/benchmarks/run.py --only ranks
Compares: the batched decision of mnnjax.landscape.volumes.sampling (float64, every draw decided as
          khatri_rao_rank decides it)
          with what section 6's later work does for each sample: the Jacobian of the N outputs in W by
          torch.func.jacrev, then torch.linalg.matrix_rank (float32, PyTorch's default, and float64).
          Both draw X and W anew for each draw.
Wanted:   at N = 190, d0 = 95, d1 = 15, at most a tenth of PyTorch's time a draw.
"""

from harness import alternate, ratio, spread, wanted, workers

SIZES = ((190, 95, 15), (100, 50, 15), (50, 25, 8))


def run(quick: bool) -> dict:
    rows, goals = [], []
    for size in SIZES:
        shape = dict(zip(("N", "d0", "d1"), size, strict=True))
        fewer = shape | {"draws": 4 if quick else 16}
        ways = {
            "ours, float64": ("ranks_jax", "Draws", shape | {"draws": 256 if quick else 1024}),
            "PyTorch, float32": ("checks_torch", "Ranks", fewer | {"precision": "float32"}),
            "PyTorch, float64": ("checks_torch", "Ranks", fewer | {"precision": "float64"}),
        }
        with workers(**ways) as running:
            seconds = alternate(running, 2 if quick else 5, "decide")
            deficient = {name: worker.ask("deficient") for name, worker in running.items()}
        own = seconds["ours, float64"]
        for name, values in seconds.items():
            row = shape | {"way": name, "ms a draw": spread(values, 1e3), "over ours": ratio(values, own)}
            rows.append(row | {"deficient": deficient[name]})
        if size == SIZES[0]:
            least = min(row["over ours"]["median"] for row in rows[1:])
            goals.append(wanted("N = 190: PyTorch's time a draw over ours", least, least=10))
    return {"tables": {"Rank draws": rows}, "wanted": goals}
