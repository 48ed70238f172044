"""Which regions hold a minimum: against generators of the cells, minima that are made, and certificates."""

import itertools
import tracemalloc

import jax
import numpy as np
import pytest

from mnnjax.config import UserError
from mnnjax.landscape import activation_pattern, certify, descend, khatri_rao, region_residual, telling
from mnnjax.landscape.regions import membership
from mnnjax.landscape.regions.membership import holds_minimum, region_holds_dlm
from mnnjax.landscape.volumes.arrangement import cells
from tests.landscape.oracles import edges, is_positive_combination

RHOS = (0.0, 0.1, -0.5, 2.0)


def holds_by_generators(A, X, y, rho):
    """Every cell as the positive combinations of its edges, every one of the 3^d1 choices, and the largest smallest
    coefficient: no pruning, no normal vectors."""
    sigma = np.where(A == 1, 1.0, -1.0)
    target = y - np.asarray(region_residual(A, X, y))
    if np.linalg.norm(target) < 1e-9 * np.linalg.norm(y):
        target = np.zeros_like(y)
    for signs in itertools.product((1, -1, 0), repeat=A.shape[1]):
        columns = [s * A[:, i] * (X @ edge) for i, s in enumerate(signs) if s for edge in edges(sigma[:, i], X)]
        if is_positive_combination(target, columns) if columns else not target.any():
            return True
    return False


def random_case(rng, d1):
    N = int(rng.integers(2, 7))
    X = rng.normal(size=(N, 2))
    y = rng.integers(0, 2, N).astype(float) if rng.random() < 0.7 else rng.normal(size=N)
    return X, y, activation_pattern(rng.normal(size=(d1, 2)), X, 0.0) == 1


@pytest.mark.slow
@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("d1", [1, 2, 3])
def test_every_choice_of_signs_tried_with_generators_agrees(rho, d1):
    rng = np.random.default_rng([d1, int(10 * rho) + 10])
    answers = []
    for _ in range(25):
        X, y, active = random_case(rng, d1)
        A = np.where(active, 1.0, rho)
        answers.append(region_holds_dlm(A, X, y, rho))
        assert answers[-1] == holds_by_generators(A, X, y, rho), (A, X, y)
    assert len(set(answers)) == 2 or d1 == 1


@pytest.mark.slow
@pytest.mark.parametrize("rho", RHOS)
def test_a_minimum_that_is_made_is_found(rho):
    rng = np.random.default_rng(0)
    for N, d0, d1 in [(4, 2, 2), (8, 3, 3), (12, 4, 4), (20, 6, 5)]:
        X, W, z = rng.normal(size=(N, d0)), rng.normal(size=(d1, d0)), rng.normal(size=d1)
        A = np.asarray(activation_pattern(W, X, rho))
        y = np.asarray(khatri_rao(A, X)) @ (z[:, None] * W).ravel()
        assert region_holds_dlm(A, X, y, rho)
        # A residual orthogonal to the column space leaves the minimum where it is.
        noise = rng.normal(size=N)
        assert region_holds_dlm(A, X, y + np.asarray(region_residual(A, X, noise)), rho)
        assert holds_minimum(A, X, y, np.zeros(N), rho, signs=np.sign(z).astype(int)).holds


def test_frozen_signs_are_kept():
    X, y = np.array([[1.0, 0.2], [0.3, 1.0]]), np.array([1.0, 1.0])
    A = np.ones((2, 1))
    assert holds_minimum(A, X, y, np.zeros(2), 0.0, signs=np.array([1])) == (True, True)
    assert holds_minimum(A, X, y, np.zeros(2), 0.0, signs=np.array([-1])) == (False, True)
    assert holds_minimum(A, X, -y, np.zeros(2), 0.0).holds


@pytest.mark.parametrize("rho", RHOS)
def test_labels_that_are_all_zero_are_fitted_by_z_zero(rho):
    rng = np.random.default_rng(1)
    X, W = rng.normal(size=(7, 3)), rng.normal(size=(4, 3))
    assert region_holds_dlm(activation_pattern(W, X, rho), X, np.zeros(7), rho)


