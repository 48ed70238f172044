"""Theorems 6 and 10 against measured volumes: the exponents of V(L_eps) and V(L_eps) / V(G), beside gamma_eps.

The theorems' expressions are leading order in the logarithm: drawn and compared here, never called a bound.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
import scipy.stats

from mnnjax import theory
from mnnjax.report.common.findings import Finding, overall
from mnnjax.report.common.volume_rows import NAMES, Measure, VolumeCell, VolumeCurve
from mnnjax.wording import of, plural, significant

THEOREMS = {"suboptimal": "Theorem 6", "candidates": "Theorem 6", "ratio": "Theorem 10"}
# Fewer different N determine no exponent.
LEAST_SIZES = 3


@dataclasses.dataclass(frozen=True)
class Fit:
    """Least squares of log(volume) = constant - exponent N^(3/4) (d0 d1)^(1/4) over the data sets of a curve.

    The exponent and its 95 % t-interval are nan where fewer than 3 different N have cells without a zero or a gap.
    Where a cell is left out for a zero, the others near the limit of detection are those that had luck: the exponent
    tends to be too small, and its interval does not cover that. Where a ratio has no value since V(G) is 0, it tends to
    be too large.
    """

    curve: VolumeCurve
    quantity: str
    cells: tuple[VolumeCell, ...]
    """Those in which every data set has an estimate that is not 0."""
    left_out: tuple[VolumeCell, ...]
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
    def is_above_N(self) -> bool:
        """Whether all cells of the curve have d0 d1 >= N."""
        return all(cell.columns_per_point >= 1 for cell in self.curve.cells)

    @property
    def points(self) -> int:
        """How many data sets the line is fitted to."""
        return sum(len(cell.rows) for cell in self.cells)

    @property
    def lacks_hits(self) -> bool:
        """Whether a cell is left out since a data set's estimate is 0; of a ratio, that of the volume above."""
        return self._left_out_for_zero(self.quantity, "suboptimal" if self.quantity == "ratio" else self.quantity)

    @property
    def lacks_minima(self) -> bool:
        """Whether it is of a ratio, and a cell is left out since a data set's V(G) is 0."""
        return self.quantity == "ratio" and self._left_out_for_zero("global_minima")

    def _left_out_for_zero(self, *names: str) -> bool:
        return any(m.estimate == 0 for cell in self.left_out for name in names for m in cell.measures(name))

    @property
    def verdict(self) -> Literal["holds", "fails", "undecided", "not judged"]:
        """By where the exponent's interval lies: above every gamma_eps, below every one, or neither. An exponent that
        tends to be too small, of cells with hits alone, never fails, and one that tends to be too large never holds."""
        # The theorems' claims are about V(L_eps), not about its upper bound.
        if not self.is_above_N or self.quantity == "candidates":
            return "not judged"
        if math.isnan(self.exponent) or not self.gammas:
            return "undecided"
        if self.low > max(self.gammas) and not self.lacks_minima:
            return "holds"
        return "fails" if self.high < min(self.gammas) and not self.lacks_hits else "undecided"


def log_line(cell: VolumeCell) -> float | None:
    """-gamma_eps N^(3/4) (d0 d1)^(1/4) at the cell's size; None where Definition 5 or Theorem 6 has no such size."""
    row = cell.rows[0]
    if row.eps == 0 or row.inputs < 2:
        return None
    return theory.log_volume_suboptimal(cell.N, row.inputs, cell.d1, row.eps, row.rho)


def log_lines(cells: Sequence[VolumeCell]) -> list[float] | None:
    """That of every cell; None where one has none."""
    found = [line for line in map(log_line, cells) if line is not None]
    return found if len(found) == len(cells) else None


def scale(cell: VolumeCell) -> float:
    """N^(3/4) (d0 d1)^(1/4)."""
    return cell.N**0.75 * (cell.inputs * cell.d1) ** 0.25


def fit(curve: VolumeCurve, quantity: str) -> Fit:
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


def fits(curves: Sequence[VolumeCurve]) -> list[Fit]:
    """Of V(L_eps), of its candidates, and of its ratio to V(G), as far as they were measured."""
    measured = [q for q in THEOREMS if any(cell.measures(q) for curve in curves for cell in curve.cells)]
    return [fit(curve, quantity) for quantity in measured for curve in curves]


