"""What a trained network is measured by, against NumPy in float64 on the points alone."""

import jax
import numpy as np
import pytest

from mnnjax.config import Network, Problem
from mnnjax.training import make_evaluation

EPS = np.finfo(np.float64).eps
N, PADDED, D0, D1 = 30, 37, 4, 6


def problem(label_values):
    return Problem(d0=(D0,), N=(N,), label_values=label_values)


@pytest.mark.parametrize(
    ("layers", "rho", "bias", "label_values"),
    [
        (1, 0.0, False, "zero_one"),
        (1, 0.1, True, "plus_minus_one"),
        (2, 0.0, True, "zero_one"),
        (2, -0.5, False, "plus_minus_one"),
    ],
)
def test_evaluation_is_that_of_the_points_in_float64(layers, rho, bias, label_values):
    rng = np.random.default_rng(layers)
    shapes = {"W1": (D1, D0), "W2": (D1, D1), "b1": (D1,), "b2": (D1,), "c": (), "z": (D1,)}
    if layers == 1:
        del shapes["W2"], shapes["b2"]
    params = {
        name: np.asarray(rng.normal(size=shape), np.float32)
        for name, shape in shapes.items()
        if bias or name[0] in "Wz"
    }
    X = rng.normal(size=(PADDED, D0)).astype(np.float32)
    y = rng.integers(0, 2, PADDED).astype(np.float32)
    if label_values == "plus_minus_one":
        y = 2 * y - 1
    # Padding that would show in each of the three numbers: large errors, and neural inputs (without bias) of zero.
    X[N:], y[N:] = 0, 1000
    evaluate = make_evaluation(problem(label_values), Network(rho=rho, bias=bias), layers, D1)
    found = jax.jit(evaluate)(params, X, y, N)

    p = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    h, neural_inputs, size = X[:N].astype(np.float64), [], np.abs(X[:N])
    for i in range(1, layers + 1):
        b = p.get(f"b{i}", 0.0)
        U = h @ p[f"W{i}"].T + b
        neural_inputs.append(U)
        h, size = np.maximum(U, 0) + rho * np.minimum(U, 0), size @ np.abs(p[f"W{i}"]).T + np.abs(b)
    output = h @ p["z"] + p.get("c", 0.0)
    e = y[:N] - output
    size_output = (size @ np.abs(p["z"]) + np.abs(p.get("c", 0.0)) + np.abs(y[:N])).max()
    # Terms in all sums, times eps, times the sum of their moduli; for e^2, twice that times |e|.
    rounding = 2 * (D0 + (D1 + 1) * layers + N) * EPS
    np.testing.assert_allclose(found.mse, np.mean(e**2), rtol=0, atol=rounding * size_output**2)
    threshold = 0.5 if label_values == "zero_one" else 0.0
    wrong = (output > threshold) != (y[:N] == 1)
    np.testing.assert_allclose(found.mce, wrong.mean(), rtol=4 * EPS)
    smallest = min(np.abs(U).min() for U in neural_inputs)
    np.testing.assert_allclose(found.min_abs_neural_input, smallest, rtol=0, atol=rounding * size.max())
    assert {leaf.dtype for leaf in found} == {np.dtype(np.float64)}
    assert 0 < wrong.mean() < 1


def test_the_smallest_neural_input_may_be_in_any_layer():
    evaluate = make_evaluation(problem("zero_one"), Network(), 2, 2)
    X, y = np.ones((3, 2)), np.zeros(3)
    W = {"small": np.array([[1e-3, 0], [1, 1]]), "large": np.array([[2.0, 3.0], [4.0, 5.0]])}
    for first, second in (("small", "large"), ("large", "small")):
        params = {"W1": W[first], "W2": W[second], "z": np.ones(2)}
        U1 = W[first] @ np.ones(2)
        expected = min(np.abs(U1).min(), np.abs(W[second] @ U1).min())
        found = evaluate(params, X, y, 3).min_abs_neural_input
        np.testing.assert_allclose(found, expected, rtol=4 * EPS)
    # A neuron that some point does not move at all: exactly zero.
    params = {"W1": np.array([[1.0, -1.0], [1.0, 1.0]]), "W2": W["large"], "z": np.ones(2)}
    assert evaluate(params, X, y, 3).min_abs_neural_input == 0


def test_a_network_of_nans_gets_nans_and_no_point_right():
    params = {"W1": np.full((2, 2), np.nan), "z": np.ones(2)}
    evaluation = make_evaluation(problem("zero_one"), Network(), 1, 2)(params, np.ones((3, 2)), np.zeros(3), 3)
    assert np.isnan(evaluation.mse)
    assert evaluation.mce == 1
    assert np.isnan(evaluation.min_abs_neural_input)
