"""The minima that descents reach from where training ended, or from random points: counts, intervals, the table."""

import collections
import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

import scipy.stats

from mnnjax.landscape.volumes.intervals import Estimate, proportion
from mnnjax.report.common.rows import Cell, Row, cells
from mnnjax.report.common.tables import SIZES, Column, Table
from mnnjax.study.workdir.results_table import NON_FINITE, TOO_LARGE
from mnnjax.wording import integer, plural, ratio, scientific, significant

GLOBAL, KINK, DLM, UNPROVEN = "global_minimum", "suboptimal_kink", "suboptimal_dlm", "unproven"
KINDS = {
    GLOBAL: "global", KINK: "sub-optimal, at kinks", DLM: "sub-optimal, differentiable", UNPROVEN: "unproven",
}  # fmt: skip
"""Of minima, by verdict, with their names for people; unproven: the descent ended at no proven minimum."""


@dataclasses.dataclass(frozen=True)
class Start:
    """What descents start from, such as random weights, and the repetitions that have a descent."""

    name: str
    trained: bool
    """Whether training came first."""
    cells: tuple[Cell, ...]

    @property
    def rows(self) -> list[Row]:
        """The repetitions of all its cells."""
        return [row for cell in self.cells for row in cell.rows]


def has_descent(row: Row) -> bool:
    """Whether a descent followed; none does where training overflowed, or the problem is too large."""
    return row.minimum_verdict not in ("", NON_FINITE, TOO_LARGE)


def with_descents(rows: Iterable[Row]) -> tuple[Cell, ...]:
    """The cells of those repetitions that have a descent."""
    return tuple(cells(filter(has_descent, rows)))


def kind(row: Row) -> str:
    """The kind of minimum that the row's descent reached: one of KINDS."""
    return row.minimum_verdict if row.minimum_verdict in KINDS else UNPROVEN


def share(cell: Cell, name: str) -> Estimate:
    """The share of the cell's descents with this kind of minimum; Clopper and Pearson's 95 % interval."""
    return proportion(sum(kind(row) == name for row in cell.rows), len(cell.rows))


def is_proven(row: Row) -> bool:
    """Whether the descent ended at a proven minimum."""
    return kind(row) != UNPROVEN


def weights(row: Row) -> int:
    """Of the last hidden layer, which the descent moves with z: d0 d1 with one hidden layer, biases included."""
    return (row.d0 if row.hidden_layers == 1 else row.d1) * row.d1 + row.bias * row.d1


def weights_per_point(row: Row) -> float:
    """d0 d1 / N, with one hidden layer and no biases."""
    return weights(row) / row.N


def kinks_per_weight(row: Row) -> float:
    """Kinks of the minimum per weight: each takes one degree of freedom."""
    return (row.minimum_kinks or 0) / weights(row)


def median(values: Iterable[float]) -> Estimate:
    """The median of the finite values, and its 95 % interval; nan without any.

    The ends are nan with fewer than 6 values: no two of so few contain the median with 95 %.
    Source: the ends are order statistics, from binomial probabilities (scipy.stats.quantile_test).
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return Estimate(math.nan, math.nan, math.nan)
    low, high = scipy.stats.quantile_test(finite, p=0.5).confidence_interval(0.95)
    return Estimate(statistics.median(finite), float(low), float(high))


def sentence(rows: Sequence[Row]) -> str:
    """How many descents ended at each kind of minimum."""
    count = collections.Counter(map(kind, rows))
    return (
        f"Of {plural(len(rows), 'descent')}, {integer(count[GLOBAL])} end at a global minimum, {integer(count[KINK])} "
        f"at a sub-optimal minimum at kinks, {integer(count[DLM])} at a sub-optimal differentiable one, and "
        f"{integer(count[UNPROVEN])} at no proven minimum."
    )


def count_columns(group: str = "") -> tuple[Column, ...]:
    """The columns of `counts`."""
    keys = {GLOBAL: "below_global", KINK: "below_kink", DLM: "below_dlm", UNPROVEN: "below_unproven"}
    return tuple(Column(keys[name], heading, integer, group) for name, heading in KINDS.items())


def counts(rows: Iterable[Row]) -> tuple[int | None, ...]:
    """How many descents of the rows ended at each kind of minimum, in the order of KINDS; None where none followed."""
    count = collections.Counter(kind(row) for row in filter(has_descent, rows))
    return tuple(count[name] if count else None for name in KINDS)


def table(starts: Sequence[Start]) -> Table:
    """One row per start and cell: the kinds of minima, and medians."""
    columns = (
        Column("start", "start"), *SIZES, Column("d0_d1_per_point", "d0 d1 / N", ratio),
        Column("descents", "descents", integer), *count_columns("descents that end at a minimum that is"),
        Column("global_share", "share", ratio, "global minima"), Column("global_low", "low", ratio, "global minima"),
        Column("global_high", "high", ratio, "global minima"),
        Column("kinks_per_weight", "kinks / weight", ratio, "median"),
        Column("start_mse", "MSE at the start", scientific, "median"),
        Column("minimum_mse", "MSE of the minimum", scientific, "median"),
        Column("start_mce", "MCE at the start", ratio, "median"),
        Column("minimum_mce", "MCE of the minimum", ratio, "median"),
        Column("minimum_distance", "distance", significant, "median"),
        Column("descent_steps", "steps", significant, "median"),
    )  # fmt: skip
    rows = []
    for start, cell in ((s, cell) for s in starts for cell in s.cells):
        found, proven = share(cell, GLOBAL), [row for row in cell.rows if is_proven(row)]
        numbers = (
            map(kinks_per_weight, proven), (row.mse for row in cell.rows), (row.minimum_mse for row in proven),
            (row.mce for row in cell.rows), (row.minimum_mce for row in proven),
            (row.minimum_distance for row in proven), (row.descent_steps or 0 for row in cell.rows),
        )  # fmt: skip
        rows.append((
            start.name, cell.d0, cell.d1, cell.N, weights_per_point(cell.rows[0]), len(cell.rows), *counts(cell.rows),
            found.estimate, found.low, found.high, *(median(values).estimate for values in numbers),
        ))  # fmt: skip
    note = (
        "Low, high: Clopper and Pearson's 95 % interval. Kinks: pairs (neuron, point) whose neural input is zero at "
        "the minimum. Distance: from the start, over the norm of its weights. Of proven minima alone: the medians of "
        "kinks, minima and distance."
    )
    return Table(columns, tuple(rows), note)
