"""From the strings of results.csv to repetitions (rows) and cells, and the numbers that describe a cell."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Iterable, Sequence

from mnnjax.config import Study, UserError
from mnnjax.network import parameter_count
from mnnjax.report.common.grouping import OfOneShape, grouped
from mnnjax.report.common.volume_rows import VolumeRow, parse_volumes
from mnnjax.study.workdir.results_table import NON_FINITE, read_csv
from mnnjax.study.workdir.storage import AnyPath

NO_VERDICT = "not recorded"


@dataclasses.dataclass(frozen=True)
class Row:
    """One repetition of one cell; a value that the file lacks is nan."""

    study: str
    hidden_layers: int
    d0: int
    d1: int
    N: int
    parameters: int
    seed: str
    mse: float
    mce: float
    """A fraction of the N points."""
    min_abs_neural_input: float
    verdict: str
    data_seed: str
    """Which (X, y) it was; empty in older files."""
    region_mce: float
    """Of all differentiable local minima of the end point's region (Lemma 2)."""
    first_order_residual: float
    """|(A o X) e| / N at the end point (eq 3.2)."""
    held_out_mce: float
    """A fraction of the held_out_N points that training never saw."""
    held_out_N: int | None
    """None where nothing is held out."""
    reason: str
    """What stood in the way of a verdict, or how it was proven; empty in older files."""

    @property
    def is_finite(self) -> bool:
        """Whether training ended at a point whose losses are numbers."""
        return self.verdict != NON_FINITE and math.isfinite(self.mse) and math.isfinite(self.mce)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(hidden layers, d0, d1, N)."""
        return (self.hidden_layers, self.d0, self.d1, self.N)


@dataclasses.dataclass(frozen=True)
class Cell(OfOneShape):
    """All repetitions of one problem shape. Numbers about the MCE are over the finite repetitions only."""

    rows: tuple[Row, ...]

    @property
    def hidden_layers(self) -> int:
        """How many, all of width d1."""
        return self.rows[0].hidden_layers

    @property
    def parameters(self) -> int:
        """How many were trained."""
        return self.rows[0].parameters

    @property
    def parameters_per_point(self) -> float:
        """parameters / N."""
        return self.parameters / self.N

    @functools.cached_property
    def finite(self) -> tuple[Row, ...]:
        """The repetitions whose losses are numbers."""
        return tuple(row for row in self.rows if row.is_finite)

    @property
    def non_finite(self) -> int:
        """How many repetitions overflowed, or became nan."""
        return len(self.rows) - len(self.finite)

    @functools.cached_property
    def mce(self) -> tuple[float, ...]:
        """Of every finite repetition; a fraction in [0, 1]."""
        return tuple(row.mce for row in self.finite)

    @property
    def mean_mce(self) -> float:
        """A fraction in [0, 1]; nan when no repetition is finite."""
        return statistics.fmean(self.mce) if self.mce else math.nan

    @property
    def std_mce(self) -> float:
        """Sample standard deviation (n - 1) of fractions; nan with fewer than two finite repetitions."""
        return statistics.stdev(self.mce) if len(self.mce) > 1 else math.nan

    @property
    def best_mce(self) -> float:
        """The smallest, a fraction in [0, 1]; nan when no repetition is finite."""
        return min(self.mce, default=math.nan)

    @property
    def worst_mce(self) -> float:
        """The largest, a fraction in [0, 1]; nan when no repetition is finite."""
        return max(self.mce, default=math.nan)

    @property
    def zero_mce(self) -> int:
        """How many repetitions have the fraction 0: not a single misclassified point."""
        return sum(value == 0 for value in self.mce)


@dataclasses.dataclass(frozen=True)
class Curve:
    """The cells of one network shape, by rising N."""

    cells: tuple[Cell, ...]

    @property
    def hidden_layers(self) -> int:
        """How many, all of width d1."""
        return self.cells[0].hidden_layers

    @property
    def widths(self) -> tuple[int, int]:
        """(d0, d1)."""
        return (self.cells[0].d0, self.cells[0].d1)

    @property
    def parameters(self) -> int:
        """How many were trained."""
        return self.cells[0].parameters

    @property
    def label(self) -> str:
        """'d = 20', or 'd0 = 20, d1 = 5'."""
        d0, d1 = self.widths
        return f"d = {d0}" if d0 == d1 else f"d0 = {d0}, d1 = {d1}"


def read_rows(path: AnyPath, study: Study) -> list[Row | VolumeRow]:
    """All rows of a results.csv, of training and of volumes; none when there is no such file yet.

    Raises:
      UserError: a value is missing or not a number; names the file and the line.
    """
    biased = {part.name: part.network.bias for part in study.parts}
    rows = []
    for line, values in enumerate(read_csv(path) if path.exists() else (), start=2):
        try:
            rows.append(parse_volumes(values) if values.get("method") else _parse(values, biased))
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise UserError(
                f"{path}, line {line}: cannot be read ({type(error).__name__}: {error}); "
                "delete the file and let `mnnjax run` write it again"
            ) from error
    return rows


def _parse(values: dict, biased: dict[str, bool]) -> Row:
    hidden_layers, d0, d1, N = (int(values[name]) for name in ("hidden_layers", "d0", "d1", "N"))
    if min(hidden_layers, d0, d1, N) < 1:
        raise ValueError("sizes must be positive")
    parameters = values.get("parameters") or parameter_count(d0, d1, hidden_layers, biased.get(values["study"], False))
    return Row(
        study=values["study"],
        hidden_layers=hidden_layers,
        d0=d0,
        d1=d1,
        N=N,
        parameters=int(parameters),
        seed=values.get("seed") or "",
        mse=_number(values["mse"]),
        mce=_number(values["mce"]),
        min_abs_neural_input=_number(values.get("min_abs_neural_input")),
        verdict=values.get("verdict") or NO_VERDICT,
        data_seed=values.get("data_seed") or "",
        region_mce=_number(values.get("region_mce")),
        first_order_residual=_number(values.get("first_order_residual")),
        held_out_mce=_number(values.get("held_out_mce")),
        held_out_N=int(values["held_out_N"]) if values.get("held_out_N") else None,
        reason=values.get("reason") or "",
    )


def _number(text: str | None) -> float:
    return float(text) if text else math.nan


def cells(rows: Iterable[Row]) -> list[Cell]:
    """Rows gathered by problem shape, in the order (hidden layers, d0, d1, N)."""
    return [Cell(tuple(some)) for _, some in sorted(grouped(rows, lambda row: row.shape).items())]


def curves(some_cells: Sequence[Cell]) -> list[Curve]:
    """Cells gathered by network shape, in the order (hidden layers, d0, d1)."""
    in_order = sorted(some_cells, key=lambda cell: cell.rows[0].shape)
    groups = grouped(in_order, lambda cell: (cell.hidden_layers, cell.d0, cell.d1))
    return [Curve(tuple(group)) for group in groups.values()]
