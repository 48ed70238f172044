"""How often training ends in a certified global minimum, against d0 d1 / N, for each optimizer: where is the threshold?
The parts of a study with this figure are one experiment: the same problems, trained in different ways."""

import collections
import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import scipy.stats

from mnnjax.config import Study
from mnnjax.landscape.volumes.intervals import Estimate, proportion
from mnnjax.report.capacity.logistic_fit import Rise, fit_rise
from mnnjax.report.common.findings import ABOVE, Verdict
from mnnjax.report.common.rows import Cell, Curve, Row, cells, grouped, network_curves, rows_of

GLOBAL = "global_minimum"
# A root mean square residual of so many units of rounding, at labels of size 1, is zero to rounding.
ROUNDING_UNITS = 1000


@dataclasses.dataclass(frozen=True)
class Group:
    """All cells of one network shape and one way of training; the rise is in d0 d1 / N."""

    name: str
    part: Study
    curve: Curve
    rise: Rise

    @property
    def parameters_per_weight(self) -> float:
        """From d0 d1 / N to parameters / N."""
        return self.curve.cells[0].parameters / math.prod(self.curve.widths)

    @property
    def verdict(self) -> Verdict:
        """Of Figure 5.1's claim: by where the interval of the threshold lies."""
        low, high = (self.parameters_per_weight * end for end in (self.rise.threshold.low, self.rise.threshold.high))
        return "holds" if high <= ABOVE else "fails" if low > ABOVE else "undecided"

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
    """How two ways of training compare on the same problems, from the same starts, in one cell."""

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
    return proportion(cell.count(GLOBAL), len(cell.rows))


def names(study: Study) -> dict[str, str]:
    """Part -> its optimizer, or its own name where two have the same optimizer."""
    parts = [part for part in study.parts if part.figure == "capacity"]
    count = collections.Counter(part.training.optimizer for part in parts)
    return {p.name: p.training.optimizer if count[p.training.optimizer] == 1 else p.name for p in parts}


def gather(study: Study, rows: Sequence[Row]) -> list[Group]:
    """The groups of all parts with this figure that have rows, in the order (part, d0, d1)."""
    groups = []
    for part in (part for part in study.parts if part.figure == "capacity"):
        for curve in network_curves(cells(rows_of(part, rows))):
            rising = curve.cells[::-1]  # curves are by rising N
            hits, draws = [cell.count(GLOBAL) for cell in rising], [len(cell.rows) for cell in rising]
            rise = fit_rise([*map(per_point, rising)], hits, draws)
            groups.append(Group(names(study)[part.name], part, curve, rise))
    return groups


def by_name(groups: Sequence[Group]) -> dict[str, list[Group]]:
    """Gathered by way of training, in their order."""
    return grouped(groups, lambda group: group.name)


def pairings(groups: Sequence[Group]) -> list[Pairing]:
    """All pairs of names whose parts draw the same problems and starts, cell by cell; only seeds that both have."""
    result = []
    for (first, a), (second, b) in itertools.combinations(by_name(groups).items(), 2):
        if _draw(a[0].part) != _draw(b[0].part):
            continue
        solved_a, solved_b = ({(*r.shape[1:], r.seed): r.verdict == GLOBAL for r in all_rows(g)} for g in (a, b))
        for shape, keys in grouped(sorted(solved_a.keys() & solved_b.keys()), lambda key: key[:3]).items():
            c = collections.Counter((solved_a[key], solved_b[key]) for key in keys)
            counts = (c[True, True], c[True, False], c[False, True], c[False, False])
            result.append(Pairing(first, second, *shape, counts))
    return result


def _draw(part: Study) -> tuple:
    """The settings that, beside the shape and the seed, determine a repetition's problem and start."""
    problem, network = part.problem, part.network
    return (
        problem.inputs, problem.labels, problem.label_values, problem.teacher_units, problem.data_sets,
        network.rho, network.bias, network.init, part.training.precision,
    )  # fmt: skip


def all_rows(groups: Sequence[Group]) -> list[Row]:
    """The repetitions of all their cells."""
    return [row for group in groups for cell in group.curve.cells for row in cell.rows]


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided exact p-value. Were both equally good, a problem that only one solves would be the first's with 1/2."""
    total = first_only + second_only
    return float(scipy.stats.binomtest(first_only, total).pvalue) if total else math.nan
