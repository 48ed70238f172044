"""Where training ends, beside the exact volumes of the same data sets: does volume predict basins? (Section 6.)"""

import collections
import dataclasses
import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import numpy as np
import scipy.stats

from mnnjax.config import Study
from mnnjax.landscape.volumes.intervals import clopper_pearson
from mnnjax.report.common.findings import Finding, Status
from mnnjax.report.common.grouping import grouped
from mnnjax.report.common.tables import SIZES, Column, Table
from mnnjax.report.common.training_rows import Row
from mnnjax.report.common.volume_rows import VolumeRow
from mnnjax.study.workdir.results_table import NON_FINITE
from mnnjax.wording import integer, of, percent, plural, significant

# Agreement asks for this share of data sets whose interval holds the volume, and judgement for this many data sets.
SHARE, LEAST_SETS, LARGEST_P = 0.9, 5, 0.01
# With a larger share of the runs unresolved, a frequency says little.
MOST_UNRESOLVED = 0.5
# How a run ended where all points are classified right though the minimum is not global: Definition 4 has that neither
# in L_0 nor in G.
NO_ERROR = "suboptimal_without_error"


@dataclasses.dataclass(frozen=True)
class Basin:
    """All runs on one data set (X, y), and its exact volumes V(L_0) and V(G)."""

    d0: int
    d1: int
    N: int
    data_seed: str
    verdicts: Mapping[str, int]
    """Runs by their verdict; suboptimal_dlm are those with MCE > 0, the others are NO_ERROR."""
    suboptimal: float
    global_minima: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """(d0, d1, N)."""
        return (self.d0, self.d1, self.N)

    @property
    def runs(self) -> int:
        """How many networks were trained on it."""
        return sum(self.verdicts.values())

    @property
    def unresolved(self) -> int:
        """Runs whose end point is of no proven kind."""
        known = ("suboptimal_dlm", NO_ERROR, "global_minimum", "non_differentiable")
        return self.runs - sum(self.verdicts.get(verdict, 0) for verdict in known)

    def frequency(self, verdict: str) -> float:
        """The share of all runs that ended with this verdict."""
        return self.verdicts.get(verdict, 0) / self.runs

    def interval(self, verdict: str) -> tuple[float, float]:
        """Of that frequency: Clopper and Pearson's, 95 %."""
        return clopper_pearson(self.verdicts.get(verdict, 0), self.runs)

    def open_interval(self, verdict: str) -> tuple[float, float]:
        """The frequency if no unresolved run, or all of them, were to end with this verdict."""
        count = self.verdicts.get(verdict, 0)
        return count / self.runs, (count + self.unresolved) / self.runs

    @property
    def holds_volume(self) -> bool:
        """Whether the interval of the frequency of sub-optimal minima holds V(L_0)."""
        low, high = self.interval("suboptimal_dlm")
        return low <= self.suboptimal <= high

    @property
    def could_hold_volume(self) -> bool:
        """The same, whatever the unresolved runs would have been."""
        count = self.verdicts.get("suboptimal_dlm", 0)
        low, high = (clopper_pearson(n, self.runs)[k] for k, n in enumerate((count, count + self.unresolved)))
        return low <= self.suboptimal <= high


def join(study: Study, part: Study, rows: Iterable[Row], volumes: Iterable[VolumeRow]) -> tuple[list[Basin], int]:
    """The data sets of `rows`, which `part` trained on, that have exact volumes in the work folder of `study`, in the
    order (d0, d1, N, first run), and the number of data sets that have none."""
    drawn_alike = {other.name for other in study.parts if _draw(other) == _draw(part)}
    exact: dict[tuple, VolumeRow] = {}
    for row in volumes:
        if row.method == "exact" and row.eps == 0 and row.rho == part.network.rho and row.study in drawn_alike:
            exact.setdefault((*row.shape, row.data_seed), row)
    runs = grouped(rows, lambda row: (*row.shape, row.data_seed))
    basins = []
    for (hidden_layers, d0, d1, N, data_seed), some in runs.items():
        row = exact.get((d0, d1, N, data_seed)) if hidden_layers == 1 else None
        if row and {"suboptimal", "global_minima"} <= set(row.measured):
            suboptimal, global_minima = (row.measured[name].estimate for name in ("suboptimal", "global_minima"))
            ends = collections.Counter(map(_end, some))
            basins.append(Basin(d0, d1, N, data_seed, ends, suboptimal, global_minima))
    return sorted(basins, key=lambda basin: basin.shape), len(runs) - len(basins)


