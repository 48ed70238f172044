"""The tables of cells, thresholds and pairs."""

import math
import statistics
from collections.abc import Sequence

from mnnjax.report.capacity import analysis
from mnnjax.report.capacity.analysis import GLOBAL, ROUNDING_UNITS, Group, Pairing
from mnnjax.report.capacity.logistic_fit import MISFIT
from mnnjax.report.common import minima
from mnnjax.report.common.tables import SIZES, Column, Table
from mnnjax.wording import EMPTY, integer, ratio, scientific, significant

_OPTIMIZER = Column("optimizer", "optimizer")


def cell_table(groups: Sequence[Group]) -> Table:
    """One row per cell and optimizer: the fraction, and how the seeds without a certificate ended."""
    others = sorted({row.verdict for row in analysis.all_rows(groups)} - {GLOBAL})
    descended = any(minima.has_descent(row) for row in analysis.all_rows(groups))
    columns = (
        _OPTIMIZER, *SIZES, Column("d0_d1_per_point", "d0 d1 / N", ratio),
        Column("parameters_per_point", "parameters / N", ratio), Column("seeds", "seeds", integer),
        Column(GLOBAL, "certified global minima", integer), Column("fraction", "fraction", ratio),
        Column("low", "low", ratio), Column("high", "high", ratio),
        Column("uncertified_mse_at_rounding", "others with MSE at rounding", integer),
        Column("uncertified_mce_0", "others with MCE 0", integer), Column("median_mse", "median MSE", scientific),
        *(Column(name, name.replace("_", " "), integer) for name in others),
        *(minima.count_columns("descents that end at a minimum that is") if descended else ()),
    )  # fmt: skip
    limits = ", ".join(f"{scientific(g[0].rounding)} ({name})" for name, g in analysis.by_name(groups).items())
    note = (
        "Fraction: of all seeds; low, high: Clopper and Pearson's 95 % interval. Others: seeds with another verdict. "
        "With an MSE at rounding, training succeeded, and the certificate failed or the point lies at a kink "
        f"(at most {limits}: a root mean square residual of {ROUNDING_UNITS} units of rounding). "
        "Sub-optimal minima can have MCE 0 too."
    )
    rows = []
    for group, cell in ((g, cell) for g in groups for cell in g.curve.cells):
        found, uncertified = analysis.solved(cell), [row for row in cell.rows if row.verdict != GLOBAL]
        rows.append((
            group.name, cell.d0, cell.d1, cell.N, analysis.per_point(cell), cell.parameters_per_point, len(cell.rows),
            found.hits, found.estimate, found.low, found.high,
            sum(row.mse <= group.rounding for row in uncertified), sum(row.mce == 0 for row in uncertified),
            statistics.median([row.mse for row in cell.finite] or [math.nan]), *map(cell.count, others),
            *(minima.counts(cell.rows) if descended else ()),
        ))  # fmt: skip
    return Table(columns, tuple(rows), note)


def _end(value: float) -> str:
    return significant(value) if math.isfinite(value) else EMPTY


def threshold_table(groups: Sequence[Group]) -> Table:
    """One row per network shape and optimizer: the fit."""
    columns = [
        _OPTIMIZER, *SIZES[:2], Column("cells", "cells", integer), Column("fit", "logistic"),
        Column("p_value", "p of the fit", _end),
    ]  # fmt: skip
    for key, name in (("threshold", "threshold in d0 d1 / N"), ("parameters", "in parameters / N")):
        columns += [Column(key, "estimate", _end, name)]
        columns += [Column(f"{key}_{end}", end, _end, name) for end in ("low", "high")]
    columns += [Column(end, end, _end, "surely") for end in ("below", "above")]
    note = (
        "Threshold: where half of the seeds end in a certified global minimum, from a logistic in d0 d1 / N by maximum "
        "likelihood, with the 95 % interval of the profile likelihood. "
        "d0 d1 is also the number of degrees of freedom without biases: each unit's scale can move between W and z. "
        "separated: all 0 and then all 1, so that only intervals are known; misfit: the fit's p (parametric bootstrap) "
        f"is at most {MISFIT}, and the threshold's interval goes from one cell to the other in the last two columns: "
        "those whose own 95 % interval lies surely below or above 1/2. A dash: no estimate, or no end."
    )
    rows = []
    for g in groups:
        fit, threshold = (g.rise.kind, g.rise.p_value), g.rise.threshold
        place = (threshold.estimate, threshold.low, threshold.high)
        scaled = (g.parameters_per_weight * value for value in place)
        rows.append((g.name, *g.curve.widths, len(g.curve.cells), *fit, *place, *scaled, *g.rise.bracket))
    return Table(tuple(columns), tuple(rows), note)


def paired_table(pairings: Sequence[Pairing]) -> Table:
    """One row per cell and pair of optimizers."""
    columns = (
        Column("first", "first"), Column("second", "second"), *SIZES,
        Column("d0_d1_per_point", "d0 d1 / N", ratio), Column("both", "both", integer),
        Column("first_only", "only first", integer), Column("second_only", "only second", integer),
        Column("neither", "neither", integer), Column("p_value", "p (McNemar)", significant),
    )  # fmt: skip
    rows = tuple(
        (p.first, p.second, p.d0, p.d1, p.N, p.d0 * p.d1 / p.N, *p.counts, analysis.mcnemar(*p.counts[1:3]))
        for p in pairings
    )
    return Table(columns, rows, "Problems (same points, labels and initial weights) by which optimizer solves them.")
