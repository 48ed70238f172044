"""Tables: the same columns as a CSV file (exact numbers) and as text on the page (rounded)."""

import csv
import dataclasses
import io
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mnnjax.landscape.volumes.intervals import Estimate
from mnnjax.report.common.rows import NAMES, Cell
from mnnjax.study.workdir.results_table import TOO_LARGE, Value
from mnnjax.wording import EMPTY, integer, percent, ratio, scientific, significant


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a CSV file, and how the page shows it."""

    key: str
    """Name in the CSV file."""
    heading: str
    """Name on the page."""
    show: Callable[[Any], str] | None = str
    """How the page writes a value; None: the column is in the file only."""
    group: str = ""
    """Heading that neighbouring columns share, above their own."""
    of: Callable[[Any], Value] | None = None
    """The value of what a row is about; by default its attribute `key`."""
    count: str = ""
    """Key of the column whose value the page writes behind that of this one, as in count_text."""
    count_text: str = " ({})"
    style: str = ""
    """CSS classes on the page: words (lines may be broken), long (words that need room), paper (not measured here)."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of plain values, one per column; None is an empty field."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str = ""

    def to_csv(self) -> str:
        """As a CSV file: fractions as fractions, floats by repr so that they read back as the same float."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(column.key for column in self.columns)
        writer.writerows([repr(v) if isinstance(v, float) else v for v in row] for row in self.rows)
        return out.getvalue()

    @property
    def page_columns(self) -> list[Column]:
        """Those that the page shows."""
        return [column for column in self.columns if column.show is not None]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """(heading, number of columns below it), from left to right; empty if no column has one."""
        groups = [(name, len(list(below))) for name, below in itertools.groupby(c.group for c in self.page_columns)]
        return groups if any(name for name, _ in groups) else []

    @property
    def classes(self) -> list[str]:
        """The CSS classes of each column of the page; `text` is no number, `first` begins a group."""
        columns = self.page_columns
        first = [False, *(a.group != b.group for a, b in itertools.pairwise(columns))]
        return [
            " ".join(filter(None, (column.style, "text" * (column.show is str), "first" * begins)))
            for column, begins in zip(columns, first, strict=True)
        ]

    @property
    def shown(self) -> list[list[str]]:
        """The rows as text, one entry per column of the page."""
        return [[text for text, _ in row] for row in self.fields]

    @property
    def fields(self) -> list[list[tuple[str, str | None]]]:
        """The rows as the page has them: of each column the text, and the number by which the page sorts, if it is
        one."""
        keys = [column.key for column in self.columns]
        rows = [dict(zip(keys, row, strict=True)) for row in self.rows]
        return [[(_text(column, row), _number(row[column.key])) for column in self.page_columns] for row in rows]


def _number(value: Value) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    # As JavaScript reads it.
    return f"{value:.9g}".replace("inf", "Infinity") if is_number else None


def _text(column: Column, row: Mapping[str, Any]) -> str:
    if row[column.key] is None:
        return EMPTY
    text, count = (column.show or str)(row[column.key]), row.get(column.count)
    return text if count is None else text + column.count_text.format(integer(count))


def table_of(columns: Iterable[Column], subjects: Iterable[Any], note: str) -> Table:
    """A table with one row per subject, by the columns' `of`."""
    columns = tuple(columns)
    rows = (tuple(c.of(subject) if c.of else getattr(subject, c.key) for c in columns) for subject in subjects)
    return Table(columns, tuple(rows), note)


SIZES = (Column("d0", "d0", integer), Column("d1", "d1", integer), Column("N", "N", integer))
REPETITIONS = Column("repetitions", "repetitions", integer, of=lambda cell: len(cell.rows))
SHAPE = (
    Column("hidden_layers", "hidden layers", integer), *SIZES, Column("parameters", "parameters", integer),
    Column("parameters_per_point", "parameters / N", ratio), REPETITIONS,
)  # fmt: skip
MCE = (
    Column("mean_mce", "mean MCE", percent), Column("std_mce", "std of MCE", percent),
    Column("zero_mce_repetitions", "with MCE 0", integer, of=lambda cell: cell.zero_mce),
    Column("worst_mce", "worst MCE", percent),
)  # fmt: skip
NON_FINITE = Column("non_finite", "non-finite", integer)
MEANS_NOTE = (
    "Non-finite repetitions are counted, but excluded from mean, std (sample, n - 1) and worst. "
    "The MCE is a fraction in the CSV file, in % here."
)


def verdict_columns(cells: Sequence[Cell]) -> list[Column]:
    """How many repetitions ended in each verdict that occurs."""
    found = sorted({row.verdict for cell in cells for row in cell.rows})
    return [Column(v, v.replace("_", " "), integer, of=lambda cell, v=v: cell.count(v)) for v in found]


def verdicts(cells: Sequence[Cell]) -> Table:
    """One row per cell: the verdicts of its repetitions."""
    note = "What certificates prove of the points that training reached; not converged: nothing could be proven."
    if any(cell.count(TOO_LARGE) for cell in cells):
        note += " Not certified: too large for a certificate."
    return table_of((*SHAPE, *verdict_columns(cells)), cells, note)


def plain(cells: Sequence[Cell]) -> Table:
    """One row per cell, for a training study that is no figure of the paper."""

    def median(name: str, heading: str) -> Column:
        def of(cell: Cell) -> float:
            finite = [value for row in cell.finite if math.isfinite(value := getattr(row, name))]
            return statistics.median(finite or [math.nan])

        return Column(f"median_{name}", heading, scientific, of=of)

    medians = (median("mse", "median MSE"), median("min_abs_neural_input", "median min |w . x|"))
    return table_of((*SHAPE, *MCE, *medians, NON_FINITE), cells, MEANS_NOTE)


def data_sets(cells: Sequence[Cell]) -> Table:
    """One row per data set, for a study of volumes."""
    rows = [row for cell in cells for row in cell.rows]
    columns = (
        *SIZES, Column("method", "method"), Column("data_seed", "data seed"),
        *measured_columns(rows, lambda row, quantity: row.measured.get(quantity)),
    )  # fmt: skip
    return table_of(columns, rows, "low, high: 95 % interval. A dash: not measured, or V(G) had no hit.")


def measure_columns(
    key: str, name: str, of: Callable[[Any], Estimate | None], counted: bool = True, exact: bool = False
) -> list[Column]:
    """Of a measure and its interval, which is in the file alone where it is exact; counted: of hits and draws too."""

    def end(attribute: str) -> Callable[[Any], Value]:
        return lambda subject: getattr(of(subject), attribute, None)

    columns = [Column(key, "exact" if exact else "estimate", significant, name, end("estimate"))]
    columns += [Column(f"{key}_{e}", e, None if exact else significant, name, end(e)) for e in ("low", "high")]
    return columns + [Column(f"{key}_{e}", e, integer, name, end(e)) for e in ("hits", "draws") if counted]


def measured_columns(subjects: Sequence[Any], of: Callable[[Any, str], Estimate | None]) -> list[Column]:
    """Of the quantities of which any of the subjects has a measure, of(subject, quantity)."""
    columns = []
    for quantity, name in NAMES.items():
        if measures := [measure for subject in subjects if (measure := of(subject, quantity))]:
            counted, exact = any(m.draws is not None for m in measures), all(m.low == m.high for m in measures)
            columns += measure_columns(quantity, name, lambda subject, q=quantity: of(subject, q), counted, exact)
    return columns
