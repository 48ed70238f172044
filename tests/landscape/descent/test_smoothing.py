"""The smoothed loss against JAX's derivatives, and its minimum as the width changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.landscape.descent import smoothing
from mnnjax.landscape.descent.smoothing import _newton, _residual, smoothed_descent


def smoothed_loss(theta, c, width, X, y, signs, rho):
    U = X @ theta.T
    joined = rho * U + (1 - rho) * (U + width) ** 2 / (4 * width)
    f = jnp.where(jnp.abs(U) < width, joined, jnp.where(U > 0, U, rho * U))
    return jnp.sum((f @ signs + c - y) ** 2) / 2


def draw(seed, N, d0, d1):
    rng = np.random.default_rng(seed)
    X, y, theta = rng.standard_normal((N, d0)), rng.choice([-1.0, 1.0], N), rng.standard_normal((d1, d0)) / 2
    return X, y, theta, rng.choice([-1.0, 1.0], d1)


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("rho", [0.0, 0.1, -1.0, 2.0])
@pytest.mark.quick_cases(2)
def test_outputs_and_slope_are_those_of_the_smoothed_loss(rho, has_bias):
    X, y, theta, signs = draw(0, 40, 5, 4)
    width, c = 0.3, 0.2
    r = _residual(X @ theta.T, c, y, signs, width, rho)
    loss, gradients = jax.value_and_grad(smoothed_loss, argnums=(0, 1))(theta, c, width, X, y, signs, rho)
    np.testing.assert_allclose(r @ r / 2, loss, rtol=1e-12)
    dtheta, dc, slope = _newton(X, r, X @ theta.T, signs, rho, width, has_bias)
    assert dc == 0 or has_bias
    np.testing.assert_allclose(slope, np.sum(gradients[0] * dtheta) + gradients[1] * dc, rtol=1e-9)
    assert slope < 0


@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_the_minimum_is_followed_as_the_width_shrinks(rho, monkeypatch):
    """A step for a change of the width leaves a gradient of second order in that change."""
    monkeypatch.setattr(smoothing, "LEVELS", 1)
    monkeypatch.setattr(smoothing, "LAST_DONE", 1e-30)
    monkeypatch.setattr(smoothing, "STEPS", 300)
    X, y, theta, signs = draw(1, 60, 6, 5)
    width = 0.05
    theta = smoothed_descent(X, y, rho, theta, 0.0, signs, False, width).theta
    r = _residual(X @ theta.T, 0.0, y, signs, width, rho)
    assert (np.abs(X @ theta.T) < width).sum() >= 5

    def gradient(theta, width):
        return float(np.linalg.norm(jax.grad(smoothed_loss)(theta, 0.0, width, X, y, signs, rho)))

    assert gradient(theta, width) < 1e-7
    for change in (-1e-4 * width, -1e-5 * width):
        dtheta, _, _ = _newton(X, r, X @ theta.T, signs, rho, width, False, change)
        assert gradient(theta + dtheta, width + change) < 1e-2 * gradient(theta, width + change)
