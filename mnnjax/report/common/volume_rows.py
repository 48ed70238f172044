"""Rows of volume studies, one a data set (X, y), gathered to cells (one problem shape) and curves (one rule for d1)."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from mnnjax.config import Study
from mnnjax.landscape.volumes.intervals import Estimate
from mnnjax.report.common.grouping import OfOneShape, grouped
from mnnjax.study.workdir.results_table import QUANTITIES

T = TypeVar("T")
M = TypeVar("M")
NAMES = {
    "suboptimal": "V(L_eps)",
    "candidates": "V(candidates)",
    "global_minima": "V(G)",
    "ratio": "V(L_eps) / V(G)",
    "rank_deficient": "V(rank < N)",
}


class Measure(Estimate):
    """A volume, or a ratio of two, as results.csv has it; an estimate of nan where only the interval is known."""

    @property
    def is_known(self) -> bool:
        """Whether the estimate is a number; a ratio over V(G) = 0 is not."""
        return math.isfinite(self.estimate)


@dataclasses.dataclass(frozen=True)
class VolumeRow:
    """One data set of one cell; `measured` lacks what was not measured."""

    study: str
    d0: int
    d1: int
    N: int
    constant: bool
    """Whether every input has one more coordinate, 1."""
    rho: float
    data_seed: str
    method: str
    eps: float
    measured: Mapping[str, Measure]

    @property
    def inputs(self) -> int:
        """Coordinates of an input, the constant one included."""
        return self.d0 + self.constant

    @property
    def columns(self) -> int:
        """Of A o X, as rows are points: first-layer weights, biases included."""
        return self.inputs * self.d1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(d0, d1, N)."""
        return (self.d0, self.d1, self.N)

    @property
    def has_unknown_ratio(self) -> bool:
        """Whether both volumes were measured, and neither end of their ratio is known."""
        return "ratio" not in self.measured and {"suboptimal", "global_minima"} <= set(self.measured)


@dataclasses.dataclass(frozen=True)
class VolumeCell(OfOneShape):
    """All data sets of one problem shape."""

    rows: tuple[VolumeRow, ...]

    @property
    def inputs(self) -> int:
        """Coordinates of an input, the constant one included."""
        return self.rows[0].inputs

    @property
    def columns_per_point(self) -> float:
        """Columns of A o X, as rows are points, over N."""
        return self.rows[0].columns / self.N

    def measures(self, quantity: str) -> list[Measure]:
        """That of every data set for which the quantity (a key of NAMES) was measured."""
        return [row.measured[quantity] for row in self.rows if quantity in row.measured]

    def values(self, quantity: str) -> list[float]:
        """The estimate of every data set; none where one of them is missing or no number."""
        found = [m.estimate for m in self.measures(quantity) if m.is_known]
        return found if len(found) == len(self.rows) else []

    def pooled(self, quantity: str) -> Measure | None:
        """The mean of the estimates (nan where one is missing), the smallest low and the largest high of the data
        sets, and the sums of hits and draws; None where nothing was measured."""
        some = self.measures(quantity)
        if not some:
            return None
        values = self.values(quantity)
        return Measure(
            estimate=statistics.fmean(values) if values else math.nan,
            low=min(m.low for m in some),
            high=max(m.high for m in some),
            hits=_sum(m.hits for m in some),
            draws=_sum(m.draws for m in some),
        )

    def mean(self, quantity: str) -> float:
        """The mean over the data sets; nan where one has no estimate."""
        pooled = self.pooled(quantity)
        return pooled.estimate if pooled else math.nan


@dataclasses.dataclass(frozen=True)
class VolumeCurve:
    """The cells that one rule makes (d0 d1 = k N, or one d1), by rising N."""

    label: str
    cells: tuple[VolumeCell, ...]


def parse_volumes(values: Mapping[str, str]) -> VolumeRow:
    """The row of results.csv with these strings.

    Raises:
      KeyError, TypeError, ValueError: a value is missing or not a number.
    """
    d0, d1, N = (int(values[name]) for name in ("d0", "d1", "N"))
    if min(d0, d1, N) < 1:
        raise ValueError("sizes must be positive")
    measured = {quantity: _measure(values, quantity) for quantity in QUANTITIES}
    return VolumeRow(
        study=values["study"],
        d0=d0,
        d1=d1,
        N=N,
        constant=values.get("bias") == "True",
        rho=float(values["rho"]),
        data_seed=values.get("data_seed") or "",
        method=values["method"],
        eps=float(values["eps"]),
        measured={name: measure for name, measure in measured.items() if measure},
    )


def volume_cells(rows: Iterable[VolumeRow]) -> list[VolumeCell]:
    """Rows gathered by problem shape, in the order (d0, d1, N)."""
    return [VolumeCell(tuple(some)) for _, some in sorted(grouped(rows, lambda row: row.shape).items())]


def volume_curves(part: Study, cells: Sequence[VolumeCell]) -> list[VolumeCurve]:
    """Cells gathered by what the study holds fixed while N grows: d0 d1 / N or d1, and d0 where it has several."""
    groups = grouped(sorted(cells, key=lambda cell: cell.N), lambda cell: _rule(part, cell))
    return [VolumeCurve(_label(part, rule), tuple(some)) for rule, some in sorted(groups.items())]


def _rule(part: Study, cell: VolumeCell) -> tuple[int, float]:
    """(d0, or 0 where it grows or there is but one; the ratio d0 d1 / N asked for, or d1, or 0 where d1 = d0)."""
    several = not part.problem.grows and len(part.problem.d0) > 1
    ratios, widths = part.network.d0_d1_over_N, part.network.d1
    if ratios:
        # As plan.py rounds d1.
        second = min(ratios, key=lambda ratio: abs(math.ceil(ratio * cell.N / cell.d0 - 1e-9) - cell.d1))
    else:
        second = cell.d1 if widths else 0
    return (cell.d0 if several else 0, second)


def _label(part: Study, rule: tuple[int, float]) -> str:
    d0, second = rule
    if part.network.d0_d1_over_N:
        label = f"d0 d1 = {second:g} N" if second != 1 else "d0 d1 = N"
    else:
        label = f"d1 = {second}" if second else "d1 = d0"
    return f"d0 = {d0}, {label}" if d0 else label


def _measure(values: Mapping[str, str], quantity: str) -> Measure | None:
    text = {end: values.get(f"{quantity}{end}") or "" for end in ("", "_low", "_high", "_hits", "_draws")}
    if not text["_low"] and not text["_high"] and not text[""]:
        return None
    estimate, low, high = (_parsed(float, text[end], math.nan) for end in ("", "_low", "_high"))
    if not (low >= 0 and high >= 0):
        raise ValueError(f"{quantity} has the interval [{text['_low']}, {text['_high']}]")
    return Measure(estimate, low, high, _parsed(int, text["_hits"], None), _parsed(int, text["_draws"], None))


def _parsed(kind: Callable[[str], T], text: str, missing: M) -> T | M:
    return kind(text) if text else missing


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
