"""Tables: the same columns as a CSV file (exact numbers) and as text on the page (rounded)."""

import csv
import dataclasses
import io
import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnnjax.report.common.training_rows import Cell
from mnnjax.study.workdir.results_table import TOO_LARGE
from mnnjax.wording import EMPTY, integer, percent, ratio, scientific, significant

Value = int | float | str | None


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a CSV file, and how the page shows it."""

    key: str
    """Name in the CSV file."""
    heading: str
    """Name on the page."""
    show: Callable[[Any], str] | None = str
    """How the page writes the values, of a type of this column's own; None: the column is in the file only."""
    group: str = ""
    """Heading that neighbouring columns share, above their own."""
    count: str = ""
    """Key of the column whose value the page writes behind this one's."""
    count_text: str = " ({})"
    """How it writes that value."""
    style: str = ""
    """CSS classes on the page: words (lines may be broken), long (words that need room), paper (not measured here);
    text is added by itself."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of plain values, one a column; None is an empty field."""

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
        """(heading, how many columns of the page stand under it), from left to right; none if no column has one."""
        groups = [(name, len(list(some))) for name, some in itertools.groupby(c.group for c in self.page_columns)]
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
        """The rows as text, one entry a column of the page."""
        by_key = {column.key: n for n, column in enumerate(self.columns)}
        return [[self._text(column, row, by_key) for column in self.page_columns] for row in self.rows]

    @staticmethod
    def _text(column: Column, row: tuple[Value, ...], by_key: Mapping[str, int]) -> str:
        value = row[by_key[column.key]]
        if value is None:
            return EMPTY
        count = row[by_key[column.count]] if column.count else None
        show = column.show or str
        return show(value) + ("" if count is None else column.count_text.format(integer(int(count))))


SIZES = (Column("d0", "d0", integer), Column("d1", "d1", integer), Column("N", "N", integer))
_SHAPE = (
    Column("hidden_layers", "hidden layers", integer),
    *SIZES,
    Column("parameters", "parameters", integer),
    Column("parameters_per_point", "parameters / N", ratio),
    Column("repetitions", "repetitions", integer),
)
_MCE = (
    Column("mean_mce", "mean MCE", percent),
    Column("std_mce", "std of MCE", percent),
    Column("zero_mce_repetitions", "with MCE 0", integer),
    Column("worst_mce", "worst MCE", percent),
)
_NON_FINITE = Column("non_finite", "non-finite", integer)
_MEANS_NOTE = (
    "Repetitions count all; mean, std (sample, n - 1) and worst are over the finite ones. "
    "The MCE is a fraction in the CSV file, in % here."
)


def _shape(cell: Cell) -> tuple[Value, ...]:
    sizes = (cell.hidden_layers, cell.d0, cell.d1, cell.N)
    return (*sizes, cell.parameters, cell.parameters_per_point, len(cell.rows))


def verdicts(cells: Sequence[Cell]) -> Table:
    """One row a cell: how many repetitions ended in each verdict that occurs."""
    found = sorted({row.verdict for cell in cells for row in cell.rows})
    columns = [Column(name, name.replace("_", " "), integer) for name in found]
    rows = ((*_shape(c), *(sum(row.verdict == name for row in c.rows) for name in found)) for c in cells)
    note = "What certificates prove of the points that training reached; not converged: nothing could be proven."
    if TOO_LARGE in found:
        note += " Not certified: too large for a certificate."
    return Table((*_SHAPE, *columns), tuple(rows), note)


def plain(cells: Sequence[Cell]) -> Table:
    """One row a cell, for a study that is no figure of the paper."""
    columns = (
        *_SHAPE, *_MCE, Column("median_mse", "median MSE", scientific),
        Column("median_min_abs_neural_input", "median min |w . x|", scientific), _NON_FINITE,
    )  # fmt: skip
    rows = (
        (
            *_shape(c), c.mean_mce, c.std_mce, c.zero_mce, c.worst_mce, _median([r.mse for r in c.finite]),
            _median([r.min_abs_neural_input for r in c.finite]), c.non_finite,
        )
        for c in cells
    )  # fmt: skip
    return Table(columns, tuple(rows), _MEANS_NOTE)


def _median(values: list[float]) -> float:
    kept = [v for v in values if math.isfinite(v)]
    return statistics.median(kept) if kept else math.nan


def measure_columns(key: str, name: str, counted: bool = True, exact: bool = False) -> list[Column]:
    """Of an estimate and its interval, which is in the file alone where it is exact; counted: of hits and draws too."""
    columns = [Column(key, "exact" if exact else "estimate", significant, name)]
    columns += [Column(f"{key}_{end}", end, None if exact else significant, name) for end in ("low", "high")]
    return columns + [Column(f"{key}_{end}", end, integer, name) for end in ("hits", "draws") if counted]
