"""Descents: the line search against a fine grid, and where they end against certificates and evaluation."""

import numpy as np
import pytest

from mnnjax.landscape import certify, descend
from mnnjax.landscape.descent.active_set import at_points, descend_exactly, loss_of
from mnnjax.landscape.descent.line_search import first_minimum

MINIMA = ("global_minimum", "suboptimal_dlm", "suboptimal_kink")


def mse(W, z, X, y, rho, c=None):
    U = X @ W.T
    return float(np.mean((np.where(U > 0, U, rho * U) @ z + (c or 0.0) - y) ** 2))


def draw(seed, N, d0, d1):
    rng = np.random.default_rng([seed, N, d0])
    X, y = rng.standard_normal((N, d0)), rng.choice([-1.0, 1.0], N)
    return rng.standard_normal((d1, d0)) * np.sqrt(2 / d0), rng.standard_normal(d1) * np.sqrt(2 / d1), X, y


@pytest.mark.parametrize("rho", [0.0, 0.1, -1.0, 2.0])
def test_the_line_search_ends_at_the_first_minimum_of_a_ray(rho):
    rng = np.random.default_rng(0)
    for _ in range(60):
        N, d1 = rng.integers(1, 8), rng.integers(1, 5)
        U, V, signs = rng.standard_normal((N, d1)), rng.standard_normal((N, d1)), rng.choice([-1.0, 1.0], d1)
        y, dc = rng.standard_normal(N), float(rng.standard_normal())

        def loss(t, U=U, V=V, signs=signs, y=y, dc=dc):
            moved = U + t * V
            return np.sum((np.where(moved > 0, moved, rho * moved) @ signs + t * dc - y) ** 2)

        r = np.where(U > 0, U, rho * U) @ signs - y
        stop = first_minimum(U, V, r, dc, signs, rho, np.ones((N, d1), bool), 4.0)
        before = np.array([loss(t) for t in np.linspace(0, stop.t, 400)])
        # It falls all the way, and rises right behind.
        assert (np.diff(before) <= 1e-9 * before[0]).all()
        assert stop.t == 4.0 or loss(stop.t + 1e-6) >= loss(stop.t) - 1e-12 * before[0]
        if stop.pair is not None:
            assert (U + stop.t * V)[stop.pair] == pytest.approx(0, abs=1e-12)


@pytest.mark.quick_cases(3)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rho", [0.0, 0.1, -0.5])
@pytest.mark.parametrize("shape", [(12, 3, 3), (30, 5, 5), (60, 8, 8), (20, 6, 6)])
def test_descents_end_at_proven_minima_below_the_start(shape, rho, bias):
    ends = []
    for seed in range(6):
        W, z, X, y = draw(seed, *shape)
        c = 0.2 if bias else None
        found = descend(W, z, X, y, rho, output_bias=c)
        assert found.mse_before == pytest.approx(mse(W, z, X, y, rho, c))
        after = mse(found.W, found.z, X, y, rho, found.output_bias)
        assert after <= found.mse_before
        assert (found.output_bias is None) == (c is None)
        again = certify(found.W, found.z, X, y, rho, output_bias=found.output_bias)
        assert again == found.certificate
        assert (again.verdict in MINIMA) == (found.reason == "")
        ends.append(again.verdict)
    assert sum(end in MINIMA for end in ends) >= 5, ends


def test_a_minimum_stays_where_it_is():
    W, z, X, y = draw(3, 30, 5, 5)
    first = descend(W, z, X, y, 0.0)
    assert first.certificate.verdict in MINIMA
    second = descend(first.W, first.z, X, y, 0.0)
    assert second.certificate.mse == pytest.approx(first.certificate.mse, rel=1e-9)
    assert second.distance < 1e-6


def test_no_descent_ends_below_the_global_minimum_of_a_contradiction():
    """Equal points with labels -1 and 1: no network is below MSE 1 there."""
    W, z, X, y = draw(1, 12, 3, 6)
    X[6:], y[6:] = X[:6], -y[:6]
    for seed in range(5):
        W, z, _, _ = draw(seed, 12, 3, 6)
        assert descend(W, z, X, y, 0.1).certificate.mse >= 1 - 1e-12


