"""Volumes against N: every data set with its interval, zero hits as arrows, the theorems' line as leading order."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from mnnjax import theory
from mnnjax.report.common.figure_style import (
    DASHED,
    Picture,
    apart,
    draw,
    grid_of_panels,
    legend_above,
    line,
    look,
)
from mnnjax.report.common.rows import NAMES, Curve, Measure
from mnnjax.report.volumes.analysis import THEOREMS, log_line, log_lines
from mnnjax.wording import plural, significant

TITLES = {
    "suboptimal": r"$V(\mathcal{L}_\epsilon)$, $\epsilon = $EPS",
    "candidates": r"$V$(candidates of $\mathcal{L}_\epsilon$)",
    "global_minima": r"$V(\mathcal{G})$",
    "ratio": r"$V(\mathcal{L}_\epsilon)\;/\;V(\mathcal{G})$",
    "rank_deficient": r"$V(\mathrm{rank}(A \circ X) < N)$",
}
# An arrow as a marker, from its point on: a bar across, a stem and a head.
_DOWN = [(-0.15, 0), (0.15, 0), (0, 0), (0, -1), (-0.15, -0.75), (0, -1), (0.15, -0.75)]
_CODES = [Path.MOVETO, Path.LINETO] * 2 + [Path.MOVETO, Path.LINETO, Path.LINETO]
ARROWS = {"down": Path(_DOWN, _CODES), "up": Path([(x, -y) for x, y in _DOWN], _CODES)}
# A bar may reach this factor beyond the marks before the panel cuts it off.
_REACH = 30


@dataclasses.dataclass(frozen=True)
class Mark:
    """How one data set's measure is drawn: as a point at the estimate, or as an arrow from the end of the interval that
    is known."""

    kind: Literal["point", "down", "up"]
    x: float
    y: float
    measure: Measure


def volumes(curves: Sequence[Curve], redrawn: bool) -> tuple[Picture, ...]:
    """The picture of a volume study, if there is anything to draw; `redrawn`: a row is the mean over X and y, not one
    data set."""
    marks = _all_marks(curves)
    shown = [quantity for quantity, by_curve in marks.items() if any(by_curve)]
    if not shown:
        return ()
    row = "the mean over X and y" if redrawn else "one data set (X, y)"
    kinds = {mark.kind for by_curve in marks.values() for group in by_curve for mark in group}
    sentences = [
        f"Each point is {row}, its bar the 95 % interval; points are shifted sideways so that all can be seen, and a "
        "bar that reaches the edge is cut off there. Lines: means over the data sets, where each has an estimate.",
        "Arrows: only this end of the interval is known, since there was no hit, or V(G) had none (arrows up)."
        if kinds != {"point"}
        else "",
        *_line_sentences(curves, shown),
        "Candidates: the regions whose minima, if they hold any, are sub-optimal with MCE > eps; V(L_eps) is at most "
        "their volume."
        if "candidates" in shown
        else "",
        "V(rank(A o X) < N) is an upper bound on V(L_0)." if "rank_deficient" in shown else "",
        _undrawn_sentence(curves, marks),
    ]
    picture = Picture(
        suffix="",
        alt="Volumes of regions against the number of points N, logarithmic, one colour per curve, one panel per "
        "quantity",
        caption=" ".join(filter(None, sentences)),
        **draw(lambda: volume_panels(curves)),
    )
    return (picture,)


def volume_panels(curves: Sequence[Curve]) -> Figure:
    """One panel per quantity that was measured."""
    marks = {quantity: by_curve for quantity, by_curve in _all_marks(curves).items() if any(by_curve)}
    figure, panels = grid_of_panels(len(marks), 6.6, 4.5, above=1.3)
    for panel, (quantity, by_curve) in zip(panels, marks.items(), strict=True):
        panel.set_title(TITLES[quantity].replace("EPS", f"{curves[0].cells[0].rows[0].eps:g}"))
        _panel(panel, curves, quantity, by_curve)
    kinds = {mark.kind for by_curve in marks.values() for group in by_curve for mark in group}
    dashed = any(_theorem(curve, quantity) for curve in curves for quantity in marks)
    legend_above(figure, _legend(curves, kinds, dashed))
    return figure


def _all_marks(curves: Sequence[Curve]) -> dict[str, list[list[Mark]]]:
    """For each quantity and curve, the marks of the data sets: side by side around their N."""
    sizes = sorted({cell.N for curve in curves for cell in curve.cells})
    return {q: [_marks(curve, q, sizes, i, len(curves)) for i, curve in enumerate(curves)] for q in NAMES}


def _marks(curve: Curve, quantity: str, sizes: Sequence[int], index: int, count: int) -> list[Mark]:
    marks = []
    for cell in curve.cells:
        left, width = _slot(sizes, cell.N, index, count)
        for k, row in enumerate(cell.rows):
            if measure := row.measured.get(quantity):
                kind, y = _place(measure)
                # A logarithmic axis has no other values.
                if 0 < y < math.inf:
                    marks.append(Mark(kind, left + width * (k + 0.5) / len(cell.rows), y, measure))
    return marks


def _place(measure: Measure) -> tuple[Literal["point", "down", "up"], float]:
    if measure.is_known and measure.estimate > 0:
        return "point", measure.estimate
    return ("up", measure.low) if measure.low > 0 and not measure.is_known else ("down", measure.high)


def _slot(sizes: Sequence[int], N: int, index: int, count: int) -> tuple[float, float]:
    """Left end and width of the place beside N that curve `index` of `count` has."""
    width = 0.72 * _gap(sizes, N)
    return N + width * (index / count - 0.5), 0.9 * width / count


def _gap(sizes: Sequence[int], N: int) -> float:
    """From N to its nearest neighbour."""
    return min((abs(N - other) for other in sizes if other != N), default=N / 2)


def _panel(panel: Axes, curves: Sequence[Curve], quantity: str, marks: Sequence[Sequence[Mark]]) -> None:
    sizes = sorted({cell.N for curve in curves for cell in curve.cells})
    panel.set_yscale("log")
    _limits(
        panel, [value for curve in curves for value in _theorem(curve, quantity)], [m for group in marks for m in group]
    )
    bottom, top = panel.get_ylim()
    for index, (curve, group) in enumerate(zip(curves, marks, strict=True)):
        color, marker = look(index)
        by_kind = {kind: [mark for mark in group if mark.kind == kind] for kind in ("point", *ARROWS)}
        # Ends are kept off 0 and infinity, which a logarithmic axis has not.
        low = [min(max(m.measure.low, bottom / 10), top) for m in by_kind["point"]]
        high = [max(min(m.measure.high, top * 10), bottom) for m in by_kind["point"]]
        x = [mark.x for mark in by_kind["point"]]
        panel.vlines(x, low, high, color=color, alpha=0.45, linewidth=1.4, gid="intervals")
        looks: dict[str, dict[str, Any]] = {"point": {"marker": marker, "markersize": 5, "markeredgewidth": 0}}
        edges = {"markersize": 32, "markeredgewidth": 1.4, "markerfacecolor": "none"}
        looks |= {kind: {"marker": path, **edges} for kind, path in ARROWS.items()}
        for kind, drawn in by_kind.items():
            x, y = [mark.x for mark in drawn], [mark.y for mark in drawn]
            panel.plot(x, y, color=color, linestyle="none", alpha=0.75, **looks[kind], gid=kind)
        slots = [_slot(sizes, cell.N, index, len(curves)) for cell in curve.cells]
        means = [cell.mean(quantity) or math.nan for cell in curve.cells]
        dashes = {"marker": "_", "markersize": 13, "markeredgewidth": 2.4}
        middle = [left + width / 2 for left, width in slots]
        panel.plot(middle, means, color=color, linewidth=1.6, **dashes, gid="means")
        theorem = _theorem(curve, quantity)
        panel.plot([cell.N for cell in curve.cells][: len(theorem)], theorem, color=color, **DASHED, gid="theorem")
    left, right = sizes[0] - 0.55 * _gap(sizes, sizes[0]), sizes[-1] + 0.55 * _gap(sizes, sizes[-1])
    panel.set_xlim(left, right)
    # A number of four digits takes a ninth of a panel.
    panel.set_xticks(apart(sizes, (right - left) / 9))
    _value_ticks(panel, bottom, top)
    panel.grid(axis="x", visible=False)
    panel.set_xlabel("N (training points)")


def _limits(panel: Axes, lines: Sequence[float], marks: Sequence[Mark]) -> None:
    values = [*(mark.y for mark in marks), *lines]
    least, most = min(values), max(values)
    ends = [end for mark in marks if mark.kind == "point" for end in (mark.measure.low, mark.measure.high)]
    inner = [end for end in ends if least / _REACH <= end <= most * _REACH]
    low, high = min([*values, *inner]), max([*values, *inner])
    if any(end < low for end in ends):
        low = min(low, least / _REACH**0.5)
    decades = max(math.log10(high / low), 0.3)
    kinds = {mark.kind for mark in marks}
    below, above = (0.14 if kind in kinds else 0.05 for kind in ("down", "up"))
    panel.set_ylim(low / 10 ** (below * decades), high * 10 ** (above * decades))


def _theorem(curve: Curve, quantity: str) -> list[float]:
    """The dashed line at the curve's cells; empty where there is none."""
    lines = log_lines(curve.cells) if quantity in THEOREMS else None
    # Floats end at e^-745.
    return [] if lines is None else [math.exp(max(line, -700)) for line in lines]


