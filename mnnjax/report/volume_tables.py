"""Tables of volume studies."""

from collections.abc import Callable, Sequence

from mnnjax.report.tables import Column, Table, Value
from mnnjax.report.volume_claims import Fit
from mnnjax.report.volume_rows import NAMES, Measure, VolumeCell, VolumeCurve, VolumeRow
from mnnjax.report.wording import integer, ratio, significant

_SIZES = (Column("d0", "d0", integer), Column("d1", "d1", integer), Column("N", "N", integer))
_COLUMNS = Column("columns_per_point", "columns of A o X / N", ratio)
_DATA_SETS = Column("data_sets", "data sets", integer)
_NOTE = "low, high: 95 % interval. A dash: not measured, or V(G) had no hit."


def curves(some: Sequence[VolumeCurve]) -> Table:
    """One row a cell: what the picture of volumes draws, over the data sets."""
    pairs = [(curve, cell) for curve in some for cell in curve.cells]
    columns, values = _measures([cell for _, cell in pairs])
    rows = tuple((curve.label, *_cell(cell), *values(cell)) for curve, cell in pairs)
    return Table((Column("curve", "curve"), *_SIZES, _COLUMNS, _DATA_SETS, *columns), rows, _means_note(columns))


def cells(some: Sequence[VolumeCell]) -> Table:
    """One row a cell, over the data sets."""
    columns, values = _measures(some)
    rows = tuple((*_cell(cell), *values(cell)) for cell in some)
    return Table((*_SIZES, _COLUMNS, _DATA_SETS, *columns), rows, _means_note(columns))


def data_sets(some: Sequence[VolumeCell]) -> Table:
    """One row a data set."""
    pairs = [(cell, row) for cell in some for row in cell.rows]
    columns, _ = _measures(some)
    rows = tuple((cell.d0, cell.d1, cell.N, row.method, row.data_seed, *_row(row, columns)) for cell, row in pairs)
    return Table((*_SIZES, Column("method", "method"), Column("data_seed", "data seed"), *columns), rows, _NOTE)


def exponents(some: Sequence[Fit]) -> Table:
    """One row a fit of volumes against N^(3/4) (d0 d1)^(1/4)."""
    columns = (
        Column("quantity", "quantity"),
        Column("curve", "curve"),
        Column("N_from", "N from", integer),
        Column("N_to", "to", integer),
        Column("cells", "cells", integer),
        Column("cells_left_out", "left out", integer),
        Column("data_sets", "data sets", integer),
        Column("exponent", "exponent", significant),
        Column("exponent_low", "low", significant),
        Column("exponent_high", "high", significant),
        Column("gamma_smallest", "smallest gamma_eps", significant),
        Column("gamma_largest", "largest gamma_eps", significant),
        Column("verdict", "claim"),
    )
    note = (
        "log(volume) = constant - exponent N^(3/4) (d0 d1)^(1/4), natural logarithm, least squares over all data sets; "
        "low, high: 95 % t-interval. Cells with an estimate that is 0 or missing are left out; with fewer than 3 "
        "different N there is no fit. gamma_eps of Definition 5 at the sizes of the fit: leading order, no bound. "
        "Not judged: d0 d1 < N, and the candidates, of which the theorems do not speak."
    )
    return Table(columns, tuple(map(_exponent, some)), note)


def _exponent(fit: Fit) -> tuple[Value, ...]:
    sizes = [cell.N for cell in fit.cells]
    gammas = (min(fit.gammas), max(fit.gammas)) if fit.gammas else (None, None)
    return (
        NAMES[fit.quantity], fit.curve.label, min(sizes, default=None), max(sizes, default=None), len(sizes),
        len(fit.left_out), fit.points, fit.exponent, fit.low, fit.high, *gammas, fit.verdict,
    )  # fmt: skip


def _cell(cell: VolumeCell) -> tuple[Value, ...]:
    return (cell.d0, cell.d1, cell.N, cell.columns_per_point, len(cell.rows))


def _row(row: VolumeRow, columns: Sequence[Column]) -> tuple[Value, ...]:
    values = {key: value for q in NAMES for key, value in _fields(q, row.measured.get(q)).items()}
    return tuple(values.get(column.key) for column in columns)


def _measures(some: Sequence[VolumeCell]) -> tuple[list[Column], Callable[[VolumeCell], tuple[Value, ...]]]:
    """The columns of what was measured anywhere, and the function that gives a cell's values in them."""
    pooled = {cell.rows[0].shape: {q: cell.pooled(q) for q in NAMES} for cell in some}
    found = {q: [m for by_name in pooled.values() if (m := by_name[q])] for q in NAMES}
    columns = []
    for quantity, measures in found.items():
        if measures:
            columns += [Column(quantity, NAMES[quantity], significant)]
            columns += [Column(f"{quantity}_{end}", end, significant) for end in ("low", "high")]
        if any(m.draws is not None for m in measures):
            columns += [Column(f"{quantity}_{end}", end, integer) for end in ("hits", "draws")]

    def values(cell: VolumeCell) -> tuple[Value, ...]:
        by_name = pooled[cell.rows[0].shape]
        fields = {key: value for q in NAMES for key, value in _fields(q, by_name[q]).items()}
        return tuple(fields.get(column.key) for column in columns)

    return columns, values


def _fields(quantity: str, measure: Measure | None) -> dict[str, Value]:
    if measure is None:
        return {}
    ends = {end: getattr(measure, end) for end in ("low", "high", "hits", "draws")}
    return {quantity: measure.estimate} | {f"{quantity}_{end}": value for end, value in ends.items()}


def _means_note(columns: Sequence[Column]) -> str:
    counted = " hits and draws are summed." if any(column.key.endswith("_draws") for column in columns) else ""
    return (
        "Means over the data sets; low and high are the smallest and the largest end of their 95 % intervals;"
        f"{counted} A dash: not measured, or no mean since a data set has no estimate."
    )
