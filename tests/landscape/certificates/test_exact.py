"""Certificates against the point as it is stored, in rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from mnnjax.landscape import certify
from mnnjax.landscape.certificates.nearest_minimum import evaluate
from tests.landscape.oracles import dot, exactly, solve

DLM = ("global_minimum", "suboptimal_dlm")


class Exact:
    """The facts of a point: rank, residual of its region e, whether some neural input is zero, and whether the least
    change of W that makes it stationary stays in the region (minimum_here)."""

    def __init__(self, W, z, X, y, rho, c=None):
        W, X, (z, y), rho = exactly(W), exactly(X), (exactly(z)[0], exactly(y)[0]), Fraction(float(rho))
        constant = [] if c is None else [Fraction(1)]
        U = [[dot(x, w) for w in W] for x in X]
        A = [[Fraction(1) if u > 0 else rho for u in row] for row in U]
        M = [[a * b for a in row for b in x] + constant for row, x in zip(A, X, strict=True)]
        columns = list(zip(*M, strict=True))
        theta, self.rank = solve([[dot(p, q) for q in columns] for p in columns], [dot(p, y) for p in columns])
        e = [label - dot(row, theta) for label, row in zip(y, M, strict=True)]
        self.pattern = [[u > 0 for u in row] for row, x in zip(U, X, strict=True) if any(x)]
        self.zero_input = any(u == 0 for row, x in zip(U, X, strict=True) if any(x) for u in row)
        self.e, self.zero_residual = np.array([float(v) for v in e]), not any(e)
        shift = Fraction(0) if c is None else Fraction(float(c))
        output = [dot([a * u for a, u in zip(*rows, strict=True)], z) + shift for rows in zip(A, U, strict=True)]
        change = [label - o - r for label, o, r in zip(y, output, e, strict=True)]
        weights = [[t * a for t, a in zip(z, row, strict=True)] for row in A]
        B = [[a * b for a in row for b in x] + constant for row, x in zip(weights, X, strict=True)]
        multiplier, _ = solve([[dot(p, q) for q in B] for p in B], change)
        self.minimum_here = False
        if multiplier is not None:
            step = [dot(column, multiplier) for column in zip(*B, strict=True)]
            d0 = len(X[0])
            moved = [[v + s for v, s in zip(w, step[i * d0 :], strict=False)] for i, w in enumerate(W)]
            after = [[dot(x, w) for w in moved] for x in X if any(x)]
            self.minimum_here = all(u != 0 for row in after for u in row) and self.pattern == [
                [u > 0 for u in row] for row in after
            ]


def minimum_nearby(W, z, X, y, rho, c, exact) -> bool:
    """An exact minimum lies in the region within 1 % of the weights: next to the point itself, or next to where
    Gauss-Newton steps in all weights lead."""
    if exact.minimum_here:
        return True
    p, (d1, d0), N = np.concatenate([W.ravel(), z, [c or 0.0]]), W.shape, len(y)
    A = np.where(X @ W.T > 0, 1.0, rho)
    M = np.hstack([(A[:, :, None] * X[:, None, :]).reshape(N, -1), np.full((N, 1), c is not None)])
    left, values, _ = np.linalg.svd(M, full_matrices=False)
    left = left[:, values > 1e-11 * values.max(initial=0)]
    for _ in range(6):
        V, t = p[: d1 * d0].reshape(d1, d0), p[d1 * d0 : -1]
        F = A * (X @ V.T)
        J = np.hstack([((A * t)[:, :, None] * X[:, None, :]).reshape(N, -1), F, np.full((N, 1), c is not None)])
        p = p + np.linalg.pinv(J, rcond=1e-10) @ (left @ (left.T @ (y - F @ t - p[-1])))
    start = np.concatenate([W.ravel(), z, [c or 0.0]])
    other = Exact(p[: d1 * d0].reshape(d1, d0), p[d1 * d0 : -1], X, y, rho, None if c is None else p[-1])
    near = np.linalg.norm(p - start) <= 0.0101 * np.linalg.norm(start)
    return near and other.minimum_here and other.pattern == exact.pattern


def small_problem(seed):
    """Small integers with the features that make certificates go wrong: zeros, equal and nearly equal points, equal
    neurons, kinks, realizable and contradictory labels, scales, rounding-sized changes."""
    rng = np.random.default_rng(seed)
    N, d0, d1 = rng.integers(1, 6), rng.integers(1, 4), rng.integers(1, 4)
    rho = rng.choice([0.0, 0.1, -1.0, 0.5, 2.0])
    X, W = rng.integers(-3, 4, (N, d0)).astype(float), rng.integers(-3, 4, (d1, d0)).astype(float)
    z = rng.integers(-2, 3, d1).astype(float)
    if rng.random() < 0.3:
        X[-1] = X[0] * rng.choice([1, 2, -1, 1 + 1e-9, 1 + 1e-15])
    if rng.random() < 0.2:
        W[-1] = W[0]
    if rng.random() < 0.1:
        X[rng.integers(N)] = 0
    c = float(rng.integers(-1, 2)) if rng.random() < 0.25 else None
    if rng.random() < 0.3:
        W += rng.standard_normal(W.shape) * 10.0 ** rng.integers(-16, -5)
    U = X @ W.T
    A = np.where(U > 0, 1.0, rho)
    output = (A * U) @ z + (c or 0.0)
    M = np.hstack([(A[:, :, None] * X[:, None, :]).reshape(N, -1), np.full((N, 1), c is not None)])
    off = rng.integers(-2, 3, N) * 1.0
    off = np.round(64 * (off - M @ np.linalg.lstsq(M, off, rcond=None)[0])) / 64
    # The same off the columns of the face of zero neural inputs, which stay zero.
    A, parts = np.where(U == 0, 0.0, A), [np.full((N, 1), c is not None)]
    for a, u in zip(A.T, U.T, strict=True):
        _, values, turn = np.linalg.svd(X[u == 0])
        parts.append((a[:, None] * X) @ turn[(values > 1e-12).sum() :].T)
    F = np.hstack(parts)
    off_face = rng.standard_normal(N)
    for _ in range(2):
        off_face -= F @ np.linalg.lstsq(F, off_face, rcond=1e-12)[0]
    labels = {
        "at kinks": output + off_face,
        "binary": rng.integers(0, 2, N) * 1.0,
        "reached": output,
        "almost reached": output + rng.standard_normal(N) * 10.0 ** rng.integers(-12, -1),
        "zero": np.zeros(N),
        "stationary": output + off,
    }
    y = labels["at kinks" if (U == 0).any() and rng.random() < 0.6 else rng.choice(list(labels))]
    scale = 10.0 ** rng.integers(-3, 4)
    return [(W, z, X, y), (W / scale, z, X * scale, y), (W * scale, z / scale, X, y)][rng.integers(3)] + (rho, c)


def total(W, z, X, y, rho, c):
    """The MSE, in rational arithmetic."""
    rho, z, y = Fraction(float(rho)), exactly(z)[0], exactly(y)[0]
    U = [[dot(x, w) for w in exactly(W)] for x in exactly(X)]
    e = [
        t - dot([u if u > 0 else rho * u for u in row], z) - Fraction(float(c or 0))
        for row, t in zip(U, y, strict=True)
    ]
    return dot(e, e) / len(y)


def lowest_nearby(W, z, X, y, rho, c, margin, tries=300):
    """The least MSE at random points so close by that only neural inputs which are zero change sign."""
    rng = np.random.default_rng(0)
    size = max(np.abs(W).max(), 1e-300)
    radius = min(1e-4 * size, 0.1 * margin / (X.shape[1] * np.abs(X).max(initial=1e-300)))
    least = np.inf
    for _ in range(tries):
        dW = rng.standard_normal(W.shape) * (rng.random(W.shape) < rng.choice([0.3, 1.0]))
        dz = rng.standard_normal(z.shape) * rng.choice([0.0, 1.0]) * np.abs(z).max(initial=0) / size
        U = X @ (W + radius * dW).T
        e = y - np.where(U > 0, U, rho * U) @ (z + radius * dz) - (c or 0.0)
        least = min(least, np.mean(e**2))
    return least


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize("block", range(6))
def test_never_wrong_on_small_problems(block):
    kinds = ("global_minimum", "suboptimal_dlm", "suboptimal_kink", "saddle", "not_converged", "undecided")
    found = dict.fromkeys(kinds, 0)
    for seed in range(80):
        W, z, X, y, rho, c = small_problem([block, seed])
        certificate = certify(W, z, X, y, rho, output_bias=c)
        exact = Exact(W, z, X, y, rho, c)
        found[certificate.verdict] += 1
        rounding = 1e-12 * max(np.abs(y).max(), (np.abs(X) @ np.abs(W).T @ np.abs(z)).max())
        case = f"block {block}, seed {seed}: {certificate}"
        if certificate.rank is not None and not exact.zero_input:
            assert certificate.rank == exact.rank, case
        if certificate.verdict in DLM and not certificate.kinks:
            assert not exact.zero_input, case
            # A residual of zero needs no proof.
            assert certificate.mse == 0 or minimum_nearby(W, z, X, y, rho, c, exact), case
            assert np.sqrt(certificate.region_mse) == pytest.approx(
                np.sqrt(np.mean(exact.e**2)), rel=1e-6, abs=rounding
            ), case
        if certificate.verdict == "global_minimum":
            assert certificate.kinks or np.abs(exact.e).max() <= rounding, case
            assert certificate.mse <= rounding + 1e-8 * np.mean(y**2), case
            assert certificate.region_mse == certificate.region_mce == 0, case
        if certificate.verdict == "suboptimal_dlm":
            assert not exact.zero_residual, case
        if certificate.verdict == "saddle":
            dW, dz = certificate.descent
            assert total(W + dW, z + dz, X, y, rho, c) < total(W, z, X, y, rho, c), case
        if certificate.verdict.startswith("suboptimal"):
            assert (
                lowest_nearby(W, z, X, y, rho, c, certificate.margin)
                >= certificate.region_mse - 1e-9 * np.mean(y**2) - 1e-13
            ), case
        if certificate.kinks:
            smallest = np.abs(X @ W.T)[X.any(axis=1)]
            assert (smallest <= 1e-12 * np.abs(X).max() * np.abs(W).max()).any(), case
    # The draw has all kinds in number.
    assert min(found[kind] for kind in ("global_minimum", "suboptimal_dlm", "not_converged")) >= 5, found
    assert found["suboptimal_kink"] + found["saddle"] >= 1, found
    assert found["undecided"] <= 8, found


# The squares of all but the first underflow.
@pytest.mark.parametrize("size", [1.0, 1e-170, 1e-300, 1e-320])
@pytest.mark.wrong_types
def test_never_wrong_where_a_point_is_tiny(size):
    """Least squares moves one neuron by rounding alone, across a fourth point or not: its height there is 1e-13 to
    10 of the point's size."""
    right = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        w = rng.standard_normal(2)
        fourth = np.array([-w[1], w[0]]) + w * rng.choice([-1, 1]) * 10.0 ** rng.uniform(-13, 1)
        X = np.array([[1, 0], [1, 1e-6], [1, -1e-6], fourth * size])
        A = np.where(X @ w > 0, 1.0, 0.5)
        y = A * (X @ w + [0.1, -0.05, -0.05, 0])
        if certify([w], [1.0], X, y, 0.5).verdict in DLM:
            # theta is unique and there is one neuron, so this is all there is to know.
            assert Exact([w], [1.0], X, y, 0.5).minimum_here, seed
            right += 1
    assert right > 10 or size < 1e-310  # there the point itself has few digits


