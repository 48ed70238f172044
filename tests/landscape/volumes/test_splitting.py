"""Volumes by splitting against exact ones, closed forms far below what sampling reaches, and plain sampling."""

import itertools
import math

import jax
import numpy as np
import pytest
from scipy.stats import binom, norm

from mnnjax.config import UserError
from mnnjax.landscape import (
    combine,
    estimate_volumes,
    exact_rank_deficient,
    exact_volumes,
    fit_importance,
    run_splitting,
    split_volume,
)
from mnnjax.landscape.volumes.arrangement import cells

PLANE = np.random.default_rng(7).normal(size=(4, 2))
LABELS = np.array([1.0, 0.0, 1.0, 0.0])
# Three points and nearly their negative sum: the cells are small, and all activations equal in none.
SPACE = np.vstack([np.eye(3), [-1.0, -1.1, -0.9]])


def runs_of(importance, X, y, d1, rho, target, particles, repeats, seed=0, **options):
    keys = jax.random.split(jax.random.key(seed), repeats)
    options |= {"target": target, "particles": particles}
    return np.array([run_splitting(key, importance, X, y, d1, rho, 0.0, **options) for key in keys])


def assert_mean(values, expected):
    """A z-test at level 1e-4: the means of this many runs are normal enough for that, as their skewness is below 2."""
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert abs(values.mean() - expected) < norm.isf(5e-5) * error
    assert error < 0.1 * expected


def misses(runs, together, expected):
    """How many 95 % intervals, of so many runs each, miss the volume: for a binomial test at level 1e-3."""
    ends = np.array([combine(part)[1:] for part in runs.reshape(-1, together)])
    return int(np.sum((ends[:, 0] > expected) | (ends[:, 1] < expected)))


@pytest.fixture(scope="module")
def importance():
    return fit_importance(jax.random.key(99), PLANE, LABELS, 6, 0.0, 0.0, target="rank_deficient", particles=50)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fitted", "constant", "random"])
def test_the_rank_deficient_volume_is_unbiased_for_any_importance(importance, kind):
    noise, exact = np.random.default_rng(0).normal(size=importance.shape), exact_rank_deficient(PLANE, 6, 0.0)
    h = {"fitted": importance, "constant": np.ones_like(importance), "random": np.exp(noise)}[kind]
    runs = runs_of(h, PLANE, LABELS, 6, 0.0, "rank_deficient", 50, 250)
    assert_mean(runs[:, 0], exact)
    if kind == "fitted":
        assert misses(runs[:, 0], 10, exact) <= binom.isf(1e-3, 25, 0.05)


def candidates(X, y, d1, rho, eps):
    """The volume of the regions whose residual is not zero and leaves MCE > eps, over all tuples of cells."""
    patterns, volumes = cells(X)
    total = 0.0
    for chosen in itertools.product(range(len(volumes)), repeat=d1):
        A = np.where(patterns[list(chosen)].T, 1.0, rho)
        M = (A[:, :, None] * X[:, None, :]).reshape(len(X), -1)
        output = M @ np.linalg.lstsq(M, y)[0]
        wrong = np.mean((output > 0.5 + 1e-9) != (y > 0.5)) > eps
        total += volumes[list(chosen)].prod() * (wrong and np.linalg.norm(y - output) > 1e-8)
    return total


@pytest.mark.slow
def test_bad_minima_are_unbiased_though_few_particles_are_asked(importance):
    d1 = 3
    exact = exact_volumes(PLANE, LABELS, d1, 0.0, 0.0)
    runs = runs_of(
        importance[: d1 + 1], PLANE, LABELS, d1, 0.0, "suboptimal", 50, 150, max_linear_programs=5
    )  # fmt: skip
    assert_mean(runs[:, 0], exact.suboptimal)
    assert_mean(runs[:, 1], candidates(PLANE, LABELS, d1, 0.0, 0.0))
    assert exact.suboptimal < runs[:, 1].mean() < exact.rank_deficient


def equal_patterns(d1, rho):
    """The rank-deficient volume of four points in space, no three in a plane, for rho not 0 or -1: e (A o X) = 0 makes
    e a_i, for every neuron i, a multiple of the one relation that the points have. So all neurons have one pattern, up
    to the factor rho between all active and all inactive."""
    patterns, volumes = cells(SPACE)
    same = patterns.all(axis=1) | ~patterns.any(axis=1)
    assert len(volumes) == 14
    return float(np.sum(volumes[~same] ** d1) + volumes[same].sum() ** d1)


