"""Newton's method on a smoothed loss, whose width goes to zero: the fast way to the face of a local minimum.

In a zone |u| < width the leaky ReLU is replaced by the parabola that joins its two lines smoothly. Its slope there,
between rho and 1, plays the part of a held pair's multiplier over r_n. The Hessian in theta = |z| w is that of
Gauss-Newton, M^T M, plus s_k r_n f''(u_nk) x(n) x(n)^T per neuron and pair in the zone. Only positive terms are taken,
so that it stays positive. They hold a pair in its zone where the loss rises on both sides. In the end the pairs in the
zone are the minimum's kinks. Source: ours."""

import contextlib
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float

SHRINK = 0.3  # of the width, from one level to the next
LEVELS = 5
STEPS = 60  # of Newton's method at one width, at most
DONE = 1e-3  # a full step that lowers the smoothed loss by a smaller fraction ends a level
ENOUGH = 1e-28  # of |y|^2: the loss is zero
RIDGE = 1e-10  # of the mean diagonal entry of the Hessian
LEAST_RIDGE = 1e-300  # where all neurons are inactive
LEAST_STEP = 2.0**-20


class Smoothed(NamedTuple):
    """Where the last level ended: theta (d1, d0), the constant c, the width of its zone, and all steps so far."""

    theta: Float[np.ndarray, "d1 d0"]
    c: float
    width: float
    steps: int


def smoothed_descent(
    X: Float[np.ndarray, "N d0"], y: Float[np.ndarray, " N"], rho: float, theta: Float[np.ndarray, "d1 d0"], c: float,
    signs: Float[np.ndarray, " d1"], has_bias: bool, width: float,
) -> Smoothed:  # fmt: skip
    """From theta (d1, d0), c, with the signs of z (d1,) fixed; width: of the first zone."""
    enough, steps = ENOUGH * (float(y @ y) or 1.0), 0
    for _ in range(LEVELS):
        for _ in range(STEPS):
            U = X @ theta.T
            r, slopes = _outputs(U, width, rho) @ signs + c - y, rho + (1 - rho) * np.clip((U / width + 1) / 2, 0, 1)
            loss = float(r @ r) / 2
            if loss <= enough:
                break
            dtheta, dc, slope = _newton(X, r, U, slopes, signs, rho, width, has_bias)
            t, V = 1.0, X @ dtheta.T
            while t > LEAST_STEP:
                moved = _outputs(U + t * V, width, rho) @ signs + (c + t * dc) - y
                if float(moved @ moved) / 2 <= loss + 1e-4 * t * slope:
                    break
                t /= 2
            theta, c, steps = theta + t * dtheta, c + t * dc, steps + 1
            if t <= LEAST_STEP or (t == 1.0 and -slope <= DONE * loss):
                break
        width *= SHRINK
    return Smoothed(theta, c, width / SHRINK, steps)


def _outputs(U: Float[np.ndarray, "N d1"], width: float, rho: float) -> Float[np.ndarray, "N d1"]:
    """The smoothed leaky ReLU."""
    joined = np.where(np.abs(U) < width, (U + width) ** 2 / (4 * width), np.maximum(U, 0))
    return rho * U + (1 - rho) * joined


def _newton(X, r, U, slopes, signs, rho: float, width: float, has_bias: bool):
    """The step in theta (d1, d0) and c, and the slope of the loss along it."""
    (N, d0), d1 = X.shape, len(signs)
    M = ((slopes * signs)[:, :, None] * X[:, None, :]).reshape(N, d1 * d0)
    if has_bias:
        M = np.hstack([M, np.ones((N, 1))])
    H, gradient = M.T @ M, M.T @ r
    bend = np.where(np.abs(U) < width, np.maximum(r[:, None] * signs * (1 - rho), 0) / (2 * width), 0.0)
    for k in np.flatnonzero(bend.any(axis=0)):
        there, block = bend[:, k] > 0, slice(k * d0, (k + 1) * d0)
        H[block, block] += (X[there] * bend[there, k, None]).T @ X[there]
    step = -_solve(H, gradient)
    dtheta = step[: d1 * d0].reshape(d1, d0)
    return dtheta, float(step[-1]) if has_bias else 0.0, float(gradient @ step)


def _solve(H: Float[np.ndarray, "p p"], b: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """H^-1 b by Cholesky's factorization, with the least ridge of some for which rounding leaves H positive."""
    ridge = RIDGE * float(np.trace(H)) / len(H) + LEAST_RIDGE
    for factor in (1, 1e3, 1e6, 1e9):
        H[np.diag_indices_from(H)] += factor * ridge
        with contextlib.suppress(np.linalg.LinAlgError):
            return scipy.linalg.cho_solve(scipy.linalg.cho_factor(H, check_finite=False), b, check_finite=False)
    raise ArithmeticError("the smoothed loss overflows; scale X, y or the weights down")
