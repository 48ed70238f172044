"""Certificates against problems whose answer is known, and brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.landscape import activation_pattern, certify, region_residual
from tests.landscape.oracles import kron_rows
from tests.landscape.points import binary, draw, reached, stationary

EPS = np.finfo(np.float64).eps
RHOS = [0.0, 0.1, -1.0]
DLM = ("global_minimum", "suboptimal_dlm")


def hand(W, z, X, y):
    return lambda rho: (W, z, X, y)


def away(N, d0, d1, rho):
    W, z, X, y = stationary(N, d0, d1, rho)
    return 1.1 * W, z, X, y


def anywhere(N, d0, d1, rho):
    X, W, z, _ = draw(N, d0, d1, rho)
    return W, z, X, np.arange(N) % 2


KNOWN = {
    "reached, rank N": ("global_minimum", lambda rho: reached(6, 4, 5, rho)),
    "reached, rank below N": ("global_minimum", lambda rho: reached(20, 3, 2, rho)),
    "binary labels by pairs": ("global_minimum", lambda rho: binary(9, 4, rho)),
    "one point": ("global_minimum", lambda rho: reached(1, 3, 2, rho)),
    "all labels zero, z = 0": ("global_minimum", hand(np.ones((2, 1)), np.zeros(2), np.ones((3, 1)), np.zeros(3))),
    "one neuron, one input": ("suboptimal_dlm", hand([[2.0]], [1 / 3], np.ones((3, 1)), [1.0, 0.0, 1.0])),
    "contradictory labels": ("suboptimal_dlm", hand([[1.0, 0.0]], [0.5], [[1.0, 2.0]] * 2, [1.0, 0.0])),
    "stationary": ("suboptimal_dlm", lambda rho: stationary(20, 3, 2, rho)),
    "stationary, one neuron": ("suboptimal_dlm", lambda rho: stationary(30, 2, 1, rho)),
    # The first neuron has w . x = 0 exactly; the second fits the point, or does not.
    "kink": ("global_minimum", hand([[2.0, -1.0], [1.0, 1.0]], [1.0, 1.0], [[1.0, 2.0]], [3.0])),
    "kink, not stationary": ("not_converged", hand([[2.0, -1.0], [1.0, 1.0]], [1.0, 1.0], [[1.0, 2.0]], [9.0])),
    "all weights zero": ("saddle", hand(np.zeros((2, 2)), np.zeros(2), np.ones((3, 2)), [0.0, 1.0, 1.0])),
    # (A o X) e is not zero, although nothing changes with W alone.
    "second layer zero": ("not_converged", hand([[1.0, 2.0]], [0.0], [[1.0, 1.0]], [1.0])),
    "random": ("not_converged", lambda rho: anywhere(20, 3, 2, rho)),
    "ten per cent away": ("not_converged", lambda rho: away(20, 3, 2, rho)),
}


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("name", KNOWN)
def test_points_built_to_be_of_one_kind(name, rho):
    verdict, build = KNOWN[name]
    W, z, X, y = (np.asarray(v, float) for v in build(rho))
    certificate = certify(W, z, X, y, rho)
    assert certificate.verdict == verdict, certificate.reason
    U = X @ W.T
    e = y - np.where(U > 0, U, rho * U) @ z
    assert certificate.mse == pytest.approx(np.mean(e**2), rel=1e-12, abs=1e-28)
    assert certificate.mce == np.mean((y - e > 0.5) != (y > 0.5))
    assert certificate.min_abs_neural_input == pytest.approx(np.abs(U).min(), rel=1e-12)
    if verdict in DLM:
        A = np.asarray(activation_pattern(W, X, rho))
        region = np.asarray(region_residual(A, X, y))
        assert certificate.region_mse == pytest.approx(np.mean(region**2), rel=1e-9, abs=1e-28)
        wrong = (y - region > 0.5) != (y > 0.5)
        assert certificate.region_mce == (0 if verdict == "global_minimum" else np.mean(wrong))
        assert certificate.kinks == (U == 0).sum()
        assert 0 < certificate.margin <= np.abs(U[U != 0]).min() * (1 + 1e-9)
        assert certificate.distance <= 1e-10 * np.linalg.norm(W)
        assert certificate.kinks or certificate.rank == np.linalg.matrix_rank(kron_rows(A, X))


@pytest.mark.wrong_types
def test_numbers_by_hand():
    # Three equal points, labels 1, 0, 1: every minimum puts 2/3 on them.
    certificate = certify([[2.0]], [1 / 3], np.ones((3, 1)), [1.0, 0.0, 1.0], 0.0)
    assert certificate.region_mse == pytest.approx(2 / 9, rel=1e-12)
    assert certificate.region_mce == certificate.mce == pytest.approx(1 / 3)
    assert certificate.rank == 1
    # Labels -1 and +1 move the threshold to 0, and an argument moves it anywhere.
    assert certify([[2.0]], [0.5], np.ones((3, 1)), [1.0, -1.0, 1.0], 0.0).mce == pytest.approx(1 / 3)
    assert certify([[2.0]], [1 / 3], np.ones((3, 1)), [1.0, 0.0, 1.0], 0.0, threshold=0.9).mce == pytest.approx(2 / 3)


@pytest.mark.parametrize("with_bias", [False, True])
def test_gradient_norm_is_that_of_autodiff(with_bias):
    X, W, z, _ = draw(8, 3, 2, 0.1)
    y, c = np.arange(8.0) % 2, 0.25

    def mse(p):
        U = X @ p[0].T
        return jnp.mean((y - jnp.where(U > 0, U, 0.1 * U) @ p[1] - p[2]) ** 2)

    gradient = jax.grad(mse)((jnp.asarray(W), jnp.asarray(z), c if with_bias else 0.0))
    leaves = [np.ravel(g) for g in (gradient if with_bias else gradient[:2])]
    certificate = certify(W, z, X, y, 0.1, output_bias=c if with_bias else None)
    assert certificate.grad_norm == pytest.approx(np.linalg.norm(np.concatenate(leaves)), rel=1e-12)


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("shape", [(12, 3, 2), (30, 2, 1), (8, 2, 2), (3, 4, 2)])
def test_no_perturbation_lowers_the_mse_of_a_certified_minimum(shape, rho):
    build = reached if shape[0] == 3 else stationary
    W, z, X, y = build(*shape, rho)
    certificate = certify(W, z, X, y, rho)
    assert certificate.verdict in DLM
    rng = np.random.default_rng(11)
    for size in (1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1):
        V = W + size * rng.standard_normal((2000, *W.shape))
        t = z + size * rng.standard_normal((2000, *z.shape))
        U = np.einsum("nk,bik->bni", X, V)
        here = ((U > 0) == (X @ W.T > 0)).all(axis=(1, 2))
        assert here.any() or size > certificate.margin / 30
        mse = np.mean((y - np.einsum("bni,bi->bn", np.where(U > 0, U, rho * U), t)) ** 2, axis=1)
        assert (mse[here] >= certificate.region_mse * (1 - 1e-12)).all()


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.wrong_types
def test_a_saddle_has_lower_points_next_to_it(rho):
    # Why the saddle of KNOWN must not be called a minimum, although its gradient vanishes.
    x, w = np.array([1.0, 1.0]), np.array([1.0, -1.0 + 1e-6])
    certificate = certify(w[None], [0.0], x[None], [1.0], rho)
    assert certificate.grad_norm < 1e-5
    assert certificate.verdict == "not_converged"
    rng = np.random.default_rng(12)
    V, t = w + 1e-3 * rng.standard_normal((4000, 2)), 1e-3 * rng.standard_normal(4000)
    U = V @ x
    assert ((1 - t * np.where(U > 0, U, rho * U)) ** 2).min() < 1 - 1e-7


# What a region is worth before anyone trains.


@pytest.mark.parametrize("rho", RHOS)
def test_region_mse_of_a_point_on_its_way_is_that_of_least_squares(rho):
    X, W, z, M = draw(20, 3, 2, rho)
    y = np.arange(20) % 2
    e = y - M @ np.linalg.lstsq(M, y, rcond=None)[0]
    certificate = certify(W, z, X, y, rho)
    assert certificate.verdict == "not_converged"
    assert certificate.region_mse == pytest.approx(np.mean(e**2), rel=1e-10)
    assert certificate.region_mce == np.mean((y - e > 0.5) != (y > 0.5))


@pytest.mark.parametrize(("X", "y"), [([2, 3, 3, 2], [1, -1, 1, -1]), ([4, 2, 3, 1], [1, -1, -1, 1])])
@pytest.mark.wrong_types
def test_region_mce_of_outputs_at_the_threshold_is_not_that_of_rounding(X, y):
    # Positive points orthogonal to the labels: every minimum puts 0, the threshold, on all of them.
    X, y = np.array(X, float)[:, None], np.array(y, float)
    for w in np.random.default_rng(10).uniform(0.1, 3.0, 20):
        certificate = certify([[w]], [w - 1], X, y, 0.0)
        assert certificate.region_mce == 0.5
        assert certificate.region_mse == pytest.approx(1.0)


@pytest.mark.wrong_types
def test_region_mse_of_nearly_dependent_points_before_training():
    X = np.array([[-2.0], [2.0], [2.0], [-2.000000002]])
    certificate = certify([[-2.0], [1.0], [-2.0]], [2.0, 2.0, -2.0], X, [1.0, 0.0, 0.0, 0.0], 0.1)
    assert certificate.verdict == "not_converged"
    A = np.asarray(activation_pattern(np.array([[-2.0], [1.0], [-2.0]]), X, 0.1))
    expected = np.asarray(region_residual(A, X, np.array([1.0, 0.0, 0.0, 0.0])))
    assert certificate.region_mse == pytest.approx(np.mean(expected**2), rel=1e-6)


# Bad input.

GOOD = {"W": np.ones((2, 3)), "z": np.ones(2), "X": np.ones((4, 3)), "y": np.ones(4), "rho": 0.0}
ERRORS = [
    ("W", np.ones((2, 4)), r"W: has shape \(2, 4\)"),
    ("W", np.ones(3), r"W: has shape \(3,\)"),
    ("W", np.ones((0, 3)), r"W: has shape \(0, 3\)"),
    ("W", np.full((2, 3), np.nan), r"W: of shape \(2, 3\).*NaN"),
    ("z", np.ones(3), r"z: has shape \(3,\)"),
    ("z", np.ones((2, 1)), r"z: has shape \(2, 1\)"),
    ("z", np.array([1, np.inf]), r"z: of shape \(2,\).*infinite"),
    ("X", np.ones((0, 3)), r"X: has shape \(0, 3\)"),
    ("X", np.ones(3), r"X: has shape \(3,\)"),
    ("X", np.full((4, 3), -np.inf), r"X: of shape \(4, 3\).*infinite"),
    ("y", np.ones(5), r"y: has shape \(5,\)"),
    ("y", np.ones((4, 1)), r"y: has shape \(4, 1\)"),
    ("y", np.array([0, 1, np.nan, 0]), r"y: of shape \(4,\).*NaN"),
    ("rho", 1, "rho: 1"),
    ("rho", 1.0, "rho: 1"),
    ("rho", np.nan, "rho: nan"),
    ("rho", np.inf, "rho: inf"),
    ("output_bias", np.nan, "output_bias"),
    ("output_bias", np.inf, "output_bias"),
    ("output_bias", np.zeros(2), "output_bias"),
    ("threshold", np.nan, "threshold"),
]


@pytest.mark.parametrize(("argument", "value", "message"), ERRORS)
@pytest.mark.wrong_types
def test_bad_input_is_named_with_its_shape(argument, value, message):
    certify(**GOOD)
    with pytest.raises(ValueError, match=message):
        certify(**GOOD | {argument: value})