def _end(row: Row) -> str:
    # A minimum whose MCE is not known counts as one with errors.
    return NO_ERROR if row.verdict == "suboptimal_dlm" and row.region_mce == 0 else row.verdict


def _draw(part: Study) -> tuple:
    """What decides the data set that a data seed gives."""
    problem = part.problem
    return (
        problem.inputs, problem.labels, problem.label_values, problem.teacher_units, problem.constant_input,
        part.network.bias,
    )  # fmt: skip


def by_shape(basins: Sequence[Basin]) -> dict[tuple[int, int, int], list[Basin]]:
    """Gathered by (d0, d1, N)."""
    return grouped(basins, lambda basin: basin.shape)


def shape_label(shape: tuple[int, int, int]) -> str:
    """Of (d0, d1, N), in words."""
    return "d0 = {}, d1 = {}, N = {}".format(*shape)


def rank_correlation(basins: Sequence[Basin]) -> tuple[float, float] | None:
    """Spearman's, of V(L_0) and the frequency of sub-optimal minima, with its p-value; None where it is not defined."""
    x, y = [b.suboptimal for b in basins], [b.frequency("suboptimal_dlm") for b in basins]
    if len(basins) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    statistic, p_value = cast(tuple[float, float], scipy.stats.spearmanr(x, y))
    return float(statistic), float(p_value) if len(basins) > 8 else _exact_p_value(x, y)


def mean_ratio(basins: Sequence[Basin]) -> tuple[float, float, float] | None:
    """Mean frequency of sub-optimal minima over mean V(L_0), and its 95 % interval: the percentiles of 9999 bootstraps
    over the data sets. None where there are few of them, or not all have such a volume."""
    pairs = [(b.frequency("suboptimal_dlm"), b.suboptimal) for b in basins]
    if len(pairs) < LEAST_SETS or not all(volume > 0 for _, volume in pairs):
        return None

    def ratio(frequencies, volumes, axis):
        return np.mean(frequencies, axis=axis) / np.mean(volumes, axis=axis)

    frequencies, volumes = np.transpose(pairs)
    found = scipy.stats.bootstrap((frequencies, volumes), ratio, paired=True, method="percentile", rng=0)
    low, high = found.confidence_interval
    return float(ratio(frequencies, volumes, 0)), float(low), float(high)


def _exact_p_value(x: Sequence[float], y: Sequence[float]) -> float:
    """Two-sided, over all orders of x; for few points scipy's is no good (0 where both orders agree)."""
    a, b = (ranks - ranks.mean() for ranks in map(scipy.stats.rankdata, (x, y)))
    products = np.array(list(itertools.permutations(a))) @ b
    return float(np.mean(np.abs(products) >= abs(a @ b) - 1e-9))


def finding(basins: Sequence[Basin], without_volume: int) -> Finding:
    """The question of section 6 and what was measured."""
    runs, unresolved = sum(b.runs for b in basins), sum(b.unresolved for b in basins)
    no_error = sum(b.verdicts.get(NO_ERROR, 0) for b in basins)
    held, possible = sum(b.holds_volume for b in basins), sum(b.could_hold_volume for b in basins)
    measured = []
    if basins:
        measured += [
            f"{shape_label(shape)}: {_means(some)}; rank correlation {_correlation(some)}."
            for shape, some in by_shape(basins).items()
        ]
        measured += [
            f"Over {plural(len(basins), 'data set')}: {_means(basins)}; rank correlation {_correlation(basins)}.",
            *_ratio(basins),
            f"The 95 % interval of the frequency contains V(L_0) in {of(held, len(basins), 'data set')}; counting "
            f"unresolved runs as either kind, it can contain it in {possible}.",
            f"Sub-optimal with MCE 0, which Definition 4 has neither in L_0 nor in G: {of(no_error, runs, 'run')}; "
            f"unresolved (not converged or non-finite): {integer(unresolved)}.",
        ]
    if without_volume:
        measured.append(f"Left out: {plural(without_volume, 'data set')} without an exact volume.")
    status, why = _status(basins, held, unresolved, runs)
    return Finding(
        claim="Does volume predict basins: does training end in a sub-optimal differentiable local minimum with "
        "MCE > 0 as often as V(L_0) says? (Section 6 asks; the paper makes no claim.)",
        measured=tuple(measured),
        criterion="Agrees when the 95 % interval (Clopper and Pearson) of the frequency of suboptimal_dlm with MCE > 0 "
        f"among all runs contains V(L_0) in at least {100 * SHARE:g} % of the data sets; agrees in part when it does "
        "not, but frequency and volume have a positive rank correlation over all data sets (Spearman, p < "
        f"{LARGEST_P}); otherwise does not agree. Cannot be judged with fewer than {LEAST_SETS} data sets, or with "
        f"more than {100 * MOST_UNRESOLVED:g} % of the runs unresolved.",
        status=status,
        because=(why,),
        whose="Question",
    )


