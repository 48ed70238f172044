"""The true global minimum against quadratic programs over all tuples of cells, closed forms, and descents."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from mnnjax.landscape import certify, descend, exact_global_minimum

MINIMA = ("global_minimum", "suboptimal_dlm", "suboptimal_kink")


def draw(seed, N, d0):
    rng = np.random.default_rng([seed, N, d0])
    return rng.standard_normal((N, d0)), rng.choice([-1.0, 1.0], N)


def mse(W, z, X, y, rho):
    U = X @ W.T
    return float(np.mean((np.where(U > 0, U, rho * U) @ z - y) ** 2))


def by_quadratic_programs(X, y, d1, rho):
    """The least MSE over all multisets of d1 signed cells, each with a quadratic program in theta, without rays."""
    N, d0 = X.shape
    directions = np.random.default_rng(0).standard_normal((20_000, d0))
    signed = [(s, c) for c in np.unique(np.where(directions @ X.T > 0, 1.0, -1.0), axis=0) for s in (1, -1)]
    best = np.mean(y**2)
    for chosen in itertools.combinations_with_replacement(signed, d1):
        M = np.hstack([s * np.where(c > 0, 1.0, rho)[:, None] * X for s, c in chosen])
        sides = np.zeros((d1 * N, d1 * d0))
        for k, (_, c) in enumerate(chosen):
            sides[k * N : (k + 1) * N, k * d0 : (k + 1) * d0] = c[:, None] * X
        found = minimize(
            lambda theta, M=M: np.mean((M @ theta - y) ** 2), np.zeros(d1 * d0),
            jac=lambda theta, M=M: 2 / N * M.T @ (M @ theta - y), method="SLSQP", options={"ftol": 1e-12},
            constraints={"type": "ineq", "fun": lambda theta, S=sides: S @ theta, "jac": lambda theta, S=sides: S},
        )  # fmt: skip
        if (sides @ found.x).min() > -1e-9:
            best = min(best, found.fun)
    return best


@pytest.mark.quick_cases(3)
@pytest.mark.parametrize("rho", [0.0, 0.1, -0.5, 2.0])
@pytest.mark.parametrize(("N", "d0", "d1"), [(4, 2, 1), (5, 1, 3), (3, 3, 1), (4, 2, 2), (5, 2, 2), (4, 3, 2)])
def test_it_is_the_best_quadratic_program_over_all_cells(N, d0, d1, rho):
    X, y = draw(1, N, d0)
    y = y + 0.3 * np.random.default_rng(2).standard_normal(N)
    best = exact_global_minimum(X, y, d1, rho)
    assert best.mse == pytest.approx(by_quadratic_programs(X, y, d1, rho), rel=1e-6, abs=1e-7)
    assert best.mse == pytest.approx(mse(best.W, best.z, X, y, rho), rel=1e-12, abs=1e-25)
    assert best.W.shape == (d1, d0)
    assert best.z.shape == (d1,)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_no_descent_ends_below_it_and_the_best_of_many_ends_there(rho, seed):
    X, y = draw(seed, 6, 2)
    best, rng, ends = exact_global_minimum(X, y, 3, rho), np.random.default_rng(seed), []
    assert certify(best.W, best.z, X, y, rho).verdict in MINIMA
    while len(ends) < 600 and not (ends and min(ends) <= best.mse + 1e-8):
        W, z = rng.standard_normal((3, 2)), rng.standard_normal(3)
        ends.append(descend(W, z, X, y, rho).certificate.mse)
    assert min(ends) == pytest.approx(best.mse, abs=1e-8)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("seed", range(4))
def test_descents_from_near_it_end_there_also_where_descents_from_random_points_do_not(seed):
    """With seed 0 none of 600 descents from standard normal weights ends at the global minimum, 1/6; the best is 1/3.
    One neuron of the network has 40 times the output of the points, and is active at three of them."""
    X, y = draw(seed, 6, 3)
    best, rng = exact_global_minimum(X, y, 2, 0.0), np.random.default_rng(seed)
    assert certify(best.W, best.z, X, y, 0.0).verdict in MINIMA
    for _ in range(10):
        W, z = rng.standard_normal((2, 3)), rng.standard_normal(2)
        assert descend(W, z, X, y, 0.0).certificate.mse >= best.mse - 1e-12
        near = best.W + 1e-3 * np.linalg.norm(best.W) / 6**0.5 * W
        assert descend(near, best.z, X, y, 0.0).certificate.mse == pytest.approx(best.mse, abs=1e-10)


@pytest.mark.parametrize(("N", "d0", "d1", "rho"), [(8, 2, 3, 0.0), (7, 3, 2, -0.5), (9, 1, 2, 2.0)])
def test_labels_that_a_network_has_are_reached(N, d0, d1, rho):
    rng = np.random.default_rng(N)
    X, W, z = rng.standard_normal((N, d0)), rng.standard_normal((d1, d0)), rng.standard_normal(d1)
    U = X @ W.T
    y = np.where(U > 0, U, rho * U) @ z
    assert exact_global_minimum(X, y, d1, rho).mse <= 1e-18 * np.mean(y**2)


@pytest.mark.parametrize(("N", "d0", "rho"), [(8, 2, 0.0), (6, 3, -0.5)])
def test_more_neurons_never_raise_it_and_units_scale_it(N, d0, rho):
    X, y = draw(4, N, d0)
    errors = [exact_global_minimum(X, y, d1, rho).mse for d1 in (1, 2, 3)]
    assert (np.diff(errors) <= 1e-20).all()
    assert errors[-1] < errors[0] < np.mean(y**2)
    for factor_X, factor_y in ((1.0, 1e-30), (1.0, -1.0), (1e20, 3.0)):
        scaled = exact_global_minimum(factor_X * X, factor_y * y, 1, rho).mse / factor_y**2
        assert scaled == pytest.approx(errors[0])
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((d0, d0)))[0]
    order = np.random.default_rng(1).permutation(N)
    assert exact_global_minimum((X @ turned)[order], y[order], 1, rho).mse == pytest.approx(errors[0])


def test_points_that_contradict_each_other_add_what_no_network_can_fit():
    """Two labels y + 0.5 and y - 0.5 at each point: the best network is that of y, and 0.25 is left."""
    X, y = draw(5, 6, 2)
    alone = exact_global_minimum(X, y, 2, 0.1).mse
    both = exact_global_minimum(np.vstack([X, X]), np.r_[y + 0.5, y - 0.5], 2, 0.1).mse
    assert both == pytest.approx(alone + 0.25)


@pytest.mark.parametrize("rho", [0.0, 0.1, -1.0])
def test_points_in_a_plane_or_line_have_the_minimum_of_the_plane_or_line(rho):
    X, y = draw(6, 6, 2)
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    flat = exact_global_minimum(X @ turned[:2], y, 2, rho)
    assert flat.mse == pytest.approx(exact_global_minimum(X, y, 2, rho).mse)
    # On a line two neurons make any slope on either side of the origin.
    x = X[:, 0]
    left = sum(np.sum((y[part] - x[part] * (y[part] @ x[part]) / (x[part] @ x[part])) ** 2) for part in (x > 0, x < 0))
    for on_line in (x[:, None], np.outer(x, turned[0])):
        expected = left / 6 if rho != -1 else by_quadratic_programs(x[:, None], y, 2, rho)
        assert exact_global_minimum(on_line, y, 2, rho).mse == pytest.approx(expected)


def test_parallel_and_zero_points():
    """Points 2 x and -x share their line with x; a point at the origin has the output 0."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((2, 2))
    X = np.vstack([X, 2 * X[:1], -X[1:]])
    y = rng.standard_normal(4)
    assert exact_global_minimum(X, y, 2, 0.1).mse == pytest.approx(by_quadratic_programs(X, y, 2, 0.1), rel=1e-6)
    with_zero = exact_global_minimum(np.vstack([X, np.zeros(2)]), np.r_[y, 3.0], 2, 0.1)
    assert with_zero.mse == pytest.approx((4 * exact_global_minimum(X, y, 2, 0.1).mse + 9) / 5)
    in_space = np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]])  # three planes through one line
    assert exact_global_minimum(in_space, y, 1, 0.1).mse == pytest.approx(
        by_quadratic_programs(in_space, y, 1, 0.1), rel=1e-6
    )


