"""Sampled volumes: draw by draw against plain loops, and against exact volumes and closed forms."""

import math

import jax
import numpy as np
import pytest
from scipy.stats import binom, norm

from mnnjax.config import UserError
from mnnjax.landscape import (
    estimate_expected_volumes,
    estimate_volumes,
    exact_rank_deficient,
    exact_volumes,
    khatri_rao_rank,
    region_holds_dlm,
    region_residual,
)
from mnnjax.landscape.volumes.sampling import decide, make_screen
from mnnjax.problems.gaussian import draw_inputs, random_labels
from tests.landscape.oracles import edges, is_positive_combination, labels, most_misses, three

DRAWS = 64


@pytest.fixture(scope="module")
def screen():
    """Screens with 4 points in the plane and 2 neurons; 6 rows and 4 neurons of which those are the first."""

    def on_host(rows, units):
        program = jax.jit(make_screen(rows, 2, units, 0.0, DRAWS))
        return lambda *arguments: jax.device_get(program(*arguments))

    return {sizes: on_host(*sizes) for sizes in ((4, 2), (6, 4))}


def cut(screened, start, stop):
    return jax.tree.map(lambda a: a[start:stop], screened)


def reaches(pattern, X, target, signs):
    """Whether outputs z_i f(w_i . x), z_i of the given signs, make the target: positive combinations of what the edges
    of the cells do, the smallest coefficient as large as it gets."""
    columns = [
        s * np.where(a, X @ edge, 0.0)
        for s, a in zip(signs, pattern.T, strict=True)
        for edge in edges(np.where(a, 1, -1), X)
    ]
    return is_positive_combination(target, columns)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("y", "eps"),
    [
        ([1.0, 0.0, 1.0, 1.0], 0.25),
        ([0.0, 0.0, 0.0, 1.0], 0.0),
        ([1.0, -1.0, -1.0, 1.0], 0.25),
        ([1.0, -1.0, 1.0, -1.0], 0.0),
        ([0.3, -2.0, 0.0, 1.5], 0.25),
    ],
)
def test_every_draw_is_counted_as_a_plain_loop_counts_it(screen, y, eps):
    X, y = np.random.default_rng(1).normal(size=(4, 2)), np.array(y)
    threshold = 0.0 if -1 in y else 0.5
    screened = screen[4, 2](jax.random.key(0), 0, X, 4, 2)
    hits = np.zeros((DRAWS, 3), int)
    random_signs = np.zeros(DRAWS, int)
    for i, pattern in enumerate(screened.patterns):
        A = pattern.astype(float)
        e = np.asarray(region_residual(A, X, y))
        # A point that no neuron sees has output 0, whatever the projection leaves there.
        output = np.where(pattern.any(axis=1), y - e, 0.0)
        holds = region_holds_dlm(A, X, y, 0.0)
        is_global = np.linalg.norm(e) < 1e-8
        is_bad = not is_global and np.mean((output > threshold) != (y > threshold)) > eps
        hits[i] = is_bad and holds, is_global and holds, khatri_rao_rank(A, X) < 4
        random_signs[i] = is_global and reaches(pattern, X, y, screened.signs[i])
    assert (hits.sum(axis=0) > 0).all()
    arguments = (X, y, 4, 2, 0.0, eps, threshold)
    for asked in ((DRAWS, DRAWS), (20, 10), (0, 1)):
        found = decide(screened, *arguments, asked)
        wanted = hits[: asked[0], 0].sum(), hits[: asked[1], 1].sum(), hits[:, 2].sum()
        assert tuple(found.hits) == wanted
        assert tuple(found.draws) == (*asked, DRAWS)
    assert decide(screened, *arguments, (0, DRAWS), "random").hits[1] == random_signs.sum()


@pytest.mark.slow
def test_draws_do_not_depend_on_padding_or_on_how_they_are_cut(screen):
    rng = np.random.default_rng(2)
    X, y, key = rng.normal(size=(4, 2)), labels(rng, 4), jax.random.key(1)
    plain = screen[4, 2](key, 0, X, 4, 2)
    padded_X, padded_y = np.pad(X, ((0, 2), (0, 0))), np.pad(y, (0, 2))
    padded = screen[6, 4](key, 0, padded_X, 4, 2)
    assert (padded.patterns[:, :4, :2] == plain.patterns).all()
    assert not padded.patterns[:, 4:].any()
    assert not padded.patterns[:, :, 2:].any()
    assert (padded.rank_class == plain.rank_class).all()
    assert (padded.signs[:, :2] == plain.signs).all()
    arguments = (4, 2, 0.0, 0.0, 0.5, (DRAWS, DRAWS), "random")
    assert (decide(padded, padded_X, padded_y, *arguments).hits == decide(plain, X, y, *arguments).hits).all()
    # The second half again, as the first of a run that begins there.
    later = screen[4, 2](key, 2, X, 4, 2)
    jax.tree.map(np.testing.assert_array_equal, cut(plain, 32, 64), cut(later, 0, 32))


