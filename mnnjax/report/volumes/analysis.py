"""Theorems 6 and 10 against measured volumes: the exponents of V(L_eps) and V(L_eps) / V(G), beside gamma_eps. The
theorems' expressions are leading order in the logarithm: drawn and compared here, never called a bound."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
import scipy.stats

from mnnjax import theory
from mnnjax.config import Study
from mnnjax.report.common.rows import NAMES, Cell, Curve, curves

THEOREMS = {"suboptimal": "Theorem 6", "candidates": "Theorem 6", "ratio": "Theorem 10"}
# Fewer different N determine no exponent.
LEAST_SIZES = 3


@dataclasses.dataclass(frozen=True)
class Fit:
    """Least squares of log(volume) = constant - exponent N^(3/4) (d0 d1)^(1/4) over the data sets of a curve. The
    exponent and its 95 % t-interval are nan where fewer than 3 different N have cells without a zero or a gap. Cells
    with a zero are left out. The cells that remain near the limit of detection are biased upwards: the exponent tends
    to be too small, which its interval does not cover. Where ratios are missing since V(G) is 0, it tends to be too
    large."""

    curve: Curve
    quantity: str
    cells: tuple[Cell, ...]
    """Those in which every data set has an estimate that is not 0."""
    left_out: tuple[Cell, ...]
    exponent: float
    low: float
    high: float
    gammas: tuple[float, ...]
    """gamma_eps of Definition 5 at the size of each of `cells`; empty where it is not defined (eps = 0)."""

    @property
    def name(self) -> str:
        """'V(L_eps), d0 d1 = N'."""
        return f"{NAMES[self.quantity]}, {self.curve.label}"

    @property
    def lacks_hits(self) -> bool:
        """Whether a cell is left out since a data set's estimate is 0; for a ratio, since its V(L_eps) is."""
        return self._left_out_for_zero(self.quantity, "suboptimal" if self.quantity == "ratio" else self.quantity)

    @property
    def lacks_minima(self) -> bool:
        """Whether it is for a ratio, and a cell is left out since a data set's V(G) is 0."""
        return self.quantity == "ratio" and self._left_out_for_zero("global_minima")

    def _left_out_for_zero(self, *names: str) -> bool:
        return any(m.estimate == 0 for cell in self.left_out for name in names for m in cell.measures(name))

    @property
    def verdict(self) -> Literal["holds", "fails", "undecided", "not judged"]:
        """Holds when the exponent's interval lies above every gamma_eps, fails when it lies below every one. An
        exponent that tends to be too small (lacks_hits) never fails; one that tends to be too large (lacks_minima)
        never holds."""
        # The theorems' claims are about V(L_eps), not about its upper bound.
        above_N = all(cell.columns_per_point >= 1 for cell in self.curve.cells)
        if not above_N or self.quantity == "candidates":
            return "not judged"
        if math.isnan(self.exponent) or not self.gammas:
            return "undecided"
        if self.low > max(self.gammas) and not self.lacks_minima:
            return "holds"
        return "fails" if self.high < min(self.gammas) and not self.lacks_hits else "undecided"


def volume_curves(part: Study, cells: Sequence[Cell]) -> list[Curve]:
    """Cells gathered by what the study holds fixed while N grows: d0 d1 / N or d1, and d0 where it has several."""
    ratios, widths = part.network.d0_d1_over_N, part.network.d1
    several = not part.problem.grows and len(part.problem.d0) > 1

    def rule(cell: Cell) -> tuple[int, float]:
        """(d0, or 0 where it grows or there is but one; the ratio d0 d1 / N asked for, or d1, or 0 where d1 = d0)."""
        second = cell.d1 if widths else 0
        if ratios:
            # d1 is rounded up, as in study/plan/grid.py.
            second = min(ratios, key=lambda ratio: abs(math.ceil(ratio * cell.N / cell.d0 - 1e-9) - cell.d1))
        return (cell.d0 if several else 0, second)

    def label(rule: tuple[int, float]) -> str:
        d0, second = rule
        text = f"d1 = {second}" if second else "d1 = d0"
        if ratios:
            text = f"d0 d1 = {second:g} N" if second != 1 else "d0 d1 = N"
        return f"d0 = {d0}, {text}" if d0 else text

    return curves(cells, rule, label)


def log_lines(cells: Sequence[Cell]) -> list[float] | None:
    """-gamma_eps N^(3/4) (d0 d1)^(1/4) at the size of every cell; None where Definition 5 or Theorem 6 has no such
    size."""
    pairs = [(cell, cell.rows[0]) for cell in cells]
    if any(row.eps == 0 or row.coordinates < 2 for _, row in pairs):
        return None
    return [theory.log_volume_suboptimal(c.N, row.coordinates, c.d1, row.eps, row.rho) for c, row in pairs]


def scale(cell: Cell) -> float:
    """N^(3/4) (d0 d1)^(1/4)."""
    return cell.N**0.75 * (cell.rows[0].coordinates * cell.d1) ** 0.25


def fit(curve: Curve, quantity: str) -> Fit:
    """The exponent with which the volume falls along the curve."""
    kept = tuple(cell for cell in curve.cells if (values := cell.values(quantity)) and min(values) > 0)
    points = [(scale(cell), math.log(value)) for cell in kept for value in cell.values(quantity)]
    exponent = half = math.nan
    if len({cell.N for cell in kept}) >= LEAST_SIZES:
        x, y = np.transpose(points)
        slope, _, _, _, stderr = cast(tuple[float, ...], scipy.stats.linregress(x, y))
        exponent, half = -float(slope), float(scipy.stats.t.ppf(0.975, len(points) - 2) * stderr)
    lines = log_lines(kept)
    return Fit(
        curve=curve,
        quantity=quantity,
        cells=kept,
        left_out=tuple(cell for cell in curve.cells if cell not in kept),
        exponent=exponent,
        low=exponent - half,
        high=exponent + half,
        gammas=() if lines is None else tuple(-line / scale(c) for line, c in zip(lines, kept, strict=True)),
    )


def fits(curves: Sequence[Curve]) -> list[Fit]:
    """Of V(L_eps), of its candidates, and of its ratio to V(G), as far as they were measured."""
    measured = [q for q in THEOREMS if any(cell.measures(q) for curve in curves for cell in curve.cells)]
    return [fit(curve, quantity) for quantity in measured for curve in curves]