def test_small_cases_in_closed_form():
    X, y = draw(7, 5, 2)
    zero = exact_global_minimum(X, np.zeros(5), 3, 0.0)
    assert (zero.mse, zero.solved) == (0.0, 0)
    assert not zero.W.any()
    assert exact_global_minimum(np.zeros((5, 3)), y, 2, 0.0).mse == np.mean(y**2)
    assert exact_global_minimum(X[:1], -2 * np.ones(1), 1, 0.0).mse == pytest.approx(0, abs=1e-25)
    # More neurons than signed cells: as many as there are cells do.
    many = exact_global_minimum(X, y, 25, 0.0)
    assert many.mse == pytest.approx(0, abs=1e-20)
    assert np.count_nonzero(many.z) <= 20


@pytest.mark.parametrize(
    ("shape", "d1", "words"),
    [
        ((5, 4), 2, "d0 = 4; the exact global minimum is for d0 up to 3"),
        ((12, 3), 5, r"134 cells, with either sign, make 10\^10 sets .* d1 up to 2 is feasible for N = 12"),
        ((6, 2), 0, "d1: 0 is too small"),
    ],
)
def test_what_is_too_large_is_refused_in_one_line(shape, d1, words):
    X, y = draw(0, *shape)
    with pytest.raises(ValueError, match=words) as caught:
        exact_global_minimum(X, y, d1, 0.0)
    assert "\n" not in str(caught.value)


def test_printing():
    X, y = draw(2, 6, 2)
    lines = str(exact_global_minimum(X, y, 3, 0.0)).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["mse", "neurons", "searched"]
    assert lines[2].endswith("of 2024 sets of signed cells")
