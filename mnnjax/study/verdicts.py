"""Certificates of a trained cell: each repetition's last two layers, in float64 on the host."""

import numpy as np

from mnnjax.config import Network
from mnnjax.landscape import Certificate, certify


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
