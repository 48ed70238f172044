"""The tables of cells and exponents."""

from collections.abc import Sequence

from mnnjax.landscape.volumes.intervals import Estimate
from mnnjax.report.common.rows import NAMES, Cell, Curve
from mnnjax.report.common.tables import SIZES, Column, Table, measure_columns, measured_columns, table_of
from mnnjax.report.volumes.analysis import Fit
from mnnjax.wording import integer, ratio, significant


def cell_table(curves: Sequence[Curve]) -> Table:
    """One row per cell: what the picture of volumes draws, over the data sets."""
    labels = {(cell.d0, cell.d1, cell.N): curve.label for curve in curves for cell in curve.cells}
    shown = [cell for curve in curves for cell in curve.cells]
    columns = (
        Column("curve", "curve", of=lambda cell: labels[cell.d0, cell.d1, cell.N]), *SIZES,
        Column("columns_per_point", "columns of A o X / N", ratio),
        Column("data_sets", "data sets", integer, of=lambda cell: len(cell.rows)),
        *measured_columns(shown, Cell.pooled),
    )  # fmt: skip
    note = (
        "Means over the data sets; low and high are the smallest and the largest end of their 95 % intervals, hits and "
        "draws their sums. A dash: not measured, or no mean since a data set has no estimate."
    )
    return table_of(columns, shown, note)


def exponent_table(fits: Sequence[Fit]) -> Table:
    """One row per fit of volumes against N^(3/4) (d0 d1)^(1/4)."""
    columns = (
        Column("quantity", "quantity", of=lambda fit: NAMES[fit.quantity]),
        Column("curve", "curve", of=lambda fit: fit.curve.label),
        Column("N_from", "N from", integer, of=lambda fit: min((cell.N for cell in fit.cells), default=None)),
        Column("N_to", "to", integer, of=lambda fit: max((cell.N for cell in fit.cells), default=None)),
        Column("cells", "cells", integer, of=lambda fit: len(fit.cells)),
        Column("cells_left_out", "left out", integer, of=lambda fit: len(fit.left_out)),
        Column("data_sets", "data sets", integer, of=lambda fit: sum(len(cell.rows) for cell in fit.cells)),
        *measure_columns("exponent", "exponent", lambda f: Estimate(f.exponent, f.low, f.high), counted=False),
        Column("gamma_smallest", "smallest", significant, "gamma_eps", lambda fit: min(fit.gammas, default=None)),
        Column("gamma_largest", "largest", significant, "gamma_eps", lambda fit: max(fit.gammas, default=None)),
        Column("verdict", "claim"),
    )
    note = (
        "log(volume) = constant - exponent N^(3/4) (d0 d1)^(1/4), natural logarithm, least squares over all data sets; "
        "low, high: 95 % t-interval. Cells with an estimate that is 0 or missing are left out; with fewer than 3 "
        "different N there is no fit. gamma_eps of Definition 5 at the sizes of the fit: leading order, no bound. "
        "Not judged: d0 d1 < N, and the candidates, about which the theorems say nothing."
    )
    return table_of(columns, fits, note)
