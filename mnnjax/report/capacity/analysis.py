"""How often training ends in a certified global minimum, against d0 d1 / N, for each optimizer: where is the threshold?

The parts of a study with this figure are one experiment: the same problems, trained in different ways.
"""

import collections
import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable, Sequence

import numpy as np
import scipy.stats

from mnnjax.config import Study
from mnnjax.landscape.volumes.intervals import Estimate, proportion
from mnnjax.report.capacity.logistic_fit import MISFIT, Power, Rise, fit_power, fit_rise
from mnnjax.report.common.grouping import grouped
from mnnjax.report.common.tables import SIZES, Column, Table
from mnnjax.report.common.training_rows import Cell, Curve, Row, cells, curves
from mnnjax.report.common.volume_rows import VolumeRow
from mnnjax.wording import EMPTY, integer, ratio, scientific, significant

GLOBAL = "global_minimum"
# A root mean square residual of so many units of rounding, at labels of size 1, is zero to rounding.
ROUNDING_UNITS = 1000


@dataclasses.dataclass(frozen=True)
class Group:
    """All cells of one network shape and one way of training."""

    name: str
    part: Study
    curve: Curve
    rise: Rise
    """In d0 d1 / N."""

    @property
    def parameters_per_weight(self) -> float:
        """From d0 d1 / N to parameters / N."""
        d0, d1 = self.curve.widths
        return self.curve.parameters / (d0 * d1)

    @property
    def size(self) -> float:
        """d; sqrt(d0 d1) where they differ."""
        return math.sqrt(math.prod(self.curve.widths))

    @property
    def rounding(self) -> float:
        """The MSE up to which the residual is zero to the rounding of the arithmetic that trained."""
        return float(ROUNDING_UNITS * np.finfo(self.part.training.precision).eps) ** 2


@dataclasses.dataclass(frozen=True)
class Pairing:
    """What two ways of training make of the same problems, from the same start, in one cell."""

    first: str
    second: str
    d0: int
    d1: int
    N: int
    counts: tuple[int, int, int, int]
    """Problems solved by both, by the first alone, by the second alone, by neither."""


def per_point(cell: Cell) -> float:
    """d0 d1 / N."""
    return cell.d0 * cell.d1 / cell.N


def solved(cell: Cell) -> Estimate:
    """The fraction of all repetitions, the non-finite ones included, with a certified global minimum; Clopper and
    Pearson's 95 % interval."""
    return proportion(sum(row.verdict == GLOBAL for row in cell.rows), len(cell.rows))


def names(study: Study) -> dict[str, str]:
    """Part -> what it is called: its optimizer, or its own name where two have the same optimizer."""
    parts = [part for part in study.parts if part.figure == "capacity"]
    count = collections.Counter(part.training.optimizer for part in parts)
    return {p.name: p.training.optimizer if count[p.training.optimizer] == 1 else p.name for p in parts}


def first_part(study: Study, rows: Iterable[Row | VolumeRow]) -> str | None:
    """The first part with this figure that has rows: its section shows all of them."""
    present = {row.study for row in rows}
    return next((name for name in names(study) if name in present), None)


def gather(study: Study, rows: Iterable[Row | VolumeRow]) -> list[Group]:
    """The groups of all parts with this figure that have rows, in the order (part, d0, d1)."""
    trained = [row for row in rows if isinstance(row, Row)]
    by_part = {name: [row for row in trained if row.study == name] for name in names(study)}
    groups = []
    for part in study.parts:
        for curve in curves(cells(by_part.get(part.name, ()))):
            # curves are by rising N.
            some = [(per_point(c), solved(c)) for c in reversed(curve.cells)]
            x, found = zip(*some, strict=True)
            rise = fit_rise(x, [f.hits for f in found], [f.draws for f in found])
            groups.append(Group(names(study)[part.name], part, curve, rise))
    return groups


def by_name(groups: Sequence[Group]) -> dict[str, list[Group]]:
    """Gathered by way of training, in their order."""
    return grouped(groups, lambda group: group.name)


def narrowing(groups: Sequence[Group]) -> Power | None:
    """The width against d, of the groups of one name whose width has an estimate and an upper end."""
    kept = [g for g in groups if math.isfinite(g.rise.width.estimate) and math.isfinite(g.rise.width.high)]
    return fit_power([g.size for g in kept], [g.rise.width for g in kept])


def pairings(groups: Sequence[Group]) -> list[Pairing]:
    """All pairs of names whose parts draw the same problems and starts, cell by cell; only seeds that both have."""
    some = by_name(groups)
    result = []
    for one, other in itertools.combinations(some, 2):
        if _draw(some[one][0].part) == _draw(some[other][0].part):
            ends = [
                {(*row.shape[1:], row.seed): row.verdict == GLOBAL for row in all_rows(some[n])} for n in (one, other)
            ]
            counts: dict[tuple[int, int, int], collections.Counter] = {}
            for key in ends[0].keys() & ends[1].keys():
                counts.setdefault(key[:3], collections.Counter())[ends[0][key], ends[1][key]] += 1
            result += [
                Pairing(one, other, *shape, (c[True, True], c[True, False], c[False, True], c[False, False]))
                for shape, c in sorted(counts.items())
            ]
    return result


def _draw(part: Study) -> tuple:
    """What decides, beside the shape and the seed, a repetition's problem and start."""
    problem, network = part.problem, part.network
    return (
        problem.inputs, problem.labels, problem.label_values, problem.teacher_units, problem.data_sets,
        network.rho, network.bias, network.init, part.training.precision,
    )  # fmt: skip


