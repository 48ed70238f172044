"""Where training ends, beside the exact volumes of the same data sets: does volume predict basins? (Section 6.)"""

import collections
import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import cast

import numpy as np
import scipy.stats

from mnnjax.config import Study
from mnnjax.landscape.volumes.intervals import clopper_pearson
from mnnjax.report.common.rows import Row, grouped, rows_of

# With fewer data sets, their mean ratio is not shown, and the question cannot be judged.
LEAST_SETS = 5
# Of so many data sets or fewer, all orders are tried for the p-value of a rank correlation.
FEW = 8
# A sub-optimal minimum that classifies all points right: Definition 4 has it neither in L_0 nor in G.
NO_ERROR = "suboptimal_without_error"
# An MSE within this of the true global minimum is equal to it. A verdict on a minimum allows 1e-8 mean(y^2) between the
# point and the minimum, and labels are at most 1.
SAME_MSE = 1e-7


@dataclasses.dataclass(frozen=True)
class Ends:
    """Runs on one data set by their verdict: those whose MSE equals its true global minimum, and the others."""

    there: collections.Counter[str]
    elsewhere: collections.Counter[str]

    @property
    def runs(self) -> int:
        """Their number."""
        return self.there.total() + self.elsewhere.total()

    @property
    def share(self) -> float:
        """Of the runs that end at the global minimum."""
        return self.there.total() / self.runs

    @property
    def interval(self) -> tuple[float, float]:
        """Of that share: Clopper and Pearson's, 95 %."""
        return clopper_pearson(self.there.total(), self.runs)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How the runs on one data set (X, y) ended, and its exact volumes V(L_0) and V(G)."""

    d0: int
    d1: int
    N: int
    data_seed: int
    verdicts: collections.Counter[str]
    """Runs by their verdict; suboptimal_dlm are those with MCE > 0, the others are NO_ERROR."""
    suboptimal: float
    global_minima: float
    least: float = math.nan
    """MSE of the true global minimum; nan where it is not known."""
    training: Ends | None = None
    """Of all runs where training ended; None where the global minimum is not known."""
    descents: Ends | None = None
    """Of the runs that went on to a minimum, where that lies; None where none did."""

    @property
    def is_positive(self) -> bool:
        """Whether the true global minimum is above zero, so that no network fits the labels."""
        return self.least > SAME_MSE

    @property
    def shape(self) -> tuple[int, int, int]:
        """(d0, d1, N)."""
        return (self.d0, self.d1, self.N)

    @property
    def runs(self) -> int:
        """The number of networks trained on it."""
        return self.verdicts.total()

    @property
    def unresolved(self) -> int:
        """Runs whose end point is of no proven kind."""
        known = ("suboptimal_dlm", NO_ERROR, "global_minimum", "suboptimal_kink", "saddle")
        return self.runs - sum(self.verdicts[verdict] for verdict in known)

    def frequency(self, verdict: str) -> float:
        """The share of all runs that ended with this verdict."""
        return self.verdicts[verdict] / self.runs

    def interval(self, verdict: str) -> tuple[float, float]:
        """Of that frequency: Clopper and Pearson's, 95 %."""
        return clopper_pearson(self.verdicts[verdict], self.runs)

    def open_interval(self, verdict: str) -> tuple[float, float]:
        """The frequency if no unresolved run, or all of them, were to end with this verdict."""
        count = self.verdicts[verdict]
        return count / self.runs, (count + self.unresolved) / self.runs

    def holds_volume(self, unresolved: int) -> bool:
        """Whether the interval of the frequency of sub-optimal minima can hold V(L_0), were any of so many unresolved
        runs to end in one."""
        count = self.verdicts["suboptimal_dlm"]
        low, high = clopper_pearson(count, self.runs)[0], clopper_pearson(count + unresolved, self.runs)[1]
        return low <= self.suboptimal <= high


