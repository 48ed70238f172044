"""Certificates of one network written in many ways, next to kinks, and where points or neurons do not count."""

import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.landscape import certify
from mnnjax.landscape.certificates.cholesky import factor_with_bound
from tests.landscape.points import binary, draw, reached, stationary

RHOS = [0.0, 0.1, -1.0]

# How the same network is written.

REWRITTEN = {
    "X * 1e8": lambda W, z, X, y: (W / 1e8, z, X * 1e8, y),
    "X / 1e8": lambda W, z, X, y: (W * 1e8, z, X / 1e8, y),
    "W * 1e8": lambda W, z, X, y: (W * 1e8, z / 1e8, X, y),
    "W / 1e8": lambda W, z, X, y: (W / 1e8, z * 1e8, X, y),
    "y * 1e8": lambda W, z, X, y: (W, z * 1e8, X, y * 1e8),
    "y / 1e8": lambda W, z, X, y: (W, z / 1e8, X, y / 1e8),
    "a neuron in two halves": lambda W, z, X, y: (np.vstack([W, W[:1]]), np.r_[z[0] / 2, z[1:], z[0] / 2], X, y),
    "a twin neuron of weight zero": lambda W, z, X, y: (np.vstack([W, W[:1]]), np.r_[z, 0.0], X, y),
    "a point twice, both neurons live": lambda W, z, X, y: (W, z, np.vstack([X, 0 * X[:1]]), np.r_[y, 0.0]),
    "in a plane": lambda W, z, X, y: (np.hstack([W, W[:, :1]]), z, np.hstack([X, 0 * X[:, :1]]), y),
    "points in another order": lambda W, z, X, y: (W, z, X[::-1], y[::-1]),
    "neurons in another order": lambda W, z, X, y: (W[::-1], z[::-1], X, y),
    "a millionth away": lambda W, z, X, y: (W * (1 + 1e-6), z * (1 - 2e-6), X, y),
}


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize(("verdict", "build"), [("global_minimum", reached), ("suboptimal_dlm", stationary)])
@pytest.mark.parametrize("name", REWRITTEN)
def test_the_same_network_written_otherwise(name, verdict, build, rho):
    certificate = certify(*REWRITTEN[name](*build(20, 3, 2, rho)), rho)
    assert certificate.verdict == verdict, certificate.reason


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e8])
@pytest.mark.parametrize("seed", range(3))
def test_an_untrained_network_is_no_minimum_however_its_layers_are_scaled(seed, scale):
    rng = np.random.default_rng(seed)
    X, W, z = rng.standard_normal((8, 4)), rng.standard_normal((40, 4)), 0.3 * rng.standard_normal(40)
    certificate = certify(W * scale, z / scale, X, rng.integers(0, 2, 8), 0.0)
    assert certificate.mce >= 0.25
    assert certificate.verdict == "not_converged"


def test_float32_weights_of_a_minimum():
    for point, verdict in [(binary(9, 4, 0.1), "global_minimum"), (stationary(20, 3, 2, 0.1), "suboptimal_dlm")]:
        W, z, X, y = point
        assert certify(W.astype(np.float32), jnp.asarray(z, jnp.float32), X, y, 0.1).verdict == verdict


# Neural inputs next to zero.


@pytest.mark.parametrize(
    ("small", "in_region"), [(0.0, False), (2.0**-60, False), (2.0**-53, False), (2.0**-40, True), (2.0**-20, True)]
)
@pytest.mark.wrong_types
def test_neural_input_just_above_or_below_rounding(small, in_region):
    # w . x = small exactly, as a sum with terms of size 1; the label is the output.
    certificate = certify([[1.0, -1.0, 1.0]], [1.0], [[1.0, 1.0, small]], [small], 0.1)
    assert certificate.min_abs_neural_input == small
    assert certificate.verdict == "global_minimum"
    assert certificate.kinks == (0 if in_region else 1)


@pytest.mark.parametrize(("label", "verdict"), [(1e-10, "global_minimum"), (-1e-10, "not_converged")])
@pytest.mark.wrong_types
def test_minimum_just_inside_and_just_outside_of_the_region(label, verdict):
    # z = 1: the minimum has w . x equal to the labels, and a step of 1e-9 in W leads there. A label below zero asks the
    # neuron to leave the region of the point, although the distance and all gradients are tiny.
    certificate = certify([[1e-9, 1.0]], [1.0], np.eye(2), [label, 1.0], -1.0)
    assert certificate.verdict == verdict
    assert certificate.grad_norm < 1e-8


@pytest.mark.wrong_types
def test_dead_points_and_dead_neurons():
    # ReLU: the second point is dead, so its label is out of reach and W, z do not matter to it.
    certificate = certify([[1.0, 0.0]], [1.0], [[1.0, 0.0], [-1.0, 1.0]], [1.0, 1.0], 0.0)
    assert certificate.verdict == "suboptimal_dlm"
    assert (certificate.region_mse, certificate.region_mce, certificate.rank) == (0.5, 0.5, 1)
    # With label 0 it is fitted by being dead.
    assert certify([[1.0, 0.0]], [1.0], [[1.0, 0.0], [-1.0, 1.0]], [1.0, 0.0], 0.0).verdict == "global_minimum"
    # A network that is dead everywhere is a minimum of its region, whatever the second layer.
    for z in (0.0, 5.0):
        certificate = certify([[-1.0, -1.0]], [z], [[1.0, 2.0], [2.0, 1.0]], [0.0, 1.0], 0.0)
        assert (certificate.verdict, certificate.region_mse, certificate.rank) == ("suboptimal_dlm", 0.5, 0)