def test_an_empty_region_holds_nothing():
    X = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    A = np.array([[1.0], [0.0], [1.0]])  # two parallel points on different sides
    assert not region_holds_dlm(A, X, np.zeros(3), 0.0)
    assert not region_holds_dlm(np.ones((1, 1)), np.zeros((1, 2)), np.zeros(1), 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_order_rotation_and_scale_change_nothing(rho):
    rng = np.random.default_rng(2)
    for _ in range(30):
        X, y = rng.normal(size=(6, 3)), rng.integers(0, 2, 6).astype(float)
        A = np.asarray(activation_pattern(rng.normal(size=(3, 3)), X, rho))
        answer = region_holds_dlm(A, X, y, rho)
        points, neurons, Q = rng.permutation(6), rng.permutation(3), np.linalg.qr(rng.normal(size=(3, 3)))[0]
        assert region_holds_dlm(A[points], X[points], y[points], rho) == answer
        assert region_holds_dlm(A[:, neurons], X @ Q, y, rho) == answer
        assert region_holds_dlm(A, 1e3 * X, y, rho) == answer
        assert region_holds_dlm(A, X, 1e-3 * y, rho) == answer


def test_neurons_of_one_pattern_count_once():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(5, 3)), np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    A = np.asarray(activation_pattern(rng.normal(size=(2, 3)), X, 0.1))
    # Two neurons in each cell make any vectors, and 2 x 3 >= 5 weights then fit any labels.
    assert region_holds_dlm(np.hstack([A, A]), X, y, 0.1)
    assert region_holds_dlm(np.hstack([A] * 15), X, y, 0.1)


@pytest.mark.slow
def test_minima_that_certificates_find_lie_in_regions_that_hold_one():
    rng = np.random.default_rng(4)
    verdicts = set()
    for rho in (0.0, 0.1):
        for _ in range(20):
            X, W = rng.normal(size=(9, 3)), rng.normal(size=(2, 3))
            A = np.asarray(activation_pattern(W, X, rho))
            z = rng.normal(size=2)
            y = np.asarray(khatri_rao(A, X)) @ (z[:, None] * W).ravel()
            y = y + np.asarray(region_residual(A, X, rng.normal(size=9))) * rng.integers(0, 2)
            verdict = certify(W, z, X, y, rho).verdict
            verdicts.add(verdict)
            if verdict in ("global_minimum", "suboptimal_dlm"):
                assert region_holds_dlm(A, X, y, rho)
    assert {"global_minimum", "suboptimal_dlm"} <= verdicts


@pytest.mark.slow
def test_all_regions_of_a_small_arrangement_agree_with_generators():
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(4, 2)), np.array([1.0, 0.0, 0.0, 1.0])
    patterns, _ = cells(X)
    for rho in (0.0, 0.1):
        for pair in itertools.combinations_with_replacement(patterns, 2):
            A = np.where(np.stack(pair, axis=1), 1.0, rho)
            assert region_holds_dlm(A, X, y, rho) == holds_by_generators(A, X, y, rho)


@pytest.mark.wrong_types
def test_bad_input_is_a_one_line_error():
    A, X, y = np.ones((3, 2)), np.ones((3, 2)), np.ones(3)
    for call in (
        lambda: region_holds_dlm(A, X[:2], y, 0.0),
        lambda: region_holds_dlm(A, X, y[:2], 0.0),
        lambda: region_holds_dlm(0.5 * A, X, y, 0.0),
        lambda: region_holds_dlm(A, X, y, 1.0),
        lambda: region_holds_dlm(A, np.full((3, 2), np.nan), y, 0.0),
    ):
        with pytest.raises(UserError) as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_more_signs_and_zeros_than_can_be_tried_are_an_error_not_a_wait(monkeypatch):
    X = np.asarray(jax.random.normal(jax.random.key(0), (30, 8)))
    W = jax.random.normal(jax.random.key(1), (25, 8))
    assert region_holds_dlm(activation_pattern(W, X, 0.0), X, np.arange(30) % 2, 0.0)
    monkeypatch.setattr(membership, "search_inside", lambda *_: False)
    with pytest.raises(UserError, match="output_signs"):
        region_holds_dlm(activation_pattern(W, X, 0.0), X, np.arange(30) % 2, 0.0)
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(20, 10)), rng.integers(0, 2, 20).astype(float)
    A = activation_pattern(rng.normal(size=(8, 10)), X, 0.0)
    assert not region_holds_dlm(A, X, y, 0.0)
    monkeypatch.setattr(membership, "MOST_SETS", 100)
    with pytest.raises(UserError, match=r"100 sets.*output_signs"):
        region_holds_dlm(A, X, y, 0.0)


