"""The logistic fit against independent computation, and its intervals by simulation."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from mnnjax.report.capacity import logistic_fit as threshold
from mnnjax.report.capacity.logistic_fit import Interval, fit_power, fit_rise
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
    assert rise.width.estimate == pytest.approx(math.exp(best.x[1]), abs=1e-6)
    # All curves of a fine grid that the likelihood allows: their ranges are the intervals, to a grid step.
    middles, widths = np.meshgrid(np.linspace(1.2, 1.4, 401), np.linspace(0.1, 0.3, 401))
    p = p_of(X[:, None, None], middles, widths)
    allowed = scipy.stats.binom.logpmf(np.reshape(HITS, (-1, 1, 1)), 50, p).sum(0) > -best.fun - 1.9207
    for interval, grid in ((rise.threshold, middles), (rise.width, widths)):
        assert (interval.low, interval.high) == pytest.approx((grid[allowed].min(), grid[allowed].max()), abs=6e-4)
    # At 24 or fewer, or 26 or more, of 50 the interval still holds 1/2.
    assert rise.bracket == (X[4], X[6])


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(no_resamples):
    """Also where the rise is about as narrow as the grid and some data are separated."""
    rng, runs = np.random.default_rng(3), 100
    x, middle = np.arange(0.8, 1.61, 0.1), 1.23
    for width in (0.05, 0.25):
        held = np.zeros(2)
        for hits in rng.binomial(30, p_of(x, middle, width), (runs, len(x))):
            rise = fit_rise(x, hits, [30] * len(x))
            pairs = ((rise.threshold, middle), (rise.width, width))
            held += [interval.low <= truth <= interval.high for interval, truth in pairs]
        # Three standard errors; more is no fault.
        assert (held / runs >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)).all()


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
    # The threshold has what no logistic is needed for, and the width nothing.
    assert (rise.threshold.low, rise.threshold.high) == rise.bracket == (X[4], X[6])
    assert math.isnan(rise.threshold.estimate)
    assert (rise.width.low, rise.width.high) == (0, math.inf)


@pytest.mark.parametrize("partial", [None, 1, 25, 49])
def test_separated_counts_give_intervals_alone(partial):
    hits = [0] * 5 + ([] if partial is None else [partial]) + [50] * 5
    x = X[: len(hits)]
    rise = fit_rise(x, hits, [50] * len(hits))
    assert rise.kind == "separated"
    assert all(math.isnan(v) for v in (rise.threshold.estimate, rise.width.estimate, rise.p_value))
    # From the last cell that lies surely below one half to the first that lies surely above.
    first, last = {None: (4, 5), 1: (5, 6), 25: (4, 6), 49: (4, 5)}[partial]
    assert (rise.threshold.low, rise.threshold.high) == pytest.approx((x[first], x[last]), abs=0.01)
    # At most from the last 0 to the first 1: one step of the grid, or two.
    assert rise.width.low == 0
    assert rise.width.high == pytest.approx(0.1 if partial is None else 0.2)


def test_few_seeds_know_little():
    """With one seed a cell, 0 0 0 1 1 1 is likely enough with a threshold beyond the neighbouring cells."""
    one, many = (fit_rise(X[:6], [0] * 3 + [n] * 3, [n] * 6) for n in (1, 50))
    assert one.bracket == (-math.inf, math.inf)
    assert (one.threshold.low, one.threshold.high) == (-math.inf, math.inf)
    assert (many.threshold.low, many.threshold.high) == many.bracket == (X[2], X[3])
    assert one.width.high > many.width.high == pytest.approx(0.1)


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
    assert math.isnan(rise.width.estimate)
    assert (rise.threshold.low, rise.threshold.high) == pytest.approx((low, high), abs=1e-3)


@pytest.mark.parametrize("hits", [0, 20, 50])
def test_one_cell_has_no_width(hits):
    rise = fit_rise([1.0], [hits], [50])
    assert (rise.width.low, rise.width.high) == (0, math.inf)


def relative(estimate, error):
    return Interval(estimate, estimate * math.exp(-1.959964 * error), estimate * math.exp(1.959964 * error))


def test_power_is_the_weighted_line_through_the_logarithms():
    sizes, values, errors = (10, 20, 30, 40), (0.31, 0.14, 0.1, 0.07), np.array([0.1, 0.2, 0.15, 0.3])
    power = fit_power(sizes, [relative(*pair) for pair in zip(values, errors, strict=True)])
    line, covariance = np.polyfit(np.log(sizes), np.log(values), 1, w=1 / errors, cov="unscaled")
    assert (power.exponent, math.log(power.factor), power.widths) == pytest.approx((*line, 4))
    half = 1.959964 * math.sqrt(covariance[0, 0])
    assert (power.low, power.high) == pytest.approx((line[0] - half, line[0] + half), rel=1e-5)


def test_power_interval_holds_the_truth_as_often_as_it_says():
    rng, runs, sizes = np.random.default_rng(7), 1000, np.array([10, 20, 30, 40, 50])
    errors = np.array([0.05, 0.1, 0.1, 0.2, 0.2])
    held = 0
    for noise in rng.standard_normal((runs, 5)) * errors:
        widths = [relative(*pair) for pair in zip(3 / sizes * np.exp(noise), errors, strict=True)]
        power = fit_power(sizes, widths)
        held += power.low <= -1 <= power.high
    assert held / runs >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)


def test_power_interval_widens_where_widths_scatter_and_needs_two_sizes():
    exact = fit_power((10, 20, 40), [relative(v, 0.01) for v in (0.4, 0.2, 0.1)])
    scattered = fit_power((10, 20, 40), [relative(v, 0.01) for v in (0.4, 0.25, 0.1)])
    # 2 ln 2 of log d between the ends; the middle one is log(1.25) off the line, 2/3 of that off its best one.
    misfit = (math.log(1.25) / 0.01) ** 2 * 2 / 3
    ratio = (scattered.high - scattered.low) / (exact.high - exact.low)
    assert ratio == pytest.approx(math.sqrt(misfit))
    assert exact.high < 0
    assert fit_power((10, 10), [relative(0.4, 0.1)] * 2) is None
    assert fit_power((), ()) is None
