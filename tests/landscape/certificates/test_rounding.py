"""Points that are nearly parallel, or of very different norms: what rounding must not decide."""

import collections
import math
import types
from fractions import Fraction

import jax
import numpy as np
import pytest
from scipy.stats import norm

from mnnjax.landscape import (
    estimate_volumes,
    exact_rank_deficient,
    exact_volumes,
    fit_importance,
    khatri_rao_rank,
    region_errors,
    region_holds_dlm,
    run_splitting,
)
from mnnjax.landscape.regions import margins
from mnnjax.landscape.volumes.sampling import DEFICIENT, DOUBTFUL, FULL, are_deficient, make_screen
from tests.landscape.oracles import dot, exactly, kron_rows, solve


@pytest.mark.slow
def test_the_screening_is_never_sure_and_wrong():
    rng = np.random.default_rng(5)
    screen = jax.jit(make_screen(6, 2, 4, 0.0, 16))
    classes = set()
    for _ in range(40):
        X = rng.normal(size=(6, 2))
        kind = rng.integers(4)
        if kind == 0:
            X[1] = rng.choice([-1.0, 2.0]) * X[0] + 10.0 ** -rng.integers(2, 15) * rng.normal(size=2)
        elif kind == 1:
            X *= 10.0 ** rng.uniform(-8, 8, (6, 1))
        elif kind == 2:
            X = rng.integers(1, 3, (6, 2)) * rng.choice([-1.0, 1.0], (6, 2))
        screened = jax.device_get(screen(jax.random.key(int(rng.integers(1000))), 0, X, 6, 4))
        A = screened.patterns[:8].astype(float)
        ranks = np.array([khatri_rao_rank(a, X) for a in A])
        rank_class = screened.rank_class[:8]
        classes |= set(rank_class.tolist())
        assert (ranks[rank_class == FULL] == 6).all()
        assert (ranks[rank_class == DEFICIENT] < 6).all()
        assert (are_deficient(A, X, 0.0) == (ranks < 6)).all()
    assert classes == {DEFICIENT, FULL, DOUBTFUL}


@pytest.mark.slow
def test_volumes_of_nearly_parallel_points_agree_with_sampling():
    rng = np.random.default_rng(11)
    X, y = rng.normal(size=(4, 3)), np.array([1.0, 0.0, 1.0, 1.0])
    X[3] = 2 * X[0] + 1e-6 * rng.normal(size=3)
    exact = exact_volumes(X, y, 2, 0.0, 0.0)
    assert math.isclose(exact.total, 1, rel_tol=1e-12)
    draws = 8192
    found = estimate_volumes(jax.random.key(0), X, y, 2, 0.0, 0.0, draws, suboptimal_samples=0, global_samples=0)
    deviation = math.sqrt(exact.rank_deficient * (1 - exact.rank_deficient) / draws)
    # At level 1e-4.
    assert abs(found.rank_deficient.estimate - exact.rank_deficient) < norm.isf(5e-5) * deviation


def test_minima_of_nearly_parallel_points_are_those_of_rational_arithmetic():
    X = [[-1.25390625, 0.5107421875], [0.390625, 1.5224609375], [-0.3125, -0.15625], [0.666015625, 0.548828125]]
    A = np.array([[1.0, 0], [1, 0], [1, 0], [0, 0], [1, 0]])
    assert region_holds_dlm(A, np.array([*X, [-2.5077056884765625, 1.0214385986328125]]), np.eye(5)[0], 0.0)


def exact_answer(A, X, y):
    """Where A o X is square, in rational arithmetic: theta is unique, and each neuron's is 0 or has all heights of one
    sign. None where it is singular."""
    theta, rank = solve(exactly(kron_rows(A, X)), exactly(y)[0])
    if rank < len(y):
        return None
    d0, points = X.shape[1], exactly(X)
    for i, pattern in enumerate(A.T):
        theta_i = theta[i * d0 : (i + 1) * d0]
        heights = [dot(x, theta_i) * (1 if a == 1 else -1) for x, a in zip(points, pattern, strict=True)]
        if any(theta_i) and not (all(h > 0 for h in heights) or all(h < 0 for h in heights)):
            return False
    return True


