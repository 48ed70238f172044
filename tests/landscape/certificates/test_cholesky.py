"""Factorizations in place and in blocks, their bounds, and certificates of large problems."""

import itertools
import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from mnnjax.landscape import certify
from mnnjax.landscape.certificates import cholesky, cost, linear_systems
from mnnjax.landscape.certificates.linear_systems import Region
from tests.landscape.oracles import dot, exactly, kron_rows
from tests.landscape.points import draw, reached, stationary

EPS = np.finfo(np.float64).eps


def filled(S):
    square = cholesky.new_square(len(S))
    square[:] = S
    return square


def positive(n, smallest=0.5):
    """A symmetric matrix with eigenvalues from `smallest` to 1."""
    Q, _ = np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))
    S = (Q * np.geomspace(smallest, 1.0, n)) @ Q.T
    return (S + S.T) / 2


@pytest.mark.parametrize("n", [1, 2, 7, 300])
def test_both_triangles_of_one_array_hold_a_factor(n):
    S = positive(n)
    square = filled(S)
    assert cholesky.factorize(square)
    # The upper triangle is left alone.
    np.testing.assert_array_equal(np.triu(square, 1), np.triu(S, 1))
    L, on_diagonal = np.tril(square), cholesky.diagonal(square).copy()
    np.testing.assert_allclose(L @ L.T, S, atol=n * EPS)
    cholesky.diagonal(square)[:] = np.diagonal(S)
    assert cholesky.factorize(square, lower=False)
    np.testing.assert_array_equal(np.tril(square, -1), np.tril(L, -1))
    np.testing.assert_allclose(np.triu(square).T, L, atol=10 * n * EPS)
    cholesky.diagonal(square)[:] = on_diagonal
    b = np.arange(1.0, n + 1)
    np.testing.assert_allclose(cholesky.solve(square, b), np.linalg.solve(S, b), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("n", "smallest"), list(itertools.product([1, 5, 300], [0.9, 1e-4, 1e-9])))
def test_the_bound_is_below_the_smallest_eigenvalue_and_near_it(n, smallest):
    S = positive(n, smallest)

    def fill(square, error=0.0):
        square[:] = S
        return error

    factor, bound = cholesky.factor_with_bound(n, fill)
    exact = np.linalg.eigvalsh(S)[0]
    assert 0.09 * exact < bound < exact
    np.testing.assert_allclose(np.tril(factor) @ np.tril(factor).T, S, atol=n * EPS)
    # Of all matrices within an error of S.
    assert cholesky.factor_with_bound(n, lambda square: fill(square, bound / 2))[1] == pytest.approx(bound / 2)
    assert cholesky.factor_with_bound(n, lambda square: fill(square, exact)) == (None, 0.0)


def test_no_bound_for_what_is_singular_or_indefinite():
    for S in (np.ones((3, 3)), np.diag([1.0, -1e-3]), np.diag([1.0, 1e-17]), np.zeros((2, 2))):

        def fill(square, S=S):
            square[:] = S
            return 0.0

        assert cholesky.factor_with_bound(len(S), fill) == (None, 0.0)


@pytest.mark.parametrize("block", [1, 3, 256])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_gram_matrices_in_blocks_are_within_their_bounds_of_rational_ones(monkeypatch, rho, constant, block):
    monkeypatch.setattr(cholesky, "BLOCK_ROWS", block)
    X, W, z, _ = draw(7, 3, 4, rho)
    A = np.where(X @ W.T > 0, 1.0, rho)
    region, weights = Region(A, X, constant), z**2
    live, (rows, columns) = region.live, region.shape
    weights = region.group_sums(weights)
    K, G = cholesky.new_square(rows), cholesky.new_square(columns)
    errors = region.fill_row_gram(K, weights), region.fill_column_gram(G)
    exact_A, exact_X, exact_weights = exactly(region.columns), exactly(X[live]), exactly(weights)[0]
    M = [
        [a * x for a in a_row for x in x_row] + [Fraction(1)] * constant
        for a_row, x_row in zip(exact_A, exact_X, strict=True)
    ]
    per_column = [w for w in exact_weights for _ in range(3)] + [Fraction(1)] * constant
    exact_K = [[dot(r, [w * v for w, v in zip(per_column, s, strict=True)]) for s in M] for r in M]
    transposed = list(zip(*M, strict=True))
    exact_G = [[dot(r, s) for s in transposed] for r in transposed]
    for found, exact, error in zip((K, G), (exact_K, exact_G), errors, strict=True):
        for triangle in (np.tril(found), np.triu(found).T):
            symmetric = exactly(triangle + np.tril(triangle, -1).T)
            off = [[float(a - b) for a, b in zip(*both, strict=True)] for both in zip(symmetric, exact, strict=True)]
            assert np.linalg.norm(off, 2) <= error < 1e-10


