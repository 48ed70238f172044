"""Intervals against sums over the binomial distribution, and the combination of runs against simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import t

from mnnjax.config import UserError
from mnnjax.landscape import clopper_pearson, combine
from mnnjax.landscape.volumes.intervals import Counts, proportion, volumes_from_counts
from mnnjax.landscape.volumes.sampling import looks_at, narrow
from tests.landscape.oracles import most_misses


def chance(n, p, hits):
    """P(`hits` of n), term by term."""
    return math.comb(n, hits) * p**hits * (1 - p) ** (n - hits)


@pytest.mark.parametrize("confidence", [0.95, 0.975])
@pytest.mark.parametrize("n", [1, 7, 1000])
def test_no_hits_and_all_hits_have_the_closed_forms(n, confidence):
    end = ((1 - confidence) / 2) ** (1 / n)
    np.testing.assert_allclose(clopper_pearson(0, n, confidence), (0, 1 - end), rtol=1e-10)
    np.testing.assert_allclose(clopper_pearson(n, n, confidence), (end, 1), rtol=1e-10)
    assert clopper_pearson(0, 0, confidence) == (0, 1)


def test_the_ends_leave_half_the_error_on_each_side():
    for n in (1, 6, 30):
        for hits in range(1, n):
            low, high = clopper_pearson(hits, n)
            assert math.isclose(sum(chance(n, low, k) for k in range(hits, n + 1)), 0.025, rel_tol=1e-9)
            assert math.isclose(sum(chance(n, high, k) for k in range(hits + 1)), 0.025, rel_tol=1e-9)


@pytest.mark.parametrize("confidence", [0.95, 0.975])
@pytest.mark.parametrize("n", [1, 10, 60])
def test_every_probability_is_covered(n, confidence):
    ends = np.array([clopper_pearson(k, n, confidence) for k in range(n + 1)])
    for p in np.r_[0.0, 1e-9, 1e-4, np.linspace(0.001, 0.999, 400), 1.0]:
        covers = (ends[:, 0] <= p) & (p <= ends[:, 1])
        # Rounding of a sum of n + 1 terms.
        assert sum(chance(n, p, k) for k in np.flatnonzero(covers)) >= confidence - 1e-12


@pytest.mark.parametrize(("p_above", "p_below"), [(0.2, 0.02), (0.02, 0.2), (0.45, 0.5), (1e-6, 0.3), (0.3, 1e-6)])
def test_the_ratio_is_covered_also_where_its_denominator_may_show_no_hits(p_above, p_below):
    n, covered = 12, 0.0
    for above, below in itertools.product(range(n + 1), repeat=2):
        if above + below > n:
            continue
        counts = Counts(np.array([above, below, above]), np.array([n, n, n]))
        ratio = volumes_from_counts(counts).ratio
        ways = math.comb(n, above) * math.comb(n - above, below)
        probability = ways * p_above**above * p_below**below * (1 - p_above - p_below) ** (n - above - below)
        covered += probability * (ratio.low <= p_above / p_below <= ratio.high)
        if below:
            assert math.isclose(ratio.estimate, above / below)
            assert ratio.low <= ratio.estimate <= ratio.high < math.inf
        else:
            assert math.isnan(ratio.estimate)
            assert ratio.high == math.inf
    assert covered >= 0.95


def test_quantities_without_draws_are_unknown():
    found = volumes_from_counts(Counts(np.array([0, 0, 3]), np.array([0, 0, 10])))
    assert math.isnan(found.suboptimal.estimate)
    assert (found.suboptimal.low, found.suboptimal.high, found.global_minima.draws) == (0, 1, 0)
    assert math.isnan(found.ratio.estimate)
    assert (found.ratio.low, found.ratio.high) == (0, math.inf)
    assert found.rank_deficient == proportion(3, 10)
    assert found.rank_deficient.estimate == 0.3


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("p", [0.5, 0.1, 0.01])
def test_intervals_hold_wherever_the_counting_stops(p):
    """The worst rule of all stops as soon as an interval misses, and even that happens in 5 % of runs at most; the rule
    that is in use, narrow, cannot do worse."""
    rng, runs = np.random.default_rng(int(1000 * p)), 400
    looks = looks_at(1000, 64)
    assert looks == [64, 128, 256, 512, 1000]
    hits = np.stack([rng.binomial(n, p, runs) for n in np.diff([0, *looks])], axis=1).cumsum(axis=1)
    ever, stopped = 0, 0
    for row in hits:
        at = [
            volumes_from_counts(Counts(np.array([0, 0, h]), np.array([0, 0, n])), len(looks))
            for h, n in zip(row, looks, strict=True)
        ]
        misses = [not v.rank_deficient.low <= p <= v.rank_deficient.high for v in at]
        ever += any(misses)
        stopped += misses[next((i for i, v in enumerate(at) if narrow(v, 0.5)), -1)]
    # Binomial tests at level 1e-3.
    assert ever <= most_misses(runs)
    assert stopped <= most_misses(runs)


def test_a_run_is_long_enough_only_when_all_that_is_measured_is_narrow():
    counts = [Counts(np.array([0, 600, 600]), np.array([n, 1000, 1000])) for n in (0, 1000)]
    assert narrow(volumes_from_counts(counts[0]), 0.2)
    assert not narrow(volumes_from_counts(counts[1]), 0.2)


def halls_ends(values, quantile):
    """The roots of Hall's polynomial T + g T^2 / 3 + g^2 T^3 / 27 + g / (6 n) = +-quantile / sqrt(n)."""
    n, s = len(values), values.std(ddof=1)
    g = np.mean((values - values.mean()) ** 3) / s**3
    ends = []
    for sign in (1, -1):
        roots = np.roots([g**2 / 27, g / 3, 1, g / (6 * n) - sign * quantile / math.sqrt(n)])
        ends.append(values.mean() - s * roots[np.argmin(np.abs(roots.imag))].real)
    return ends


