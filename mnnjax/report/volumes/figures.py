"""Volumes against N: every data set with its interval, known ends of others, the theorems' line as leading order."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnnjax import theory
from mnnjax.landscape.volumes.intervals import Estimate
from mnnjax.report.common import figure_style
from mnnjax.report.common.figure_style import DASHED, Picture, draw, grid_of_panels, line, look, tell
from mnnjax.report.common.rows import NAMES, Curve
from mnnjax.report.volumes.analysis import THEOREMS, log_lines
from mnnjax.wording import integer, significant

TITLES = {
    "suboptimal": r"$V(\mathcal{L}_\epsilon)$, $\epsilon = $EPS",
    "candidates": r"$V$(candidates of $\mathcal{L}_\epsilon$)",
    "global_minima": r"$V(\mathcal{G})$",
    "ratio": r"$V(\mathcal{L}_\epsilon)\;/\;V(\mathcal{G})$",
    "rank_deficient": r"$V(\mathrm{rank}(A \circ X) < N)$",
}
# Triangles point to where the value lies.
_BOUNDS = {"down": "v", "up": "^"}
_LEADING = "leading order, no bound at finite N"
_HOLLOW = {"linestyle": "none", "markerfacecolor": "none", "markeredgewidth": 1.4}
# A bar may reach this factor beyond the marks before the panel cuts it off.
_REACH = 10


@dataclasses.dataclass(frozen=True)
class Mark:
    """How one data set's measure is drawn: as a point at the estimate, or as a triangle at the end of the interval that
    is known."""

    kind: Literal["point", "down", "up"]
    N: int
    x: float
    y: float
    measure: Estimate


def volumes(curves: Sequence[Curve], redrawn: bool) -> tuple[Picture, ...]:
    """The picture of a volume study, if there is anything to draw; `redrawn`: a row is the mean over X and y, not one
    data set."""
    if not (shown := _marks_of(curves)):
        return ()
    row = "the mean over X and y" if redrawn else "one data set (X, y)"
    sentences = [
        f"Each point is {row}, its bar the 95 % interval; points are shifted sideways so that all can be seen, and a "
        "bar that reaches the edge is cut off there. Lines: means over the data sets, where each has an estimate.",
        "Triangles: only this end of the interval is known, since there was no hit, or V(G) had none (pointing up). "
        "Values that are 0, infinite or unknown are not drawn.",
    ]
    cells = [cell for curve in curves for cell in curve.cells]
    if shown.keys() & THEOREMS.keys():
        sentences.append(
            "Theorems 6 and 10 have no line here: they need a fixed eps > 0, and d0 > 1."
            if log_lines(cells) is None
            else "Dashed: exp(-gamma_eps N^(3/4) (d0 d1)^(1/4)) of Theorem 6, for V(L_eps) and candidates, and of "
            "Theorem 10, for the ratio: leading order in the logarithm, no bound at finite N."
        )
    largest = max(cells, key=lambda cell: cell.N)
    if "global_minima" in shown and (coordinates := largest.rows[0].coordinates) >= 2:
        sentences.append(
            "Theorem 9's expression for V(G), exp(-2 N log N), leading order as well, lies far below what is drawn: "
            f"e^({significant(theory.log_volume_global(largest.N, coordinates))}) at N = {largest.N}."
        )
    if "candidates" in shown:
        sentences.append("Candidates: the regions whose minima, if they hold any, are sub-optimal with MCE > eps.")
    if "rank_deficient" in shown:
        sentences.append("V(rank(A o X) < N) is an upper bound on V(L_0).")
    alt = "Volumes of regions against the number of points N, logarithmic, one colour per curve, one panel per quantity"
    return (draw(lambda: volume_panels(curves), alt, " ".join(sentences)),)


def volume_panels(curves: Sequence[Curve]) -> Figure:
    """One panel per quantity that was measured."""
    marks = _marks_of(curves)
    figure, panels = grid_of_panels(len(marks), 6.6, 4.5, above=1.3)
    for panel, (quantity, by_curve) in zip(panels, marks.items(), strict=True):
        panel.set_title(TITLES[quantity].replace("EPS", f"{curves[0].cells[0].rows[0].eps:g}"))
        _panel(panel, curves, quantity, by_curve)
    kinds = {mark.kind for by_curve in marks.values() for group in by_curve for mark in group}
    handles = [line(curve.label, *look(index)) for index, curve in enumerate(curves)]
    for kind, label in (("down", "no hit: at most this"), ("up", "at least this")):
        handles += [line(label, marker=_BOUNDS[kind], **_HOLLOW)] if kind in kinds else []
    if any(_theorem(curve, quantity) for curve in curves for quantity in marks):
        handles.append(line(_LEADING, **DASHED))
    figure_style.legend_above(figure, handles)
    return figure


def _marks_of(curves: Sequence[Curve]) -> dict[str, list[list[Mark]]]:
    """For each quantity that has any, and for each curve, the marks of the data sets: side by side around their N."""
    marks = {quantity: [_marks(curves, index, quantity) for index in range(len(curves))] for quantity in NAMES}
    return {quantity: by_curve for quantity, by_curve in marks.items() if any(by_curve)}


def _marks(curves: Sequence[Curve], index: int, quantity: str) -> list[Mark]:
    marks = []
    for cell in curves[index].cells:
        left, width = _slot(curves, index, cell.N)
        for k, row in enumerate(cell.rows):
            if measure := row.measured.get(quantity):
                mark = _mark(measure, cell.N, left + width * (k + 0.5) / len(cell.rows))
                # A logarithmic axis has no other values.
                marks += [mark] if 0 < mark.y < math.inf else []
    return marks


def _mark(measure: Estimate, N: int, x: float) -> Mark:
    if 0 < measure.estimate < math.inf:
        return Mark("point", N, x, measure.estimate, measure)
    if measure.low > 0 and not math.isfinite(measure.estimate):
        return Mark("up", N, x, measure.low, measure)
    return Mark("down", N, x, measure.high, measure)


def _told(measure: Estimate) -> str:
    counted = (
        "" if measure.draws is None else f"<br>{integer(measure.hits or 0)} hits in {integer(measure.draws)} draws"
    )
    return f"{significant(measure.estimate)} ({significant(measure.low)} to {significant(measure.high)}){counted}"


def _slot(curves: Sequence[Curve], index: int, N: int) -> tuple[float, float]:
    """Left end and width of the place beside N that the curve with this index has."""
    others = {cell.N for curve in curves for cell in curve.cells} - {N}
    width = 0.72 * min((abs(N - other) for other in others), default=N / 2)
    return N + width * (index / len(curves) - 0.5), 0.9 * width / len(curves)


def _panel(panel: Axes, curves: Sequence[Curve], quantity: str, marks: Sequence[Sequence[Mark]]) -> None:
    bottom, top = _limits([m for group in marks for m in group], [y for c in curves for y in _theorem(c, quantity)])
    for index, (curve, group) in enumerate(zip(curves, marks, strict=True)):
        color, marker = look(index)
        points = [mark for mark in group if mark.kind == "point"]
        # Ends are kept off 0 and infinity, which a logarithmic axis has not.
        ends = np.reshape([(mark.measure.low, mark.measure.high) for mark in points], (-1, 2))
        low, high = np.clip(ends, bottom / 10, top * 10).T
        label, x = curve.label, [mark.x for mark in points]
        panel.vlines(x, low, high, color=color, alpha=0.45, linewidth=1.4, label=label, gid="intervals")
        dots = {"marker": marker, "markersize": 5, "markeredgewidth": 0, "linestyle": "none"}
        for kind, style in {"point": dots, **{k: {"marker": m, **_HOLLOW} for k, m in _BOUNDS.items()}}.items():
            of_kind = [mark for mark in group if mark.kind == kind]
            x, y = [mark.x for mark in of_kind], [mark.y for mark in of_kind]
            (drawn,) = panel.plot(x, y, color=color, alpha=0.75, label=label, **style, gid=kind)
            tell(drawn, [f"{label}, N = {mark.N}<br>{_told(mark.measure)}" for mark in of_kind])
        slots = [_slot(curves, index, cell.N) for cell in curve.cells]
        means = [cell.mean(quantity) or math.nan for cell in curve.cells]
        dashes = {"marker": "_", "markersize": 13, "markeredgewidth": 2.4}
        middle = [left + width / 2 for left, width in slots]
        panel.plot(middle, means, color=color, linewidth=1.6, label=label, **dashes, gid="means")
        theorem = _theorem(curve, quantity)
        sizes = [cell.N for cell in curve.cells][: len(theorem)]
        panel.plot(sizes, theorem, color=color, label=_LEADING, **DASHED, gid="theorem")
    panel.set(yscale="log", ylim=(bottom, top))
    figure_style.log_ticks(panel.yaxis)
    sizes = sorted({cell.N for curve in curves for cell in curve.cells})
    left, right = (1.5 * (N - _slot(curves, 0, N)[0]) for N in (sizes[0], sizes[-1]))
    panel.set(xlim=(sizes[0] - left, sizes[-1] + right), xlabel="N (training points)")
    figure_style.size_ticks(panel.xaxis, sizes)
    panel.grid(axis="x", visible=False)


def _limits(marks: Sequence[Mark], theorem: Sequence[float]) -> tuple[float, float]:
    """Of the y axis; bars may go on beyond it."""
    values = [*(mark.y for mark in marks), *theorem]
    ends = [end for mark in marks if mark.kind == "point" for end in (mark.measure.low, mark.measure.high)]
    low, high = (sign * max(sign * v for v in values) for sign in (-1, 1))
    return max(min([low, *ends]), low / _REACH) / 1.5, min(max([high, *ends]), high * _REACH) * 1.5


def _theorem(curve: Curve, quantity: str) -> list[float]:
    """The dashed line at the curve's cells; empty where there is none."""
    lines = log_lines(curve.cells) if quantity in THEOREMS else None
    # Floats end at e^-745.
    return [] if lines is None else [math.exp(max(line, -700)) for line in lines]
