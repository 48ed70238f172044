"""Losses against NumPy, and what a point on the threshold, a NaN and a padding row do."""

import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.objective import mean_classification_error, mean_squared_error, misclassified

EPS = np.finfo(np.float64).eps


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=50), rng.choice([-1.0, 1.0], 50), rng.integers(0, 2, 50).astype(float)


def test_mean_squared_error_is_that_of_the_points(rows):
    output, y, weights = rows
    # Sums of N non-negative terms: relative error at most about N eps.
    plain = sum((b - a) ** 2 for a, b in zip(output, y, strict=True)) / len(y)
    np.testing.assert_allclose(mean_squared_error(output, y), plain, rtol=50 * EPS)
    points = weights == 1
    weighted = sum((b - a) ** 2 for a, b in zip(output[points], y[points], strict=True)) / points.sum()
    np.testing.assert_allclose(mean_squared_error(output, y, weights), weighted, rtol=50 * EPS)


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_mean_classification_error_is_a_count_over_the_points(rows, threshold):
    output, y, weights = rows
    y = y if threshold == 0 else (y + 1) / 2
    wrong = [(a > threshold) != (b > threshold) for a, b in zip(output, y, strict=True)]
    np.testing.assert_allclose(mean_classification_error(output, y, threshold), sum(wrong) / 50, rtol=4 * EPS)
    expected = sum(w for w, weight in zip(wrong, weights, strict=True) if weight) / weights.sum()
    np.testing.assert_allclose(mean_classification_error(output, y, threshold, weights), expected, rtol=4 * EPS)


def test_padding_rows_do_not_count(rows):
    output, y, _ = rows
    weights = np.concatenate([np.ones(50), np.zeros(7)])
    for filling in (0.0, 1e6):
        padded_output = np.concatenate([output, np.full(7, filling)])
        padded_y = np.concatenate([y, np.full(7, -1.0)])
        np.testing.assert_allclose(
            mean_squared_error(padded_output, padded_y, weights), np.mean((y - output) ** 2), rtol=50 * EPS
        )
        np.testing.assert_allclose(
            mean_classification_error(padded_output, padded_y, 0.0, weights),
            np.mean(np.sign(output) != y),
            rtol=4 * EPS,
        )


def test_an_output_at_the_threshold_is_of_the_lower_class():
    output = jnp.array([0.5, 0.5, 0.5 + 2 * EPS, 0.5 - 2 * EPS])
    np.testing.assert_array_equal(misclassified(output, jnp.array([0.0, 1, 1, 1]), 0.5), [False, True, False, True])


def test_a_nan_output_is_wrong_whatever_the_label():
    output, y = jnp.array([jnp.nan, jnp.nan, 1, -1]), jnp.array([-1.0, 1, 1, -1])
    np.testing.assert_array_equal(misclassified(output, y, 0.0), [True, True, False, False])
    assert mean_classification_error(output, y, 0.0) == 0.5
    assert np.isnan(mean_squared_error(output, y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_keep_the_precision_of_the_outputs(dtype):
    output, y = jnp.ones(3, dtype), jnp.zeros(3, dtype)
    assert mean_squared_error(output, y, jnp.ones(3, dtype)).dtype == dtype
    assert mean_classification_error(output, y, 0.5, jnp.ones(3, dtype)).dtype == dtype
