"""Tables of volume studies."""

from collections.abc import Mapping, Sequence

from mnnjax.report.common.tables import SIZES, Column, Table, Value, measure_columns
from mnnjax.report.common.volume_rows import NAMES, Measure, VolumeCell, VolumeCurve
from mnnjax.report.volumes.claims import Fit
from mnnjax.wording import integer, ratio, significant


def curves(some: Sequence[VolumeCurve]) -> Table:
    """One row a cell: what the picture of volumes draws, over the data sets."""
    cells = [(curve.label, cell, {q: cell.pooled(q) for q in NAMES}) for curve in some for cell in curve.cells]
    columns = _columns([measured for *_, measured in cells])
    rows = tuple(
        (label, cell.d0, cell.d1, cell.N, cell.columns_per_point, len(cell.rows), *_values(measured, columns))
        for label, cell, measured in cells
    )
    sizes = (
        *SIZES, Column("columns_per_point", "columns of A o X / N", ratio), Column("data_sets", "data sets", integer)
    )  # fmt: skip
    counted = " hits and draws are summed." if any(column.key.endswith("_draws") for column in columns) else ""
    note = (
        "Means over the data sets; low and high are the smallest and the largest end of their 95 % intervals;"
        f"{counted} A dash: not measured, or no mean since a data set has no estimate."
    )
    return Table((Column("curve", "curve"), *sizes, *columns), rows, note)


def data_sets(some: Sequence[VolumeCell]) -> Table:
    """One row a data set."""
    found = [row for cell in some for row in cell.rows]
    columns = _columns([row.measured for row in found])
    rows = tuple((row.d0, row.d1, row.N, row.method, row.data_seed, *_values(row.measured, columns)) for row in found)
    note = "low, high: 95 % interval. A dash: not measured, or V(G) had no hit."
    return Table((*SIZES, Column("method", "method"), Column("data_seed", "data seed"), *columns), rows, note)


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
        Column("exponent", "estimate", significant, "exponent"),
        Column("exponent_low", "low", significant, "exponent"),
        Column("exponent_high", "high", significant, "exponent"),
        Column("gamma_smallest", "smallest", significant, "gamma_eps"),
        Column("gamma_largest", "largest", significant, "gamma_eps"),
        Column("verdict", "claim"),
    )
    note = (
        "log(volume) = constant - exponent N^(3/4) (d0 d1)^(1/4), natural logarithm, least squares over all data sets; "
        "low, high: 95 % t-interval. Cells with an estimate that is 0 or missing are left out; with fewer than 3 "
        "different N there is no fit. Where an estimate was 0, the exponent is of the cells with hits alone: it tends "
        "to be too small, its interval does not cover that, and the claim is not said to fail. gamma_eps of Definition "
        "5 at the sizes of the fit: leading order, no bound. "
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


def _columns(some: Sequence[Mapping[str, Measure | None]]) -> list[Column]:
    """Of what was measured anywhere."""
    columns = []
    for quantity, name in NAMES.items():
        found = [measure for measured in some if (measure := measured.get(quantity))]
        if found:
            counted = any(m.draws is not None for m in found)
            columns += measure_columns(quantity, name, counted, exact=all(m.low == m.high for m in found))
    return columns


def _values(measured: Mapping[str, Measure | None], columns: Sequence[Column]) -> tuple[Value, ...]:
    fields: dict[str, Value] = {}
    for quantity, measure in measured.items():
        if measure:
            fields[quantity] = measure.estimate
            fields |= {f"{quantity}_{end}": getattr(measure, end) for end in ("low", "high", "hits", "draws")}
    return tuple(fields.get(column.key) for column in columns)
