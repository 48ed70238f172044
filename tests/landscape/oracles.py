"""Independent ways to what the landscape says, for its tests: rational arithmetic, cells in the plane, counting."""

from fractions import Fraction

import numpy as np
from scipy.optimize import linprog
from scipy.stats import binom


def kron_rows(A, X):
    """A o X row by row."""
    return np.stack([np.kron(a, x) for a, x in zip(A, X, strict=True)])


def exactly(array):
    """A matrix as it is stored, in rational arithmetic."""
    return [[Fraction(float(v)) for v in row] for row in np.atleast_2d(array)]


def dot(a, b):
    return sum((s * t for s, t in zip(a, b, strict=True)), Fraction(0))


def solve(matrix, right):
    """One exact solution of a linear system, and the rank; None where there is no solution."""
    rows, pivots, n = [[*row, b] for row, b in zip(matrix, right, strict=True)], [], len(matrix[0])
    for column in range(n):
        top = len(pivots)
        found = next((r for r in range(top, len(rows)) if rows[r][column]), None)
        if found is None:
            continue
        rows[top], rows[found] = rows[found], rows[top]
        rows[top] = [v / rows[top][column] for v in rows[top]]
        for r in range(len(rows)):
            if r != top and rows[r][column]:
                factor = rows[r][column]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[top], strict=True)]
        pivots.append(column)
    if any(row[-1] for row in rows[len(pivots) :]):
        return None, len(pivots)
    solution = [Fraction(0)] * n
    for r, column in enumerate(pivots):
        solution[column] = rows[r][-1]
    return solution, len(pivots)


def fraction_rank(matrix) -> int:
    """The rank of a matrix as it is stored."""
    return solve(exactly(matrix), [Fraction(0)] * len(matrix))[1]


def edges(sigma, X):
    """The two edges of a cell in the plane: the directions orthogonal to a point that no other point excludes."""
    found = np.concatenate([np.stack([-X[:, 1], X[:, 0]], axis=1), np.stack([X[:, 1], -X[:, 0]], axis=1)])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found[(sigma[:, None] * (X @ found.T) > -1e-9).all(axis=0)]


def is_positive_combination(target, columns) -> bool:
    """Whether positive factors of the columns make the target: target = M (a + m), a >= 0, with the margin m as large
    as it gets."""
    M = np.array(columns).T
    whole = np.hstack([M, M.sum(axis=1, keepdims=True)])
    found = linprog(
        np.r_[np.zeros(M.shape[1]), -1.0], A_eq=whole, b_eq=target, bounds=[(0, None)] * M.shape[1] + [(0, 1)]
    )
    return found.status == 0 and found.x[-1] > 1e-7


def labels(rng, N):
    """Labels 0 and 1, both of them."""
    return np.r_[1.0, 0.0, rng.integers(0, 2, N - 2)]


def three(volumes):
    return volumes.suboptimal, volumes.global_minima, volumes.rank_deficient


def most_misses(trials, rate=0.05, level=1e-3):
    """More misses than this are seen with a probability below the level where each has the rate."""
    return int(binom.isf(level, trials, rate))