def volumes(curves: Sequence[VolumeCurve], all_fits: Sequence[Fit]) -> Finding:
    """Theorems 6 and 10 against what was measured."""
    holds, fails, undecided = ([f for f in all_fits if f.verdict == v] for v in ("holds", "fails", "undecided"))
    judged = len(holds) + len(fails) + len(undecided)
    because = [
        f"Of {plural(judged, 'exponent')} of curves with d0 d1 >= N, {len(holds)} meet the criterion, "
        f"{len(fails)} fail, {len(undecided)} cannot be judged."
    ]
    because += [f"Fails, {f.name}: {_exponent(f)}, below {_gamma(f)}." for f in fails]
    because += [f"Undecided, {f.name}: {_why_undecided(f)}." for f in undecided]
    return Finding(
        claim="Theorems 6 and 10: V(L_eps) and V(L_eps) / V(G) fall exponentially in N^(3/4) (d0 d1)^(1/4), with an "
        "exponent of at least gamma_eps, to leading order, once d0 d1 exceeds N up to logarithms.",
        measured=(*_ranges(curves), *_exponents(all_fits), *_beside_the_line(curves)),
        criterion="For every curve with d0 d1 >= N at all its N, and for V(L_eps) and the ratio each: agrees "
        "when the lower end of the fitted exponent's 95 % interval is above gamma_eps at every size of the fit (and no "
        "ratio is missing for a V(G) of 0), does not agree when its upper end is below and no cell was left out for an "
        "estimate of 0. gamma_eps is leading order: no bound at finite N, and neither is this.",
        status=overall(len(holds), len(fails), len(undecided)),
        because=tuple(because),
    )


def _ranges(curves: Sequence[VolumeCurve]) -> list[str]:
    sentences = []
    for quantity, name in NAMES.items():
        parts = [text for curve in curves if (text := _range(curve, quantity))]
        sentences += [f"Mean {name} over the data sets: {'; '.join(parts)}."] if parts else []
    return sentences


def _range(curve: VolumeCurve, quantity: str) -> str:
    pooled = [(cell.N, measure) for cell in curve.cells if (measure := cell.pooled(quantity))]
    known = [(N, measure) for N, measure in pooled if measure.is_known]
    ends = [_mean_at(*known[k]) for k in ((0, -1) if len(known) > 1 else (0,) if known else ())]
    return f"{curve.label}: {', '.join(ends)}" if ends else ""


def _mean_at(N: int, measure: Measure) -> str:
    no_hit = f" (no hit, at most {significant(measure.high)})" if measure.estimate == 0 < measure.high else ""
    return f"{significant(measure.estimate)} at N = {N}{no_hit}"


def _exponents(all_fits: Sequence[Fit]) -> list[str]:
    fitted = [f for f in all_fits if not math.isnan(f.exponent)]
    sentences = []
    for quantity, theorem in THEOREMS.items():
        parts = [f"{f.curve.label}: {_exponent(f)}, beside {_gamma(f)}" for f in fitted if f.quantity == quantity]
        sentences += [f"Exponent of {NAMES[quantity]} ({theorem}): {'; '.join(parts)}."] if parts else []
    gaps = [f"{f.name}: N = {', '.join(str(cell.N) for cell in f.left_out)}" for f in all_fits if f.left_out]
    if gaps:
        sentences.append(f"Left out of the fits, since a data set's estimate is 0 or missing: {'; '.join(gaps)}.")
    if some := [f.name for f in fitted if f.lacks_hits]:
        sentences.append(
            "Where an estimate is 0, the exponent is of the cells with hits alone and tends to be too small, which its "
            f"interval does not cover: {'; '.join(some)}."
        )
    if some := [f.name for f in fitted if f.lacks_minima]:
        sentences.append(
            f"Where V(G) is 0 the ratio is missing, and its exponent tends to be too large: {'; '.join(some)}."
        )
    return sentences


def _beside_the_line(curves: Sequence[VolumeCurve]) -> list[str]:
    pairs = [
        (cell.mean("suboptimal"), line)
        for curve in curves
        for cell in curve.cells
        if not math.isnan(cell.mean("suboptimal")) and (line := log_line(cell)) is not None
    ]
    below = sum(mean < math.exp(line) for mean, line in pairs)
    if not pairs:
        return []
    return [f"The mean V(L_eps) is below the leading-order expression of Theorem 6 in {of(below, len(pairs), 'cell')}."]


def _exponent(f: Fit) -> str:
    return f"{significant(f.exponent)} (95 %: {significant(f.low)} to {significant(f.high)})"


def _gamma(f: Fit) -> str:
    if not f.gammas:
        return "no gamma_eps (it takes eps > 0)"
    low, high = significant(min(f.gammas)), significant(max(f.gammas))
    return f"gamma_eps = {low}" if low == high else f"gamma_eps from {low} to {high}"


def _why_undecided(f: Fit) -> str:
    if math.isnan(f.exponent):
        sizes = len({cell.N for cell in f.cells})
        return f"no fit ({LEAST_SIZES} different N are needed, {sizes} have no zero or missing estimate)"
    luck = " of the cells with hits alone, which tends to be too small" if f.lacks_hits else ""
    luck += " of the cells where V(G) is not 0, which tends to be too large" if f.lacks_minima else ""
    return f"{_exponent(f)}{luck}, {_gamma(f)}"
