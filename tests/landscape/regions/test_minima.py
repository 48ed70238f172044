"""What Lemma 2 says of a region, against least squares, minimisation and problems solved by hand."""

import jax
import numpy as np
import pytest
import scipy.optimize

from mnnjax.landscape import certify, khatri_rao_rank, region_errors, region_residual
from tests.landscape.oracles import kron_rows

EPS = np.finfo(np.float64).eps


def draw(N, d0, d1, rho):
    rng = np.random.default_rng([N, d0, d1])
    X = rng.standard_normal((N, d0))
    return X, np.where(X @ rng.standard_normal((d1, d0)).T > 0, 1.0, rho)


@pytest.mark.quick_cases(8)
@pytest.mark.parametrize("rho", [0.0, 0.1, -1.0])
@pytest.mark.parametrize("shape", [(1, 3, 2), (5, 2, 1), (7, 3, 2), (4, 5, 3), (20, 3, 2), (30, 4, 3)])
def test_region_residual_is_that_of_least_squares(shape, rho):
    X, A = draw(*shape, rho)
    y = np.random.default_rng(3).integers(0, 2, shape[0]).astype(float)
    M = kron_rows(A, X)
    e = np.asarray(region_residual(A, X, y))
    expected = y - M @ np.linalg.lstsq(M, y, rcond=None)[0]
    # Backward stable methods agree to the condition number times rounding.
    values = np.linalg.svd(M, compute_uv=False)
    values = values[values > 1e-12 * values.max(initial=0)]
    condition = values[0] / values[-1] if values.size else 1.0
    assert np.allclose(e, expected, rtol=0, atol=50 * EPS * condition * np.sqrt(shape[0]))
    assert np.abs(M.T @ e).max() <= 100 * EPS * np.linalg.norm(M)
    if np.linalg.matrix_rank(M) == shape[0]:
        assert np.abs(e).max() <= 20 * EPS


def test_region_residual_is_what_minimisation_over_theta_ends_at():
    X, A = draw(20, 3, 2, 0.1)
    y = np.random.default_rng(4).standard_normal(20)

    def half_square(theta):
        e = y - sum(A[:, i] * (X @ t) for i, t in enumerate(theta.reshape(2, 3)))
        return e @ e / 2

    found = scipy.optimize.minimize(half_square, np.zeros(6), method="BFGS", options={"gtol": 1e-7})
    e = np.asarray(region_residual(A, X, y))
    # Near the minimum the excess is quadratic in the gradient that the method stops at.
    assert e @ e / 2 <= found.fun * (1 + 1e-12)
    assert e @ e / 2 == pytest.approx(found.fun, rel=1e-9)


def test_region_residual_by_hand():
    # Two equal points share the mean of their labels; a point at zero and a dead point keep theirs.
    A = np.array([[1.0], [1.0], [1.0], [0.0]])
    X = np.array([[2.0], [2.0], [0.0], [-1.0]])
    assert np.allclose(region_residual(A, X, np.array([1.0, 0.0, 5.0, 7.0])), [0.5, -0.5, 5, 7], atol=10 * EPS)


def test_region_residual_of_points_of_very_different_lengths():
    # Both points are reached, so rank and residual must agree.
    A, X = np.ones((2, 1)), np.array([[1.0, 0.0], [0.0, 1e-17]])
    assert khatri_rao_rank(A, X) == 2
    assert np.allclose(region_residual(A, X, np.ones(2)), 0, atol=10 * EPS)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("labels", [(0, 1), (-1, 1), (0.25, 4.0)])
@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.wrong_types
def test_without_a_threshold_errors_are_those_of_certify_also_under_jit(labels, rho):
    rng = np.random.default_rng(0)
    X, W, y = rng.standard_normal((20, 3)), rng.standard_normal((2, 3)), rng.choice(labels, 20)
    A = np.where(X @ W.T > 0, 1.0, rho)
    expected = certify(W, np.ones(2), X, y, rho)
    assert 0 < expected.region_mce < 1
    for errors in (region_errors, jax.jit(region_errors)):
        mse, mce = errors(A, X, y)
        assert mse == pytest.approx(expected.region_mse, rel=1e-9)
        assert mce == pytest.approx(expected.region_mce, rel=1e-15)
        assert mce == errors(A, X, y, 0.0 if -1 in labels else 0.5)[1]


@pytest.mark.slow
def test_under_vmap_each_problem_has_the_threshold_of_its_own_labels():
    X, A = draw(20, 3, 2, 0.0)
    y = np.random.default_rng(1).integers(0, 2, 20).astype(float)
    both = np.stack([y, 2 * y - 1])
    found = jax.vmap(region_errors, (None, None, 0))(A, X, both)
    np.testing.assert_array_equal(np.array(found).T, [region_errors(A, X, one) for one in both])
    assert found[1][1] == region_errors(A, X, both[1], 0.0)[1] != region_errors(A, X, both[1], 0.5)[1]
