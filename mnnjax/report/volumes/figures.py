"""Volumes against N: every data set with its interval, zero hits as arrows, the theorems' line as leading order."""

import collections
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
from mnnjax.report.common.figure_style import DASHED, GREY, Picture, apart, draw, grid_of_panels, legend_above, look
from mnnjax.report.common.rows import NAMES, Cell, Curve, Measure
from mnnjax.report.volumes.analysis import THEOREMS, log_line, log_lines
from mnnjax.wording import plural, significant

TITLES = {
    "suboptimal": r"$V(\mathcal{L}_\epsilon)$, $\epsilon = $EPS",
    "candidates": r"$V$(candidates of $\mathcal{L}_\epsilon$)",
    "global_minima": r"$V(\mathcal{G})$",
    "ratio": r"$V(\mathcal{L}_\epsilon)\;/\;V(\mathcal{G})$",
    "rank_deficient": r"$V(\mathrm{rank}(A \circ X) < N)$",
}
CANDIDATES = (
    "Candidates: the regions whose minima, if they hold any, are sub-optimal with MCE > eps; V(L_eps) is at most their "
    "volume."
)
# An arrow as a marker, from its point on: a bar across, a stem and a head.
_DOWN = [(-0.15, 0), (0.15, 0), (0, 0), (0, -1), (-0.15, -0.75), (0, -1), (0.15, -0.75)]
_CODES = [Path.MOVETO, Path.LINETO] * 2 + [Path.MOVETO, Path.LINETO, Path.LINETO]
ARROWS = {"down": Path(_DOWN, _CODES), "up": Path([(x, -y) for x, y in _DOWN], _CODES)}
# A bar may reach this factor beyond the marks before the panel cuts it off.
_REACH = 30

Kind = Literal["point", "down", "up", "exactly 0", "infinite", "unknown"]


@dataclasses.dataclass(frozen=True)
class Mark:
    """How one data set's measure is drawn, at x; a kind that no logarithmic axis can show is only counted."""

    kind: Kind
    x: float
    measure: Measure | None

    @property
    def shown(self) -> Measure:
        """The measure of a mark that is drawn."""
        assert self.measure is not None
        return self.measure

    @property
    def y(self) -> float:
        """Where it is drawn: the estimate, or for an arrow the end of the interval that is known."""
        return {"point": self.shown.estimate, "down": self.shown.high, "up": self.shown.low}[self.kind]


def kind_of(measure: Measure | None) -> Kind:
    """A point with its interval, an arrow from the end that is known, or why there is nothing to draw."""
    if measure is None:
        return "unknown"
    if measure.is_known and measure.estimate > 0:
        return "point"
    if measure.is_known:
        return "down" if measure.high > 0 else "exactly 0"
    if measure.low > 0:
        return "up" if math.isfinite(measure.low) else "infinite"
    return "down" if math.isfinite(measure.high) else "unknown"


def volumes(curves: Sequence[Curve], redrawn: bool) -> tuple[Picture, ...]:
    """The picture of a volume study, if there is anything to draw; `redrawn`: a row is the mean over X and y, not one
    data set."""
    marks = {quantity: _marks(curves, quantity) for quantity in NAMES}
    if not any(map(_is_drawn, marks.values())):
        return ()
    row = "the mean over X and y" if redrawn else "one data set (X, y)"
    sentences = [
        f"Each point is {row}, its bar the 95 % interval; points are shifted sideways so that they do not hide each "
        "other, and a bar that reaches the edge goes on. Lines: means over the data sets, where each has an estimate.",
        *_arrow_sentences(marks),
        *_line_sentences(curves, {quantity for quantity, some in marks.items() if _is_drawn(some)}),
        CANDIDATES if _is_drawn(marks["candidates"]) else "",
        "V(rank(A o X) < N) is an upper bound on V(L_0)." if _is_drawn(marks["rank_deficient"]) else "",
        *_undrawn_sentences(marks),
    ]
    picture = Picture(
        suffix="",
        alt="Volumes of regions against the number of points N, logarithmic, one colour a curve, one panel a quantity",
        caption=" ".join(filter(None, sentences)),
        **draw(lambda: volume_panels(curves)),
    )
    return (picture,)


