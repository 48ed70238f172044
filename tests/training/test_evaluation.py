"""What a trained network is measured by, against NumPy in float64 on the points alone."""

import functools

import jax
import numpy as np
import pytest

from mnnjax import landscape
from mnnjax.config import Network, Problem
from mnnjax.training import add_in_halves, add_sums, from_sums, make_evaluation, make_stream
from mnnjax.training.evaluate import Sums

EPS = np.finfo(np.float64).eps
N, PADDED, D0, D1 = 30, 37, 4, 6


def problem(label_values):
    return Problem(d0=(D0,), N=(N,), label_values=label_values)


def draw_params(rng, layers, bias, d1=D1, dtype=np.float32):
    shapes = {"W1": (d1, D0), "W2": (d1, d1), "b1": (d1,), "b2": (d1,), "c": (), "z": (d1,)}
    names = [name for name in shapes if (bias or name[0] in "Wz") and name[1:] in ("", "1", str(layers))]
    return {name: np.asarray(rng.normal(size=shapes[name]), dtype) for name in names}


@pytest.mark.quick_cases(2)
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
    params = draw_params(rng, layers, bias)
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


def last_layer(params, X, y, layers, rho):
    """The inputs of the last hidden layer, with a 1 for its bias, its neural inputs, and the residual: in NumPy."""
    h, bias = X, "c" in params
    for i in range(1, layers + 1):
        inputs = np.hstack([h, np.ones((len(h), 1))]) if bias else h
        U = h @ params[f"W{i}"].T + params.get(f"b{i}", 0.0)
        h = np.maximum(U, 0) + rho * np.minimum(U, 0)
    return inputs, U, y - h @ params["z"] - params.get("c", 0.0)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(("layers", "bias", "rho"), [(1, False, 0.0), (1, True, -0.5), (2, False, 0.1), (2, True, 0.0)])
def test_first_order_residual_is_that_of_the_dense_khatri_rao_product(layers, bias, rho):
    """|(A o X)^T e| / N of eq 3.2, from the N x d0 d1 matrix itself."""
    rng = np.random.default_rng(7)
    params = draw_params(rng, layers, bias, dtype=np.float64)
    X, y = rng.normal(size=(PADDED, D0)), rng.choice([-1.0, 1.0], PADDED)
    inputs, U, e = last_layer(params, X[:N], y[:N], layers, rho)
    A = landscape.activation_pattern(np.eye(D1), U, rho)
    M = np.asarray(landscape.khatri_rao(A, inputs))
    evaluate = make_evaluation(problem("plus_minus_one"), Network(rho=rho, bias=bias), layers, D1)
    X[N:], y[N:] = 0, np.nan
    found = jax.jit(evaluate)(params, X, y, N).first_order_residual
    # Terms in all sums, times eps, times the sum of their moduli.
    rounding = 2 * (D0 + 2 * (D1 + 1) + N) * EPS * np.linalg.norm(np.abs(M).T @ (1 + np.abs(e))) / N
    np.testing.assert_allclose(found, np.linalg.norm(M.T @ e) / N, rtol=0, atol=10 * rounding)
    assert found > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("bias", [False, True])