def test_runs_are_combined_by_the_widest_of_three_intervals():
    rng = np.random.default_rng(0)
    for n in (3, 8, 20):
        values = rng.gamma(2.0, size=n)
        quantile, mean, s = t.ppf(0.975, n - 1), values.mean(), values.std(ddof=1)
        half = quantile * s / math.sqrt(n)
        hall = halls_ends(values, quantile)
        expected = max(0.0, min(mean - half, hall[0])), max(hall[1], mean * math.exp(half / mean))
        np.testing.assert_allclose(combine(values), (mean, *expected), rtol=1e-9)


def test_combined_runs_keep_their_order_and_scale_and_are_not_cut_at_one():
    rng = np.random.default_rng(1)
    for n in (2, 3, 5, 20, 50):
        for values in (
            rng.exponential(size=n) ** 3,
            rng.exponential(size=n) * (np.arange(n) < 1),
            1 + 1e-3 * rng.normal(size=n),
            np.r_[np.ones(n - 1), 0.0],
            np.ones(n),
        ):
            mean, low, high = combine(values)
            assert 0 <= low <= mean <= high
            assert math.isclose(mean, values.mean())
            wider = combine(values, 0.975)
            assert wider[1] <= low <= high <= wider[2]
            np.testing.assert_allclose(combine(1e-40 * rng.permutation(values)), 1e-40 * np.array([mean, low, high]))
    assert combine([1.2, 0.9, 1.1])[2] > 1.2
    assert combine(np.zeros(20)) == (0, 0, 1)
    assert combine([0.3]) == (0.3, 0, 1)
    # Hits alone would say the same of n hits of n.
    np.testing.assert_allclose(combine(np.ones(9))[1], clopper_pearson(9, 9)[0])


@pytest.mark.parametrize("n", [6, 20])
@pytest.mark.parametrize("spread", [0.2, 0.4])
@pytest.mark.quick_cases(1)
def test_combined_runs_cover_their_mean(n, spread):
    """For gamma distributed runs with the standard deviation that splitting has, relative to the mean."""
    rng, trials = np.random.default_rng(n), 1000
    runs = rng.gamma(spread**-2, spread**2, size=(trials, n))
    ends = np.array([combine(values)[1:] for values in runs])
    # Binomial test at level 1e-3.
    assert np.sum((ends[:, 0] > 1) | (ends[:, 1] < 1)) <= most_misses(trials)


@pytest.mark.slow
def test_runs_of_which_most_are_zero_cover_their_mean_nine_times_in_ten():
    rng, trials = np.random.default_rng(2), 1000
    runs = rng.exponential(10.0, size=(trials, 20)) * (rng.random((trials, 20)) < 0.1)
    ends = np.array([combine(values)[1:] for values in 1e-3 * runs])
    assert np.sum((ends[:, 0] > 1e-3) | (ends[:, 1] < 1e-3)) <= most_misses(trials, 0.1)


def test_bad_input_is_a_one_line_error():
    for arguments in ((-1, 3), (4, 3), (0, -1), (1, 3, 1.0), (1, 3, 0.0)):
        with pytest.raises(UserError, match="hits") as error:
            clopper_pearson(*arguments)
        assert "\n" not in str(error.value)
