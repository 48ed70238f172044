"""Estimates of volumes with 95 % intervals: of counts, of ratios, of independent runs."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import beta, t

from mnnjax.arrays import check_array
from mnnjax.config import UserError
from mnnjax.landscape.numerics import EqualWithNan
from mnnjax.wording import aligned


def in_words(value: "Estimate", basis: str) -> str:
    """Such as '0.12 (95 %: 0.1 to 0.14; 1234 of 10000 draws)', or 'at most 0.1 ...' after zero hits; basis: what the
    interval comes from, with '; ' before it, or ''."""
    low, high, estimate = value.low, value.high, value.estimate
    if low == estimate == high:
        return f"{low:.6g}"
    # As many digits as the ends need to differ.
    digits = next((d for d in range(3, 17) if f"{low:.{d}g}" != f"{high:.{d}g}"), 17)
    if math.isnan(estimate) or estimate in (low, high):
        if low <= 0:
            return f"at most {high:.{digits}g} (95 %{basis})" if high < math.inf else "unknown"
        if math.isnan(estimate) or high == 1:
            return f"at least {low:.{digits}g} (95 %{basis})"
    return f"{estimate:.{digits}g} (95 %: {low:.{digits}g} to {high:.{digits}g}{basis})"


@dataclasses.dataclass(frozen=True, eq=False)
class Estimate(EqualWithNan):
    """A volume (Definition 3), or another number, with its 95 % interval [low, high]; nan where nothing was drawn.
    hits, draws: None where it does not come from counting."""

    estimate: float
    low: float
    high: float
    hits: int | None = None
    draws: int | None = None

    def __str__(self) -> str:
        counted = "" if self.draws is None else f"; {self.hits} of {self.draws} draws"
        return "unknown (no draws)" if self.draws == 0 else in_words(self, counted)


@dataclasses.dataclass(frozen=True, eq=False)
class Volumes(EqualWithNan):
    """Angular volumes in [0, 1], each with a 95 % interval, which is [0, 1] where nothing was drawn.

    suboptimal: V(L_eps), of the regions that hold a sub-optimal DLM with MCE > eps (Definition 4); global_minima: V(G),
    of those that hold a global minimum; rank_deficient: of those with rank(A o X) < N, an upper bound on V(L_0) (Lemma
    2); ratio: V(L_eps) / V(G), as quotient."""

    suboptimal: Estimate
    global_minima: Estimate
    rank_deficient: Estimate
    ratio: Estimate

    def __str__(self) -> str:
        names = "suboptimal, V(L_eps)", "global_minima, V(G)", "rank_deficient", "ratio, V(L_eps) / V(G)"
        return aligned(dict(zip(names, vars(self).values(), strict=True)))


class Counts(NamedTuple):
    """Hits and draws of (suboptimal, global_minima, rank_deficient)."""

    hits: Int[np.ndarray, "3"]
    draws: Int[np.ndarray, "3"]


def clopper_pearson(hits: int, draws: int, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high), the exact interval for a probability after `hits` of `draws`: it covers every probability with at
    least this confidence. After 0 hits `high` is about 3.7 / draws; without draws it is (0, 1).

    Source: C. J. Clopper and E. S. Pearson, Biometrika 26, 1934. Quantiles of beta distributions are accurate to
    rounding; scipy's binomtest, which searches for a root, to 1e-8.
    Raises ValueError unless 0 <= hits <= draws and 0 < confidence < 1.

    Example:
      clopper_pearson(0, 100)  # (0.0, 0.0362)
    """
    for name, value in {"hits": hits, "draws": draws, "confidence": confidence}.items():
        check_array(name, value, (), "give one number")
    if not (0 <= hits <= draws and 0 < confidence < 1):
        raise UserError(
            f"hits {hits}, draws {draws}, confidence {confidence}: need 0 <= hits <= draws, 0 < confidence < 1"
        )
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, draws - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, draws - hits)) if hits < draws else 1.0
    return low, high


def proportion(hits: int, draws: int, confidence: float = 0.95) -> Estimate:
    """hits / draws with the interval of clopper_pearson; raises what that raises."""
    return Estimate(hits / draws if draws else math.nan, *clopper_pearson(hits, draws, confidence), hits, draws)


def quotient(above: Estimate, below: Estimate, wide_above: Sequence[float], wide_below: Sequence[float]) -> Estimate:
    """The ratio of two volumes. wide_above, wide_below: their intervals at 97.5 %, which hold together at 95 %; the
    ratio's interval joins their ends, and ends at inf where the volume below may be 0."""
    value = above.estimate / below.estimate if below.estimate else math.nan
    low = wide_above[0] / wide_below[1] if wide_below[1] else 0.0
    return Estimate(value, low, wide_above[1] / wide_below[0] if wide_below[0] else math.inf)


def volumes_from_counts(counts: Counts, looks: int = 1) -> Volumes:
    """The volumes and their 95 % intervals, which hold at all of `looks` looks together (Bonferroni), at each of which
    the counting could have stopped. Raises what clopper_pearson raises."""
    error = 0.05 / looks
    pairs = [(int(h), int(n)) for h, n in zip(*counts, strict=True)]
    above, below, deficient = (proportion(*pair, 1 - error) for pair in pairs)
    wide_above, wide_below = (clopper_pearson(*pair, 1 - error / 2) for pair in pairs[:2])
    return Volumes(above, below, deficient, quotient(above, below, wide_above, wide_below))


def looks_at(samples: int, batch: int) -> list[int]:
    """The numbers of draws after which a run may stop: one batch, doubled each time, and all."""
    looks = [min(batch, samples)]
    while looks[-1] < samples:
        looks.append(min(looks[-1] * 2, samples))
    return looks


def narrow(volumes: Volumes, relative_width: float) -> bool:
    """Whether the interval of each volume with draws is narrower than relative_width times its estimate."""
    three = (volumes.suboptimal, volumes.global_minima, volumes.rank_deficient)
    return all(v.high - v.low < relative_width * v.estimate for v in three if v.draws)


def combine(values: Sequence[float] | Float[np.ndarray, " n"], confidence: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of independent unbiased estimates that are not negative, such as splitting runs.

    Source: P. Hall, J. R. Stat. Soc. B 54, 1992: Student's interval after a cubic transformation that removes the
    skewness. Ours also covers Student's own lower end, and the upper end that is symmetric in the logarithm. It is
    approximate: of 6 to 20 splitting runs it covered in 94 to 96 % where their standard deviation is at most half their
    mean, in 90 to 92 % at 0.9 of it. high may be above 1, as the mean may. All zero: (0, 0, 1), nothing is known. All
    equal: n runs say as much as n hits of n draws."""
    values = np.asarray(values, np.float64)
    if not values.any():
        return 0.0, 0.0, 1.0
    n, mean = len(values), float(values.mean())
    if n < 2:
        return mean, 0.0, max(mean, 1.0)
    deviation = float(values.std(ddof=1))
    if deviation <= 1e-12 * mean:
        part = ((1 - confidence) / 2) ** (1 / n)
        return mean, mean * part, mean / part
    half = float(t.ppf((1 + confidence) / 2, n - 1)) / math.sqrt(n)
    skewness = float(np.mean(((values - mean) / deviation) ** 3))

    def without_skewness(x: float) -> float:
        if abs(skewness) < 1e-6:
            return x
        return 3 / skewness * (float(np.cbrt(1 + skewness * (x - skewness / (6 * n)))) - 1)

    low = mean - deviation * max(half, without_skewness(half))
    high = max(mean - deviation * without_skewness(-half), mean * math.exp(half * deviation / mean))
    return mean, max(low, 0.0), high