@pytest.mark.slow
def test_verdicts_on_nearly_parallel_points_are_exact_or_none():
    rng, found = np.random.default_rng(15), collections.Counter()
    for trial in range(300):
        d1, rho, digits = 1 + trial % 2, [0.0, 0.125, -0.5][trial % 3], rng.uniform(2, 12)
        X, W = rng.normal(size=(2 * d1, 2)), rng.normal(size=(d1, 2))
        X[-1] = rng.choice([-1.0, 2.0]) * X[0] + 10.0**-digits * rng.normal(size=2)
        A = np.where(X @ W.T > 0, 1.0, rho)
        y = rng.integers(0, 2, 2 * d1).astype(float) if rng.random() < 0.5 else rng.normal(size=2 * d1)
        expected = exact_answer(A, X, y)
        if expected is None:
            continue
        try:
            answer = region_holds_dlm(A, X, y, rho)
        except ArithmeticError:
            answer = None
        assert answer == expected or (answer is None and digits > 3), (trial, A, X, y)
        found[answer] += 1
    assert min(found[answer] for answer in (True, False, None)) > 5


def test_a_linear_program_that_does_not_end_is_no_verdict(monkeypatch):
    rng = np.random.default_rng(16)
    X, y = rng.normal(size=(4, 2)), np.array([1.0, 0.0, 1.0, 1.0])
    A = np.where(X @ rng.normal(size=(3, 2)).T > 0, 1.0, 0.0)
    region_holds_dlm(A, X, y, 0.0)
    monkeypatch.setattr(margins, "linprog", lambda *_, **__: types.SimpleNamespace(status=4))
    with pytest.raises(ArithmeticError, match="rounding"):
        region_holds_dlm(A, X, y, 0.0)


@pytest.mark.slow
def test_exact_volumes_tell_how_much_is_in_doubt():
    X, y = np.random.default_rng(11).normal(size=(4, 2)), np.array([1.0, 0.0, 1.0, 1.0])
    assert exact_volumes(X, y, 3, 0.1, 0.0).in_doubt == 0
    X[3] = 2 * X[0] + 1e-9 * X[1]
    found = exact_volumes(X, y, 3, 0.1, 0.0)
    assert 0 < found.in_doubt < found.total


@pytest.mark.slow
def test_factors_of_points_and_their_labels_change_nothing_where_all_are_fitted():
    rng, answers = np.random.default_rng(12), []
    for trial in range(20):
        X, W = rng.normal(size=(5, 2)), rng.normal(size=(3, 2))
        A = np.where(X @ W.T > 0, 1.0, 0.1)
        # Every other time, labels that a network of the region fits.
        y = rng.normal(size=5) if trial % 2 else (A * (X @ W.T)) @ rng.normal(size=3)
        if khatri_rao_rank(A, X) == 5:
            answers.append(region_holds_dlm(A, X, y, 0.1))
            factors = 10.0 ** rng.uniform(-3, 3, 5)
            assert region_holds_dlm(A, X * factors[:, None], y * factors, 0.1) == answers[-1]
            assert answers[-1] or trial % 2
    assert set(answers) == {False, True}


@pytest.mark.slow
@pytest.mark.parametrize("lower", [0.0, -1.0])
def test_points_that_no_relu_sees_are_of_the_lower_class(lower):
    """Their output is 0, the threshold of labels -1 and 1: against least squares on the other points alone."""
    rng, unseen = np.random.default_rng(14), 0
    for _ in range(30):
        X, y = rng.normal(size=(12, 3)), rng.choice([lower, 1.0], 12)
        A = (X @ rng.normal(size=(2, 3)).T > 0).astype(float)
        dead = ~A.any(axis=1)
        M = (A[:, :, None] * X[:, None, :]).reshape(12, -1)[~dead]
        output = np.zeros(12)
        output[~dead] = M @ np.linalg.lstsq(M, y[~dead])[0]
        mse, mce = region_errors(A, X, y, (lower + 1) / 2)
        assert math.isclose(mse, np.mean((y - output) ** 2), rel_tol=1e-9)
        assert math.isclose(mce, np.mean((output > (lower + 1) / 2) != (y > 0)), rel_tol=1e-12)
        unseen += dead.sum()
    assert unseen > 30