def test_more_linear_programs_than_the_limit_are_an_error(monkeypatch):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(12, 4)), rng.normal(size=12)
    A = activation_pattern(rng.normal(size=(4, 4)), X, 0.1)
    assert not region_holds_dlm(A, X, y, 0.1)
    monkeypatch.setattr(membership, "MOST_PROGRAMS", 0)
    with pytest.raises(UserError, match="0 linear programs leave signs of 4 neurons open"):
        region_holds_dlm(A, X, y, 0.1)


def test_sign_choices_are_all_that_no_point_forbids_and_take_a_byte_a_sign():
    rng = np.random.default_rng(0)
    k, target = 16, np.array([0.0, 1.0, -1.0])
    outputs = rng.integers(-1, 2, (3, k))
    given = np.where(np.arange(k) % 8 == 3, -1, 0)
    neurons = membership._Neurons([], outputs, np.ones((3, k)), np.zeros(k, bool), given, np.ones((3, k)))
    tracemalloc.start()
    found = membership._sign_choices(neurons, tuple(range(k)), target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    options = [(-1, 1) if sign == 0 else (sign,) for sign in given]
    every = np.array(list(itertools.product(*options)))
    positive, negative = ((sign * every[:, None] * outputs > 0).any(axis=2) for sign in (1, -1))
    allowed = np.where(target == 0, positive == negative, np.where(target > 0, positive, negative)).all(axis=1)
    np.testing.assert_array_equal(found, every[allowed])
    assert found.dtype == np.int8
    assert peak < 6 * every.size


@pytest.mark.slow
def test_the_search_inside_a_region_agrees_with_the_linear_programs(monkeypatch):
    """On 200 random regions, some with neurons of one pattern: the search alone, and the linear programs alone."""
    rng, answers, found = np.random.default_rng(6), [], 0
    search = membership.search_inside

    def counting(*arguments):
        nonlocal found
        found += (accepted := search(*arguments))
        return accepted

    monkeypatch.setattr(membership, "search_inside", counting)
    for _ in range(200):
        N, d0, d1 = rng.choice([(4, 2, 2), (6, 2, 3), (6, 3, 2), (8, 4, 3)])  # few shapes, since each is compiled
        rho, X = float(rng.choice(RHOS)), rng.normal(size=(N, d0))
        y = rng.integers(0, 2, N).astype(float) if rng.random() < 0.5 else rng.normal(size=N)
        W = rng.normal(size=(d1, d0))
        W[-1] = W[0] if rng.random() < 0.2 else W[-1]
        A = np.asarray(activation_pattern(W, X, rho))
        signs, e = rng.choice([-1, 1], d1), np.asarray(region_residual(A, X, y))
        pair = []
        for neurons in (0, 100):
            monkeypatch.setattr(membership, "MANY_NEURONS", neurons)
            pair.append((region_holds_dlm(A, X, y, rho), holds_minimum(A, X, y, e, rho, signs).holds))
        assert pair[0] == pair[1], (A, X, y, rho)
        answers.append(pair[0])
    assert found > 20
    assert len(set(answers)) == 3  # given signs are fewer than any


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.slow
def test_a_minimum_among_a_million_signs_is_found_without_linear_programs(trained, monkeypatch):
    """Twenty neurons: of a region that training came to, and of a random one. 2^20 choices of signs of z."""
    rng = np.random.default_rng(0)
    X, y, W, z = rng.normal(size=(60, 12)), rng.choice([-1.0, 1.0], 60), rng.normal(size=(20, 12)), rng.normal(size=20)
    if trained:
        end = descend(W, z, X, y, 0.0)
        assert end.certificate.verdict == "global_minimum"
        W = end.W
    monkeypatch.setattr(membership, "search_signs", None)
    assert region_holds_dlm(activation_pattern(W, X, 0.0), X, y, 0.0)


def test_a_long_search_says_how_far_it_is(monkeypatch):
    rng, lines = np.random.default_rng(1), []
    monkeypatch.setattr(telling, "SECONDS_BETWEEN_LINES", 0.0)
    X, y, W = rng.normal(size=(12, 4)), rng.normal(size=12), rng.normal(size=(4, 4))
    A = activation_pattern(W, X, 0.1)
    held = region_holds_dlm(A, X, y, 0.1, progress=lines.append)
    assert held == region_holds_dlm(A, X, y, 0.1, progress=None)
    assert any(" choices of signs of z decided in " in line for line in lines)
    assert any(line.endswith("left at this rate") for line in lines)
