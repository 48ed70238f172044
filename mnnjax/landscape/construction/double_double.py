"""The residual of a network in twice the precision of float64: its value in exact arithmetic, with a proven bound.

Numbers are unevaluated sums of two float64, by the error-free transformations of sums and products.
Source: T. Ogita, S. M. Rump and S. Oishi, Accurate sum and dot product, SIAM J. Sci. Comput. 26, 2005: such a dot
product has an error of at most (n eps)^2 times the sum of moduli."""

import numpy as np
from jaxtyping import Float

from mnnjax.landscape.numerics import EPS, TINY

SPLIT = 2.0**27 + 1  # splits a number into halves of 26 bits, whose products are exact


def largest_error(
    W: Float[np.ndarray, "d1 d0"], z: Float[np.ndarray, " d1"], X: Float[np.ndarray, "N d0"],
    y: Float[np.ndarray, " N"], rho: float,
) -> Float[np.ndarray, " N"]:  # fmt: skip
    """An upper bound (N,) on the modulus of y - f(X W^T) z in exact arithmetic; inf from entries above 1e300 on."""
    with np.errstate(over="ignore", invalid="ignore"):
        # f(c x) = c f(x): points of at most 1, by a power of 2, which is exact.
        scale = 2.0 ** min(max(0, int(np.frexp(np.max(np.abs(X)))[1])), 1023)
        X, y = X / scale, y / scale
        U, U_low = _neural_inputs(W, X)
        total, low = y, np.zeros_like(y)
        for u, u_low, weight in zip(U, U_low, z, strict=True):
            factor, factor_low = _product(rho, weight)
            active = u > 0
            factor, factor_low = np.where(active, weight, factor), np.where(active, 0.0, factor_low)
            term, term_low = _product(-factor, u)
            total, lost = _sum(total, term)
            low = low + (lost + (term_low - (factor * u_low + factor_low * u)))
        steepest, (d1, d0) = max(1.0, abs(rho)), W.shape
        moduli = steepest * (np.abs(X) @ np.abs(W).T @ np.abs(z)) + np.abs(y)
        # Doubled for each of the two layers. A product that underflows loses at most 5 of the smallest numbers, and an
        # entry of X / scale one.
        rounding = 4 * ((d0 + d1 + 8) * EPS) ** 2 * moduli
        underflow = 16 * steepest * TINY * ((d0 + 1 + np.abs(W).sum(axis=1)) @ np.abs(z) + d1 + 2)
        errors = (np.abs(total + low) + (rounding + underflow)) * scale
    return np.where(np.isfinite(errors), errors, np.inf)


def _neural_inputs(W: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """W X^T (d1, N) as a sum of two."""
    total, low = np.zeros((2, len(W), len(X)))
    for x, w in zip(X.T, W.T, strict=True):
        term, term_low = _product(x, w[:, None])
        total, lost = _sum(total, term)
        low += lost + term_low
    return _sum(total, low)  # the first has the sign of the sum


def _sum(a, b):
    """a + b, rounded, and what rounding lost."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


def _product(a, b):
    """a b, rounded, and what rounding lost."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _halves(a):
    scaled = SPLIT * a
    high = scaled - (scaled - a)
    return high, a - high