def _value_ticks(panel: Axes, low: float, high: float) -> None:
    """Powers of ten, or where there are few of them, plain numbers between them as well."""
    decades = math.log10(high / low)
    if decades < 3 and low > 1e-4:
        subs = (1, 2, 3, 5) if decades < 1 else (1, 2, 5) if decades < 2 else (1, 3)
        panel.yaxis.set_major_locator(LogLocator(subs=subs) if decades > 0.6 else MaxNLocator(5))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    else:
        panel.yaxis.set_major_locator(LogLocator(numticks=8))
    panel.yaxis.set_minor_locator(NullLocator())


def _legend(curves: Sequence[Curve], kinds: set[str], dashed: bool) -> list[Line2D]:
    handles = [line(curve.label, *look(index)) for index, curve in enumerate(curves)]
    arrow = {"linestyle": "none", "markersize": 14, "markerfacecolor": "none", "markeredgewidth": 1.4}
    if "down" in kinds:
        handles.append(line("no hit: at most this", marker=_centred("down"), **arrow))
    if "up" in kinds:
        handles.append(line("at least this", marker=_centred("up"), **arrow))
    if dashed:
        handles.append(line("leading order, no bound at finite N", **DASHED))
    return handles


def _centred(kind: str) -> Path:
    x, y = np.asarray(ARROWS[kind].vertices).T
    return Path(list(zip(x, y - y.sum() / abs(y.sum()) / 2, strict=True)), _CODES)


