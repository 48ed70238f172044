"""Repetitions (rows of results.csv), gathered to cells (one problem shape) and curves (what grows with N)."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, TypeVar

from mnnjax.config import Study, UserError
from mnnjax.landscape.volumes.intervals import Estimate
from mnnjax.study.workdir.results_table import NON_FINITE, QUANTITIES, read_csv, typed
from mnnjax.study.workdir.storage import AnyPath

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

NAMES = {
    "suboptimal": "V(L_eps)", "candidates": "V(candidates)", "global_minima": "V(G)", "ratio": "V(L_eps) / V(G)",
    "rank_deficient": "V(rank < N)",
}  # fmt: skip
"""Of the quantities, in the order of tables and pictures."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One repetition of one cell, with names and meanings of results_table.py: of training, or with `method` of
    measuring volumes. An MCE is a fraction. Numbers that the file lacks are nan."""

    study: str
    cell: str
    hidden_layers: int
    d0: int
    d1: int
    N: int
    rho: float
    bias: bool
    parameters: int
    seed: int
    data_seed: int
    mse: float
    mce: float
    min_abs_neural_input: float
    verdict: str
    reason: str
    region_mce: float
    first_order_residual: float
    held_out_mce: float
    held_out_N: int | None
    minimum_verdict: str
    """Empty where no descent followed."""
    minimum_mse: float
    minimum_mce: float
    minimum_kinks: int | None
    minimum_distance: float
    descent_steps: int | None
    method: str
    eps: float
    global_minimum_mse: float
    """Of exact volumes."""
    measured: Mapping[str, Estimate]
    """By quantity, those that were measured; an estimate of nan where only the interval is known."""
    seconds: float = math.nan
    """Seconds that the cell took, all its repetitions together. The logs tell it, not results.csv."""

    @property
    def is_finite(self) -> bool:
        """Whether training ended at a point whose losses are numbers."""
        return self.verdict != NON_FINITE and math.isfinite(self.mse) and math.isfinite(self.mce)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(hidden layers, d0, d1, N)."""
        return (self.hidden_layers, self.d0, self.d1, self.N)

    @property
    def coordinates(self) -> int:
        """Of an input, the constant one included."""
        return self.d0 + self.bias


@dataclasses.dataclass(frozen=True)
class Cell:
    """All repetitions of one problem shape, at least one."""

    hidden_layers: int
    d0: int
    d1: int
    N: int
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """How many were trained."""
        return self.rows[0].parameters

    @property
    def parameters_per_point(self) -> float:
        """parameters / N."""
        return self.parameters / self.N

    @property
    def columns_per_point(self) -> float:
        """Columns of A o X, as rows are points, over N: one for each first-layer weight, biases included."""
        return self.rows[0].coordinates * self.d1 / self.N

    @property
    def seconds(self) -> float:
        """What all repetitions took together, in seconds; nan where no log tells it."""
        return self.rows[0].seconds

    @functools.cached_property
    def finite(self) -> tuple[Row, ...]:
        """The repetitions whose losses are numbers."""
        return tuple(row for row in self.rows if row.is_finite)

    @property
    def non_finite(self) -> int:
        """The number of repetitions that overflowed, or became nan."""
        return len(self.rows) - len(self.finite)

    @functools.cached_property
    def mce(self) -> tuple[float, ...]:
        """Of every finite repetition; fractions."""
        return tuple(row.mce for row in self.finite)

    @property
    def mean_mce(self) -> float:
        """Over the finite repetitions, a fraction; nan where there is none."""
        return statistics.fmean(self.mce or [math.nan])

    @property
    def std_mce(self) -> float:
        """Sample standard deviation (n - 1) of fractions; nan with fewer than two finite repetitions."""
        return statistics.stdev(self.mce) if len(self.mce) > 1 else math.nan

    @property
    def standard_error(self) -> float:
        """Of the mean MCE, a fraction; 0 with fewer than two finite repetitions, which tell none."""
        return self.std_mce / math.sqrt(len(self.mce)) if len(self.mce) > 1 else 0.0

    @property
    def best_mce(self) -> float:
        """The smallest, a fraction; nan where no repetition is finite."""
        return min(self.mce, default=math.nan)

    @property
    def worst_mce(self) -> float:
        """The largest, a fraction; nan where no repetition is finite."""
        return max(self.mce, default=math.nan)

    @property
    def zero_mce(self) -> int:
        """The number of repetitions whose MCE is the fraction 0."""
        return self.mce.count(0)

    def count(self, verdict: str) -> int:
        """The number of repetitions with this verdict."""
        return sum(row.verdict == verdict for row in self.rows)

    def measures(self, quantity: str) -> list[Estimate]:
        """That of every data set for which the quantity was measured."""
        return [row.measured[quantity] for row in self.rows if quantity in row.measured]

    def values(self, quantity: str) -> list[float]:
        """The estimate of every data set; none where one of them is missing or no number."""
        known = [m.estimate for m in self.measures(quantity) if math.isfinite(m.estimate)]
        return known if len(known) == len(self.rows) else []

    def pooled(self, quantity: str) -> Estimate | None:
        """The mean of the estimates (nan where one is missing), the smallest low and the largest high of the data
        sets, and the sums of hits and draws; None where nothing was measured."""
        if not (measures := self.measures(quantity)):
            return None
        low, high = min(m.low for m in measures), max(m.high for m in measures)
        counts = [[n for m in measures if (n := getattr(m, name)) is not None] for name in ("hits", "draws")]
        return Estimate(self.mean(quantity), low, high, *(sum(known) if known else None for known in counts))

    def mean(self, quantity: str) -> float:
        """The mean over the data sets; nan where one has no estimate."""
        return statistics.fmean(self.values(quantity) or [math.nan])