@pytest.mark.slow
def test_estimates_are_the_counts_of_their_draws_and_depend_on_the_key(screen):
    rng = np.random.default_rng(3)
    X, y, key = rng.normal(size=(4, 2)), labels(rng, 4), jax.random.key(2)
    options = {"suboptimal_samples": 40, "global_samples": 24}
    found = estimate_volumes(key, X, y, 2, 0.0, 0.0, 50, **options)
    counts = decide(cut(screen[4, 2](key, 0, X, 4, 2), 0, 50), X, y, 4, 2, 0.0, 0.0, 0.5, (40, 24))
    assert [v.hits for v in three(found)] == list(counts.hits)
    assert [v.draws for v in three(found)] == [40, 24, 50]
    assert found == estimate_volumes(key, X, y, 2, 0.0, 0.0, 50, **options)
    assert found != estimate_volumes(jax.random.key(3), X, y, 2, 0.0, 0.0, 50, **options)


def test_order_and_positive_scale_of_points_change_no_draw(screen):
    rng = np.random.default_rng(4)
    X, y, key = rng.normal(size=(4, 2)), labels(rng, 4), jax.random.key(4)

    def counted(X, y):
        screened = screen[4, 2](key, 0, X, 4, 2)
        return tuple(decide(screened, X, y, 4, 2, 0.0, 0.0, 0.5, (DRAWS, DRAWS)).hits)

    expected, order = counted(X, y), rng.permutation(4)
    assert counted(X[order], y[order]) == expected
    assert counted(1e-3 * X, y) == expected
    assert counted(X * np.exp(rng.normal(size=(4, 1))), y)[2] == expected[2]


def assert_rank_deficient(X, exact, draws=8192):
    """A test at level 1e-4 of the volume for two ReLUs."""
    y = np.zeros(len(X))
    found = estimate_volumes(jax.random.key(99), X, y, 2, 0.0, 0.0, draws, suboptimal_samples=0, global_samples=0)
    deviation = math.sqrt(exact * (1 - exact) / draws)
    assert abs(found.rank_deficient.estimate - exact) < norm.isf(5e-5) * deviation


@pytest.mark.slow
def test_estimates_miss_exact_volumes_no_more_often_than_they_may():
    """In the plane, in space, and for a problem in a plane of space, whose volumes are those of the plane."""
    rng, keys = np.random.default_rng(6), 20
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    flat, solid, y = rng.normal(size=(4, 2)), rng.normal(size=(4, 3)), labels(rng, 4)
    in_plane = exact_volumes(flat, y, 2, 0.0, 0.0)
    cases = (flat, in_plane), (flat @ Q[:2], in_plane), (solid, exact_volumes(solid, y, 2, 0.0, 0.0))
    for X, exact in cases:
        assert 0 < exact.suboptimal < exact.rank_deficient
        assert exact.global_minima > 0
        wanted, misses = (*three(exact), exact.suboptimal / exact.global_minima), np.zeros(4, int)
        for seed in range(keys):
            found = estimate_volumes(jax.random.key(seed), X, y, 2, 0.0, 0.0, DRAWS)
            values = (*three(found), found.ratio)
            misses += [not v.low <= w <= v.high for v, w in zip(values, wanted, strict=True)]
        # Binomial tests at level 1e-4.
        assert (misses <= most_misses(keys, level=1e-4)).all()
        assert_rank_deficient(X, exact.rank_deficient)


@pytest.mark.slow
def test_a_run_stops_when_it_knows_enough_and_its_intervals_still_hold():
    X, keys = np.random.default_rng(7).normal(size=(4, 2)), 60
    exact, draws, misses = exact_rank_deficient(X, 2, 0.0), set(), 0
    options = {"suboptimal_samples": 0, "global_samples": 0}
    for seed in range(keys):
        found = estimate_volumes(
            jax.random.key(seed), X, np.ones(4), 2, 0.0, 0.0, 4000, relative_width=0.1, **options
        ).rank_deficient
        draws.add(found.draws)
        assert found.draws == 4000 or found.high - found.low < 0.1 * found.estimate
        misses += not found.low <= exact <= found.high
    assert draws <= {1024, 2048, 4000}
    assert min(draws) < 4000
    assert misses <= most_misses(keys, level=1e-4)


