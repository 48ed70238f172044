"""Whitening against the pseudo-inverse of the covariance, and scikit-learn's digits as a problem."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from mnnjax.problems import digits, pca_whiten

EPS = np.finfo(np.float64).eps


def columns(seed=0, N=60):
    """Four correlated columns that vary on comparable scales, far from mean zero."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, 4)) @ rng.normal(size=(4, 4)) + 10


def gram_by_pseudo_inverse(X):
    """What whitening does to inner products, whatever the order and signs of its directions."""
    centred = X - X.mean(axis=0)
    return centred @ np.linalg.pinv(np.cov(X, rowvar=False, bias=True), rcond=1e-10, hermitian=True) @ centred.T


def rounding(X):
    """Eigenvectors and eigenvalues err by about eps times the condition number of the covariance."""
    variances = np.linalg.eigvalsh(np.cov(X, rowvar=False, bias=True))
    return 100 * EPS * variances[-1] / variances[variances > 1e-10 * variances[-1]][0]


@pytest.mark.parametrize(
    "extra",
    [
        lambda X: X,
        lambda X: np.column_stack([X, np.full(len(X), 0.1)]),
        lambda X: np.column_stack([X, X[:, 1]]),
        lambda X: np.column_stack([X, X[:, 0] - 3 * X[:, 2], np.zeros(len(X))]),
    ],
    ids=["plain", "constant", "duplicated", "dependent_and_zero"],
)
def test_whitened_columns_are_the_independent_ones(extra):
    X = extra(columns())
    white = pca_whiten(X)
    assert white.shape == (60, 4)
    tolerance = rounding(X)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=tolerance)
    np.testing.assert_allclose(white.T @ white / 60, np.eye(4), atol=tolerance)
    # |white[n]|^2 is at most N, since the columns have variance 1.
    np.testing.assert_allclose(white @ white.T, gram_by_pseudo_inverse(X), atol=60 * tolerance)


def test_fewer_points_than_columns_leave_one_direction_less_than_points():
    white = pca_whiten(np.random.default_rng(1).normal(size=(5, 9)))
    assert white.shape == (5, 4)


def test_directions_come_in_the_order_of_falling_variance():
    X = np.random.default_rng(2).normal(size=(400, 3)) * [1.0, 100.0, 10.0]
    correlation = np.corrcoef(pca_whiten(X), X, rowvar=False)[:3, 3:]
    assert np.abs(correlation).argmax(axis=1).tolist() == [1, 2, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value):
    X = columns()
    X[3, 1] = value
    with pytest.raises(ValueError, match="not finite"):
        pca_whiten(X)


@pytest.mark.parametrize("value", [0.0, 3.0, -0.5])
def test_nothing_that_varies_is_refused(value):
    with pytest.raises(ValueError, match="no column varies"):
        pca_whiten(np.full((10, 3), value))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e8 + 0.1])
def test_nothing_that_varies_is_refused_when_its_mean_is_rounded(value):
    with pytest.raises(ValueError, match="no column varies"):
        pca_whiten(np.full((10, 3), value))


def test_integers_are_whitened_in_float64():
    X = np.random.default_rng(3).integers(0, 256, (50, 3)).astype(np.uint8)
    white = pca_whiten(X)
    assert white.dtype == np.float64
    np.testing.assert_allclose(white, pca_whiten(X.astype(np.float64)), rtol=0, atol=0)


def test_digits_are_those_of_scikit_learn_whitened():
    X, y = digits()
    pixels, classes = load_digits(return_X_y=True)
    assert X.shape == (1797, 61)
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(X.T @ X / 1797, np.eye(61), atol=1e-8)
    assert [set(y[classes == digit]) for digit in range(10)] == [{0.0}] * 5 + [{1.0}] * 5
    # The images are in their places: inner products are those of the pixels.
    np.testing.assert_allclose(X[:50] @ X[:50].T, gram_by_pseudo_inverse(pixels)[:50, :50], atol=1e-8 * 1797)
