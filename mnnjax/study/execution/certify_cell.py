"""Certificates of a trained cell: each repetition's last two layers, in float64 on the host."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from mnnjax.config import Network
from mnnjax.jax_setup import cores
from mnnjax.landscape import Certificate, certify
from mnnjax.landscape.certificates.cost import is_large
from mnnjax.study.distributed import processes
from mnnjax.study.distributed.stopping import Interrupted

# Each takes up to half a gigabyte at the sizes of Figure 5.1.
SEEDS_AT_ONCE = 4


def workers(N: int, d0: int, d1: int) -> int:
    """How many certificates one process computes side by side."""
    return 1 if is_large(N, d0, d1) else min(SEEDS_AT_ONCE, cores())


def blas_threads(N: int, d0: int, d1: int) -> threadpool_limits:
    """A context with the BLAS threads of each certificate: one, since seeds then share the cores, not threads that wait
    for each other, and the last bits do not depend on the number of cores; all for a large one, which is alone."""
    return threadpool_limits(limits=cores() if is_large(N, d0, d1) else 1, user_api="blas")


def certify_seeds(
    params: dict, network: Network, hidden_layers: int, X, y, threshold: float, stop_requested: Callable = lambda: None
) -> list[Certificate | None]:
    """certify_network for each seed, shared by the processes; None where a weight is not finite.

    Args:
      params: network.MNN's, each array with the seeds on a leading axis.
      X, y: (seeds, N, d0) and (seeds, N), or lists with one entry per seed.
      threshold: outputs above it are classified as the larger label.
      stop_requested: asked before each seed.

    Raises:
      Interrupted: stop_requested() came true between two seeds, on any process.
    """

    def certify_seed(k: int) -> Certificate | None:
        if stop_requested():
            raise Interrupted
        seed_params = {name: leaf[k] for name, leaf in params.items()}
        if not all(np.isfinite(leaf).all() for leaf in seed_params.values()):
            return None
        return certify_network(seed_params, network, hidden_layers, X[k], y[k], threshold)

    d1, d0 = params[f"W{hidden_layers}"].shape[1:]
    sizes = len(y[0]), d0 + network.bias, d1
    with blas_threads(*sizes), ThreadPoolExecutor(workers(*sizes)) as pool:
        return processes.shared(lambda share: list(pool.map(certify_seed, share)), range(len(X)))


def certify_network(params: dict, network: Network, hidden_layers: int, X, y, threshold: float) -> Certificate:
    """The certificate of an MNN's parameters (network.MNN) on points X (N, d0), y (N,).

    With more than one hidden layer the layers before the last two are held fixed (see landscape.certify).
    """
    W, z, h, bias = last_two_layers(params, network, hidden_layers, X)
    return certify(W, z, h, y, network.rho, threshold=threshold, output_bias=bias)


class LastTwo(NamedTuple):
    """The last two layers of a network as landscape.certify and descend take them; h: the inputs of the last hidden
    layer, where there are biases with a column of ones, as W has one of biases."""

    W: Float[np.ndarray, "d1 inputs"]
    z: Float[np.ndarray, " d1"]
    h: Float[np.ndarray, "N inputs"]
    output_bias: float | None


def last_two_layers(params: dict, network: Network, hidden_layers: int, X) -> LastTwo:
    """The last two layers, in float64, of an MNN's parameters (network.MNN) on points X (N, d0)."""
    h = np.asarray(X, np.float64)
    params = {name: np.asarray(value, np.float64) for name, value in params.items()}
    for layer in range(1, hidden_layers + 1):
        W = params[f"W{layer}"]
        if network.bias:
            h = np.hstack([h, np.ones((len(h), 1))])
            W = np.hstack([W, params[f"b{layer}"][:, None]])
        if layer == hidden_layers:
            return LastTwo(W, params["z"], h, float(params["c"]) if network.bias else None)
        U = h @ W.T
        h = np.where(U > 0, U, network.rho * U)
    raise ValueError(f"hidden_layers: {hidden_layers} is too small; a network has at least one")
