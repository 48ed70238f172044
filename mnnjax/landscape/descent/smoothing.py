"""Newton's method on a smoothed loss, whose width goes to zero: the fast way to the face of a local minimum.

In a zone |u| < width the leaky ReLU is replaced by the parabola that joins its two lines smoothly. Its slope there,
between rho and 1, plays the part of a held pair's multiplier over r_n. The Hessian in theta = |z| w is that of
Gauss-Newton, M^T M, plus s_k r_n f''(u_nk) x(n) x(n)^T per neuron and pair in the zone. Only positive terms are taken,
so that it stays positive. They hold a pair in its zone where the loss rises on both sides. In the end the pairs in the
zone are the minimum's kinks. From one width to the next the minimum moves by - H^-1 (d gradient / d width): one such
step, and each pair in the zone keeps its slope. Source: ours."""

import contextlib
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float

SHRINK = 0.3  # of the width, from one level to the next
LEVELS = 5
STEPS = 300  # of Newton's method at one width, at most; from random weights the first takes up to 200
DONE = 2e-4  # a full step that lowers the smoothed loss by a smaller fraction ends a level
LAST_DONE = 1e-6  # the same of the last level
ENOUGH = 1e-28  # of |y|^2: the loss is zero
RIDGE = 1e-6  # of the mean diagonal entry of the Hessian
LEAST_RIDGE = 1e-30  # where all neurons are inactive
LEAST_STEP = 2.0**-20
FOLLOWED = (1.0, 0.5, 0.25)  # parts of the step to the next width that are tried


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
    for level in range(LEVELS):
        last = level == LEVELS - 1
        for _ in range(STEPS):
            U = X @ theta.T
            r = _residual(U, c, y, signs, width, rho)
            loss = float(r @ r) / 2
            if loss <= enough:
                break
            dtheta, dc, slope = _newton(X, r, U, signs, rho, width, has_bias)
            t, V = 1.0, X @ dtheta.T
            while t > LEAST_STEP:
                moved = _residual(U + t * V, c + t * dc, y, signs, width, rho)
                if float(moved @ moved) / 2 <= loss + 1e-4 * t * slope:
                    break
                t /= 2
            theta, c, steps = theta + t * dtheta, c + t * dc, steps + 1
            if t <= LEAST_STEP or (t == 1.0 and -slope <= (LAST_DONE if last else DONE) * loss):
                break
        if not last:
            theta, c = _followed(X, y, rho, theta, c, signs, has_bias, width)
            width, steps = SHRINK * width, steps + 1
    return Smoothed(theta, c, width, steps)


def _followed(X, y, rho: float, theta, c: float, signs, has_bias: bool, width: float):
    """theta and c moved to where the minimum of the next width is expected, as far as its loss falls there."""
    U = X @ theta.T
    r = _residual(U, c, y, signs, width, rho)
    dtheta, dc, _ = _newton(X, r, U, signs, rho, width, has_bias, (SHRINK - 1) * width)
    V, tried = X @ dtheta.T, []
    for t in (0.0, *FOLLOWED):
        moved = _residual(U + t * V, c + t * dc, y, signs, SHRINK * width, rho)
        tried.append((float(moved @ moved), t))
    t = min(tried)[1]
    return theta + t * dtheta, c + t * dc


def _residual(U, c: float, y, signs, width: float, rho: float) -> Float[np.ndarray, " N"]:
    """F - y of the smoothed network."""
    joined = np.where(np.abs(U) < width, (U + width) ** 2 / (4 * width), np.maximum(U, 0))
    return (rho * U + (1 - rho) * joined) @ signs + c - y


def _newton(X, r, U, signs, rho: float, width: float, has_bias: bool, widening: float = 0.0):
    """The step in theta (d1, d0) and c, to where the width changes by `widening`; the slope of the loss along it. The
    gradient is in float64. The Hessian is in float32, of columns of X with entries of at most 1: half the time."""
    (N, d0), d1 = X.shape, len(signs)
    sizes = np.abs(X).max(axis=0)
    sizes = np.where(sizes > 0, sizes, 1.0)
    X = X / sizes
    slopes = signs * (rho + (1 - rho) * np.clip((U / width + 1) / 2, 0, 1))
    columns = X.astype(np.float32)
    M = (slopes.astype(np.float32)[:, :, None] * columns[:, None, :]).reshape(N, d1 * d0)
    if has_bias:
        M = np.hstack([M, np.ones((N, 1), np.float32)])
    H = M.T @ M
    zone, pull = np.abs(U) < width, (1 - rho) * r[:, None] * signs
    bend = np.where(zone, np.maximum(pull, 0) / (2 * width), 0.0)
    for k in np.flatnonzero(bend.any(axis=0)):
        there, block = bend[:, k] > 0, slice(k * d0, (k + 1) * d0)
        H[block, block] += (columns[there] * bend[there, k, None].astype(np.float32)).T @ columns[there]
    gradient = _pulled_back(X, slopes, r, has_bias)
    target = gradient
    if widening:
        # Derivatives in the width: of the outputs, and of the slopes of pairs that the Hessian has.
        outputs = np.where(zone, (1 - rho) * (width**2 - U**2) / (4 * width**2), 0.0) @ signs
        target = gradient + widening * _pulled_back(X, slopes, outputs, has_bias)
        target[: d1 * d0] -= widening * ((bend * U / width).T @ X).ravel()
    step = -_solve(H, target)
    dtheta = step[: d1 * d0].reshape(d1, d0) / sizes
    return dtheta, float(step[-1]) if has_bias else 0.0, float(gradient @ step)


def _pulled_back(X, slopes, r, has_bias: bool) -> Float[np.ndarray, " p"]:
    """M^T r of the columns of all neurons, and of the constant."""
    at_weights = ((slopes * r[:, None]).T @ X).ravel()
    return np.append(at_weights, r.sum()) if has_bias else at_weights


def _solve(H: Float[np.ndarray, "p p"], b: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """H^-1 b by Cholesky's factorization, with the least ridge of some for which rounding leaves H positive."""
    ridge, size = RIDGE * float(np.trace(H)) / len(H) + LEAST_RIDGE, float(np.abs(b).max()) or 1.0
    scaled = (b / size).astype(H.dtype)
    for factor in (1, 10, 1e2, 1e4, 1e6):
        H[np.diag_indices_from(H)] += factor * ridge
        with contextlib.suppress(np.linalg.LinAlgError):
            factors = scipy.linalg.cho_factor(H, check_finite=False)
            return size * scipy.linalg.cho_solve(factors, scaled, check_finite=False).astype(float)
    raise ArithmeticError("the smoothed loss overflows; scale X, y or the weights down")