def all_rows(groups: Sequence[Group]) -> list[Row]:
    """The repetitions of all their cells."""
    return [row for group in groups for cell in group.curve.cells for row in cell.rows]


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided exact p-value: were both equally good, a problem that one alone solves would be either's with 1/2."""
    total = first_only + second_only
    return float(scipy.stats.binomtest(first_only, total).pvalue) if total else math.nan


_OPTIMIZER = Column("optimizer", "optimizer")


def table(groups: Sequence[Group]) -> Table:
    """One row a cell and optimizer: the fraction, and what the seeds without a certificate ended as."""
    others = sorted({row.verdict for row in all_rows(groups)} - {GLOBAL})
    columns = (
        _OPTIMIZER, *SIZES, Column("d0_d1_per_point", "d0 d1 / N", ratio),
        Column("parameters_per_point", "parameters / N", ratio), Column("seeds", "seeds", integer),
        Column(GLOBAL, "certified global minima", integer), Column("fraction", "fraction", ratio),
        Column("low", "low", ratio), Column("high", "high", ratio),
        Column("uncertified_mse_at_rounding", "others with MSE at rounding", integer),
        Column("uncertified_mce_0", "others with MCE 0", integer), Column("median_mse", "median MSE", scientific),
        *(Column(name, name.replace("_", " "), integer) for name in others),
    )  # fmt: skip
    limits = ", ".join(f"{scientific(g[0].rounding)} ({name})" for name, g in by_name(groups).items())
    note = (
        "Fraction: of all seeds; low, high: Clopper and Pearson's 95 % interval. Others: seeds with another verdict; "
        "with an MSE at rounding it is the certificate that failed, or the point lies at a kink, and not the training "
        f"(at most {limits}: a root mean square residual of {ROUNDING_UNITS} units of rounding). MCE 0 is less: "
        "sub-optimal minima can have it."
    )
    return Table(columns, tuple(_row(g, cell, others) for g in groups for cell in g.curve.cells), note)


def _row(group: Group, cell: Cell, others: Sequence[str]) -> tuple:
    found, uncertified = solved(cell), [row for row in cell.rows if row.verdict != GLOBAL]
    return (
        group.name, cell.d0, cell.d1, cell.N, per_point(cell), cell.parameters_per_point, len(cell.rows),
        found.hits, found.estimate, found.low, found.high,
        sum(row.mse <= group.rounding for row in uncertified), sum(row.mce == 0 for row in uncertified),
        statistics.median([row.mse for row in cell.finite] or [math.nan]),
        *(sum(row.verdict == name for row in cell.rows) for name in others),
    )  # fmt: skip


def _end(value: float) -> str:
    return significant(value) if math.isfinite(value) else EMPTY


def thresholds(groups: Sequence[Group]) -> Table:
    """One row a network shape and optimizer: the fit."""
    columns = [
        _OPTIMIZER, *SIZES[:2], Column("cells", "cells", integer), Column("fit", "logistic"),
        Column("p_value", "p of the fit", _end),
    ]  # fmt: skip
    for key, name in (("threshold", "threshold in d0 d1 / N"), ("parameters", "in parameters / N"), ("width", "width")):
        columns += [Column(key, "estimate", _end, name)]
        columns += [Column(f"{key}_{end}", end, _end, name) for end in ("low", "high")]
    columns += [Column(end, end, _end, "surely") for end in ("below", "above")]
    note = (
        "Threshold: where half of the seeds end in a certified global minimum; width: in d0 d1 / N, from 25 % to 75 %; "
        "both from a logistic in d0 d1 / N by maximum likelihood, with the 95 % intervals of the profile likelihood. "
        "d0 d1 is also the number of degrees of freedom without biases: each unit's scale can move between W and z. "
        "separated: all 0 and then all 1, so that only intervals are known; misfit: the fit's p (parametric bootstrap) "
        f"is at most {MISFIT}, and the threshold's interval goes from one cell to the other in the last two columns: "
        "those whose own 95 % interval lies surely below or above 1/2. A dash: no estimate, or no end."
    )
    rows = []
    for g in groups:
        rise, scale = g.rise, g.parameters_per_weight
        place = dataclasses.astuple(rise.threshold)
        rows.append((
            g.name, *g.curve.widths, len(g.curve.cells), rise.kind, rise.p_value, *place,
            *(scale * value for value in place), *dataclasses.astuple(rise.width), *rise.bracket,
        ))  # fmt: skip
    return Table(tuple(columns), tuple(rows), note)


def paired(some: Sequence[Pairing]) -> Table:
    """One row a cell and pair of optimizers."""
    columns = (
        Column("first", "first"), Column("second", "second"), *SIZES,
        Column("d0_d1_per_point", "d0 d1 / N", ratio), Column("both", "both", integer),
        Column("first_only", "only first", integer), Column("second_only", "only second", integer),
        Column("neither", "neither", integer), Column("p_value", "p (McNemar)", significant),
    )  # fmt: skip
    rows = tuple(
        (p.first, p.second, p.d0, p.d1, p.N, p.d0 * p.d1 / p.N, *p.counts, mcnemar(*p.counts[1:3])) for p in some
    )
    return Table(columns, rows, "Problems (the same points, labels and first weights) by who ends in a global minimum.")
