"""Tables of volume studies."""

from collections.abc import Sequence

from mnnjax.report.common.rows import NAMES, Curve
from mnnjax.report.common.tables import SIZES, Column, Table, measured_columns, measured_values, table_of
from mnnjax.report.volumes.analysis import Fit
from mnnjax.study.workdir.results_table import Value
from mnnjax.wording import integer, ratio, significant


def cells(curves: Sequence[Curve]) -> Table:
    """One row per cell: what the picture of volumes draws, over the data sets."""
    shown = [(curve.label, cell, {q: cell.pooled(q) for q in NAMES}) for curve in curves for cell in curve.cells]
    columns = (
        Column("curve", "curve"), *SIZES, Column("columns_per_point", "columns of A o X / N", ratio),
        Column("data_sets", "data sets", integer), *measured_columns([pooled for *_, pooled in shown]),
    )  # fmt: skip
    rows = [
        {
            "curve": label, "d0": cell.d0, "d1": cell.d1, "N": cell.N, "columns_per_point": cell.columns_per_point,
            "data_sets": len(cell.rows),
        } | measured_values(pooled)
        for label, cell, pooled in shown
    ]  # fmt: skip
    counted = " hits and draws are summed." if any(column.key.endswith("_draws") for column in columns) else ""
    note = (
        "Means over the data sets; low and high are the smallest and the largest end of their 95 % intervals;"
        f"{counted} A dash: not measured, or no mean since a data set has no estimate."
    )
    return table_of(columns, rows, note)


def exponents(fits: Sequence[Fit]) -> Table:
    """One row per fit of volumes against N^(3/4) (d0 d1)^(1/4)."""
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
        "to be too small, which its interval does not cover, and the claim never fails. gamma_eps of Definition "
        "5 at the sizes of the fit: leading order, no bound. "
        "Not judged: d0 d1 < N, and the candidates, about which the theorems say nothing."
    )
    return Table(columns, tuple(map(_exponent, fits)), note)


def _exponent(fit: Fit) -> tuple[Value, ...]:
    sizes = [cell.N for cell in fit.cells]
    gammas = (min(fit.gammas), max(fit.gammas)) if fit.gammas else (None, None)
    return (
        NAMES[fit.quantity], fit.curve.label, min(sizes, default=None), max(sizes, default=None), len(sizes),
        len(fit.left_out), fit.points, fit.exponent, fit.low, fit.high, *gammas, fit.verdict,
    )  # fmt: skip
