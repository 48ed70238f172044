"""Pictures of the minima that descents reach: stacked shares; kinks per weight and MSE."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mnnjax.report.common import minima
from mnnjax.report.common.figure_style import (
    DASHED,
    DOTTED,
    GREY,
    PALETTE,
    Picture,
    draw,
    legend_above,
    line,
    log_ticks,
    look,
    tell,
)
from mnnjax.report.common.minima import DLM, GLOBAL, KINDS, KINK, UNPROVEN, Start
from mnnjax.report.common.rows import Cell, Row, grouped, network_curves
from mnnjax.wording import of, plural

VERDICT_COLORS = {
    "global_minimum": PALETTE[0], "suboptimal_dlm": PALETTE[1], "suboptimal_kink": PALETTE[2], "saddle": "#8C8C8C",
    "not_converged": "#C9C9C9", "undecided": "#E0E0E0", "non_finite": PALETTE[3], "not_certified": "#EFEFEF",
}  # fmt: skip
OTHER = PALETTE[4]
_COLORS = {GLOBAL: PALETTE[0], KINK: PALETTE[2], DLM: PALETTE[1], UNPROVEN: "#D9D9D9"}
# An MSE below this is drawn at it: the minimum is global, or training is on its way to one.
_LEAST_MSE = 1e-6


def shares(starts: Sequence[Start], suffix: str) -> Picture:
    """The share of each kind of minimum against d0 d1 / N."""
    deep = any(cell.hidden_layers > 1 for start in starts for cell in start.cells)
    moved = " With two or more hidden layers, the descent moves the last one and z alone." if deep else ""
    return draw(
        lambda: share_panels(starts),
        alt="Share of each kind of minimum below the start against d0 d1 / N, one panel per width and start",
        caption=f"Share of descents per kind of minimum. Dotted: as many weights as points.{moved}",
        suffix=suffix,
    )


def kinks_and_mse(starts: Sequence[Start], suffix: str) -> Picture:
    """Kinks per weight and the MSE against d0 d1 / N."""
    return draw(
        lambda: kink_panels(starts),
        alt="Kinks per weight of the minimum, and MSE of the start and of the minimum, against d0 d1 / N",
        caption="Medians over repetitions; bars: their 95 % intervals, which need 6 repetitions. Kinks: pairs (neuron, "
        "point) whose neural input is zero at the minimum. MSE: solid at the minimum, dashed where training ended; "
        f"below {_LEAST_MSE:g} it is drawn at {_LEAST_MSE:g}. Dotted: as many weights as points.",
        suffix=suffix,
    )


def verdict_shares(cells: Sequence[Cell]) -> Picture:
    """The share of each verdict where training ended, one bar per cell."""
    by_depth = grouped(cells, lambda cell: cell.hidden_layers)
    starts = [Start(plural(depth, "hidden layer"), True, tuple(group)) for depth, group in by_depth.items()]
    found = {row.verdict for cell in cells for row in cell.rows}
    kinds = {name: name.replace("_", " ") for name in VERDICT_COLORS if name in found}
    kinds |= {name: name.replace("_", " ") for name in sorted(found - kinds.keys())}
    return draw(
        lambda: share_panels(starts, kinds, VERDICT_COLORS, lambda row: row.verdict, "share of repetitions"),
        alt="Share of each verdict where training ended against d0 d1 / N, one bar per cell",
        caption="Verdicts on where training ended, by certificates; one bar per cell. Dotted: as many weights as "
        "points.",
        suffix="_shares",
    )


def share_panels(
    starts: Sequence[Start],
    kinds: Mapping[str, str] = KINDS,
    colors: Mapping[str, str] = _COLORS,
    kind: Callable[[Row], str] = minima.kind,
    label: str = "share of descents",
) -> Figure:
    """One row of panels per start, one column per width; kinds: of ends, with their names, as `kind` tells them."""
    figure, panels = _panels(starts, len(starts), 2.5)
    for line_of_panels, start in zip(panels, starts, strict=True):
        if len(starts) > 1:
            last = line_of_panels[-1]
            last.text(1.04, 0.5, start.name, transform=last.transAxes, va="center", rotation=270)
        for panel, cells in zip(line_of_panels, _by_width(starts, start), strict=True):
            panel.set(ylim=(0, 1), yticks=(0, 0.5, 1))
            panel.grid(visible=False)
            _stack(panel, cells, {name: (label, colors.get(name, OTHER)) for name, label in kinds.items()}, kind)
    figure.supylabel(label, fontsize=15)
    legend_above(figure, [Patch(color=colors.get(name, OTHER), label=text) for name, text in kinds.items()])
    return figure


def _stack(
    panel: Axes, cells: Sequence[Cell], kinds: Mapping[str, tuple[str, str]], kind: Callable[[Row], str]
) -> None:
    rising = sorted(cells, key=_x)
    if not rising:
        return
    x = [_x(cell) for cell in rising]
    edges, bottom = _edges(x), np.zeros(len(x))
    for name, (label, color) in kinds.items():
        counts = [sum(kind(row) == name for row in cell.rows) for cell in rising]
        height = np.array([count / len(cell.rows) for count, cell in zip(counts, rising, strict=True)])
        bars = panel.bar(
            edges[:-1], height, np.diff(edges), bottom, align="edge", color=color, edgecolor="white", linewidth=0.6,
            gid=name, label=label,
        )  # fmt: skip
        for bar, cell, count in zip(bars, rising, counts, strict=True):
            tell(bar, [f"N = {cell.N}, d0 d1 / N = {_x(cell):.3g}<br>{label}: {of(count, len(cell.rows), 'run')}"])
        bottom += height


def _x(cell: Cell) -> float:
    return minima.weights_per_point(cell.rows[0])


def _edges(x: Sequence[float]) -> np.ndarray:
    """Borders half-way between neighbours on a logarithmic axis; the outer ones as far away as the next inner ones."""
    logs = np.log(x)
    gaps = np.diff(logs) if len(x) > 1 else np.array([0.4])
    inner = logs[:-1] + gaps / 2 if len(x) > 1 else []
    return np.exp(np.concatenate([[logs[0] - gaps[0] / 2], inner, [logs[-1] + gaps[-1] / 2]]))


def kink_panels(starts: Sequence[Start]) -> Figure:
    """Kinks per weight above, the MSE below; one column per width, one colour per start."""
    figure, (above, below) = _panels(starts, 2, 3.4)
    above[0].set_ylabel("kinks / weight")
    below[0].set_ylabel("MSE")
    for index, start in enumerate(starts):
        # Shifted sideways, so that starts do not hide each other.
        shift, style = 1.02 ** (index - (len(starts) - 1) / 2), look(index)
        for panel, lower, cells in zip(above, below, _by_width(starts, start), strict=True):
            _medians(panel, cells, start.name, shift, _kinks, *style, gid="kinks")
            _medians(lower, cells, start.name, shift, _minimum_mse, *style, gid="minimum")
            if start.trained:
                _medians(lower, cells, start.name, shift, _end_mse, *style, gid="end")
    above[0].set_ylim(bottom=0)
    below[0].set_yscale("log")
    handles = [line(start.name, *look(index), markeredgecolor="white") for index, start in enumerate(starts)]
    if any(start.trained for start in starts):
        handles.append(line("where training ended", **DASHED))
    figure.align_ylabels()
    legend_above(figure, handles)
    return figure


def _kinks(row: Row) -> float:
    return minima.kinks_per_weight(row) if minima.is_proven(row) else math.nan


def _minimum_mse(row: Row) -> float:
    return max(row.minimum_mse, _LEAST_MSE) if minima.is_proven(row) else math.nan


def _end_mse(row: Row) -> float:
    return max(row.mse, _LEAST_MSE)


def _medians(
    panel: Axes, cells: Sequence[Cell], name: str, shift: float, value: Callable[[Row], float], color: str, marker: str,
    gid: str,
) -> None:  # fmt: skip
    rising = [(_x(cell) * shift, minima.median(map(value, cell.rows))) for cell in sorted(cells, key=_x)]
    points = [(x, f) for x, f in rising if math.isfinite(f.estimate)]
    bars = [(x, f.low, f.high) for x, f in points if math.isfinite(f.low)]
    if bars:
        style = {"alpha": 0.6, "linewidth": 1.4, "gid": f"{gid} intervals", "label": name}
        panel.vlines(*zip(*bars, strict=True), color=color, **style)
    style: dict[str, Any] = {"fillstyle": "none", **DASHED} if gid == "end" else {"markeredgecolor": "white"}
    (drawn,) = panel.plot(
        [x for x, _ in points], [f.estimate for _, f in points], marker=marker, color=color, markersize=6, gid=gid,
        label=name, **style,
    )  # fmt: skip
    what = {"kinks": "kinks per weight", "minimum": "MSE of the minimum", "end": "MSE where training ended"}[gid]
    tell(
        drawn,
        [
            f"{name}<br>d0 d1 / N = {x / shift:.3g}<br>{what} {f.estimate:.3g} ({f.low:.3g} to {f.high:.3g})"
            for x, f in points
        ],
    )


def _widths(starts: Sequence[Start]) -> dict[tuple[int, int], str]:
    """(d0, d1) -> label, of all starts."""
    curves = network_curves(itertools.chain.from_iterable(start.cells for start in starts))
    return {curve.widths: curve.label for curve in curves}


def _by_width(starts: Sequence[Start], start: Start) -> list[list[Cell]]:
    """The start's cells of each width that any start has."""
    return [[cell for cell in start.cells if (cell.d0, cell.d1) == widths] for widths in _widths(starts)]


def _panels(starts: Sequence[Start], lines: int, height: float) -> tuple[Figure, np.ndarray]:
    """One column of panels per width, which share the axis of d0 d1 / N."""
    labels = _widths(starts)
    figure = Figure(figsize=(max(11.2, 3.1 * len(labels) + 0.8), height * lines + 1.1))
    panels = figure.subplots(lines, len(labels), sharex=True, sharey="row", squeeze=False)
    stacks = (cells for start in starts for cells in _by_width(starts, start) if cells)
    edges = [edge for cells in stacks for edge in _edges(sorted(_x(cell) for cell in cells))]
    for panel, label in zip(panels[0], labels.values(), strict=True):
        panel.set_title(label)
    for panel in panels.flat:
        panel.axvline(1, color=GREY, zorder=3, **DOTTED)
        panel.label_outer(remove_inner_ticks=True)
    panels[0, 0].set(xscale="log", xlim=(min(*edges, 0.9), max(*edges, 1.1)))
    log_ticks(panels[0, 0].xaxis)
    deep = any(cell.hidden_layers > 1 for start in starts for cell in start.cells)
    figure.supxlabel("weights of the last hidden layer / N" if deep else "d0 d1 / N", fontsize=15)
    return figure, panels
