"""Patterns, Khatri-Rao products, and their ranks, each against an independent computation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.landscape import (
    activation_pattern,
    khatri_rao,
    khatri_rao_gram,
    khatri_rao_matvec,
    khatri_rao_rank,
    khatri_rao_rmatvec,
    region_residual,
)
from mnnjax.landscape.regions.exact_rank import exact_rank
from mnnjax.network import leaky_relu
from tests.landscape.oracles import fraction_rank, kron_rows

EPS = np.finfo(np.float64).eps
SHAPES = [(1, 1, 1), (1, 3, 2), (5, 2, 1), (6, 1, 4), (7, 3, 2), (4, 5, 3)]
RHOS = [0.0, 0.1, -1.0]


def draw(N, d0, d1, rho, seed=0):
    rng = np.random.default_rng([seed, N, d0, d1])
    X, W = rng.standard_normal((N, d0)), rng.standard_normal((d1, d0))
    return X, W, np.where(X @ W.T > 0, 1.0, rho)


@pytest.mark.quick_cases(6)
@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("shape", SHAPES)
def test_pattern_by_its_definition(shape, rho):
    X, W, _ = draw(*shape, rho)
    A = activation_pattern(W, X, rho)
    for n in range(shape[0]):
        for i in range(shape[2]):
            assert A[n, i] == (1 if sum(W[i] * X[n]) > 0 else rho)


@pytest.mark.parametrize("rho", RHOS)
def test_pattern_times_input_is_the_leaky_relu(rho):
    X, W, _ = draw(7, 3, 2, rho)
    U = X @ W.T
    assert np.array_equal(activation_pattern(W, X, rho) * U, np.maximum(U, 0) + rho * np.minimum(U, 0))


def test_pattern_at_zero_is_the_slope_that_autodiff_takes():
    X = jnp.array([[1.0, 2.0]])
    slope = jax.grad(lambda w: leaky_relu(X[0] @ w, 0.1))(jnp.array([2.0, -1.0])) / X[0]
    assert np.allclose(activation_pattern(jnp.array([[2.0, -1.0]]), X, 0.1), slope[0], rtol=4 * EPS)


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("shape", SHAPES)
def test_product_is_kron_row_by_row(shape, rho):
    X, _, A = draw(*shape, rho)
    assert np.array_equal(khatri_rao(A, X), kron_rows(A, X))


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gram_and_matrix_free_products(shape, rho):
    N, d0, d1 = shape
    X, _, A = draw(*shape, rho)
    M = kron_rows(A, X)
    rng = np.random.default_rng(1)
    theta, e = rng.standard_normal((d1, d0)), rng.standard_normal(N)
    # Sums of at most N + d0 d1 products, whose moduli bound the rounding error.
    terms = (N + d0 * d1 + 2) * EPS
    assert (np.abs(khatri_rao_gram(A, X) - M @ M.T) <= terms * np.abs(M) @ np.abs(M).T).all()
    forward = terms * np.abs(M) @ np.abs(theta).ravel()
    assert (np.abs(khatri_rao_matvec(A, X, theta) - M @ theta.ravel()) <= forward).all()
    backward = terms * (np.abs(M).T @ np.abs(e)).reshape(d1, d0)
    assert (np.abs(khatri_rao_rmatvec(A, X, e) - (M.T @ e).reshape(d1, d0)) <= backward).all()


@pytest.mark.parametrize("rho", RHOS)
def test_transpose_is_the_vjp_and_the_gradient_of_the_mse(rho):
    X, W, A = draw(7, 3, 2, rho)
    rng = np.random.default_rng(2)
    e, z, y = rng.standard_normal(7), rng.standard_normal(2), rng.standard_normal(7)
    _, vjp = jax.vjp(lambda theta: khatri_rao_matvec(A, X, theta), jnp.zeros((2, 3)))
    assert np.allclose(khatri_rao_rmatvec(A, X, e), vjp(jnp.asarray(e))[0], rtol=0, atol=100 * EPS)

    def mse(W):
        U = X @ W.T
        return jnp.mean((y - jnp.where(U > 0, U, rho * U) @ z) ** 2)

    residual = y - (A * (X @ W.T)) @ z
    by_hand = -2 / 7 * z[:, None] * khatri_rao_rmatvec(A, X, residual)
    assert np.allclose(jax.grad(mse)(jnp.asarray(W)), by_hand, rtol=0, atol=100 * EPS * np.abs(residual).max())


def test_output_of_the_network_is_a_product_with_theta():
    X, W, A = draw(7, 3, 2, 0.1)
    z = np.array([2.0, -0.5])
    output = np.where(X @ W.T > 0, X @ W.T, 0.1 * (X @ W.T)) @ z
    assert np.allclose(khatri_rao_matvec(A, X, z[:, None] * W), output, rtol=0, atol=50 * EPS)


@pytest.mark.slow
def test_matrix_free_products_at_a_size_where_the_matrix_would_not_fit():
    # The matrix would have 2e4 * 5e2 * 8e2 entries: 32 GB in float32.
    N, d0, d1 = 20_000, 500, 800
    A = jnp.ones((N, d1), jnp.float32)
    X = jnp.full((N, d0), 0.5, jnp.float32).at[0].set(0.0)
    theta = jnp.zeros((d1, d0)).at[3].set(2.0).at[7].set(-1.0)
    out = jax.jit(khatri_rao_matvec)(A, X, theta)
    assert out[0] == 0
    assert np.array_equal(out[1:], np.full(N - 1, 250.0))
    back = jax.jit(khatri_rao_rmatvec)(A, X, jnp.zeros(N).at[1].set(4.0))
    assert np.array_equal(back, np.full((d1, d0), 2.0))


RANKS = {
    # The rank by hand.
    "one point": ([[1.0, 0.0]], [[1.0, 2.0]], 1),
    "zero point": ([[1.0], [1.0]], [[0.0, 0.0], [1.0, 2.0]], 1),
    "all zero": ([[1.0], [1.0]], [[0.0], [0.0]], 0),
    "dead everywhere": ([[0.0], [0.0]], [[1.0], [2.0]], 0),
    "dead at one point": ([[0.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [2.0, 3.0]], 1),
    "same point twice": ([[1.0, 0.1], [1.0, 0.1]], [[1.0, 2.0], [1.0, 2.0]], 1),
    "same point, other pattern": ([[1.0, 0.1], [0.1, 1.0]], [[1.0, 2.0], [1.0, 2.0]], 2),
    "same neuron twice": ([[1.0, 1.0]] * 3, [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], 2),
    "very different lengths": ([[1.0], [1.0]], [[1e-12, 0.0], [0.0, 1e12]], 2),
    "points in a plane": ([[1.0]] * 4, [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 2.0], [1.0, -1.0, 0.0]], 2),
}


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize(("A", "X", "rank"), RANKS.values(), ids=RANKS)
def test_rank_by_hand(A, X, rank):
    A, X = np.array(A), np.array(X)
    found = khatri_rao_rank(A, X)
    assert isinstance(found, int)
    assert found == rank
    assert fraction_rank(kron_rows(A, X)) == rank
    assert exact_rank(A, X) == rank
    with_ones = np.hstack([kron_rows(A, X), np.ones((len(X), 1))])
    assert exact_rank(A, X, constant=True) == fraction_rank(with_ones)


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize("seed", range(20))
def test_rank_of_small_integers_is_the_exact_one(seed):
    rng = np.random.default_rng(seed)
    N, d0, d1 = rng.integers(1, 7), rng.integers(1, 4), rng.integers(1, 4)
    X = rng.integers(-2, 3, (N, d0)).astype(float)
    # -1, 0 and 0.5 are exact, so that the product is exact too.
    A = np.where(rng.random((N, d1)) < 0.5, 1.0, rng.choice([0.0, -1.0, 0.5]))
    exact = fraction_rank(kron_rows(A, X))
    assert khatri_rao_rank(A, X) == exact
    assert exact_rank(A, X) == exact
    assert np.linalg.matrix_rank(kron_rows(A, X)) == exact


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize(("N", "d0", "d1"), [(12, 3, 4), (30, 4, 5), (40, 6, 10)])
def test_rank_of_gaussian_data_is_that_of_numpy(N, d0, d1, rho):
    X, _, A = draw(N, d0, d1, rho)
    assert khatri_rao_rank(A, X) == np.linalg.matrix_rank(kron_rows(A, X)) == exact_rank(A, X)


def test_rank_decides_at_the_documented_tolerance():
    # Two unit rows at an angle t have singular values sqrt(1 +- cos t), the ratio of which is about t / 2.
    A = np.ones((2, 1))
    for angle, rank in [(100 * EPS, 2), (1e-9, 2), (EPS / 2, 1)]:
        assert khatri_rao_rank(A, np.array([[1.0, 0.0], [1.0, angle]])) == rank


FUNCTIONS = {
    "pattern": (lambda W, X, e, theta, A: activation_pattern(W, X, 0.1), None),
    "product": (lambda W, X, e, theta, A: khatri_rao(A, X), kron_rows),
    "gram": (lambda W, X, e, theta, A: khatri_rao_gram(A, X), lambda A, X: kron_rows(A, X) @ kron_rows(A, X).T),
    "matvec": (lambda W, X, e, theta, A: khatri_rao_matvec(A, X, theta), None),
    "rmatvec": (lambda W, X, e, theta, A: khatri_rao_rmatvec(A, X, e), None),
    "rank": (lambda W, X, e, theta, A: khatri_rao_rank(A, X), lambda A, X: np.linalg.matrix_rank(kron_rows(A, X))),
    "residual": (lambda W, X, e, theta, A: region_residual(A, X, e), None),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("jit", [False, True])
def test_jit_and_vmap_over_a_batch_give_what_a_loop_gives(name, jit):
    function, expected = FUNCTIONS[name]
    rng = np.random.default_rng(5)
    W, X = rng.standard_normal((4, 2, 3)), rng.standard_normal((4, 7, 3))
    X[1, 3] = X[1, 2]  # one problem of the batch is rank-deficient
    A = np.where(np.einsum("bnk,bik->bni", X, W) > 0, 1.0, 0.1)
    arguments = tuple(map(jnp.asarray, (W, X, rng.standard_normal((4, 7)), rng.standard_normal((4, 2, 3)), A)))
    batched = jax.vmap(function)
    found = (jax.jit(batched) if jit else batched)(*arguments)
    for b in range(4):
        single = function(*(np.asarray(v[b]) for v in arguments))
        assert np.allclose(found[b], single, rtol=0, atol=200 * EPS)
        assert np.allclose(jax.jit(function)(*(v[b] for v in arguments)), single, rtol=0, atol=200 * EPS)
        if expected is not None:
            assert np.allclose(found[b], expected(A[b], X[b]), rtol=0, atol=200 * EPS)


def test_rank_and_residual_are_in_float64_whatever_comes_in():
    A, X = np.ones((2, 1), np.float32), np.array([[1, 0], [1, 1e-9]], np.float32)
    assert khatri_rao_rank(A, X) == 2
    assert region_residual(A, X, np.ones(2, np.float32)).dtype == np.float64


def test_the_product_of_any_two_matrices():
    rng = np.random.default_rng(3)
    A, X = rng.standard_normal((7, 3)), rng.standard_normal((7, 2))
    product = np.array([np.kron(a, x) for a, x in zip(A, X, strict=True)])
    np.testing.assert_allclose(khatri_rao(A, X), product, rtol=1e-15)
    np.testing.assert_allclose(khatri_rao_gram(A, X), product @ product.T, rtol=1e-13, atol=1e-13)
    assert khatri_rao_rank(A, X) == np.linalg.matrix_rank(product) == 6


def test_rank_and_residual_are_computed_on_the_cpu_and_may_go_elsewhere():
    """Here another CPU device stands for the accelerator, whose float64 may be none."""
    accelerator, rng = jax.devices()[1], np.random.default_rng(4)
    A, X, y = (jax.device_put(v, accelerator) for v in (np.ones((5, 1)), rng.standard_normal((5, 2)), np.arange(5.0)))
    with jax.default_device(accelerator):
        e = region_residual(A, X, y)
        assert e.devices() == {jax.local_devices(backend="cpu")[0]}
        assert khatri_rao_rank(A, X) == 2
        assert (e + y).devices() == {accelerator}


GOOD = {"W": np.ones((2, 3)), "X": np.ones((4, 3)), "A": np.ones((4, 2)), "y": np.ones(4), "theta": np.ones((2, 3))}
CALLS = {
    "activation_pattern": lambda v: activation_pattern(v["W"], v["X"], v.get("rho", 0.0)),
    "khatri_rao": lambda v: khatri_rao(v["A"], v["X"]),
    "khatri_rao_gram": lambda v: khatri_rao_gram(v["A"], v["X"]),
    "khatri_rao_rank": lambda v: khatri_rao_rank(v["A"], v["X"]),
    "khatri_rao_matvec": lambda v: khatri_rao_matvec(v["A"], v["X"], v["theta"]),
    "khatri_rao_rmatvec": lambda v: khatri_rao_rmatvec(v["A"], v["X"], v["y"]),
    "region_residual": lambda v: region_residual(v["A"], v["X"], v["y"]),
}
PATTERNS = [name for name in CALLS if name != "activation_pattern"]
ERRORS = [
    ("activation_pattern", "W", np.ones((2, 4)), r"W: has shape \(2, 4\)"),
    ("activation_pattern", "W", np.ones(3), r"W: has shape \(3,\)"),
    ("activation_pattern", "X", np.ones((0, 3)), r"X: has shape \(0, 3\)"),
    ("activation_pattern", "X", np.full((4, 3), np.nan), r"X: of shape \(4, 3\).*NaN"),
    ("activation_pattern", "W", np.full((2, 3), np.inf), r"W: of shape \(2, 3\).*infinite"),
    ("activation_pattern", "rho", 1.0, r"rho: 1\.0"),
    ("activation_pattern", "rho", np.nan, "rho: nan"),
    *((name, "X", np.ones((5, 3)), r"X: has shape \(5, 3\)") for name in PATTERNS),
    *((name, "A", np.ones((0, 2)), r"A: has shape \(0, 2\)") for name in PATTERNS),
    *((name, "A", np.ones(4), r"A: has shape \(4,\)") for name in PATTERNS),
    *((name, "A", np.full((4, 2), np.nan), r"A: of shape \(4, 2\).*NaN") for name in PATTERNS),
    ("region_residual", "A", np.arange(8.0).reshape(4, 2), r"A: of shape \(4, 2\) has entries other"),
    ("khatri_rao_matvec", "theta", np.ones((3, 2)), r"theta: has shape \(3, 2\)"),
    ("khatri_rao_rmatvec", "y", np.ones(5), r"e: has shape \(5,\)"),
    ("region_residual", "y", np.ones((4, 1)), r"y: has shape \(4, 1\)"),
    ("region_residual", "y", np.array([0, 1, np.inf, 0]), r"y: of shape \(4,\).*infinite"),
]


@pytest.mark.parametrize(("call", "argument", "value", "message"), ERRORS)
@pytest.mark.wrong_types
def test_bad_input_is_named_with_its_shape(call, argument, value, message):
    CALLS[call](GOOD)
    with pytest.raises(ValueError, match=message):
        CALLS[call](GOOD | {argument: value})


@pytest.mark.wrong_types
def test_shapes_are_checked_under_jit_too():
    with pytest.raises(ValueError, match=r"X: has shape \(5, 3\)"):
        jax.jit(khatri_rao)(np.ones((4, 2)), np.ones((5, 3)))
