"""Certificates a second, against the plain check in PyTorch.

Command:  .venv/bin/python tests/benchmarks/run.py --only certificates
Compares: certify_seeds of mnnjax.study.execution.certify_cell on 30 points that Levenberg-Marquardt reached,
          d = 20, N = 80 and N = 266, with the
          same question asked point by point in PyTorch in float64: the Jacobian of the outputs in W by
          torch.func.jacrev, its rank by torch.linalg.matrix_rank, the residual of the projection of y by
          torch.linalg.lstsq, and the smallest neural input. It proves less: it has no bound on any rounding error, and
          does not look whether the minimum lies in the point's own region.
Wanted:   nothing is; the rows say what a proof costs.
"""

from harness import alternate, ratio, spread, workers
from levenberg_marquardt import LEVENBERG_MARQUARDT


def run(quick: bool) -> dict:
    rows = []
    for N in (80, 266):
        shape = {"d": 20, "N": N, "repeats": 4 if quick else 30}
        with workers(ours=("study_jax", "Certificates", shape | LEVENBERG_MARQUARDT)) as own:
            settings = {"points": own["ours"].ask("point")}
            with workers(torch=("checks_torch", "Certificates", settings)) as other:
                running = own | other
                seconds = alternate(running, 2 if quick else 5, "certify")
                found = {name: worker.ask("found") for name, worker in running.items()}
        for name, values in seconds.items():
            row = {"d": 20, "N": N, "way": "ours, proven" if name == "ours" else "PyTorch, not proven"}
            row |= {"a second": spread([1 / s for s in values]), "time over ours": ratio(values, seconds["ours"])}
            rows.append(row | {"found": ", ".join(f"{count} {kind}" for kind, count in found[name].items())})
    return {"tables": {"Certificates": rows}, "wanted": []}