def _status(basins: Sequence[Basin], held: int, unresolved: int, runs: int) -> tuple[Status, str]:
    if len(basins) < LEAST_SETS:
        return "cannot be judged", f"There {'is' if len(basins) == 1 else 'are'} {plural(len(basins), 'data set')}."
    if unresolved > MOST_UNRESOLVED * runs:
        return "cannot be judged", f"{percent(unresolved / runs)} of the runs are unresolved: train longer."
    contained = f"The interval contains V(L_0) in {of(held, len(basins), 'data set')}"
    if held >= SHARE * len(basins):
        return "agrees", f"{contained}."
    found = rank_correlation(basins)
    status = "agrees in part" if found and found[0] > 0 and found[1] < LARGEST_P else "does not agree"
    return status, f"{contained}; rank correlation {_correlation(basins)}."


def _means(basins: Sequence[Basin]) -> str:
    def mean(value: Callable[[Basin], float]) -> str:
        return significant(statistics.fmean(map(value, basins)))

    return (
        f"mean frequency of sub-optimal minima with MCE > 0 {mean(lambda b: b.frequency('suboptimal_dlm'))}, "
        f"mean V(L_0) {mean(lambda b: b.suboptimal)}; of global minima "
        f"{mean(lambda b: b.frequency('global_minimum'))}, mean V(G) {mean(lambda b: b.global_minima)}"
    )


def _ratio(basins: Sequence[Basin]) -> list[str]:
    if (found := mean_ratio(basins)) is None:
        return []
    ratio, low, high = map(significant, found)
    return [
        f"The mean frequency is {ratio} times the mean V(L_0) (95 %, by bootstrap over data sets: {low} to {high})."
    ]


def _correlation(basins: Sequence[Basin]) -> str:
    found = rank_correlation(basins)
    if found is None:
        return "not defined"
    return f"{found[0]:.2f} (p = {significant(found[1])}, {plural(len(basins), 'data set')})"


def table(basins: Sequence[Basin]) -> Table:
    """One row a data set: how its runs ended, beside its exact volumes."""
    columns = (
        *SIZES, Column("data_seed", "data seed"), Column("runs", "runs", integer),
        Column("suboptimal_dlm", "suboptimal dlm, MCE > 0", integer),
        Column(NO_ERROR, "suboptimal dlm, MCE 0", integer),
        Column("global_minimum", "global minimum", integer),
        Column("non_differentiable", "non-differentiable", integer),
        Column("unresolved", "unresolved", integer), Column("non_finite", "of them non-finite", integer),
        *_frequency_columns("suboptimal", "suboptimal dlm, MCE > 0", "V(L_0)"),
        *_frequency_columns("global", "global minimum", "V(G)"),
        Column("neither", "share of neither", percent),
    )  # fmt: skip
    note = (
        "Frequencies among all runs, with Clopper and Pearson's 95 % interval; exact volumes. Unresolved: not "
        "converged or non-finite; 'if unresolved were': the frequency if all of these ended there."
    )
    return Table(columns, tuple(map(_row, basins)), note)


def _frequency_columns(key: str, name: str, volume: str) -> tuple[Column, ...]:
    return (
        Column(f"{key}_frequency", "frequency", significant, name),
        Column(f"{key}_low", "low", significant, name),
        Column(f"{key}_high", "high", significant, name),
        Column(f"{key}_open_high", "if unresolved were", significant, name),
        Column(f"{key}_volume", volume, significant, name),
    )


def _row(b: Basin) -> tuple:
    counts = [b.verdicts.get(v, 0) for v in ("suboptimal_dlm", NO_ERROR, "global_minimum", "non_differentiable")]
    both = [
        (b.frequency(v), *b.interval(v), b.open_interval(v)[1], volume)
        for v, volume in (("suboptimal_dlm", b.suboptimal), ("global_minimum", b.global_minima))
    ]
    neither = (b.runs - counts[0] - counts[2]) / b.runs
    return (
        b.d0, b.d1, b.N, b.data_seed, b.runs, *counts, b.unresolved, b.verdicts.get(NON_FINITE, 0),
        *both[0], *both[1], neither,
    )  # fmt: skip
