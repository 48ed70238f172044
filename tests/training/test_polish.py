"""Points that float32 training left next to a minimum, moved onto it."""

import numpy as np
import pytest

from mnnjax.landscape import certify
from mnnjax.training import polish

D, N = 10, 90


def problem():
    """W, z, X, y of a network in float32 that has a global minimum next to it, in another region: W is off by 3e-3."""
    rng = np.random.default_rng(0)
    W, z, X = rng.normal(size=(D, D)), rng.normal(size=D), rng.normal(size=(N, D))
    y = np.maximum(X @ W.T, 0) @ z
    return (W * (1 + 3e-3 * rng.normal(size=W.shape))).astype(np.float32), z, X, y


def mse(W, z, X, y, rho=0.0, c=0.0):
    U = X @ W.T
    return np.mean((y - np.where(U > 0, U, rho * U) @ z - c) ** 2)


def test_a_network_next_to_a_minimum_becomes_a_certified_one():
    W, z, X, y = problem()
    assert certify(W, z, X, y, 0.0).verdict == "not_converged"
    V, v = polish(W, z, X, y, 0.0)
    assert V.dtype == v.dtype == np.float64
    assert certify(V, v, X, y, 0.0).verdict == "global_minimum"
    assert np.linalg.norm(V - W) < 1e-2 * np.linalg.norm(W)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_an_output_bias_is_trained_too_and_a_first_layer_bias_is_a_column(rho):
    rng = np.random.default_rng(1)
    X = np.hstack([rng.normal(size=(N, D)), np.ones((N, 1))])
    W, z = rng.normal(size=(D, D + 1)), rng.normal(size=D)
    U = X @ W.T
    y = np.where(U > 0, U, rho * U) @ z + 0.7
    V, v, c = polish(W * (1 + 1e-4 * rng.normal(size=W.shape)), z, X, y, rho, output_bias=0.69)
    assert mse(V, v, X, y, rho, c) < 1e-24
    assert 1e-6 < abs(c - 0.69) < 0.1
    certificate = certify(V, v, X, y, rho, output_bias=c)
    assert certificate.verdict == "global_minimum", certificate.reason


def test_the_best_point_is_kept_and_a_minimum_stays():
    W, z, X, y = problem()
    V, v = polish(W, z, X, y, 0.0, steps=1)
    assert mse(V, v, X, y) < mse(W, z, X, y)
    V, v = polish(W, z, X, y, 0.0)
    assert mse(V, v, X, y) < 1e-26
    again, _ = polish(V, v, X, y, 0.0)
    assert np.linalg.norm(again - V) < 1e-12 * np.linalg.norm(V)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"W": np.ones((D, D + 1))}, r"W: has shape \(10, 11\), not \(any, 10\)"),
        ({"z": np.ones((1, D))}, r"z: has shape \(1, 10\), not \(10,\)"),
        ({"y": np.ones(N + 1)}, r"y: has shape \(91,\)"),
        ({"X": np.full((N, D), np.nan)}, r"X: of shape \(90, 10\) holds NaN"),
        ({"z": np.ones(D) * 1j}, r"z: of shape \(10,\) holds entries that are not real"),
        ({"rho": 1.0}, r"rho: 1\.0 is not allowed"),
        ({"output_bias": [0.1, 0.2]}, "output_bias: has shape"),
        ({"steps": 0}, "steps: 0 is too small"),
    ],
)
@pytest.mark.wrong_types
def test_what_cannot_be_polished_is_told_in_one_line(change, words):
    values = dict(zip("WzXy", problem(), strict=True)) | {"rho": 0.0} | change
    with pytest.raises(ValueError, match=words) as caught:
        polish(**values)
    assert "\n" not in str(caught.value)
