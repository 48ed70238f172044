"""Exact volumes against brute force over all tuples of cells, simulation, and what symmetry says."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import chi2

from mnnjax.config import UserError
from mnnjax.landscape import activation_pattern, khatri_rao_rank, region_residual
from mnnjax.landscape.regions.membership import region_holds_dlm
from mnnjax.landscape.volumes.arrangement import _polygons, cells
from mnnjax.landscape.volumes.enumeration import exact_rank_deficient, exact_volumes
from tests.landscape.oracles import labels, three


@pytest.mark.parametrize(("N", "d0"), [(1, 1), (4, 1), (1, 2), (2, 2), (9, 2), (1, 3), (2, 3), (3, 3), (10, 3)])
def test_cells_are_as_many_as_the_formula_says_and_fill_the_sphere(N, d0):
    patterns, volumes = cells(np.random.default_rng(N).normal(size=(N, d0)))
    assert len(volumes) == 2 * sum(math.comb(N - 1, k) for k in range(d0))
    assert len({tuple(p) for p in patterns}) == len(patterns)
    assert math.isclose(volumes.sum(), 1, rel_tol=1e-13)
    assert volumes.min() > 0


@pytest.mark.parametrize(("N", "d0"), [(7, 2), (6, 3)])
def test_cell_volumes_are_the_frequencies_of_gaussian_directions(N, d0):
    rng = np.random.default_rng(N)
    X = rng.normal(size=(N, d0))
    patterns, volumes = cells(X)
    draws = 200_000
    code = 2 ** np.arange(N)
    found = dict(zip(*np.unique((rng.normal(size=(draws, d0)) @ X.T > 0) @ code, return_counts=True), strict=True))
    counts = np.array([found.pop(p @ code, 0) for p in patterns])
    assert not found
    common = volumes * draws >= 5
    statistic = np.sum((counts - draws * volumes)[common] ** 2 / (draws * volumes[common]))
    assert statistic < chi2.isf(1e-4, common.sum())


def test_degenerate_arrangements_have_the_cells_of_fewer_dimensions():
    rng = np.random.default_rng(0)
    flat, Q = rng.normal(size=(5, 2)), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    in_plane = cells(flat)
    # Planes through one line, parallel planes, and a plane given twice.
    for X, expected in ((flat @ Q[:2], in_plane), (np.vstack([flat, -2 * flat[:1]]) @ Q[:2], in_plane)):
        patterns, volumes = cells(X)
        assert [tuple(p[:5]) for p in patterns] == [tuple(p) for p in expected[0]]
        np.testing.assert_allclose(volumes, expected[1], rtol=1e-10)
    np.testing.assert_allclose(cells(np.outer([1.0, -2.0, 3.0], Q[0]))[1], [0.5, 0.5])
    # Three planes through one line, and one across.
    X = np.vstack([np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0]]), [[0, 0, 1]]])
    assert sorted(np.round(16 * cells(X)[1], 12)) == [1] * 8 + [2] * 4
    assert len(_polygons(X[:3])) == 6


@pytest.mark.parametrize("closing", [1.0, 1e-4, 1e-9])
@pytest.mark.parametrize("thin", [1e-6, 1e-10, 1e-11, 1e-12, 1e-13, 1e-15])
def test_nearly_degenerate_cells_in_space_add_up_to_lunes(thin, closing):
    rng = np.random.default_rng(0)
    for _ in range(20):
        X = rng.normal(size=(4, 3))
        X[1] = X[0] + closing * X[1]
        X[2] = X[0] + X[1] + thin * X[2]
        patterns, volumes = cells(X)
        assert (volumes > 0).all()
        assert np.abs(patterns.T.astype(float) @ volumes - 0.5).max() < 1e-12
        for i, j in itertools.combinations(range(4), 2):
            # The cells on the upper sides of two planes make a lune, of the angle between them.
            angle = np.pi - math.atan2(np.linalg.norm(np.cross(X[i], X[j])), X[i] @ X[j])
            assert volumes[patterns[:, i] & patterns[:, j]].sum() == pytest.approx(angle / (2 * np.pi), abs=1e-12)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(("N", "d0", "d1", "rho"), [(4, 2, 2, 0.0), (4, 2, 2, 0.1), (3, 3, 2, 0.0), (3, 1, 3, -0.5)])
def test_volumes_are_the_sum_over_all_tuples_of_cells(N, d0, d1, rho):
    rng = np.random.default_rng(1)
    X, y, eps = rng.normal(size=(N, d0)), labels(rng, N), 0.3
    patterns, volumes = cells(X)
    suboptimal = optimal = deficient = 0.0
    for chosen in itertools.product(range(len(volumes)), repeat=d1):
        A, volume = np.where(patterns[list(chosen)].T, 1.0, rho), volumes[list(chosen)].prod()
        deficient += volume * (khatri_rao_rank(A, X) < N)
        e = np.asarray(region_residual(A, X, y))
        is_global = np.linalg.norm(e) < 1e-9
        is_bad = not is_global and np.mean((y - e > 0.5) != (y > 0.5)) > eps
        if (is_global or is_bad) and region_holds_dlm(A, X, y, rho):
            optimal, suboptimal = optimal + volume * is_global, suboptimal + volume * is_bad
    found = exact_volumes(X, y, d1, rho, eps)
    np.testing.assert_allclose(three(found), (suboptimal, optimal, deficient), atol=1e-13)
    assert math.isclose(found.total, 1, rel_tol=1e-13)
    assert found.regions == len(volumes) ** d1
    assert found.in_doubt == 0


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_rotations_and_orders_of_points_change_nothing(rho):
    rng = np.random.default_rng(2)
    for N, d0, d1 in ((5, 2, 3), (4, 3, 2)):
        X, y = rng.normal(size=(N, d0)), labels(rng, N)
        expected = three(exact_volumes(X, y, d1, rho, 0.0))
        order, Q = rng.permutation(N), np.linalg.qr(rng.normal(size=(d0, d0)))[0]
        np.testing.assert_allclose(three(exact_volumes(X @ Q, y, d1, rho, 0.0)), expected, atol=1e-12)
        np.testing.assert_allclose(three(exact_volumes(X[order], y[order], d1, rho, 0.0)), expected, atol=1e-12)
        scaled = exact_volumes(X * rng.uniform(0.1, 10, (N, 1)), y, d1, rho, 0.0)
        assert math.isclose(scaled.rank_deficient, expected[2], rel_tol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_a_problem_in_a_plane_has_the_volumes_of_two_dimensions(rho):
    rng = np.random.default_rng(3)
    X, y, Q = rng.normal(size=(5, 2)), labels(rng, 5), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    expected = exact_volumes(X, y, 3, rho, 0.0)
    np.testing.assert_allclose(three(exact_volumes(X @ Q[:2], y, 3, rho, 0.0)), three(expected), atol=1e-12)
    assert 0 < expected.rank_deficient < 1


@pytest.mark.parametrize("rho", [0.0, 0.1, -1.0])
def test_all_regions_fit_labels_that_are_zero(rho):
    found = exact_volumes(np.random.default_rng(4).normal(size=(4, 2)), np.zeros(4), 3, rho, 0.0)
    assert math.isclose(found.global_minima, 1, rel_tol=1e-12)
    assert found.suboptimal == 0


@pytest.mark.parametrize("rho", [0.1, -0.5, 2.0])
def test_no_bad_minima_with_at_most_d0_points_unless_relu(rho):
    rng = np.random.default_rng(5)
    for N, d0 in ((2, 2), (3, 3)):
        X, y = rng.normal(size=(N, d0)), labels(rng, N)
        found = exact_volumes(X, y, 2, rho, 0.0)
        assert found.suboptimal == found.rank_deficient == 0
        assert exact_volumes(X, y, 2, 0.0, 0.0).suboptimal > 0


@pytest.mark.slow
def test_bad_minima_lie_in_rank_deficient_regions_and_eps_leaves_fewer():
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(6, 2)), labels(rng, 6)
    volumes = [exact_volumes(X, y, 3, 0.0, eps) for eps in (0.0, 0.2, 0.5)]
    bad = [v.suboptimal for v in volumes]
    assert bad == sorted(bad, reverse=True)
    assert 0 < bad[0] <= volumes[0].rank_deficient


@pytest.mark.slow
@pytest.mark.parametrize(("N", "d0", "d1"), [(8, 2, 4), (6, 3, 3)])
def test_the_named_sizes_are_done(N, d0, d1):
    rng = np.random.default_rng(7)
    found = exact_volumes(rng.normal(size=(N, d0)), labels(rng, N), d1, 0.0, 0.0)
    assert math.isclose(found.total, 1, rel_tol=1e-12)
    assert 0 < found.suboptimal <= found.rank_deficient < 1


@pytest.mark.parametrize(("N", "d0", "d1", "rho"), [(6, 2, 3, 0.0), (6, 2, 3, 0.1), (5, 3, 2, 0.0), (4, 1, 3, 0.0)])
def test_rank_deficient_volume_agrees_with_the_enumeration(N, d0, d1, rho):
    rng = np.random.default_rng(8)
    X = rng.normal(size=(N, d0))
    expected = exact_volumes(X, np.zeros(N), d1, rho, 0.0).rank_deficient
    assert math.isclose(exact_rank_deficient(X, d1, rho), expected, rel_tol=1e-12)


@pytest.mark.slow
def test_rank_deficient_volume_agrees_with_simulation_and_falls_as_a_power():
    rng = np.random.default_rng(9)
    X, d1, draws = rng.normal(size=(5, 2)), 12, 4000
    exact = exact_rank_deficient(X, d1, 0.0)
    hits = sum(int(khatri_rao_rank(activation_pattern(rng.normal(size=(d1, 2)), X, 0.0), X)) < 5 for _ in range(draws))
    assert abs(hits / draws - exact) < 4 * math.sqrt(exact * (1 - exact) / draws)
    # For large d1 the likeliest deficient set of cells, of volume v, decides: v^d1.
    ratios = [exact_rank_deficient(X, k + 1, 0.0) / exact_rank_deficient(X, k, 0.0) for k in (400, 800)]
    assert exact_rank_deficient(X, 800, 0.0) < 1e-60
    assert math.isclose(*ratios, rel_tol=1e-3)


@pytest.mark.wrong_types
def test_bad_input_is_a_one_line_error():
    X, y = np.ones((3, 2)) + np.eye(3, 2), np.ones(3)
    for message, call in (
        ("d0 = 4", lambda: cells(np.ones((2, 4)))),
        ("point 1 is zero", lambda: cells([[1.0, 0.0], [0.0, 0.0]])),
        ("multisets", lambda: exact_volumes(np.random.default_rng(0).normal(size=(30, 3)), np.ones(30), 5, 0.0, 0.0)),
        ("y", lambda: exact_volumes(X, y[:2], 2, 0.0, 0.0)),
        ("eps", lambda: exact_volumes(X, y, 2, 0.0, 1.0)),
        ("d1", lambda: exact_rank_deficient(X, 0, 0.0)),
        ("rho", lambda: exact_rank_deficient(X, 2, 1.0)),
    ):
        with pytest.raises(UserError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
