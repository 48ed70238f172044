"""Smallest singular values and eigenvalues of a cell's networks before and after training, in float64 on the host."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mnnjax.landscape.regions.spectrum import jacobian_lambda_min, khatri_rao_sigma_min
from mnnjax.study.distributed import processes
from mnnjax.study.distributed.stopping import Interrupted
from mnnjax.study.execution.certify_cell import workers
from mnnjax.study.execution.descents import Params, Points, start_of
from mnnjax.study.plan.grid import Cell


def spectra(
    cell: Cell, before: Params, after: Params, points: Points, finite: Sequence[bool],
    stop_requested: Callable[[], object],
) -> list[dict[str, float]]:  # fmt: skip
    """The columns of results.csv, such as sigma_min, of each repetition; shared by the processes.

    Args:
      before, after: the initial weights, and those at the end of training.
      points: X (repeats, N, d0) and y (repeats, N), or X (N, d0) and y (N,) of all.
      finite: whose training did not overflow; the columns after it are nan for the others.
      stop_requested: asked before each repetition.

    Raises:
      Interrupted: stop_requested() came true between two repetitions, on any process.
    """

    def of_repetition(k: int) -> dict[str, float]:
        if stop_requested():
            raise Interrupted
        found = {}
        for suffix, params in (("_start", before), ("", after)):
            known = suffix or finite[k]
            values = _spectrum(cell, params, points, k) if known else (math.nan, math.nan)
            found |= {f"{name}{suffix}": value for name, value in zip(("sigma_min", "lambda_min"), values, strict=True)}
        return found

    with ThreadPoolExecutor(workers(cell.N, *cell.last_layer)) as pool:
        return processes.shared(lambda share: list(pool.map(of_repetition, share)), range(cell.repeats))


def _spectrum(cell: Cell, params: Params, points: Points, k: int) -> tuple[float, float]:
    """sigma_min and lambda_min of repetition k."""
    W, z, bias, h, _, rho, _ = start_of(cell, params, points, k)
    A = np.where(h @ W.T > 0, 1.0, rho)
    return khatri_rao_sigma_min(A, h), jacobian_lambda_min(W, z, h, rho, bias is not None)
