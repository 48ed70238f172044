"""Where a fraction rises through one half: a logistic curve by maximum likelihood."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal, cast

import numpy as np
import scipy.stats
from jaxtyping import Float, Real
from scipy.optimize import brentq
from scipy.special import expit, log_expit, logit, xlogy

from mnnjax.landscape.volumes.intervals import Estimate, clopper_pearson

# From p = 1/4 to p = 3/4 a logistic of slope b takes log(9) / b.
_QUARTILES = math.log(9)
# Twice the log-likelihood ratio that a 95 % interval allows (Wilks).
_ALLOWED = float(scipy.stats.chi2.ppf(0.95, 1))
# From p = 1/4 to 3/4 a curve takes a width between these multiples of the range of x; others count as 0 and infinity.
_NARROWEST, _WIDEST = 1e-6, 10.0
# A logistic whose p-value is at most this does not describe the counts.
MISFIT, _RESAMPLES = 0.01, 199

Counts = Sequence[float] | Real[np.ndarray, " n"]
Kind = Literal["fitted", "misfit", "separated", "never", "always", "flat"]


@dataclasses.dataclass(frozen=True)
class Rise:
    """p(x) = 1 / (1 + exp(-slope (x - middle))), fitted to hits among draws at each x.

    kind: "fitted"; "misfit": fitted, but no logistic explains the counts; "separated": all 0 and then all 1, with at
      most one x between, so that every steep enough curve fits; "never", "always": all 0, all 1; "flat": p does not
      rise with x. Only a fitted curve gives estimates.
    threshold: the x with p = 1/2; an estimate of nan where it would lie outside the x that were measured, an infinite
      end of the interval where nothing is known on that side.
    bracket: the largest x whose own 95 % interval (Clopper and Pearson) lies below 1/2, and the smallest whose lies
      above: between these the threshold lies whatever the curve, if it rises. Infinite where there is none.
    p_value: of a deviance as large as the measured one, were the curve true (parametric bootstrap, 199 resamples); nan
      without a fitted curve.
    """

    kind: Kind
    threshold: Estimate
    bracket: tuple[float, float]
    p_value: float
    slope: float
    middle: float


def fit_rise(x: Counts, hits: Counts, draws: Counts) -> Rise:
    """The logistic of greatest binomial likelihood, among those that do not fall.

    The threshold's 95 % interval is that of the profile likelihood: the values at which the best curve has a
    log-likelihood of at most 1.92 below the greatest. It also holds under separation, where the likelihood has no
    maximum; there it is made as wide as the bracket, which needs no logistic form. For a misfit it is the bracket.

    The x rise and all differ; there is at least one. hits and draws are the counts at each x, with draws >= 1."""
    likelihood = _Likelihood(*(np.asarray(values, np.float64) for values in (x, hits, draws)))
    kind, slope, middle, peak = likelihood.maximum()
    p_value = _p_value(likelihood, slope, middle, peak) if kind == "fitted" else math.nan
    kind = "misfit" if p_value <= MISFIT else kind
    ends = [(float(at), *clopper_pearson(int(k), int(n))) for at, k, n in zip(x, hits, draws, strict=True)]
    below = max((at for at, _, high in ends if high < 0.5), default=-math.inf)
    above = min((at for at, low, _ in ends if low > 0.5), default=math.inf)
    bracket = low, high = min(below, above), max(below, above)
    if kind == "flat":
        low, high = -math.inf, math.inf
    elif kind != "misfit":
        low, high = likelihood.middles(middle, peak)
    if kind == "separated":
        low, high = min(low, bracket[0]), max(high, bracket[1])
    estimate = middle if kind == "fitted" and x[0] <= middle <= x[-1] else math.nan
    return Rise(kind, Estimate(estimate, low, high), bracket, p_value, slope, middle)


@dataclasses.dataclass(frozen=True)
class _Likelihood:
    """Of p(x) = expit(slope (x - middle)); concave in (slope, slope * middle)."""

    x: Float[np.ndarray, " n"]
    hits: Real[np.ndarray, " n"]
    draws: Real[np.ndarray, " n"]

    @property
    def slopes(self) -> tuple[float, float]:
        """Least and greatest: a thousandth of that of the widest curve, and that of the narrowest."""
        extent = float(self.x[-1] - self.x[0]) or 1.0
        return _QUARTILES / (_WIDEST * extent) / 1000, _QUARTILES / (_NARROWEST * extent)

    def value(self, slope: float, middle: float) -> float:
        """The logarithm, without its binomial coefficients."""
        t = slope * (self.x - middle)
        return float(self.hits @ log_expit(t) + (self.draws - self.hits) @ log_expit(-t))

    def residual(self, slope: float, middle: float) -> Float[np.ndarray, " n"]:
        return self.hits - self.draws * expit(slope * (self.x - middle))

    def maximum(self) -> tuple[Kind, float, float, float]:
        """(kind, slope, middle, value), the supremum where there is no maximum."""
        total, share = self.hits.sum(), self.hits.sum() / self.draws.sum()
        if total == 0:
            return "never", math.nan, math.inf, 0.0
        if share == 1:
            return "always", math.nan, -math.inf, 0.0
        least, greatest = self.slopes
        if self.score(least) <= 0:
            constant = float(xlogy(total, share) + xlogy(self.draws.sum() - total, 1 - share))
            return "flat", 0.0, math.inf if share < 0.5 else -math.inf, constant
        # The score vanishes in rounding as a separated curve gets steeper, so it cannot tell.
        if np.flatnonzero(self.hits < self.draws)[-1] <= np.flatnonzero(self.hits)[0]:
            kind, slope = "separated", greatest
        else:
            kind, slope = "fitted", _root(self.score, least, greatest)
        middle = self.best_middle(slope)
        return kind, slope, middle, self.value(slope, middle)

    def score(self, slope: float) -> float:
        """The derivative of the greatest likelihood with this slope."""
        middle = self.best_middle(slope)
        return float((self.x - middle) @ self.residual(slope, middle))

    def best_middle(self, slope: float) -> float:
        """The curve has as many hits as there were; at the ends p is everywhere below, or above, the mean share."""
        shift = logit(self.hits.sum() / self.draws.sum()) / slope
        ends = self.x[0] - shift - 1 / slope, self.x[-1] - shift + 1 / slope
        return _zero(lambda middle: self.residual(slope, middle).sum(), *ends)

    def middles(self, middle: float, peak: float) -> tuple[float, float]:
        """The profile interval of the middle, an end infinite where it is not among the x."""
        first, last = float(self.x[0]), float(self.x[-1])

        def excess(m: float) -> float:
            slope = _root(lambda s: float((self.x - m) @ self.residual(s, m)), *self.slopes)
            return 2 * (peak - self.value(slope, m)) - _ALLOWED

        inside = min(max(middle, first), last)
        if excess(inside) > 0:
            return (last, math.inf) if middle > last else (-math.inf, first)
        low = -math.inf if excess(first) <= 0 else _zero(excess, first, inside)
        return low, math.inf if excess(last) <= 0 else _zero(excess, inside, last)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function of a slope is zero; an end where it has one sign."""
    if falling(low) <= 0:
        return low
    if falling(high) >= 0:
        return high
    return math.exp(_zero(lambda log: falling(math.exp(log)), math.log(low), math.log(high)))


def _zero(function: Callable[[float], float], low: float, high: float) -> float:
    # Without full_output there is a number alone, which brentq's own types do not say.
    return float(cast(float, brentq(function, low, high)))


def _p_value(likelihood: _Likelihood, slope: float, middle: float, peak: float) -> float:
    x, hits, draws = likelihood.x, likelihood.hits, likelihood.draws

    def deviance(hits, peak: float) -> float:
        saturated = xlogy(hits, hits / draws) + xlogy(draws - hits, 1 - hits / draws)
        return 2 * (float(saturated.sum()) - peak)

    # The same resamples on every run, so that the same results give the same tables.
    resamples = np.random.default_rng(0).binomial(draws.astype(int), expit(slope * (x - middle)), (_RESAMPLES, len(x)))
    measured = deviance(hits, peak)
    as_large = sum(deviance(k, _Likelihood(x, k, draws).maximum()[-1]) >= measured - 1e-9 for k in resamples)
    return (1 + as_large) / (1 + _RESAMPLES)