@pytest.mark.slow
def test_one_point_has_closed_forms():
    """It is lost when all ReLUs are inactive there: with probability 2^-d1, and then the output 0 is wrong of y = 1."""
    X, y, d1 = np.array([[0.3, -1.0]]), np.ones(1), 2
    exact = exact_volumes(X, y, d1, 0.0, 0.0)
    np.testing.assert_allclose(three(exact), (1 / 4, 3 / 4, 1 / 4), rtol=1e-12)
    found = estimate_volumes(jax.random.key(0), X, y, d1, 0.0, 0.0, 400)
    lost = found.rank_deficient.hits
    assert binom.ppf(5e-5, 400, 1 / 4) <= lost <= binom.isf(5e-5, 400, 1 / 4)
    assert [v.hits for v in three(found)] == [lost, 400 - lost, lost]


def test_labels_that_are_zero_are_fitted_everywhere():
    X = np.random.default_rng(8).normal(size=(4, 2))
    found = estimate_volumes(jax.random.key(0), X, np.zeros(4), 2, 0.0, 0.0, DRAWS)
    assert (found.global_minima.estimate, found.global_minima.high) == (1, 1)
    assert math.isclose(found.global_minima.low, 0.025 ** (1 / DRAWS))
    assert found.suboptimal.hits == 0
    assert found.rank_deficient.hits > 0


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("rho", [0.1, -1.0])
def test_at_most_d0_points_have_no_bad_minima_unless_relu(rho):
    rng = np.random.default_rng(9)
    found = estimate_volumes(jax.random.key(0), rng.normal(size=(3, 3)), labels(rng, 3), 2, rho, 0.0, DRAWS)
    assert found.suboptimal.hits == found.rank_deficient.hits == 0
    assert math.isclose(found.suboptimal.high, 1 - 0.025 ** (1 / DRAWS))
    assert found.ratio.estimate == found.ratio.low == 0


@pytest.mark.slow
def test_rotations_change_no_volume_beyond_the_plane():
    rng, draws, asked = np.random.default_rng(10), 4096, 128
    X, y, Q = rng.normal(size=(8, 4)), labels(rng, 8), np.linalg.qr(rng.normal(size=(4, 4)))[0]
    options = {"suboptimal_samples": asked, "global_samples": 0}
    plain, rotated = (
        estimate_volumes(jax.random.key(seed), points, y, 3, 0.1, 0.1, draws, **options)
        for seed, points in enumerate((X, X @ Q))
    )
    for a, b in ((plain.suboptimal, rotated.suboptimal), (plain.rank_deficient, rotated.rank_deficient)):
        assert a.hits > 0
        pooled = (a.hits + b.hits) / (a.draws + b.draws)
        assert abs(a.estimate - b.estimate) < norm.isf(5e-5) * math.sqrt(pooled * (1 - pooled) * 2 / a.draws)


def draw_problem(key, N):
    key_X, key_y = jax.random.split(key)
    return draw_inputs(key_X, "gaussian", 4, 2, np.float64), random_labels(key_y, 4, np.float64)


@pytest.mark.slow
def test_expected_volumes_are_the_mean_over_data_sets():
    draws, sets = 2048, 70
    found = estimate_expected_volumes(
        jax.random.key(0), draw_problem, 4, 2, 2, 0.0, 0.0, draws, threshold=0.5, suboptimal_samples=600,
        global_samples=600,
    )  # fmt: skip
    exact = np.array([three(exact_volumes(*draw_problem(jax.random.key(s), 4), 2, 0.0, 0.0)) for s in range(1, sets)])
    errors = exact.std(axis=0, ddof=1) / math.sqrt(len(exact))
    for value, wanted, error in zip(three(found), exact.mean(axis=0), errors, strict=True):
        deviation = math.hypot(error, math.sqrt(value.estimate * (1 - value.estimate) / value.draws))
        assert abs(value.estimate - wanted) < norm.isf(5e-5) * deviation


@pytest.mark.wrong_types
def test_bad_input_is_a_one_line_error():
    X, y, key = np.ones((3, 2)) + np.eye(3, 2), np.ones(3), jax.random.key(0)
    for message, arguments, options in (
        ("y", (X, y[:2], 2, 0.0, 0.0, 10), {}),
        ("X", (np.full((3, 2), np.nan), y, 2, 0.0, 0.0, 10), {}),
        ("point 1 is zero", (X * [[1], [0], [1]], y, 2, 0.0, 0.0, 10), {}),
        ("rho", (X, y, 2, 1.0, 0.0, 10), {}),
        ("eps", (X, y, 2, 0.0, 1.0, 10), {}),
        ("d1", (X, y, 0, 0.0, 0.0, 10), {}),
        ("samples", (X, y, 2, 0.0, 0.0, 0), {}),
        ("output_signs", (X, y, 2, 0.0, 0.0, 10), {"output_signs": "rand"}),
        ("relative_width", (X, y, 2, 0.0, 0.0, 10), {"relative_width": 0.0}),
    ):
        with pytest.raises(UserError, match=message) as error:
            estimate_volumes(key, *arguments, **options)
        assert "\n" not in str(error.value)
