"""The network against NumPy and its gradient against section 1's identity (A o X) e, both in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.network import MNN, leaky_relu, parameter_count
from mnnjax.objective import mean_squared_error

EPS = np.finfo(np.float64).eps
RHOS = [0.0, 0.1, -1.0]


def random_params(rng, d0, widths, bias):
    fan_in = (d0, *widths)
    params = {f"W{i}": rng.normal(size=(b, a)) for i, (a, b) in enumerate(zip(fan_in, widths, strict=False), 1)}
    params["z"] = rng.normal(size=widths[-1])
    if bias:
        params |= {f"b{i}": rng.normal(size=b) for i, b in enumerate(widths, 1)} | {"c": rng.normal()}
    return params


def numpy_forward(params, X, rho):
    """Outputs, neural inputs of each layer, and a bound on the modulus of the terms that were added up."""
    h, size, neural_inputs = X, np.abs(X), []
    for i in range(1, sum(name[0] == "W" for name in params) + 1):
        W, b = params[f"W{i}"], params.get(f"b{i}", 0.0)
        U = np.einsum("nj,ij->ni", h, W) + b
        neural_inputs.append(U)
        h = np.where(U > 0, U, rho * U)
        size = max(1, abs(rho)) * (np.einsum("nj,ij->ni", size, np.abs(W)) + np.abs(b))
    c = params.get("c", 0.0)
    return h @ params["z"] + c, neural_inputs, size @ np.abs(params["z"]) + np.abs(c)


@pytest.mark.quick_cases(3)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("widths", [(4,), (4, 4), (3, 6, 2)])
@pytest.mark.parametrize("rho", RHOS)
def test_forward_is_that_of_numpy(rho, widths, bias):
    rng = np.random.default_rng(1)
    X, params = rng.normal(size=(20, 5)), random_params(rng, 5, widths, bias)
    module = MNN(widths, rho, bias)
    variables = {"params": jax.tree.map(jnp.asarray, params)}
    output, neural_inputs = module.apply(variables, X, method=MNN.forward)
    expected, expected_neural_inputs, size = numpy_forward(params, X, rho)
    # Standard bound: each of the two computations errs by at most (terms in all sums) eps times the sum of moduli.
    tolerance = 2 * (5 + sum(widths) + 2 * len(widths) + 2) * EPS * size.max()
    np.testing.assert_allclose(output, expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(module.apply(variables, X), output)
    assert len(neural_inputs) == len(widths)
    # The first layer's sums have 5 terms and a bias; later ones are checked through the output.
    first_size = np.abs(X) @ np.abs(params["W1"]).T + np.abs(params.get("b1", 0.0))
    assert (np.abs(neural_inputs[0] - expected_neural_inputs[0]) <= 2 * 7 * EPS * first_size).all()
    assert [U.shape for U in neural_inputs] == [(20, width) for width in widths]


def khatri_rao(A, X):
    return np.stack([np.kron(a, x) for a, x in zip(A, X, strict=True)])


@pytest.mark.quick_cases(3)
@pytest.mark.parametrize(("N", "d0", "d1"), [(7, 3, 4), (30, 5, 2), (4, 6, 1), (1, 2, 8)])
@pytest.mark.parametrize("rho", [*RHOS, 2.5])
def test_gradient_is_the_khatri_rao_product_times_the_residual(rho, N, d0, d1):
    """grad_W MSE = -(2/N) diag(z) [(A o X) e] reshaped to (d1, d0), section 1."""
    rng = np.random.default_rng(N)
    X, y = rng.normal(size=(N, d0)), rng.integers(0, 2, N).astype(float)
    params = random_params(rng, d0, (d1,), False)
    W, z = params["W1"], params["z"]

    def loss(params):
        return mean_squared_error(MNN((d1,), rho).apply({"params": params}, X), y)

    gradient = jax.grad(loss)(jax.tree.map(jnp.asarray, params))

    A = np.where(X @ W.T > 0, 1.0, rho)
    AoX = khatri_rao(A, X)
    assert AoX.shape == (N, d1 * d0)
    # Without biases the output is linear in theta = diag(z) W within the region: (A o X) vec(theta).
    e = y - AoX @ (z[:, None] * W).ravel()
    expected = -2 / N * z[:, None] * (AoX.T @ e).reshape(d1, d0)
    size_e = np.abs(y) + np.abs(AoX) @ np.abs(z[:, None] * W).ravel()
    size = 2 / N * np.abs(z)[:, None] * (np.abs(AoX).T @ size_e).reshape(d1, d0)
    tolerance = 2 * (N + d0 * d1 + 6) * EPS * size
    assert (np.abs(gradient["W1"] - expected) <= tolerance).all()

    f = A * (X @ W.T)
    size_z = 2 / N * ((np.abs(A) * (np.abs(X) @ np.abs(W).T)).T @ size_e)
    assert (np.abs(gradient["z"] + 2 / N * f.T @ e) <= 2 * (N + d0 * d1 + 6) * EPS * size_z).all()


@pytest.mark.parametrize("rho", RHOS)
def test_leaky_relu_and_its_slope(rho):
    u = jnp.array([-2.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_array_equal(leaky_relu(u, rho), [-2 * rho, -0.5 * rho, 0, 0.5, 3])
    # At 0, where f has no derivative, the docstring promises the slope rho.
    np.testing.assert_array_equal(jax.vmap(jax.grad(lambda t: leaky_relu(t, rho)))(u), [rho, rho, rho, 1, 1])


@pytest.mark.parametrize(
    ("widths", "bias", "expected"),
    [
        ((4,), False, {"W1": (4, 6), "z": (4,)}),
        ((4,), True, {"W1": (4, 6), "b1": (4,), "z": (4,), "c": ()}),
        ((4, 4), True, {"W1": (4, 6), "b1": (4,), "W2": (4, 4), "b2": (4,), "z": (4,), "c": ()}),
        ((4, 3), False, {"W1": (4, 6), "W2": (3, 4), "z": (3,)}),
        ((4, 3), True, {"W1": (4, 6), "b1": (4,), "W2": (3, 4), "b2": (3,), "z": (3,), "c": ()}),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_have_the_papers_names_and_shapes(widths, bias, expected, dtype):
    module = MNN(widths, bias=bias, dtype=dtype)
    params = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 6), dtype))["params"]
    assert {name: leaf.shape for name, leaf in params.items()} == expected
    assert {leaf.dtype for leaf in params.values()} == {np.dtype(dtype)}
    if len(set(widths)) == 1:
        assert parameter_count(6, widths[0], len(widths), bias) == sum(leaf.size for leaf in params.values())


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(("init_weights", "rho"), [("he", -2.0), ("gaussian", 0.5), ("he_balanced", 0.0)])
def test_initial_weights_have_the_promised_variance(init_weights, rho):
    d0, d1 = 8, 12
    module = MNN((d1,), rho, True, init_weights)
    keys = jax.random.split(jax.random.key(3), 500)
    params = jax.jit(jax.vmap(lambda key: module.init(key, jnp.zeros((1, d0)))["params"]))(keys)
    for name, fan_in in {"W1": d0, "z": d1}.items():
        w = np.asarray(params[name]).ravel()
        variance = 1.0 if init_weights == "gaussian" else 2 / ((1 + rho**2) * fan_in)
        # For n normal values: the mean of squares has standard error variance sqrt(2/n), the mean sqrt(variance/n).
        assert abs(np.mean(w**2) - variance) < 5 * variance * np.sqrt(2 / w.size)
        assert abs(np.mean(w)) < 5 * np.sqrt(variance / w.size)
    if init_weights == "he_balanced":
        np.testing.assert_array_equal(np.sign(params["z"]), np.tile([1, -1], (500, d1 // 2)))
    for name in ("b1", "c"):
        b = np.asarray(params[name]).ravel()
        if init_weights != "gaussian":
            np.testing.assert_array_equal(b, 0)
        else:
            assert abs(np.mean(b**2) - 1) < 5 * np.sqrt(2 / b.size)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("rho", [0.0, -1.0])
def test_he_weights_keep_the_second_moment_of_the_signal(rho):
    """Why the variance is 2 / ((1 + rho^2) fan-in): for inputs with E x^2 = 1, E f(u)^2 = 1 in each layer, so that
    E output^2 = 2 / (1 + rho^2)."""
    X = jax.random.normal(jax.random.key(0), (4000, 1, 6))

    def output(key, x):
        return MNN((6, 6), rho).init_with_output(key, x)[0]

    squares = np.asarray(jax.jit(jax.vmap(output))(jax.random.split(jax.random.key(1), 4000), X)) ** 2
    assert abs(squares.mean() - 2 / (1 + rho**2)) < 5 * squares.std() / np.sqrt(squares.size)
