"""Points whose certificate is known: (W, z, X, y)."""

import numpy as np

from tests.landscape.oracles import kron_rows


def draw(N, d0, d1, rho, seed=0):
    """A generic point away from every kink: X, W, z, and the matrix A o X."""
    rng = np.random.default_rng([seed, N, d0, d1])
    X, W = rng.standard_normal((N, d0)), rng.standard_normal((d1, d0))
    z = rng.choice([-1.0, 1.0], d1) * rng.uniform(0.5, 2.0, d1)
    A = np.where(X @ W.T > 0, 1.0, rho)
    return X, W, z, kron_rows(A, X)


def reached(N, d0, d1, rho):
    """Labels are the outputs."""
    X, W, z, M = draw(N, d0, d1, rho)
    return W, z, X, M @ (z[:, None] * W).ravel()


def stationary(N, d0, d1, rho):
    """Labels are the outputs plus something orthogonal to the columns of A o X: a minimum that is not global."""
    X, W, z, M = draw(N, d0, d1, rho)
    v = np.random.default_rng(9).standard_normal(N)
    return W, z, X, M @ (z[:, None] * W).ravel() + v - M @ np.linalg.lstsq(M, v, rcond=None)[0]


def binary(N, d0, rho):
    """Any labels by pairs f((w + s v) . x) - f((w - s v) . x) = 2 s a(w . x) v . x, s small."""
    rng = np.random.default_rng([7, N, d0])
    X, y = rng.standard_normal((N, d0)), rng.integers(0, 2, N).astype(float)
    w = rng.standard_normal((3 * -(-N // d0), d0))
    w[1] = -w[0]
    A = np.where(X @ w.T > 0, 1.0, rho)
    M = kron_rows(A, X)
    v = np.linalg.lstsq(M, y, rcond=None)[0].reshape(w.shape)
    s = 0.5 * np.abs(X @ w.T).min() / np.abs(X @ v.T).max()
    return np.vstack([w + s * v, w - s * v]), np.repeat([0.5 / s, -0.5 / s], len(w)), X, y