def _line_sentences(curves: Sequence[Curve], shown: Sequence[str]) -> list[str]:
    cells = [cell for curve in curves for cell in curve.cells]
    row, largest = cells[0].rows[0], max(cells, key=lambda cell: cell.N)
    if not set(shown) & set(THEOREMS):
        sentences = []
    elif all(log_line(cell) is not None for cell in cells):
        sentences = [
            "Dashed: exp(-gamma_eps N^(3/4) (d0 d1)^(1/4)) of Theorem 6, for V(L_eps) and candidates, and of "
            "Theorem 10, for the ratio: leading order in the logarithm, no bound at finite N."
        ]
    elif row.eps == 0:
        gamma = "gamma_eps = 0 there" if row.rho == 0 else "they need a fixed eps > 0"
        sentences = [f"Theorems 6 and 10 have no line at eps = 0 ({gamma})."]
    else:
        sentences = ["Theorems 6 and 10 have no line at d0 = 1."]
    if "global_minima" in shown and largest.rows[0].coordinates >= 2:
        log = theory.log_volume_global(largest.N, largest.rows[0].coordinates)
        sentences.append(
            f"Theorem 9's expression for V(G), exp(-2 N log N), leading order as well, lies far below what is drawn: "
            f"e^({significant(log)}) at N = {largest.N}."
        )
    return sentences


def _undrawn_sentence(curves: Sequence[Curve], marks: dict[str, list[list[Mark]]]) -> str:
    parts = []
    measured = [set(row.measured) for curve in curves for cell in curve.cells for row in cell.rows]
    for quantity, name in NAMES.items():
        # Where both volumes are known, both ends of their ratio may be unknown.
        known = sum(quantity in m or (quantity == "ratio" and {"suboptimal", "global_minima"} <= m) for m in measured)
        undrawn = known - sum(map(len, marks[quantity]))
        parts += [f"{name} of {plural(undrawn, 'data set')}"] if undrawn else []
    return f"Not drawn, since 0, infinite or unknown: {'; '.join(parts)}." if parts else ""