def test_the_rounding_of_products_that_underflow_is_within_the_bounds():
    rng = np.random.default_rng(0)
    for _ in range(200):
        N, d0, d1 = rng.integers(1, 6, 3)
        X, W = rng.standard_normal((N, d0)) * 1e-200, rng.standard_normal((d1, d0)) * 10.0 ** rng.integers(-126, -121)
        z, y = rng.standard_normal(d1), rng.standard_normal(N) * 10.0 ** rng.integers(-330, -320)
        point, (z_exact, *_) = evaluate(W, z, 0.0, X, y, 0.3), exactly(z)
        for n, (x, label) in enumerate(zip(exactly(X), exactly(y)[0], strict=True)):
            U = [dot(x, w) for w in exactly(W)]
            output = dot([u if u > 0 else Fraction(0.3) * u for u in U], z_exact)
            bounds = zip(U, point.U[n], point.U_error[n], strict=True)
            assert all(abs(u - Fraction(float(found))) <= Fraction(float(error)) for u, found, error in bounds)
            assert abs(label - output - Fraction(float(point.e[n]))) <= Fraction(float(point.e_error[n]))


def test_zeros_have_no_rounding():
    point = evaluate(
        np.array([[0.0, 2.0], [1.0, 1.0]]), np.array([3.0, 0.0]), 0.0, np.array([[1.0, 0.0]]), np.zeros(1), 0
    )
    assert point.U_error[0, 0] == point.e_error[0] == 0
    assert point.U_error[0, 1] > 0