@pytest.mark.slow
@pytest.mark.parametrize(("d1", "below"), [(17, 1e-15), (34, 1e-30)])
def test_volumes_far_below_what_sampling_reaches(d1, below):
    exact = exact_rank_deficient(SPACE, d1, 0.1)
    assert math.isclose(equal_patterns(d1, 0.1), exact, rel_tol=1e-9)
    assert 0 < exact < below
    found = split_volume(jax.random.key(d1), SPACE, LABELS, d1, 0.1, particles=400, runs=12)
    assert (found.estimate, found.low, found.high) == combine(found.runs)
    _, low, high = combine(found.runs, 0.999)
    assert low <= exact <= high
    assert found.high < 5 * found.low


@pytest.mark.slow
def test_many_neurons_do_not_lose_the_target():
    """Particles of full rank have no chance. They fill most of weight space, and must not become most particles."""
    d1 = 40
    exact = exact_rank_deficient(PLANE, d1, 0.0)
    assert exact < 1e-11
    h = fit_importance(jax.random.key(0), PLANE, LABELS, d1, 0.0, 0.0, target="rank_deficient", particles=200)
    runs = runs_of(h, PLANE, LABELS, d1, 0.0, "rank_deficient", 200, 30)[:, 0]
    assert_mean(runs, exact)
    assert (runs > 0).all()
    assert misses(runs, 5, exact) <= binom.isf(1e-3, 6, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["rank_deficient", "suboptimal"])
def test_sampling_agrees_beyond_three_dimensions(target):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(8, 4)), np.r_[1.0, 0.0, rng.integers(0, 2, 6)]
    draws = 4096 if target == "rank_deficient" else 512
    sampled = estimate_volumes(
        jax.random.key(0), X, y, 3, 0.0, 0.1, draws, suboptimal_samples=draws * (target == "suboptimal"),
        global_samples=0,
    )  # fmt: skip
    counted = getattr(sampled, target)
    found = split_volume(
        jax.random.key(1), X, y, 3, 0.0, 0.1, target=target, particles=100, runs=10, max_linear_programs=20
    )
    p, runs = counted.estimate, np.array(found.runs)
    assert 0 < p < 1
    error = math.hypot(math.sqrt(p * (1 - p) / draws), runs.std(ddof=1) / math.sqrt(len(runs)))
    # Of 10 runs, so that Student's distribution is not far: level 1e-3.
    assert abs(found.estimate - p) < 5 * error
    assert found.low <= found.estimate <= found.high
    assert math.isclose(found.estimate, runs.mean())
    assert found.candidate.estimate >= found.estimate


@pytest.mark.slow
def test_where_no_particle_is_in_the_target_nothing_is_known():
    """At most d0 points have full rank wherever rho is not 0."""
    found = split_volume(jax.random.key(0), PLANE[:2], LABELS[:2], 2, 0.1, particles=50, runs=3)
    assert (found.estimate, found.low, found.high) == (0, 0, 1)
    assert found.runs == (0, 0, 0)


@pytest.mark.slow
def test_a_run_is_a_pure_function(importance):
    options = {"target": "rank_deficient", "particles": 50}
    run, again, other = (
        run_splitting(jax.random.key(seed), importance, PLANE, LABELS, 6, 0.0, 0.0, **options) for seed in (1, 1, 2)
    )
    assert run == again != other
    same = fit_importance(jax.random.key(99), PLANE, LABELS, 6, 0.0, 0.0, **options)
    np.testing.assert_array_equal(same, importance)
    assert (importance > 0).all()


@pytest.mark.slow
@pytest.mark.wrong_types
def test_bad_input_is_a_one_line_error(importance):
    key, X, y = jax.random.key(0), PLANE, LABELS
    for message, call in (
        ("target", lambda: split_volume(key, X, y, 2, 0.0, target="global_minima")),
        ("runs", lambda: split_volume(key, X, y, 2, 0.0, runs=1)),
        ("particles", lambda: split_volume(key, X, y, 2, 0.0, particles=1)),
        ("eps", lambda: split_volume(key, X, y, 2, 0.0, 1.0)),
        ("d1", lambda: split_volume(key, X, y, 0, 0.0)),
        ("rho", lambda: split_volume(key, X, y, 2, 1.0)),
        ("y", lambda: split_volume(key, X, y[:3], 2, 0.0)),
        ("point 0 is zero", lambda: split_volume(key, 0 * X, y, 2, 0.0)),
        ("importance", lambda: run_splitting(key, importance, X, y, 5, 0.0, 0.0, target="rank_deficient")),
        ("importance", lambda: run_splitting(key, 0 * importance, X, y, 6, 0.0, 0.0, target="rank_deficient")),
    ):
        with pytest.raises(UserError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
