"""Cones of one neuron's directions, against a linear program for each cell."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from mnnjax.landscape.certificates.cones import extreme_rays, has_multipliers
from mnnjax.landscape.certificates.kinks import falling_turn
from mnnjax.landscape.numerics import leaky_relu


def least(X, r, rho, g=0.0):
    """The least of g . v + sum_n r_n f(v . x(n)) over |v_j| <= 1, a linear program for each of the 2^N cells."""
    found = 0.0
    for signs in itertools.product([1.0, -1.0], repeat=len(X)):
        signs = np.array(signs)
        slope = g + (r * np.where(signs > 0, 1.0, rho)) @ X
        program = linprog(slope, A_ub=-signs[:, None] * X, b_ub=np.zeros(len(X)), bounds=[(-1, 1)] * X.shape[1])
        found = min(found, program.fun)
    return found


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("rho", [0.1, 0.0, -1.0, 2.0])
def test_psi_falls_along_an_extreme_ray_or_nowhere(rho):
    seen = set()
    for seed, shape in enumerate([(3, 1), (4, 2), (5, 3), (5, 2)] * 3):
        rng = np.random.default_rng(seed)
        X, r = rng.integers(-2, 3, shape) + 0.5, rng.standard_normal(shape[0])
        if seed % 3:  # convex, so that psi may fall nowhere
            r = np.abs(r) * np.sign(1 - rho)
        V = np.array([ray.direction for ray in extreme_rays(X, np.arange(len(X)))])
        V = np.vstack([V, -V])
        # A space on which all x(n) vanish is left out.
        falls = bool((r @ leaky_relu(X @ V.T, rho) < -1e-9).any())
        assert falls == (least(X, r, rho) < -1e-9), seed
        seen.add(falls)
    assert seen == {True, False}


def test_rays_are_exact_and_generate_parallel_and_dependent_points():
    X = np.array([[0.1, 0.2, 0.0], [0.3, 0.1, 0.0], [0.2, 0.4, 0.0], [1.0, -1.0, 0.0]])
    rays = extreme_rays(X, np.array([0, 1, 3]))
    assert len(rays) == 3  # three lines in the plane that the points span
    for ray in rays:
        assert (ray.sides == 0).sum() == (2 if ray.sides[0] == 0 else 1)
        assert (np.sign(X @ ray.direction) == ray.sides)[ray.sides != 0].all()
    assert extreme_rays(np.random.default_rng(0).standard_normal((60, 6)), np.arange(60)) is None


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("rho", [0.1, 0.0, -1.0, 2.0])
def test_multipliers_exist_where_a_convex_psi_rises_everywhere(rho):
    seen = set()
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X, r = rng.standard_normal((5, 2)), rng.uniform(0.5, 1.5, 5) * np.sign(1 - rho)
        g, sigma = rng.standard_normal(2), float(np.linalg.svd(X, compute_uv=False)[-1])
        ends = np.stack([rho * r, r], axis=1)
        proven = has_multipliers(X, g, 1e-12, ends, 1e-12, sigma)
        assert proven == (least(X, r, rho, g) > -1e-9), seed
        seen.add(proven)
        assert not has_multipliers(X, g, 100.0, ends, 1e-12, sigma)
        assert not has_multipliers(X, g, 1e-12, ends, 100.0, sigma)
    assert seen == {True, False}


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("rho", [0.1, 0.0, -1.0, 2.0])
def test_falling_turn_is_a_direction_in_which_psi_has_the_wrong_sign(rho):
    for seed in range(9):
        rng = np.random.default_rng(seed)
        X, r, sign = rng.standard_normal((6, 2)), rng.standard_normal(6), [0.0, 1.0, -1.0][seed % 3]
        at_zero = np.arange(6) < 3
        turn = falling_turn(X, r, 1e-9, rho, sign=sign, at_zero=at_zero, slopes=np.full(6, rho))
        g = rho * (r[~at_zero] @ X[~at_zero])
        if turn is None:
            assert sign, seed
            assert least(X[at_zero], sign * r[at_zero], rho, sign * g) > -1e-8
            continue
        t = X @ turn.direction
        psi = r @ np.where(at_zero, leaky_relu(t, rho), rho * t)
        assert turn.slope == pytest.approx(psi)
        assert abs(psi) > turn.error
        assert sign * psi <= 0
    assert falling_turn(X, r, 100.0, rho) is None  # nothing is proven at such an error


def test_falling_turn_finds_a_psi_that_is_zero_at_all_points():
    # What a certificate of small integers met: the moduli |v . x(n)| cancel at every point, and r X is zero.
    X = np.array([[2.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    r = np.array([1.0, -2.0, 1.0])
    assert not (r @ X).any()
    turn = falling_turn(X, r, 1e-12, 0.0)
    assert turn is not None
    assert r @ leaky_relu(X @ turn.direction, 0.0) == pytest.approx(turn.slope)