@dataclasses.dataclass(frozen=True)
class Curve:
    """Cells of a picture's line, by rising N."""

    label: str
    cells: tuple[Cell, ...]

    @property
    def widths(self) -> tuple[int, int]:
        """(d0, d1), of a curve of one network shape."""
        return (self.cells[0].d0, self.cells[0].d1)


def read_rows(path: AnyPath) -> list[Row]:
    """All rows of a results.csv; none when there is no such file yet. Raises UserError, with the file and the line,
    where a value is missing or not a number."""
    rows = []
    for line, text in enumerate(read_csv(path) if path.exists() else (), start=2):
        try:
            rows.append(row_of(typed(text)))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}, line {line}: cannot be read ({type(error).__name__}: {error}); "
                "delete the file and let `mnnjax run` write it again"
            ) from error
    return rows


def row_of(values: Mapping[str, Any]) -> Row:
    """The row of values that results_table.typed gives; ValueError where they contradict each other."""
    if min(values["hidden_layers"], values["d0"], values["d1"], values["N"]) < 1:
        raise ValueError("sizes must be positive")
    if values["method"] and math.isnan(values["eps"]):
        raise ValueError("eps is empty")
    measured = {quantity: measure for quantity in QUANTITIES if (measure := _measure(values, quantity))}
    known = {**values, "measured": measured, "seconds": math.nan}
    return Row(**{field.name: known[field.name] for field in dataclasses.fields(Row)})


def _measure(values: Mapping[str, Any], quantity: str) -> Estimate | None:
    measure = Estimate(*(values[f"{quantity}{end}"] for end in ("", "_low", "_high", "_hits", "_draws")))
    if all(map(math.isnan, (measure.estimate, measure.low, measure.high))):
        return None
    if not (measure.low >= 0 and measure.high >= 0):
        raise ValueError(f"{quantity} has the interval [{measure.low}, {measure.high}]")
    return measure


def rows_of(part: Study, rows: Iterable[Row]) -> list[Row]:
    """Those of a work folder's rows that a part of its study has made."""
    return [row for row in rows if row.study == part.name and bool(row.method) == bool(part.volume)]


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """key -> the items that have it, both in the order in which they come."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def cells(rows: Iterable[Row]) -> list[Cell]:
    """Rows gathered by problem shape, in the order (hidden layers, d0, d1, N)."""
    return [Cell(*shape, tuple(group)) for shape, group in sorted(grouped(rows, lambda row: row.shape).items())]


def curves(cells: Iterable[Cell], key: Callable[[Cell], Any], label: Callable[[Any], str]) -> list[Curve]:
    """Cells gathered by a key, in its order, and labelled by it."""
    groups = grouped(sorted(cells, key=lambda cell: cell.N), key)
    return [Curve(label(value), tuple(group)) for value, group in sorted(groups.items())]


def network_curves(cells: Iterable[Cell]) -> list[Curve]:
    """Cells gathered by network shape: 'd = 20', or 'd0 = 20, d1 = 5', first those of one hidden layer."""
    return curves(
        cells,
        key=lambda cell: (cell.hidden_layers, cell.d0, cell.d1),
        label=lambda shape: f"d = {shape[1]}" if shape[1] == shape[2] else f"d0 = {shape[1]}, d1 = {shape[2]}",
    )