@pytest.mark.wrong_types
def test_a_point_at_the_origin_has_output_zero_wherever_the_weights_are():
    X = [[0.0, 0.0], [1.0, 0.0]]
    assert certify([[1.0, 0.0]], [1.0], X, [0.0, 1.0], 0.1).verdict == "global_minimum"
    certificate = certify([[1.0, 0.0]], [1.0], X, [1.0, 1.0], 0.1)
    assert (certificate.verdict, certificate.region_mse) == ("suboptimal_dlm", 0.5)


@pytest.mark.wrong_types
def test_equal_points_with_tiny_opposite_labels_are_not_fitted():
    # Exact powers of two: no network can tell the points apart. Large outputs of opposite sign cancel, so that rounding
    # hides labels this small.
    W, X, y = np.ones((2, 2)), np.ones((2, 2)), np.array([2.0**-36, -(2.0**-36)])
    for z in (2.0**10, 2.0**14, 2.0**18):
        certificate = certify(W, [z, -z], X, y, 0.0, threshold=0.0)
        assert certificate.verdict != "global_minimum"
        assert certificate.region_mse != 0
        assert certificate.region_mce != 0


@pytest.mark.parametrize("rho", RHOS)
def test_large_labels_are_judged_by_their_own_size(rho):
    W, z, X, y = reached(20, 3, 2, rho)
    assert certify(W, z, 1e8 * X, 1e8 * y, rho).verdict == "global_minimum"


@pytest.mark.parametrize("tiny", [0.0, 1e-19, -1e-16])
@pytest.mark.wrong_types
def test_a_global_minimum_whose_second_layer_has_a_zero(tiny):
    # ReLU: only the second neuron sees the second point, whose label 0 asks for z_2 = 0; the first fits the first one.
    certificate = certify([[1.0, -1.0], [-1.0, 1.0]], [1.0, tiny], np.eye(2), [1.0, 0.0], 0.0)
    assert certificate.verdict == "global_minimum", certificate.reason


# An output bias.


@pytest.mark.parametrize("rho", RHOS)
def test_output_bias_counts_as_a_parameter(rho):
    X, W, z, M = draw(20, 3, 2, rho)
    M = np.hstack([M, np.ones((20, 1))])
    v = np.random.default_rng(9).standard_normal(20)
    v -= M @ np.linalg.lstsq(M, v, rcond=None)[0]
    y = M[:, :-1] @ (z[:, None] * W).ravel() + 0.5
    assert certify(W, z, X, y, rho, output_bias=0.5).verdict == "global_minimum"
    certificate = certify(W, z, X, y + v, rho, output_bias=0.5)
    assert certificate.verdict == "suboptimal_dlm"
    assert certificate.region_mse == pytest.approx(np.mean(v**2), rel=1e-9)
    assert certificate.rank == np.linalg.matrix_rank(M)
    # A bias that is not at its best, and no bias at all.
    assert certify(W, z, X, y + v, rho, output_bias=0.0).verdict == "not_converged"
    assert certify(W, z, X, y + v, rho).verdict == "not_converged"


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("c", [0.0, 0.5])
def test_output_bias_where_no_neuron_counts(c, rho):
    y = np.array([0.0, 1.0])
    # All neural inputs are zero; only the bias is left, which is at its best at 0.5. The points are equal, so that no
    # neuron can tell them apart.
    verdict = "suboptimal_kink" if c == 0.5 else "not_converged"
    assert certify(np.zeros((2, 3)), np.zeros(2), np.ones((2, 3)), y, rho, output_bias=c).verdict == verdict
    # No point reaches the neurons.
    verdict = "suboptimal_dlm" if c == 0.5 else "not_converged"
    assert certify(np.ones((2, 3)), np.ones(2), np.zeros((2, 3)), y, rho, output_bias=c).verdict == verdict


@pytest.mark.parametrize("scale", [1e150, 1e-150, 1e300])
@pytest.mark.parametrize("argument", range(4))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_absurd_scales_end_in_a_verdict(argument, scale):
    X, W, z, _ = draw(4, 3, 3, -1.0)
    values = [W, z, X, np.array([0.0, 1.0, 1.0, 0.0])]
    values[argument] = values[argument] * scale
    assert certify(*values, -1.0).verdict in ("not_converged", "undecided", "saddle")


def test_points_whose_eigenvalues_have_no_square_are_decided_without_a_warning():
    """Warnings are errors here. Only a neuron with z = 1e-80 sees the second point, so that an eigenvalue is 1e-160."""
    W, z, X = np.array([[1.0, -2.0], [-1.0, 1.0]]), np.array([1.0, 1e-80]), np.array([[1.0, 0.1], [-0.3, 1.0]])
    y = np.maximum(X @ W.T, 0) @ z
    for S in (np.diag([1.0, 1e-160]), np.array([[1e308]])):

        def fill(square, S=S):
            square[:] = S
            return 0.0

        assert factor_with_bound(len(S), fill) == (None, 0.0)
    certificate = certify(W, z, X, y, 0.0)
    assert (certificate.verdict, certificate.rank) == ("not_converged", 2)
    assert "too badly conditioned" in certificate.reason
    # Nor do gradients and bounds that overflow.
    assert certify(1e48 * W, 1e48 * z[:1].repeat(2), 1e48 * X, y, 0.0).verdict == "not_converged"