def volume_panels(curves: Sequence[Curve]) -> Figure:
    """One panel a quantity that was measured."""
    marks = {quantity: _marks(curves, quantity) for quantity in NAMES}
    shown = [quantity for quantity in NAMES if _is_drawn(marks[quantity])]
    figure, panels = grid_of_panels(len(shown), 6.6, 4.5, above=1.3)
    for panel, quantity in zip(panels, shown, strict=True):
        panel.set_title(TITLES[quantity].replace("EPS", f"{curves[0].cells[0].rows[0].eps:g}"))
        _panel(panel, curves, quantity, marks[quantity])
    kinds = {mark.kind for some in marks.values() for by_curve in some for mark in by_curve}
    dashed = any(_theorem(curve, quantity) for curve in curves for quantity in shown)
    legend_above(figure, _legend(curves, kinds, dashed))
    return figure


def _marks(curves: Sequence[Curve], quantity: str) -> list[list[Mark]]:
    """For each curve, the marks of its data sets: side by side around their N."""
    sizes = sorted({cell.N for curve in curves for cell in curve.cells})
    result = []
    for index, curve in enumerate(curves):
        marks = []
        for cell in curve.cells:
            left, width = _slot(sizes, cell.N, index, len(curves))
            for k, row in enumerate(cell.rows):
                measure = row.measured.get(quantity)
                # Neither end of a ratio may be known though both volumes are.
                if measure or (quantity == "ratio" and {"suboptimal", "global_minima"} <= set(row.measured)):
                    marks.append(Mark(kind_of(measure), left + width * (k + 0.5) / len(cell.rows), measure))
        result.append(marks)
    return result


def _slot(sizes: Sequence[int], N: int, index: int, count: int) -> tuple[float, float]:
    """Left end and width of the place beside N that curve `index` of `count` has."""
    width = 0.72 * _gap(sizes, N)
    return N + width * (index / count - 0.5), 0.9 * width / count


def _gap(sizes: Sequence[int], N: int) -> float:
    """From N to its nearest neighbour."""
    return min((abs(N - other) for other in sizes if other != N), default=N / 2)


def _is_drawn(marks: Sequence[Sequence[Mark]]) -> bool:
    return any(mark.kind in ("point", *ARROWS) for some in marks for mark in some)


def _panel(panel: Axes, curves: Sequence[Curve], quantity: str, marks: Sequence[Sequence[Mark]]) -> None:
    sizes = sorted({cell.N for curve in curves for cell in curve.cells})
    panel.set_yscale("log")
    _limits(panel, curves, quantity, [mark for some in marks for mark in some])
    bottom, top = panel.get_ylim()
    for index, (curve, some) in enumerate(zip(curves, marks, strict=True)):
        color, marker = look(index)
        points = [mark for mark in some if mark.kind == "point"]
        # Ends are kept off 0 and infinity, which a logarithmic axis has not.
        low = [min(max(m.shown.low, bottom / 10), top) for m in points]
        high = [max(min(m.shown.high, top * 10), bottom) for m in points]
        panel.vlines([m.x for m in points], low, high, color=color, alpha=0.45, linewidth=1.4, gid="intervals")
        style: dict[str, Any] = {"color": color, "linestyle": "none"}
        panel.plot(*_xy(points), marker=marker, markersize=5, alpha=0.75, markeredgewidth=0, **style, gid="point")
        for kind, path in ARROWS.items():
            arrows = [mark for mark in some if mark.kind == kind]
            edges = {"markeredgewidth": 1.4, "markerfacecolor": "none"}
            panel.plot(*_xy(arrows), marker=path, markersize=32, alpha=0.75, **style, **edges, gid=kind)
        centre = [_slot(sizes, cell.N, index, len(curves)) for cell in curve.cells]
        means = [cell.mean(quantity) or math.nan for cell in curve.cells]
        middle = [left + width / 2 for left, width in centre]
        dashes = {"marker": "_", "markersize": 13, "markeredgewidth": 2.4}
        panel.plot(middle, means, color=color, linewidth=1.6, **dashes, gid="means")
        line = _theorem(curve, quantity)
        panel.plot([cell.N for cell in curve.cells][: len(line)], line, color=color, **DASHED, gid="theorem")
    first, last = (0.55 * _gap(sizes, sizes[end]) for end in (0, -1))
    left, right = sizes[0] - first, sizes[-1] + last
    panel.set_xlim(left, right)
    # A number of four digits takes a ninth of a panel.
    panel.set_xticks(apart(sizes, (right - left) / 9))
    _value_ticks(panel, bottom, top)
    panel.grid(axis="x", visible=False)
    panel.set_xlabel("N (training points)")


