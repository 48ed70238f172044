"""Certificates of points at kinks, against a linear program for every cone of directions, and against evaluation."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from mnnjax.landscape import certify
from tests.landscape.oracles import dot, exact_kind, exactly, null_vectors

RHOS = [0.0, 0.1, -1.0, 2.0]


def loss(W, z, X, y, rho, c=0.0):
    U = X @ W.T
    return float(np.sum((np.where(U > 0, U, rho * U) @ z + c - y) ** 2))


def kinked(seed, N, d0, d1, rho, kinks, twins=False, bias=False):
    """A point with `kinks` pairs held at zero, at the minimum of its face: W, z, X, y, c, and the pairs (N, d1). twins:
    the last two neurons have one pattern, but that the last is held at a point."""
    rng = np.random.default_rng(seed)
    X, W = rng.standard_normal((N, d0)), rng.standard_normal((d1, d0))
    z, B = rng.choice([-1.0, 1.0], d1) * rng.uniform(0.5, 2.0, d1), np.zeros((N, d1), bool)
    for _ in range(kinks):
        k = int(rng.integers(d1))
        if B[:, k].sum() < d0 - 1:
            B[rng.integers(N), k] = True
    if twins:
        B[:, -1] = B[:, -2]
        nearest = np.abs(X @ W[-2]) + 10 * B[:, -2]
        B[nearest.argmin(), -1] = True
        W[-1] = W[-2]
    for k in range(d1):
        held = X[B[:, k]]
        W[k] -= np.linalg.pinv(held) @ (held @ W[k])
        W[k] -= np.linalg.pinv(held) @ (held @ W[k])
    U = np.where(B, 0.0, X @ W.T)
    A = np.where(B, 0.0, np.where(U > 0, 1.0, rho))
    columns = [(A[:, k, None] * X) @ null_space(X[B[:, k]]) for k in range(d1)] + ([np.ones((N, 1))] if bias else [])
    M = np.hstack(columns)
    left, values, _ = np.linalg.svd(M, full_matrices=False)
    left = left[:, values > 1e-10 * values.max()]
    r = rng.standard_normal(N)
    for _ in range(3):
        r -= left @ (left.T @ r)
    c = 0.25 if bias else None
    return W, z, X, (A * U) @ z + (c or 0.0) - r, c, B


def integers(seed):
    """A point of small integers with zeros, equal, parallel and zero points, at the minimum of its face: W, z, X, y,
    rho, c. Labels are integers, too, so all of it is exact. Some neurons with z_k = 0 have a gradient."""
    rng = np.random.default_rng(seed)
    N, d0, d1 = int(rng.integers(1, 8)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    rho, c = float(rng.choice([0.0, 0.5, -1.0, 2.0])), [None, None, 1.0][rng.integers(3)]
    X, W = rng.integers(-2, 3, (N, d0)) * 1.0, rng.integers(-2, 3, (d1, d0)) * 1.0
    z = rng.integers(-2, 3, d1) * 1.0
    if rng.random() < 0.3:
        X[-1] = X[0] * rng.choice([1, 2, -1])
    if rng.random() < 0.2:
        X[:, -1] = 1.0
    if rng.random() < 0.3:
        W[0] = 0.0
    if rng.random() < 0.3:
        W[-1] = W[0] * rng.choice([1, 2, -1])
    x, w, slope = exactly(X), exactly(W), [Fraction(rho), Fraction(1)]
    orthogonal = [] if c is None else [[Fraction(1)] * N]
    for k in range(d1):
        U = [dot(a, w[k]) for a in x]
        A = [slope[u > 0] if u else Fraction(0) for u in U]
        held = [a for a, u in zip(x, U, strict=True) if u == 0 and any(a)]
        basis = null_vectors(held) if held else exactly(np.eye(d0))
        if z[k] and any(w[k]):
            orthogonal += [[s * dot(a, v) for s, a in zip(A, x, strict=True)] for v in basis]
        elif not z[k] and rng.random() < 0.7:
            orthogonal.append([s * u for s, u in zip(A, U, strict=True)])
            if rng.random() < 0.5:  # and psi_k is zero where no neural input is
                orthogonal += [[s * v for s, v in zip(A, column, strict=True)] for column in zip(*x, strict=True)]
    r = np.zeros(N)
    for v in null_vectors(orthogonal) if orthogonal else exactly(np.eye(N)):
        r += float(rng.integers(-2, 3)) * np.array([float(e * np.lcm.reduce([f.denominator for f in v])) for e in v])
    U = X @ W.T
    return W, z, X, np.where(U > 0, U, rho * U) @ z + (c or 0.0) - r, rho, c


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("block", range(6))
def test_small_integers_agree_with_rational_arithmetic(block):
    """Nothing is undecided where a slack is either zero or far from it."""
    found = dict.fromkeys(("global_minimum", "suboptimal_dlm", "suboptimal_kink", "saddle", "not_converged"), 0)
    for seed in range(100):
        W, z, X, y, rho, c = integers([block, seed])
        certificate = certify(W, z, X, y, rho, output_bias=c)
        assert certificate.verdict == exact_kind(W, z, X, y, rho, c), (block, seed, certificate)
        found[certificate.verdict] += 1
    assert min(found.values()) >= 1, found


def null_space(rows):
    return np.linalg.svd(rows)[2][np.linalg.matrix_rank(rows) if len(rows) else 0 :].T


def smallest_slope(W, z, X, y, c, rho, B):
    """The least of z_k psi_k(v) over all k and |v_j| <= 1, a linear program for each of the 2^|B_k| cones; for z_k = 0
    of -|psi_k(v)|."""
    U = np.where(B, 0.0, X @ W.T)
    r = np.where(U > 0, U, rho * U) @ z + (c or 0.0) - y
    least = 0.0
    for k in range(len(z)):
        held = np.flatnonzero(B[:, k])
        a = np.where(B[:, k], 0.0, np.where(U[:, k] > 0, 1.0, rho))
        for signs in itertools.product([1.0, -1.0], repeat=len(held)):
            signs = np.array(signs)
            slope = (a * r) @ X + (r[held] * np.where(signs > 0, 1.0, rho)) @ X[held]
            for side in [z[k]] if z[k] else [1.0, -1.0]:
                found = linprog(
                    side * slope, A_ub=-signs[:, None] * X[held] if len(held) else None,
                    b_ub=np.zeros(len(held)) if len(held) else None, bounds=[(-1, 1)] * X.shape[1],
                )  # fmt: skip
                least = min(least, found.fun)
    return least


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("shape", [(12, 3, 2, 1), (14, 4, 2, 2), (20, 4, 3, 3), (9, 2, 2, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_minima_and_saddles_are_told_apart(shape, rho, bias):
    N, d0, d1, kinks = shape
    found = {"suboptimal_kink": 0, "saddle": 0}
    for seed in range(40):
        W, z, X, y, c, B = kinked([seed, N], N, d0, d1, rho, kinks, bias=bias)
        certificate = certify(W, z, X, y, rho, output_bias=c)
        least = smallest_slope(W, z, X, y, c, rho, B)
        assert certificate.verdict == ("saddle" if least < -1e-7 else "suboptimal_kink"), (seed, least, certificate)
        assert certificate.kinks == B.sum()
        found[certificate.verdict] += 1
        if certificate.verdict == "saddle":
            dW, dz = certificate.descent
            assert loss(W + dW, z + dz, X, y, rho, c or 0.0) < loss(W, z, X, y, rho, c or 0.0)
    assert found["saddle"] > 0
    assert found["suboptimal_kink"] > 0 or kinks > 1


@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_equalities_of_the_structure_are_proven(rho):
    """The slack of the twin's kink is zero on one side, exactly at the exact minimum."""
    found = []
    for seed in range(60):
        W, z, X, y, c, B = kinked(seed, 16, 4, 3, rho, 0, twins=True)
        U = X @ W.T
        if (np.where(B, 0, np.sign(U[:, [-1]])) != np.where(B, 0, np.sign(U[:, [-2]])))[:, -1].any():
            continue
        certificate = certify(W, z, X, y, rho)
        least = smallest_slope(W, z, X, y, c, rho, B)
        found.append(certificate.verdict)
        assert certificate.verdict == ("saddle" if least < -1e-7 else "suboptimal_kink"), (seed, least, certificate)
    assert found.count("suboptimal_kink") > 3


