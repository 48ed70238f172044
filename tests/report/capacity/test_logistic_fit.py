"""The logistic fit against independent computation, and its intervals by simulation."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from mnnjax.report.capacity import logistic_fit as threshold
from mnnjax.report.capacity.logistic_fit import fit_rise
from tests.report.by_hand import p_of

X = np.arange(0.8, 2.01, 0.1)
HITS = (0, 0, 1, 5, 12, 26, 37, 44, 49, 50, 50, 50, 50)


def log_likelihood(x, hits, draws, middle, width):
    return scipy.stats.binom.logpmf(hits, draws, p_of(np.asarray(x), middle, width)).sum()


@pytest.fixture
def no_resamples(monkeypatch):
    """Every p-value is then 1."""
    monkeypatch.setattr(threshold, "_RESAMPLES", 0)


def test_quartiles_lie_a_width_apart():
    assert p_of(np.array([1.1, 1.2, 1.3]), 1.2, 0.2) == pytest.approx([0.25, 0.5, 0.75])


def test_fit_is_the_greatest_likelihood_with_its_profile_interval(no_resamples):
    rise = fit_rise(X, HITS, [50] * 13)
    best = scipy.optimize.minimize(
        lambda v: -log_likelihood(X, HITS, 50, v[0], math.exp(v[1])), (1.2, -1.0), method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-10},
    )  # fmt: skip
    assert rise.kind == "fitted"
    assert rise.threshold.estimate == pytest.approx(best.x[0], abs=1e-6)
    assert math.log(9) / rise.slope == pytest.approx(math.exp(best.x[1]), abs=1e-6)
    # All curves of a fine grid that the likelihood allows: their range is the interval, to a grid step.
    middles, widths = np.meshgrid(np.linspace(1.2, 1.4, 401), np.linspace(0.1, 0.3, 401))
    p = p_of(X[:, None, None], middles, widths)
    allowed = scipy.stats.binom.logpmf(np.reshape(HITS, (-1, 1, 1)), 50, p).sum(0) > -best.fun - 1.9207
    ends = middles[allowed].min(), middles[allowed].max()
    assert (rise.threshold.low, rise.threshold.high) == pytest.approx(ends, abs=6e-4)
    # At 24 or fewer, or 26 or more, of 50 the interval still holds 1/2.
    assert rise.bracket == (X[4], X[6])


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(no_resamples):
    """Also where the rise is about as narrow as the grid and some data are separated."""
    rng, runs = np.random.default_rng(3), 100
    x, middle = np.arange(0.8, 1.61, 0.1), 1.23
    for width in (0.05, 0.25):
        held = 0
        for hits in rng.binomial(30, p_of(x, middle, width), (runs, len(x))):
            rise = fit_rise(x, hits, [30] * len(x))
            held += rise.threshold.low <= middle <= rise.threshold.high
        # Three standard errors; more is no fault.
        assert held / runs >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)


@pytest.mark.slow
def test_p_values_of_a_true_logistic_are_as_frequent_as_they_say(few_resamples):
    rng, runs, level = np.random.default_rng(5), 30, 0.25
    x = np.arange(0.8, 1.61, 0.1)
    samples = rng.binomial(30, p_of(x, 1.2, 0.2), (runs, len(x)))
    small = sum(fit_rise(x, hits, [30] * len(x)).p_value <= level for hits in samples)
    assert abs(small / runs - level) <= 3 * math.sqrt(level * (1 - level) / runs)


def test_a_rise_that_stops_short_is_a_misfit():
    """Some seeds fail at any x: no logistic through 1."""
    hits = (0, 0, 1, 5, 12, 26, 37, 40, 41, 42, 41, 42, 43)
    rise = fit_rise(X, hits, [50] * 13)
    assert (rise.kind, rise.p_value) == ("misfit", 1 / 200)
    # The threshold has the interval that needs no logistic.
    assert (rise.threshold.low, rise.threshold.high) == rise.bracket == (X[4], X[6])
    assert math.isnan(rise.threshold.estimate)


@pytest.mark.parametrize("partial", [None, 1, 25, 49])
def test_separated_counts_give_intervals_alone(partial):
    hits = [0] * 5 + ([] if partial is None else [partial]) + [50] * 5
    x = X[: len(hits)]
    rise = fit_rise(x, hits, [50] * len(hits))
    assert rise.kind == "separated"
    assert math.isnan(rise.threshold.estimate)
    assert math.isnan(rise.p_value)
    # From the last cell that lies surely below one half to the first that lies surely above.
    first, last = {None: (4, 5), 1: (5, 6), 25: (4, 6), 49: (4, 5)}[partial]
    assert (rise.threshold.low, rise.threshold.high) == pytest.approx((x[first], x[last]), abs=0.01)


def test_few_seeds_know_little():
    """With one seed a cell, 0 0 0 1 1 1 is likely enough with a threshold beyond the neighbouring cells."""
    one, many = (fit_rise(X[:6], [0] * 3 + [n] * 3, [n] * 6) for n in (1, 50))
    assert one.bracket == (-math.inf, math.inf)
    assert (one.threshold.low, one.threshold.high) == (-math.inf, math.inf)
    assert (many.threshold.low, many.threshold.high) == many.bracket == (X[2], X[3])


@pytest.mark.parametrize(
    ("hits", "kind", "low", "high"),
    [
        ([0, 0, 0, 0], "never", X[3], math.inf),
        ([50, 50, 50, 50], "always", -math.inf, X[0]),
        ([25, 25, 25, 25], "flat", -math.inf, math.inf),
        ([50, 50, 0, 0], "flat", -math.inf, math.inf),
        ([0, 1, 4, 12], "fitted", X[3], math.inf),  # it passes one half beyond the cells
        ([0, 0, 0, 5], "separated", X[3], math.inf),
    ],
)
def test_nothing_is_said_about_what_was_not_measured(few_resamples, hits, kind, low, high):
    rise = fit_rise(X[:4], hits, [50] * 4)
    assert rise.kind == kind
    assert math.isnan(rise.threshold.estimate)
    assert (rise.threshold.low, rise.threshold.high) == pytest.approx((low, high), abs=1e-3)