def _limits(panel: Axes, curves: Sequence[Curve], quantity: str, marks: Sequence[Mark]) -> None:
    drawn = [mark for mark in marks if mark.kind in ("point", *ARROWS)]
    values = [mark.y for mark in drawn]
    values += [value for curve in curves for value in _theorem(curve, quantity)]
    least, most = min(values), max(values)
    ends = [end for mark in drawn if mark.kind == "point" for end in (mark.shown.low, mark.shown.high)]
    inner = [end for end in ends if least / _REACH <= end <= most * _REACH]
    low, high = min([*values, *inner]), max([*values, *inner])
    if any(0 < end < low for end in ends) or 0 in ends:
        low = least / _REACH**0.5 if low > least / _REACH**0.5 else low
    decades = max(math.log10(high / low), 0.3)
    kinds = {mark.kind for mark in drawn}
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


def _xy(marks: Sequence[Mark]) -> tuple[list[float], list[float]]:
    return [mark.x for mark in marks], [mark.y for mark in marks]


def _legend(curves: Sequence[Curve], kinds: set[str], dashed: bool) -> list[Line2D]:
    looks = [look(index) for index in range(len(curves))]
    handles = [
        Line2D([], [], color=color, marker=marker, label=curve.label)
        for curve, (color, marker) in zip(curves, looks, strict=True)
    ]
    arrow = {"color": GREY, "linestyle": "none", "markersize": 14, "markerfacecolor": "none", "markeredgewidth": 1.4}
    if "down" in kinds:
        handles.append(Line2D([], [], marker=_centred("down"), label="no hit: at most this", **arrow))
    if "up" in kinds:
        handles.append(Line2D([], [], marker=_centred("up"), label="at least this", **arrow))
    if dashed:
        handles.append(Line2D([], [], color=GREY, **DASHED, label="leading order, no bound at finite N"))
    return handles


def _centred(kind: str) -> Path:
    x, y = np.asarray(ARROWS[kind].vertices).T
    return Path(list(zip(x, y - y.sum() / abs(y.sum()) / 2, strict=True)), _CODES)


def _arrow_sentences(marks: dict[str, list[list[Mark]]]) -> list[str]:
    kinds = {mark.kind for some in marks.values() for by_curve in some for mark in by_curve}
    sentences = []
    if "down" in kinds:
        sentences.append("Arrows down, from the upper end of the interval: no hit, so only that end is known.")
    if "up" in kinds:
        sentences.append("Arrows up, from the lower end of the interval: V(G) had no hit, so only that end is known.")
    return sentences


def _line_sentences(curves: Sequence[Curve], shown: set[str]) -> list[str]:
    cells: list[Cell] = [cell for curve in curves for cell in curve.cells]
    row = cells[0].rows[0]
    largest = max(cells, key=lambda cell: cell.N)
    if not shown & set(THEOREMS):
        sentences = []
    elif all(log_line(cell) is not None for cell in cells):
        sentences = [
            "Dashed: exp(-gamma_eps N^(3/4) (d0 d1)^(1/4)) of Theorem 6, for V(L_eps) and candidates, and of "
            "Theorem 10, for the ratio: leading order in the logarithm, no bound at finite N."
        ]
    elif row.eps == 0:
        gamma = "gamma_eps = 0 there" if row.rho == 0 else "they take a fixed eps > 0"
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


def _undrawn_sentences(marks: dict[str, list[list[Mark]]]) -> list[str]:
    counts = collections.Counter(
        (NAMES[quantity], mark.kind)
        for quantity, some in marks.items()
        for by_curve in some
        for mark in by_curve
        if mark.kind not in ("point", *ARROWS)
    )
    why = {"exactly 0": "exactly 0", "infinite": "infinite", "unknown": "neither end of it known"}
    parts = [f"{name} of {plural(count, 'data set')}, {why[kind]}" for (name, kind), count in counts.items()]
    return [f"Not drawn: {'; '.join(parts)}."] if parts else []