def join(study: Study, part: Study, rows: Sequence[Row]) -> tuple[list[Outcome], int]:
    """The data sets that `part` trained on and that have exact volumes in the work folder of `study`, in the order
    (d0, d1, N, first run), and the number of data sets that have none."""
    drawn_alike = {other.name for other in study.parts if _draw(other) == _draw(part)}
    exact: dict[tuple, Row] = {}
    for row in rows:
        if row.method == "exact" and row.eps == 0 and row.rho == part.network.rho and row.study in drawn_alike:
            exact.setdefault((*row.shape, row.data_seed), row)
    runs = grouped(rows_of(part, rows), lambda row: (*row.shape, row.data_seed))
    outcomes = []
    for data_set, on_set in runs.items():
        measured = exact[data_set].measured if data_set in exact else {}
        if {"suboptimal", "global_minima"} <= measured.keys():
            suboptimal, global_minima = (measured[name].estimate for name in ("suboptimal", "global_minima"))
            # A minimum whose MCE is not known counts as one with errors.
            ends = (NO_ERROR if r.verdict == "suboptimal_dlm" and r.region_mce == 0 else r.verdict for r in on_set)
            least = exact[data_set].global_minimum_mse
            trained = _ends([(r.verdict, r.mse) for r in on_set], least)
            descents = _ends([(r.minimum_verdict, r.minimum_mse) for r in on_set if r.minimum_verdict], least)
            _, d0, d1, N, data_seed = data_set
            counted = collections.Counter(ends)
            outcomes.append(Outcome(d0, d1, N, data_seed, counted, suboptimal, global_minima, least, trained, descents))
    return sorted(outcomes, key=lambda outcome: outcome.shape), len(runs) - len(outcomes)


def _ends(runs: Sequence[tuple[str, float]], least: float) -> Ends | None:
    """Of runs (verdict, MSE); None where there is none, or the global minimum is not known."""
    if not runs or math.isnan(least):
        return None
    there = collections.Counter(verdict for verdict, mse in runs if mse <= least + SAME_MSE)
    return Ends(there, collections.Counter(verdict for verdict, _ in runs) - there)


def _draw(part: Study) -> tuple:
    """The settings that, with a data seed, determine a data set."""
    problem = part.problem
    return (
        problem.inputs, problem.labels, problem.label_values, problem.teacher_units, problem.constant_input,
        part.network.bias,
    )  # fmt: skip


def shape_label(shape: tuple[int, int, int]) -> str:
    """Of (d0, d1, N), in words."""
    return "d0 = {}, d1 = {}, N = {}".format(*shape)


def rank_correlation(outcomes: Sequence[Outcome]) -> tuple[float, float] | None:
    """Spearman's, of V(L_0) and the frequency of sub-optimal minima, with its two-sided p-value; None where it is not
    defined."""
    x, y = [o.suboptimal for o in outcomes], [o.frequency("suboptimal_dlm") for o in outcomes]
    if len(outcomes) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    found = scipy.stats.spearmanr(x, y)
    if len(outcomes) <= FEW:
        # Its own p-value is wrong for few points: 0 where both orders agree.
        every_order = scipy.stats.PermutationMethod(n_resamples=math.factorial(FEW))
        found = scipy.stats.pearsonr(*map(scipy.stats.rankdata, (x, y)), method=every_order)
    statistic, p_value = cast(tuple[float, float], found)
    return float(statistic), float(p_value)


def mean_share(ends: Sequence[Ends]) -> tuple[float, float, float] | None:
    """The mean over data sets of the share of runs that end at the global minimum, and its 95 % interval as of
    mean_ratio; None where there are few of them."""
    if len(ends) < LEAST_SETS:
        return None
    shares = [of_set.share for of_set in ends]
    if len(set(shares)) == 1:
        return shares[0], shares[0], shares[0]
    low, high = scipy.stats.bootstrap((shares,), np.mean, method="percentile", rng=0).confidence_interval
    return statistics.fmean(shares), float(low), float(high)


def mean_ratio(outcomes: Sequence[Outcome]) -> tuple[float, float, float] | None:
    """Mean frequency of sub-optimal minima over mean V(L_0), and its 95 % interval: the percentiles of 9999 bootstraps
    over the data sets. None where there are few of them, or not all have such a volume."""
    pairs = [(o.frequency("suboptimal_dlm"), o.suboptimal) for o in outcomes]
    if len(pairs) < LEAST_SETS or not all(volume > 0 for _, volume in pairs):
        return None

    def ratio(frequencies, volumes, axis):
        return np.mean(frequencies, axis=axis) / np.mean(volumes, axis=axis)

    frequencies, volumes = np.transpose(pairs)
    found = scipy.stats.bootstrap((frequencies, volumes), ratio, paired=True, method="percentile", rng=0)
    low, high = found.confidence_interval
    return float(ratio(frequencies, volumes, 0)), float(low), float(high)
