"""Certificates against problems whose answer is known, exact rational arithmetic and brute force."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.landscape import activation_pattern, certify, region_residual

EPS = np.finfo(np.float64).eps
RHOS = [0.0, 0.1, -1.0]
DLM = ("global_minimum", "suboptimal_dlm")


# Independent oracle: the point as it is stored, in rational arithmetic.


def exactly(array):
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
    labels = {
        "binary": rng.integers(0, 2, N) * 1.0,
        "reached": output,
        "almost reached": output + rng.standard_normal(N) * 10.0 ** rng.integers(-12, -1),
        "zero": np.zeros(N),
        "stationary": output + off,
    }
    y = labels[rng.choice(list(labels))]
    scale = 10.0 ** rng.integers(-3, 4)
    return [(W, z, X, y), (W / scale, z, X * scale, y), (W * scale, z / scale, X, y)][rng.integers(3)] + (rho, c)


@pytest.mark.parametrize("block", range(6))
def test_never_wrong_on_small_problems(block):
    found = dict.fromkeys(("global_minimum", "suboptimal_dlm", "non_differentiable", "not_converged"), 0)
    for seed in range(80):
        W, z, X, y, rho, c = small_problem([block, seed])
        certificate = certify(W, z, X, y, rho, output_bias=c)
        exact = Exact(W, z, X, y, rho, c)
        found[certificate.verdict] += 1
        rounding = 1e-12 * max(np.abs(y).max(), (np.abs(X) @ np.abs(W).T @ np.abs(z)).max())
        case = f"block {block}, seed {seed}: {certificate}"
        if certificate.rank is not None and not exact.zero_input:
            assert certificate.rank == exact.rank, case
        if certificate.verdict in DLM:
            assert not exact.zero_input, case
            assert minimum_nearby(W, z, X, y, rho, c, exact), case
            assert np.sqrt(certificate.region_mse) == pytest.approx(
                np.sqrt(np.mean(exact.e**2)), rel=1e-6, abs=rounding
            ), case
        if certificate.verdict == "global_minimum":
            assert np.abs(exact.e).max() <= rounding, case
            assert certificate.region_mse == certificate.region_mce == 0, case
        if certificate.verdict == "suboptimal_dlm":
            assert not exact.zero_residual, case
        if certificate.verdict == "non_differentiable":
            smallest = np.abs(X @ W.T)[X.any(axis=1)]
            assert (smallest <= 1e-13 * np.abs(X).max() * np.abs(W).max()).any(), case
    # The draw has all four kinds in number.
    assert min(found.values()) >= 5


# Problems with known answers.


def draw(N, d0, d1, rho, seed=0):
    """A generic point away from every kink: X, W, z, and the matrix A o X."""
    rng = np.random.default_rng([seed, N, d0, d1])
    X, W = rng.standard_normal((N, d0)), rng.standard_normal((d1, d0))
    z = rng.choice([-1.0, 1.0], d1) * rng.uniform(0.5, 2.0, d1)
    A = np.where(X @ W.T > 0, 1.0, rho)
    return X, W, z, np.stack([np.kron(a, x) for a, x in zip(A, X, strict=True)])


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
    M = np.stack([np.kron(a, x) for a, x in zip(A, X, strict=True)])
    v = np.linalg.lstsq(M, y, rcond=None)[0].reshape(w.shape)
    s = 0.5 * np.abs(X @ w.T).min() / np.abs(X @ v.T).max()
    return np.vstack([w + s * v, w - s * v]), np.repeat([0.5 / s, -0.5 / s], len(w)), X, y


def hand(W, z, X, y):
    return lambda rho: (W, z, X, y)


def away(N, d0, d1, rho):
    W, z, X, y = stationary(N, d0, d1, rho)
    return 1.1 * W, z, X, y


def anywhere(N, d0, d1, rho):
    X, W, z, _ = draw(N, d0, d1, rho)
    return W, z, X, np.arange(N) % 2


KNOWN = {
    "reached, rank N": ("global_minimum", lambda rho: reached(6, 4, 5, rho)),
    "reached, rank below N": ("global_minimum", lambda rho: reached(20, 3, 2, rho)),
    "binary labels by pairs": ("global_minimum", lambda rho: binary(9, 4, rho)),
    "one point": ("global_minimum", lambda rho: reached(1, 3, 2, rho)),
    "all labels zero, z = 0": ("global_minimum", hand(np.ones((2, 1)), np.zeros(2), np.ones((3, 1)), np.zeros(3))),
    "one neuron, one input": ("suboptimal_dlm", hand([[2.0]], [1 / 3], np.ones((3, 1)), [1.0, 0.0, 1.0])),
    "contradictory labels": ("suboptimal_dlm", hand([[1.0, 0.0]], [0.5], [[1.0, 2.0]] * 2, [1.0, 0.0])),
    "stationary": ("suboptimal_dlm", lambda rho: stationary(20, 3, 2, rho)),
    "stationary, one neuron": ("suboptimal_dlm", lambda rho: stationary(30, 2, 1, rho)),
    # The first neuron has w . x = 0 exactly; the second fits the point, or does not.
    "kink": ("non_differentiable", hand([[2.0, -1.0], [1.0, 1.0]], [1.0, 1.0], [[1.0, 2.0]], [3.0])),
    "kink, not stationary": ("not_converged", hand([[2.0, -1.0], [1.0, 1.0]], [1.0, 1.0], [[1.0, 2.0]], [9.0])),
    "all weights zero": ("non_differentiable", hand(np.zeros((2, 2)), np.zeros(2), np.ones((3, 2)), [0.0, 1.0, 1.0])),
    # (A o X) e is not zero, although nothing changes with W alone.
    "second layer zero": ("not_converged", hand([[1.0, 2.0]], [0.0], [[1.0, 1.0]], [1.0])),
    "random": ("not_converged", lambda rho: anywhere(20, 3, 2, rho)),
    "ten per cent away": ("not_converged", lambda rho: away(20, 3, 2, rho)),
}


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("name", KNOWN)
def test_points_built_to_be_of_one_kind(name, rho):
    verdict, build = KNOWN[name]
    W, z, X, y = (np.asarray(v, float) for v in build(rho))
    certificate = certify(W, z, X, y, rho)
    assert certificate.verdict == verdict, certificate.reason
    U = X @ W.T
    e = y - np.where(U > 0, U, rho * U) @ z
    assert certificate.mse == pytest.approx(np.mean(e**2), rel=1e-12, abs=1e-28)
    assert certificate.mce == np.mean((y - e > 0.5) != (y > 0.5))
    assert certificate.min_abs_neural_input == pytest.approx(np.abs(U).min(), rel=1e-12)
    if verdict in DLM:
        A = np.asarray(activation_pattern(W, X, rho))
        region = np.asarray(region_residual(A, X, y))
        assert certificate.region_mse == pytest.approx(np.mean(region**2), rel=1e-9, abs=1e-28)
        assert certificate.region_mce == np.mean((y - region > 0.5) != (y > 0.5)) or verdict == "global_minimum"
        assert 0 < certificate.margin <= np.abs(U).min() * (1 + 1e-9)
        assert certificate.distance <= 1e-10 * np.linalg.norm(W)
        assert certificate.rank == np.linalg.matrix_rank(np.stack([np.kron(a, x) for a, x in zip(A, X, strict=True)]))


def test_numbers_by_hand():
    # Three equal points, labels 1, 0, 1: every minimum puts 2/3 on them.
    certificate = certify([[2.0]], [1 / 3], np.ones((3, 1)), [1.0, 0.0, 1.0], 0.0)
    assert certificate.region_mse == pytest.approx(2 / 9, rel=1e-12)
    assert certificate.region_mce == certificate.mce == pytest.approx(1 / 3)
    assert certificate.rank == 1
    # Labels -1 and +1 move the threshold to 0, and an argument moves it anywhere.
    assert certify([[2.0]], [0.5], np.ones((3, 1)), [1.0, -1.0, 1.0], 0.0).mce == pytest.approx(1 / 3)
    assert certify([[2.0]], [1 / 3], np.ones((3, 1)), [1.0, 0.0, 1.0], 0.0, threshold=0.9).mce == pytest.approx(2 / 3)


@pytest.mark.parametrize("with_bias", [False, True])
def test_gradient_norm_is_that_of_autodiff(with_bias):
    X, W, z, _ = draw(8, 3, 2, 0.1)
    y, c = np.arange(8.0) % 2, 0.25

    def mse(p):
        U = X @ p[0].T
        return jnp.mean((y - jnp.where(U > 0, U, 0.1 * U) @ p[1] - p[2]) ** 2)

    gradient = jax.grad(mse)((jnp.asarray(W), jnp.asarray(z), c if with_bias else 0.0))
    leaves = [np.ravel(g) for g in (gradient if with_bias else gradient[:2])]
    certificate = certify(W, z, X, y, 0.1, output_bias=c if with_bias else None)
    assert certificate.grad_norm == pytest.approx(np.linalg.norm(np.concatenate(leaves)), rel=1e-12)


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("shape", [(12, 3, 2), (30, 2, 1), (8, 2, 2), (3, 4, 2)])
def test_no_perturbation_lowers_the_mse_of_a_certified_minimum(shape, rho):
    build = reached if shape[0] == 3 else stationary
    W, z, X, y = build(*shape, rho)
    certificate = certify(W, z, X, y, rho)
    assert certificate.verdict in DLM
    rng = np.random.default_rng(11)
    for size in (1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1):
        V = W + size * rng.standard_normal((2000, *W.shape))
        t = z + size * rng.standard_normal((2000, *z.shape))
        U = np.einsum("nk,bik->bni", X, V)
        here = ((U > 0) == (X @ W.T > 0)).all(axis=(1, 2))
        assert here.any() or size > certificate.margin / 30
        mse = np.mean((y - np.einsum("bni,bi->bn", np.where(U > 0, U, rho * U), t)) ** 2, axis=1)
        assert (mse[here] >= certificate.region_mse * (1 - 1e-12)).all()


@pytest.mark.parametrize("rho", RHOS)
def test_a_saddle_has_lower_points_next_to_it(rho):
    # Why the saddle of KNOWN must not be called a minimum, although its gradient vanishes.
    x, w = np.array([1.0, 1.0]), np.array([1.0, -1.0 + 1e-6])
    certificate = certify(w[None], [0.0], x[None], [1.0], rho)
    assert certificate.grad_norm < 1e-5
    assert certificate.verdict == "not_converged"
    rng = np.random.default_rng(12)
    V, t = w + 1e-3 * rng.standard_normal((4000, 2)), 1e-3 * rng.standard_normal(4000)
    U = V @ x
    assert ((1 - t * np.where(U > 0, U, rho * U)) ** 2).min() < 1 - 1e-7


# The verdict does not depend on how the same network is written.

REWRITTEN = {
    "X * 1e8": lambda W, z, X, y: (W / 1e8, z, X * 1e8, y),
    "X / 1e8": lambda W, z, X, y: (W * 1e8, z, X / 1e8, y),
    "W * 1e8": lambda W, z, X, y: (W * 1e8, z / 1e8, X, y),
    "W / 1e8": lambda W, z, X, y: (W / 1e8, z * 1e8, X, y),
    "y * 1e8": lambda W, z, X, y: (W, z * 1e8, X, y * 1e8),
    "y / 1e8": lambda W, z, X, y: (W, z / 1e8, X, y / 1e8),
    "a neuron in two halves": lambda W, z, X, y: (np.vstack([W, W[:1]]), np.r_[z[0] / 2, z[1:], z[0] / 2], X, y),
    "a twin neuron of weight zero": lambda W, z, X, y: (np.vstack([W, W[:1]]), np.r_[z, 0.0], X, y),
    "a point twice, both neurons live": lambda W, z, X, y: (W, z, np.vstack([X, 0 * X[:1]]), np.r_[y, 0.0]),
    "in a plane": lambda W, z, X, y: (np.hstack([W, W[:, :1]]), z, np.hstack([X, 0 * X[:, :1]]), y),
    "points in another order": lambda W, z, X, y: (W, z, X[::-1], y[::-1]),
    "neurons in another order": lambda W, z, X, y: (W[::-1], z[::-1], X, y),
    "a millionth away": lambda W, z, X, y: (W * (1 + 1e-6), z * (1 - 2e-6), X, y),
}


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize(("verdict", "build"), [("global_minimum", reached), ("suboptimal_dlm", stationary)])
@pytest.mark.parametrize("name", REWRITTEN)
def test_the_same_network_written_otherwise(name, verdict, build, rho):
    certificate = certify(*REWRITTEN[name](*build(20, 3, 2, rho)), rho)
    assert certificate.verdict == verdict, certificate.reason


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e8])
@pytest.mark.parametrize("seed", range(3))
def test_an_untrained_network_is_no_minimum_however_its_layers_are_scaled(seed, scale):
    rng = np.random.default_rng(seed)
    X, W, z = rng.standard_normal((8, 4)), rng.standard_normal((40, 4)), 0.3 * rng.standard_normal(40)
    certificate = certify(W * scale, z / scale, X, rng.integers(0, 2, 8), 0.0)
    assert certificate.mce >= 0.25
    assert certificate.verdict == "not_converged"


def test_float32_weights_of_a_minimum():
    for point, verdict in [(binary(9, 4, 0.1), "global_minimum"), (stationary(20, 3, 2, 0.1), "suboptimal_dlm")]:
        W, z, X, y = point
        assert certify(W.astype(np.float32), jnp.asarray(z, jnp.float32), X, y, 0.1).verdict == verdict


# Neural inputs next to zero.


@pytest.mark.parametrize(
    ("small", "in_region"), [(0.0, False), (2.0**-60, False), (2.0**-53, False), (2.0**-40, True), (2.0**-20, True)]
)
def test_neural_input_just_above_or_below_rounding(small, in_region):
    # w . x = small exactly, as a sum with terms of size 1; the label is the output.
    certificate = certify([[1.0, -1.0, 1.0]], [1.0], [[1.0, 1.0, small]], [small], 0.1)
    assert certificate.min_abs_neural_input == small
    assert (certificate.verdict == "global_minimum") == in_region
    assert in_region or certificate.verdict == "non_differentiable"


@pytest.mark.parametrize(("label", "verdict"), [(1e-10, "global_minimum"), (-1e-10, "not_converged")])
def test_minimum_just_inside_and_just_outside_of_the_region(label, verdict):
    # z = 1: the minimum has w . x equal to the labels, and a step of 1e-9 in W leads there. A label below zero asks the
    # neuron to leave the region of the point, although the distance and all gradients are tiny.
    certificate = certify([[1e-9, 1.0]], [1.0], np.eye(2), [label, 1.0], -1.0)
    assert certificate.verdict == verdict
    assert certificate.grad_norm < 1e-8


def test_dead_points_and_dead_neurons():
    # ReLU: the second point is dead, so its label is out of reach and W, z do not matter to it.
    certificate = certify([[1.0, 0.0]], [1.0], [[1.0, 0.0], [-1.0, 1.0]], [1.0, 1.0], 0.0)
    assert certificate.verdict == "suboptimal_dlm"
    assert (certificate.region_mse, certificate.region_mce, certificate.rank) == (0.5, 0.5, 1)
    # With label 0 it is fitted by being dead.
    assert certify([[1.0, 0.0]], [1.0], [[1.0, 0.0], [-1.0, 1.0]], [1.0, 0.0], 0.0).verdict == "global_minimum"
    # A network that is dead everywhere is a minimum of its region, whatever the second layer.
    for z in (0.0, 5.0):
        certificate = certify([[-1.0, -1.0]], [z], [[1.0, 2.0], [2.0, 1.0]], [0.0, 1.0], 0.0)
        assert (certificate.verdict, certificate.region_mse, certificate.rank) == ("suboptimal_dlm", 0.5, 0)


def test_a_point_at_the_origin_has_output_zero_wherever_the_weights_are():
    X = [[0.0, 0.0], [1.0, 0.0]]
    assert certify([[1.0, 0.0]], [1.0], X, [0.0, 1.0], 0.1).verdict == "global_minimum"
    certificate = certify([[1.0, 0.0]], [1.0], X, [1.0, 1.0], 0.1)
    assert (certificate.verdict, certificate.region_mse) == ("suboptimal_dlm", 0.5)


def test_equal_points_with_tiny_opposite_labels_are_not_fitted():
    # Exact powers of two: no network can tell the points apart. Large outputs of opposite sign cancel, so that rounding
    # hides labels this small.
    W, X, y = np.ones((2, 2)), np.ones((2, 2)), np.array([2.0**-36, -(2.0**-36)])
    for z in (2.0**10, 2.0**14, 2.0**18):
        certificate = certify(W, [z, -z], X, y, 0.0, threshold=0.0)
        assert certificate.verdict != "global_minimum"
        assert certificate.region_mse != 0
        assert certificate.region_mce != 0


@pytest.mark.parametrize("rho", RHOS)
def test_large_labels_are_judged_by_their_own_size(rho):
    W, z, X, y = reached(20, 3, 2, rho)
    assert certify(W, z, 1e8 * X, 1e8 * y, rho).verdict == "global_minimum"


@pytest.mark.parametrize("tiny", [0.0, 1e-19, -1e-16])
def test_a_global_minimum_whose_second_layer_has_a_zero(tiny):
    # ReLU: only the second neuron sees the second point, whose label 0 asks for z_2 = 0; the first fits the first one.
    certificate = certify([[1.0, -1.0], [-1.0, 1.0]], [1.0, tiny], np.eye(2), [1.0, 0.0], 0.0)
    assert certificate.verdict == "global_minimum", certificate.reason


# An output bias.


@pytest.mark.parametrize("rho", RHOS)
def test_output_bias_counts_as_a_parameter(rho):
    X, W, z, M = draw(20, 3, 2, rho)
    M = np.hstack([M, np.ones((20, 1))])
    v = np.random.default_rng(9).standard_normal(20)
    v -= M @ np.linalg.lstsq(M, v, rcond=None)[0]
    y = M[:, :-1] @ (z[:, None] * W).ravel() + 0.5
    assert certify(W, z, X, y, rho, output_bias=0.5).verdict == "global_minimum"
    certificate = certify(W, z, X, y + v, rho, output_bias=0.5)
    assert certificate.verdict == "suboptimal_dlm"
    assert certificate.region_mse == pytest.approx(np.mean(v**2), rel=1e-9)
    assert certificate.rank == np.linalg.matrix_rank(M)
    # A bias that is not at its best, and no bias at all.
    assert certify(W, z, X, y + v, rho, output_bias=0.0).verdict == "not_converged"
    assert certify(W, z, X, y + v, rho).verdict == "not_converged"


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("c", [0.0, 0.5])
def test_output_bias_where_no_neuron_counts(c, rho):
    y = np.array([0.0, 1.0])
    # All neural inputs are zero; only the bias is left, which is at its best at 0.5.
    verdict = "non_differentiable" if c == 0.5 else "not_converged"
    assert certify(np.zeros((2, 3)), np.zeros(2), np.ones((2, 3)), y, rho, output_bias=c).verdict == verdict
    # No point reaches the neurons.
    verdict = "suboptimal_dlm" if c == 0.5 else "not_converged"
    assert certify(np.ones((2, 3)), np.ones(2), np.zeros((2, 3)), y, rho, output_bias=c).verdict == verdict


@pytest.mark.parametrize("scale", [1e150, 1e-150, 1e300])
@pytest.mark.parametrize("argument", range(4))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_absurd_scales_end_in_a_verdict(argument, scale):
    X, W, z, _ = draw(4, 3, 3, -1.0)
    values = [W, z, X, np.array([0.0, 1.0, 1.0, 0.0])]
    values[argument] = values[argument] * scale
    assert certify(*values, -1.0).verdict in ("not_converged", "non_differentiable")


# What a region is worth before anyone trains.


@pytest.mark.parametrize("rho", RHOS)
def test_region_mse_of_a_point_on_its_way_is_that_of_least_squares(rho):
    X, W, z, M = draw(20, 3, 2, rho)
    y = np.arange(20) % 2
    e = y - M @ np.linalg.lstsq(M, y, rcond=None)[0]
    certificate = certify(W, z, X, y, rho)
    assert certificate.verdict == "not_converged"
    assert certificate.region_mse == pytest.approx(np.mean(e**2), rel=1e-10)
    assert certificate.region_mce == np.mean((y - e > 0.5) != (y > 0.5))


def test_region_mse_of_nearly_dependent_points_before_training():
    X = np.array([[-2.0], [2.0], [2.0], [-2.000000002]])
    certificate = certify([[-2.0], [1.0], [-2.0]], [2.0, 2.0, -2.0], X, [1.0, 0.0, 0.0, 0.0], 0.1)
    assert certificate.verdict == "not_converged"
    A = np.asarray(activation_pattern(np.array([[-2.0], [1.0], [-2.0]]), X, 0.1))
    expected = np.asarray(region_residual(A, X, np.array([1.0, 0.0, 0.0, 0.0])))
    assert certificate.region_mse == pytest.approx(np.mean(expected**2), rel=1e-6)


# Bad input.

GOOD = {"W": np.ones((2, 3)), "z": np.ones(2), "X": np.ones((4, 3)), "y": np.ones(4), "rho": 0.0}
ERRORS = [
    ("W", np.ones((2, 4)), r"W: has shape \(2, 4\)"),
    ("W", np.ones(3), r"W: has shape \(3,\)"),
    ("W", np.ones((0, 3)), r"W: has shape \(0, 3\)"),
    ("W", np.full((2, 3), np.nan), r"W: of shape \(2, 3\).*NaN"),
    ("z", np.ones(3), r"z: has shape \(3,\)"),
    ("z", np.ones((2, 1)), r"z: has shape \(2, 1\)"),
    ("z", np.array([1, np.inf]), r"z: of shape \(2,\).*infinite"),
    ("X", np.ones((0, 3)), r"X: has shape \(0, 3\)"),
    ("X", np.ones(3), r"X: has shape \(3,\)"),
    ("X", np.full((4, 3), -np.inf), r"X: of shape \(4, 3\).*infinite"),
    ("y", np.ones(5), r"y: has shape \(5,\)"),
    ("y", np.ones((4, 1)), r"y: has shape \(4, 1\)"),
    ("y", np.array([0, 1, np.nan, 0]), r"y: of shape \(4,\).*NaN"),
    ("rho", 1, "rho: 1"),
    ("rho", 1.0, "rho: 1"),
    ("rho", np.nan, "rho: nan"),
    ("rho", np.inf, "rho: inf"),
    ("output_bias", np.nan, "output_bias"),
    ("output_bias", np.inf, "output_bias"),
    ("output_bias", np.zeros(2), "output_bias"),
    ("threshold", np.nan, "threshold"),
]


@pytest.mark.parametrize(("argument", "value", "message"), ERRORS)
def test_bad_input_is_named_with_its_shape(argument, value, message):
    certify(**GOOD)
    with pytest.raises(ValueError, match=message):
        certify(**GOOD | {argument: value})