def test_first_order_residual_is_zero_at_the_minimum_of_a_region(bias):
    """Labels made of a network's outputs and a residual of Lemma 2: the point is a minimum of its region, with e != 0.
    Any change of W moves it off, by the gradient of a quadratic."""
    rng, d1, rho = np.random.default_rng(8), 3, 0.1
    params = draw_params(rng, 1, bias, d1, np.float64)
    X, y = rng.normal(size=(N, D0)), rng.choice([-1.0, 1.0], N)
    inputs, U, minus_outputs = last_layer(params, X, np.zeros(N), 1, rho)
    A = landscape.activation_pattern(np.eye(d1), U, rho)
    if bias:
        # The output's bias is free as well; a neuron that is on at every point has it among its weights.
        residual = landscape.region_residual(np.hstack([A, np.ones((N, 1))]), inputs, y)
    else:
        residual = landscape.region_residual(A, inputs, y)
    residual = np.asarray(residual)
    assert np.linalg.norm(residual) > 0.1
    evaluate = jax.jit(make_evaluation(problem("plus_minus_one"), Network(rho=rho, bias=bias), 1, d1))
    found = evaluate(params, X, residual - minus_outputs, N)
    np.testing.assert_allclose(found.mse, np.mean(residual**2), rtol=1e-12)
    # A singular value decomposition of N numbers of order 1 leaves N eps, or so.
    assert found.first_order_residual < 100 * N * EPS
    moved = {**params, "W1": params["W1"] + 1e-6 * rng.normal(size=params["W1"].shape)}
    assert evaluate(moved, X, residual - minus_outputs, N).first_order_residual > 1e-8


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "bias"), [(1, False), (2, True)])
def test_the_evaluation_of_parts_is_that_of_the_whole(monkeypatch, layers, bias):
    """Eight parts on two devices, with padding rows among them, for three seeds at once."""
    devices = jax.devices()[:2]
    monkeypatch.setattr(jax, "local_devices", lambda backend: devices)
    rng = np.random.default_rng(9)
    seeds = [draw_params(rng, layers, bias) for _ in range(3)]
    X, y = rng.normal(size=(N, D0)).astype(np.float32), rng.choice([-1.0, 1.0], N).astype(np.float32)
    parts, first = [], 0
    for own, padding in [(5, 0), (4, 1), (3, 2), (0, 5), (5, 0), (1, 4), (5, 0), (7, 1)]:
        rows = slice(first, first + own)
        part_X, part_y = np.zeros((own + padding, D0), np.float32), np.full(own + padding, np.nan, np.float32)
        place = rng.permutation(own + padding)[:own]
        part_X[place], part_y[place] = X[rows], y[rows]
        parts.append((part_X, part_y, np.isfinite(part_y).astype(np.float32)))
        first += own
    assert first == N
    arguments = problem("plus_minus_one"), Network(rho=0.1, bias=bias), layers, D1
    sums = list(make_stream(*arguments)({k: np.stack([p[k] for p in seeds]) for k in seeds[0]}, iter(parts)))
    assert len(sums) == len(parts)
    # So that what is compiled for the points serves for images that were held out as well.
    assert make_stream(*arguments) is make_stream(*arguments)
    together = from_sums(functools.reduce(add_sums, sums), N)
    evaluate = jax.jit(make_evaluation(*arguments))
    for k, params in enumerate(seeds):
        for name, expected in evaluate(params, X, y, N)._asdict().items():
            found = getattr(together, name)
            assert (found.shape, found.dtype) == ((3,), np.float64)
            # Sums of N terms that do not cancel, or not much: N eps and a few more.
            np.testing.assert_allclose(found[k], expected, rtol=10 * N * EPS, err_msg=name)


@pytest.mark.parametrize("groups", [1, 2, 4, 8, 16])
def test_sums_of_halves_do_not_depend_on_who_adds_them_up(groups):
    """Sixteen sums, by so many groups of neighbours; the whole is also that of halves written out."""
    rng = np.random.default_rng(0)
    sums = [Sums(*rng.normal(size=(3, 2)), rng.normal(size=(2, 3, 4))) for _ in range(16)]

    def halves(some):
        return some[0] if len(some) == 1 else add_sums(halves(some[: len(some) // 2]), halves(some[len(some) // 2 :]))

    size = 16 // groups
    found = add_in_halves(add_in_halves(sums[k * size : (k + 1) * size]) for k in range(groups))
    jax.tree.map(np.testing.assert_array_equal, found, halves(sums))
    in_order = functools.reduce(add_sums, sums)
    np.testing.assert_allclose(found.stationarity, in_order.stationarity, rtol=1e-12)
    np.testing.assert_array_equal(found.smallest, np.min([each.smallest for each in sums], axis=0))


def test_a_seed_of_nans_leaves_the_others_alone():
    params = {"W1": np.stack([np.ones((2, 2)), np.full((2, 2), np.nan)]), "z": np.ones((2, 2))}
    parts = [(np.ones((3, 2)), np.zeros(3), np.ones(3))] * 2
    found = from_sums(functools.reduce(add_sums, make_stream(problem("zero_one"), Network(), 1, 2)(params, parts)), 6)
    np.testing.assert_allclose(found.mse, [16, np.nan])
    np.testing.assert_allclose(found.mce, [1, 1])
    np.testing.assert_allclose(found.min_abs_neural_input, [2, np.nan])
    # Each of two neurons has the mean of e x = -4 (1, 1).
    np.testing.assert_allclose(found.first_order_residual, [8, np.nan])


def test_a_network_of_nans_gets_nans_and_no_point_right():
    params = {"W1": np.full((2, 2), np.nan), "z": np.ones(2)}
    evaluation = make_evaluation(problem("zero_one"), Network(), 1, 2)(params, np.ones((3, 2)), np.zeros(3), 3)
    assert np.isnan(evaluation.mse)
    assert evaluation.mce == 1
    assert np.isnan(evaluation.min_abs_neural_input)