@pytest.mark.parametrize("constant", [False, True])
def test_products_without_the_product(constant):
    X, W, _, _ = draw(20, 3, 4, 0.1)
    region = Region(np.where(X @ W.T > 0, 1.0, 0.1), X, constant)
    M, rng = region.product(), np.random.default_rng(0)
    np.testing.assert_array_equal(M[:, : 3 * region.groups], kron_rows(region.columns, X))
    theta, e = rng.standard_normal(M.shape[1]), rng.standard_normal(M.shape[0])
    np.testing.assert_allclose(region.apply(theta), M @ theta, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(region.adjoint(e), M.T @ e, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("bias", [None, 0.5])
@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.parametrize(
    ("build", "sizes"),
    [(reached, (12, 5, 6)), (reached, (40, 3, 4)), (stationary, (40, 3, 4))],
    ids=["reached-wide", "reached-tall", "stationary"],
)
def test_certificates_do_not_depend_on_blocks(monkeypatch, build, sizes, rho, bias):
    W, z, X, y = build(*sizes, rho)
    # The way to the minimum is not empty, and joint steps are taken elsewhere.
    for factor in (1 + 1e-6, 1.5):
        whole = certify(factor * W, z, X, y + (bias or 0.0), rho, output_bias=bias)
        with monkeypatch.context() as patched:
            patched.setattr(cholesky, "BLOCK_ROWS", 5)
            found = certify(factor * W, z, X, y + (bias or 0.0), rho, output_bias=bias)
        assert (found.verdict, found.rank) == (whole.verdict, whole.rank)
        for name in ("mse", "region_mse", "margin", "distance"):
            value, expected = getattr(found, name), getattr(whole, name)
            assert math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-12) or math.isnan(value + expected)


def test_what_the_memory_does_not_hold_is_not_converged_with_one_line(monkeypatch):
    W, z, X, y = reached(12, 5, 6, 0.1)
    monkeypatch.setattr(cholesky, "LARGE", 11)
    monkeypatch.setattr(linear_systems, "EXACT_RANK_ENTRIES", 0)
    needed = 8 * (12 + cholesky.BLOCKS * cholesky.BLOCK_ROWS) * 12
    for free, verdict in ((needed, "global_minimum"), (None, "global_minimum"), (needed - 1, "not_converged")):
        monkeypatch.setattr(cholesky, "free_memory", lambda free=free: free)
        found = certify(W, z, X, y, 0.1)
        assert found.verdict == verdict
    assert found.rank is None
    assert found.reason.endswith("in doubt: a matrix of 12 x 12 takes 124.0 kB of memory, and 124.0 kB are free")
    # A second matrix is needed only where the nearest minimum lies outside of the region.
    left = iter([needed, 0, 0])
    monkeypatch.setattr(cholesky, "free_memory", lambda: next(left))
    found = certify(W, z, X, np.random.default_rng(0).choice([-9.0, 9.0], 12), 0.1)
    assert (found.verdict, found.rank) == ("not_converged", 12)
    assert "lies outside it" in found.reason
    assert found.reason.endswith("and 0 bytes are free")


def test_cost_is_said_for_large_problems_alone(monkeypatch):
    assert not cost.is_large(6_000, 100, 100)
    assert cost.is_large(20_000, 713, 89)
    assert not cost.is_large(20_001, 713, 89)  # beyond what is certified
    assert not cost.is_large(70_000, 60, 90)
    square = 8 * 20_000**2
    assert 2 * square < cost.certificate_bytes(20_000, 713, 89) < 2.25 * square
    monkeypatch.setattr(cost, "free_memory", lambda: 4 * 10**9)
    line = cost.announcement(20_000, 713, 89)
    assert line.startswith("certificate: N = 20 000, d0 d1 = 63 457: 3.9 GB of memory (4.0 GB are free) and about ")
    assert " if z has to move too" in line.split("7.1 GB and ")[1]
    assert cost.omission(20_000, 713, 89) is None
    monkeypatch.setattr(cost, "free_memory", lambda: 38 * 10**8)
    assert cost.omission(20_000, 713, 89) == "a certificate takes 3.9 GB of memory, and 3.8 GB are free"
    assert cost.omission(2_000, 713, 89) is None


@pytest.mark.slow
def test_a_global_minimum_of_6500_points_is_proven_in_one_array():
    N, d0, d1 = 6_500, 150, 80
    rng = np.random.default_rng(0)
    W, z, X = rng.standard_normal((d1, d0)), rng.choice([-1.0, 1.0], d1), rng.standard_normal((N, d0))
    y = np.maximum(X @ W.T, 0) @ z
    tracemalloc.start()
    try:
        found = certify(W + 1e-12 * rng.standard_normal(W.shape), z, X, y, 0.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.verdict, found.rank) == ("global_minimum", N), found.reason
    assert 8 * N**2 < peak < cost.certificate_bytes(N, d0, d1) - 8 * N**2
