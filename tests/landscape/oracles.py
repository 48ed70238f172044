"""Independent ways to what the landscape says, for its tests: rational arithmetic, cells in the plane, counting."""

import itertools
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


def null_vectors(matrix) -> list[list[Fraction]]:
    """A basis of the vectors that all rows of a rational matrix are orthogonal to."""
    columns, chosen, basis = list(zip(*matrix, strict=True)), list[int](), []
    for j, column in enumerate(columns):
        # Column j as a combination of the independent ones before it.
        found = solve([[row[i] for i in chosen] for row in matrix], column)[0] if chosen else None
        if found is None and any(column):
            chosen.append(j)
            continue
        v = [Fraction(int(i == j)) for i in range(len(columns))]
        for i, entry in zip(chosen, found or [], strict=False):
            v[i] = -entry
        basis.append(v)
    return basis


def rays_of_cells(planes):
    """Directions, up to sign, that generate all cells of the hyperplanes with these normals (q, d0), d0 <= 3, of rank
    d0. Floats, or objects in rational arithmetic."""
    if len(planes[0]) == 1:
        return [[1]]
    if len(planes[0]) == 2:
        return [[-b, a] for a, b in planes]
    return [[b * f - c * e, c * d - a * f, a * e - b * d] for (a, b, c), (d, e, f) in itertools.combinations(planes, 2)]


def exact_kind(W, z, X, y, rho, c=None) -> str:
    """What (W, z), stationary in its face as it is stored, is by the theorem of certificates/kinks.py, in rational
    arithmetic for d0 <= 3: "global_minimum", "suboptimal_dlm", "suboptimal_kink", "saddle", or "not_converged" where
    the loss has a gradient. The coordinates' hyperplanes split all cells into pointed ones, whose rays are tried."""
    W, X, (z, y), rho = exactly(W), exactly(X), (exactly(z)[0], exactly(y)[0]), Fraction(float(rho))
    U = [[dot(x, w) for x in X] for w in W]

    def slope(u):
        return Fraction(1) if u > 0 else rho

    outputs = [
        sum((zk * slope(u[n]) * u[n] for zk, u in zip(z, U, strict=True)), Fraction(float(c or 0)))
        for n in range(len(y))
    ]
    r = [o - label for o, label in zip(outputs, y, strict=True)]
    if not any(r):
        return "global_minimum"
    axes = [[Fraction(int(i == j)) for j in range(len(X[0]))] for i in range(len(X[0]))]
    least, stationary, kinks = Fraction(0), c is None or sum(r) == 0, 0
    for zk, u in zip(z, U, strict=True):
        held = [n for n in range(len(y)) if u[n] == 0 and any(X[n])]
        kinks += len(held)
        stationary &= zk != 0 or dot([slope(v) * v for v in u], r) == 0
        spread = null_vectors([X[n] for n in held]) if held else axes
        for v in rays_of_cells([X[n] for n in held] + axes):
            for side in (1, -1):
                t = [side * dot(x, v) for x in X]
                psi = dot(r, [slope(t[n] if u[n] == 0 else u[n]) * t[n] for n in range(len(y))])
                least = min(least, zk * psi if zk else -abs(psi))
        for v in spread if zk else []:
            stationary &= dot(r, [slope(u[n]) * dot(X[n], v) for n in range(len(y))]) == 0
    if not stationary:
        return "not_converged"
    return "saddle" if least < 0 else "suboptimal_kink" if kinks else "suboptimal_dlm"


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
