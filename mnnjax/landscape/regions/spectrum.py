"""How far A o X, and the Jacobian of a network's outputs, are from losing rank: finer measures than rank = N."""

import numpy as np
from jaxtyping import Float

from mnnjax.landscape.numerics import leaky_relu
from mnnjax.landscape.regions.khatri_rao import product

SPECTRUM_ENTRIES = 40_000_000
"""Entries of A o X beyond which its singular values take minutes, and a gigabyte."""


def khatri_rao_sigma_min(A: Float[np.ndarray, "N d1"], X: Float[np.ndarray, "N d0"]) -> float:
    """The min(N, d0 d1)-th singular value of A o X (section 1) whose rows are scaled to norm 1.

    A (N, d1), X (N, d0). So it lies in [0, 1] where N is at most d0 d1. A row of zeros stays: a point that is inactive
    in every ReLU gives 0 there. Nothing is raised. Source: ours, the scaling of khatri_rao_rank."""
    M = product(A, X)
    lengths = np.linalg.norm(M, axis=1, keepdims=True)
    return float(np.linalg.svd(M / np.where(lengths > 0, lengths, 1.0), compute_uv=False)[-1])


def jacobian_lambda_min(
    W: Float[np.ndarray, "d1 d0"], z: Float[np.ndarray, " d1"], X: Float[np.ndarray, "N d0"], rho: float,
    output_bias: bool = False,
) -> float:  # fmt: skip
    """The smallest of the N eigenvalues of J J^T, the neural tangent kernel: J (N, parameters) is the Jacobian of the
    outputs f(X W^T) z in W and z, and in c where there is an output bias.

    W (d1, d0), z (d1,), X (N, d0), with a column of ones where the first layer has biases. It is not normalized, and 0
    where there are fewer parameters than points. It is the square of a singular value of J, so that it is exact to the
    rounding of J, not of J J^T. Nothing is raised. Source: Bombari et al. (2022), lambda_min of the kernel."""
    U = X @ W.T
    columns = [product(np.where(U > 0, 1.0, rho) * z, X), leaky_relu(U, rho)]
    J = np.hstack([*columns, np.ones((len(X), 1))] if output_bias else columns)
    return float(np.linalg.svd(J, compute_uv=False)[-1] ** 2) if J.shape[1] >= len(X) else 0.0