def test_idle_neurons_leave_a_plateau_when_asked():
    """All neurons are inactive at all points."""
    X = np.abs(np.random.default_rng(0).standard_normal((12, 3)))
    y = np.random.default_rng(1).standard_normal(12)
    W, z = -np.ones((3, 3)), np.ones(3)
    stays = descend(W, z, X, y, 0.0)
    assert (stays.certificate.verdict, stays.certificate.escapes) == ("suboptimal_dlm", True)
    assert stays.certificate.idle_neurons == 3
    leaves = descend(W, z, X, y, 0.0, leave_plateaus=True)
    assert leaves.certificate.verdict in MINIMA
    assert leaves.certificate.mse < 0.9 * stays.certificate.mse


@pytest.mark.parametrize(("change", "words"), [({"max_steps": 0}, "max_steps"), ({"rho": 1.0}, "rho")])
def test_wrong_arguments_are_refused(change, words):
    W, z, X, y = draw(0, 12, 3, 3)
    with pytest.raises(ValueError, match=words):
        descend(W, z, X, y, **({"rho": 0.0} | change))


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize("rho", [0.0, 0.1, -1.0, 2.0])
@pytest.mark.parametrize("shape", [(6, 2, 3), (8, 2, 4), (6, 3, 3), (30, 5, 5)])
def test_the_exact_descent_alone_ends_at_minima_from_random_points(shape, rho):
    """Without the smoothed loss: from its own start, downhill all the way."""
    for seed in range(25):
        W, z, X, y = draw(seed, *shape)
        theta = np.abs(z)[:, None] * W
        start = at_points(X, theta, 0.0, np.sign(z), np.zeros((len(y), len(z)), bool))
        losses = [loss_of(start, y, rho)]
        state, reason = start, "not begun"
        for _ in range(2000):
            if not reason:
                break
            state, _, reason = descend_exactly(X, y, rho, state, False, 25)
            losses.append(loss_of(state, y, rho))
        assert (np.diff(losses) <= 1e-12 * losses[0]).all()
        size = np.sqrt(np.linalg.norm(state.theta, axis=1))
        W = state.theta / np.where(size > 0, size, 1)[:, None]
        found = certify(W, size * state.signs, X, y, rho)
        assert found.verdict in MINIMA, (seed, found.reason)


def test_degenerate_starts_end_at_proven_minima():
    """Equal neurons, parallel and equal points, neurons with w_k = 0 or z_k = 0, and all of these."""
    for seed in range(12):
        W, z, X, y = draw(seed, 12, 3, 5)
        W[1], z[1] = W[0], 2 * z[0]
        X[1], X[3] = -2 * X[0], X[2]
        W[2] = 0
        z[3] = 0
        found = descend(W, z, X, y, 0.1)
        assert found.certificate.verdict in MINIMA, (seed, found.reason)
        assert found.certificate.mse <= found.mse_before


def test_neurons_that_shrink_to_nothing_end_at_zero():
    """On these points one of two neurons often has nothing left to do."""
    X = np.array([[-1.16, -0.18], [-0.95, -1.2], [1.16, -1.33], [-0.74, 0.06], [0.22, 0.8], [1.25, -0.26]])
    y, at_zero = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0]), 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        found = descend(rng.standard_normal((2, 2)), rng.standard_normal(2), X, y, 0.0)
        assert found.certificate.verdict in MINIMA, (seed, found.reason)
        at_zero += not found.W.any(axis=1).all()
    assert at_zero > 0


@pytest.mark.parametrize("which", ["w", "z"])
def test_a_neuron_without_weights_turns_to_where_the_loss_falls(which):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 4))
    teacher = rng.standard_normal(4)
    y = np.maximum(X @ teacher, 0)
    W, z = (np.zeros((1, 4)), np.ones(1)) if which == "w" else (rng.standard_normal((1, 4)), np.zeros(1))
    found = descend(W, z, X, y, 0.0)
    assert found.certificate.verdict in MINIMA
    assert found.certificate.mse < 0.5 * found.mse_before
