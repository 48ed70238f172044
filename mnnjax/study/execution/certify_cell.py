"""Certificates of a trained cell: each repetition's last two layers, in float64 on the host."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from mnnjax.config import Network
from mnnjax.landscape import Certificate, certify
from mnnjax.study.distributed import processes
from mnnjax.study.distributed.stopping import Interrupted

# Each takes up to about a gigabyte at the sizes of Figure 5.1.
SEEDS_AT_ONCE = 4


def workers() -> int:
    """How many certificates are computed side by side, of one process."""
    return min(SEEDS_AT_ONCE, os.cpu_count() or 1)


def certify_seeds(
    params: dict,
    network: Network,
    hidden_layers: int,
    X,
    y,
    threshold: float,
    stop_requested: Callable[[], object] = lambda: None,
) -> list[Certificate | None]:
    """certify_network for each seed, in all processes; None where a weight is not finite.

    One BLAS thread a seed: the last bits then do not depend on the number of cores, and seeds, not threads that wait
    for each other, share the cores.

    Args:
      params: network.MNN's, each array with the seeds on a leading axis.
      X, y: (seeds, N, d0) and (seeds, N), or a list of a seed's own.
      threshold: outputs above it are classified as the larger label.
      stop_requested: asked before each seed.

    Raises:
      Interrupted: stop_requested() came true between two seeds, on any process.
    """

    def one(k: int) -> Certificate | None:
        if stop_requested():
            raise Interrupted
        own = {name: leaf[k] for name, leaf in params.items()}
        if not all(np.isfinite(leaf).all() for leaf in own.values()):
            return None
        return certify_network(own, network, hidden_layers, X[k], y[k], threshold)

    def own() -> list[Certificate | None]:
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(workers()) as pool:
            return list(pool.map(one, processes.own_share(range(len(X)))))

    return processes.merged(processes.together(own))


def certify_network(params: dict, network: Network, hidden_layers: int, X, y, threshold: float) -> Certificate:
    """The certificate of an MNN's parameters (network.MNN) on points X (N, d0), y (N,).

    With more than one hidden layer the layers before the last two are held fixed (see landscape.certify).
    """
    h = np.asarray(X, np.float64)
    params = {name: np.asarray(value, np.float64) for name, value in params.items()}
    for layer in range(1, hidden_layers + 1):
        W = params[f"W{layer}"]
        if network.bias:
            h = np.hstack([h, np.ones((len(h), 1))])
            W = np.hstack([W, params[f"b{layer}"][:, None]])
        if layer == hidden_layers:
            bias = float(params["c"]) if network.bias else None
            return certify(W, params["z"], h, y, network.rho, threshold=threshold, output_bias=bias)
        U = h @ W.T
        h = np.where(U > 0, U, network.rho * U)
    raise ValueError(f"hidden_layers: {hidden_layers} is too small; a network has at least one")
