"""The rank of A o X in exact arithmetic, modulo a prime: never more than the true rank."""

import numpy as np
from jaxtyping import Float, Int

from mnnjax.landscape.regions.khatri_rao import product

PRIME = 2_147_483_629  # the second largest prime below 2^31, so that products of residues fit in 63 bits


def residues(values: Float[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """The exact residues modulo PRIME of floating-point numbers, of any shape."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    integers = np.ldexp(mantissa, 53).astype(np.int64) % PRIME  # the mantissa is a multiple of 2^-53
    powers = {int(e): pow(2, int(e) - 53, PRIME) for e in np.unique(exponent)}
    return integers * np.vectorize(powers.__getitem__, otypes=[np.int64])(exponent) % PRIME


def rank_modulo_prime(matrix: Int[np.ndarray, "m n"]) -> int:
    """Rank of an integer matrix with entries in [0, PRIME), over the integers modulo PRIME; O(m n rank)."""
    rows = matrix.copy() if matrix.shape[0] <= matrix.shape[1] else matrix.T.copy()
    rank = 0
    for column in range(rows.shape[1]):
        if (found := np.flatnonzero(rows[rank:, column])).size:
            pivot = rank + found[0]
            rows[[rank, pivot]] = rows[[pivot, rank]]
            rows[rank] = rows[rank] * pow(int(rows[rank, column]), -1, PRIME) % PRIME
            below = rank + 1 + np.flatnonzero(rows[rank + 1 :, column])
            rows[below] = (rows[below] - rows[below, column][:, None] * rows[rank]) % PRIME
            rank += 1
    return rank


def multiply_modulo_prime(P: Int[np.ndarray, "m k"], Q: Int[np.ndarray, "k n"]) -> Int[np.ndarray, "m n"]:
    """P Q of integer matrices with entries in [0, PRIME), modulo PRIME; k is at most 2^15."""
    high, low = P >> 16, P & 0xFFFF  # so that sums of k products fit in 63 bits
    return ((high @ Q % PRIME << 16) + low @ Q) % PRIME


def solve_modulo_prime(matrix: Int[np.ndarray, "m n"], right: Int[np.ndarray, " m"]) -> Int[np.ndarray, " n"] | None:
    """One solution of a linear system with entries in [0, PRIME), modulo PRIME; None where there is none. O(m n rank)
    operations."""
    rows, pivots, n = np.hstack([matrix, right[:, None]]), list[int](), matrix.shape[1]
    for column in range(n):
        top = len(pivots)
        if (found := np.flatnonzero(rows[top:, column])).size:
            rows[[top, top + found[0]]] = rows[[top + found[0], top]]
            rows[top] = rows[top] * pow(int(rows[top, column]), -1, PRIME) % PRIME
            below = top + 1 + np.flatnonzero(rows[top + 1 :, column])
            rows[below] = (rows[below] - rows[below, column][:, None] * rows[top]) % PRIME
            pivots.append(column)
    if rows[len(pivots) :, -1].any():
        return None
    solution = np.zeros(n, np.int64)
    for top, column in reversed(list(enumerate(pivots))):
        known = int((rows[top, column + 1 : n] * solution[column + 1 :] % PRIME).sum())
        solution[column] = (int(rows[top, -1]) - known) % PRIME
    return solution


def exact_rank(A: Float[np.ndarray, "N d1"], X: Float[np.ndarray, "N d0"], constant: bool = False) -> int:
    """rank(A o X) of the matrices as stored, without rounding; constant: with a column of ones added to the product.
    Slow for N above about a thousand. Floating-point numbers are integers times powers of two, so A, X and their
    product have exact residues. The rank modulo p is never above the true rank, and below it only if p divides every
    nonzero maximal minor: for data that do not know the prime, a chance of about 1 in 2 000 000 000."""
    M = product(residues(A), residues(X)) % PRIME
    return rank_modulo_prime(np.hstack([M, np.ones((len(M), 1), np.int64)]) if constant else M)