@pytest.mark.parametrize("rho", RHOS)
def test_random_moves_do_not_lower_the_loss_of_a_minimum_at_kinks(rho):
    rng, tried = np.random.default_rng(0), 0
    for seed in range(40):
        W, z, X, y, _, B = kinked(seed, 12, 3, 2, rho, 1)
        if certify(W, z, X, y, rho).verdict != "suboptimal_kink":
            continue
        tried += 1
        here = loss(W, z, X, y, rho)
        for radius in (1e-2, 1e-3, 1e-4):
            for _ in range(300):
                dW, dz = radius * rng.standard_normal(W.shape), radius * rng.standard_normal(z.shape)
                margin = np.abs(X @ W.T + 10 * B).min()
                if np.abs(X @ dW.T).max() < margin and np.abs(dz / z).max() < 1:
                    assert loss(W + dW, z + dz, X, y, rho) >= here * (1 - 1e-14)
    assert tried > 3


@pytest.mark.parametrize("N", [12, 80])
@pytest.mark.parametrize("rho", RHOS)
def test_zero_weights_are_a_minimum_where_psi_falls_nowhere(rho, N):
    """W = 0, by rays (d0 = 2) and by a linear program (d0 = 6): where outputs of the labels' sign cannot begin."""
    d0 = 2 if N == 12 else 6
    rng = np.random.default_rng(N)
    X, y, W = rng.standard_normal((N, d0)), rng.uniform(0.5, 1.5, N), np.zeros((2, d0))
    if rho < 0:
        X = np.vstack([X, -X])  # a mean of the points between -rho y and y times them
        y = np.tile(y, 2)
    found = set()
    for sign in (-1.0, 1.0):
        z = sign * np.array([1.0, 0.5])
        certificate = certify(W, z, X, y, rho)
        found.add(certificate.verdict)
        assert certificate.idle_neurons == 2
        if certificate.verdict == "saddle":
            dW, dz = certificate.descent
            assert loss(dW, z + dz, X, y, rho) < loss(W, z, X, y, rho)
        else:
            moves = [loss(1e-3 * rng.standard_normal(W.shape), z, X, y, rho) for _ in range(400)]
            assert certificate.verdict == "suboptimal_kink"
            assert min(moves) >= loss(W, z, X, y, rho)
            # z_k passes zero at constant loss.
            assert certificate.escapes
            assert min(loss(1e-3 * rng.standard_normal(W.shape), -z, X, y, rho) for _ in range(400)) < y @ y
    assert found == ({"saddle", "suboptimal_kink"} if rho < 2 or N == 12 else {"saddle"})