@pytest.mark.slow
def test_splitting_is_unbiased_where_scores_are_often_wrong():
    """Two nearly parallel points look like one to the scores, which decide nothing at the end."""
    rng = np.random.default_rng(13)
    X, d1, options = rng.normal(size=(3, 2)), 6, {"target": "rank_deficient", "particles": 300}
    X[2] = 1.5 * X[0] + 1e-5 * rng.normal(size=2)
    exact = exact_rank_deficient(X, d1, 0.1)
    assert exact < 0.1
    h = fit_importance(jax.random.key(0), X, np.zeros(3), d1, 0.1, 0.0, **options)
    keys = jax.random.split(jax.random.key(1), 40)
    runs = np.array([run_splitting(key, h, X, np.zeros(3), d1, 0.1, 0.0, **options).volume for key in keys])
    assert (runs >= 0).all()
    # At level 1e-4.
    assert abs(runs.mean() - exact) < norm.isf(5e-5) * runs.std(ddof=1) / math.sqrt(len(runs))
    assert runs.std(ddof=1) < 0.5 * exact


@pytest.mark.slow
def test_one_neuron_on_points_of_unlike_lengths_is_decided_as_in_rational_arithmetic():
    """Up to a factor of 1e5; beyond, least squares say nothing of the shortest that could be relied on."""
    rng, answers = np.random.default_rng(13), collections.Counter()
    for _ in range(300):
        X, y = rng.normal(size=(4, 2)), rng.integers(0, 2, 4).astype(float)
        X *= (10.0 ** rng.uniform(-4.9, 0, (4, 1))) / np.linalg.norm(X, axis=1, keepdims=True)
        A = np.where(X @ rng.normal(size=(2, 1)) > 0, 1.0, 0.5)
        columns, labels = list(zip(*exactly(kron_rows(A, X)), strict=True)), [Fraction(v) for v in y]
        theta, _ = solve([[dot(a, b) for b in columns] for a in columns], [dot(a, labels) for a in columns])
        heights = [(1 if a == 1 else -1) * dot(x, theta) for a, x in zip(A[:, 0], exactly(X), strict=True)]
        holds = all(h > 0 for h in heights) or all(h < 0 for h in heights) or not any(theta)
        assert region_holds_dlm(A, X, y, 0.5) == holds, (A, X, y)
        answers[holds] += 1
    assert min(answers.values()) > 20


@pytest.mark.parametrize("function", ["region_holds_dlm", "exact_volumes", "estimate_volumes", "fit_importance"])
@pytest.mark.parametrize(
    ("X", "words"),
    [
        ([[1.0], [1e-8]], r"X: point 1 has norm 1e-08 and the longest 1; beyond a factor 100000 "),
        ([[1e155], [1e155]], r"X: has points of norm 1e\+155; divide X by that"),
        ([[1e-162], [1e-162]], r"X: has points of norm 1e-162; divide X by that"),
    ],
)
def test_points_that_rounding_would_lose_are_refused(function, X, words):
    X, y = np.array(X), np.array([1.0, 0.0])
    calls = {
        "region_holds_dlm": lambda: region_holds_dlm(np.ones((2, 1)), X, y, 0.5),
        "exact_volumes": lambda: exact_volumes(X, y, 1, 0.5),
        "estimate_volumes": lambda: estimate_volumes(jax.random.key(0), X, y, 1, 0.5, samples=16),
        "fit_importance": lambda: fit_importance(jax.random.key(0), X, y, 1, 0.5, 0.0, target="rank_deficient"),
    }
    with pytest.raises(ValueError, match=words):
        calls[function]()


@pytest.mark.parametrize("size", [1e-300, 1e-155, 1e155, 1e300])
def test_rank_at_any_scale(size):
    rng = np.random.default_rng(14)
    A, X = np.where(rng.normal(size=(6, 2)) > 0, 1.0, 0.5), rng.normal(size=(6, 2))
    assert khatri_rao_rank(A, X * size) == khatri_rao_rank(A, X) == 4
    assert jax.jit(khatri_rao_rank)(A, X * size) == 4
    assert khatri_rao_rank(A * size, X * size) == 4
