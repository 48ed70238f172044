"""A descent of a study as a task for worker processes (mnnjax.workers)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mnnjax.landscape import descend
from mnnjax.landscape.numerics import leaky_relu
from mnnjax.landscape.regions.minima import is_upper


class Start(NamedTuple):
    """Where a descent starts: a network's last two layers, and its last hidden layer's inputs h, of each point."""

    W: Float[np.ndarray, "d1 inputs"]
    z: Float[np.ndarray, " d1"]
    output_bias: float | None
    h: Float[np.ndarray, "N inputs"]
    y: Float[np.ndarray, " N"]
    rho: float
    threshold: float


class End(NamedTuple):
    """Where it ended. mce: the fraction misclassified. distance: from the start, over the norm of its weights."""

    W: Float[np.ndarray, "d1 inputs"]
    z: Float[np.ndarray, " d1"]
    output_bias: float | None
    verdict: str
    mse: float
    mce: float
    kinks: int
    distance: float
    steps: int


def go_down(start: Start) -> End:
    """The descent from a start."""
    W, z, c, h, y, rho, threshold = start
    found = descend(W, z, h, y, rho, output_bias=c)
    output = leaky_relu(h @ found.W.T, rho) @ found.z + (found.output_bias or 0.0)
    # An output that is at the threshold in exact numbers is of the lower class.
    mce = float(np.mean(is_upper(output, y, threshold) != (y > threshold)))
    certificate = found.certificate
    ended = certificate.verdict, certificate.mse, mce, certificate.kinks, found.distance, found.steps
    return End(found.W, found.z, found.output_bias, *ended)
