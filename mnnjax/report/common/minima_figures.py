"""Pictures of the minima that descents reach: stacked shares; kinks per weight and MSE."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mnnjax.report.common import minima
from mnnjax.report.common.figure_style import DASHED, GREY, PALETTE, Picture, draw, legend_above, line, log_ticks, look
from mnnjax.report.common.minima import DLM, GLOBAL, KINDS, KINK, UNPROVEN, Start
from mnnjax.report.common.rows import Cell, Row, network_curves

_COLORS = {GLOBAL: PALETTE[0], KINK: PALETTE[2], DLM: PALETTE[1], UNPROVEN: "#D9D9D9"}
# An MSE below this is drawn at it: the minimum is global, or training is on its way to one.
_LEAST_MSE = 1e-6
_LINE = {"linestyle": (0, (1, 1.6)), "linewidth": 1.8}


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


def share_panels(starts: Sequence[Start]) -> Figure:
    """One row of panels per start, one column per width."""
    figure, panels = _panels(starts, len(starts), 2.5)
    for line_of_panels, start in zip(panels, starts, strict=True):
        if len(starts) > 1:
            last = line_of_panels[-1]
            last.text(1.04, 0.5, start.name, transform=last.transAxes, va="center", rotation=270)
        for panel, cells in zip(line_of_panels, _by_width(starts, start), strict=True):
            panel.set(ylim=(0, 1), yticks=(0, 0.5, 1))
            panel.grid(visible=False)
            _stack(panel, cells)
    figure.supylabel("share of descents", fontsize=15)
    legend_above(figure, [Patch(color=_COLORS[name], label=label) for name, label in KINDS.items()])
    return figure


def _stack(panel: Axes, cells: Sequence[Cell]) -> None:
    rising = sorted(cells, key=_x)
    if not rising:
        return
    x = [_x(cell) for cell in rising]
    edges, bottom = _edges(x), np.zeros(len(x))
    for name, color in _COLORS.items():
        height = np.array([minima.share(cell, name).estimate for cell in rising])
        panel.bar(
            edges[:-1], height, np.diff(edges), bottom, align="edge", color=color, edgecolor="white", linewidth=0.6,
            gid=name,
        )  # fmt: skip
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
            _medians(panel, cells, shift, _kinks, *style, gid="kinks")
            _medians(lower, cells, shift, _minimum_mse, *style, gid="minimum")
            if start.trained:
                _medians(lower, cells, shift, _end_mse, *style, gid="end")
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
    panel: Axes, cells: Sequence[Cell], shift: float, value: Callable[[Row], float], color: str, marker: str, gid: str
) -> None:
    rising = [(_x(cell) * shift, minima.median(map(value, cell.rows))) for cell in sorted(cells, key=_x)]
    points = [(x, f) for x, f in rising if math.isfinite(f.estimate)]
    bars = [(x, f.low, f.high) for x, f in points if math.isfinite(f.low)]
    if bars:
        panel.vlines(*zip(*bars, strict=True), color=color, alpha=0.6, linewidth=1.4, gid=f"{gid} intervals")
    style: dict[str, Any] = {"fillstyle": "none", **DASHED} if gid == "end" else {"markeredgecolor": "white"}
    panel.plot(
        [x for x, _ in points], [f.estimate for _, f in points], marker=marker, color=color, markersize=6, gid=gid,
        **style,
    )  # fmt: skip


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
        panel.axvline(1, color=GREY, zorder=3, **_LINE)
        panel.label_outer(remove_inner_ticks=True)
    panels[0, 0].set(xscale="log", xlim=(min(*edges, 0.9), max(*edges, 1.1)))
    log_ticks(panels[0, 0].xaxis)
    deep = any(cell.hidden_layers > 1 for start in starts for cell in start.cells)
    figure.supxlabel("weights of the last hidden layer / N" if deep else "d0 d1 / N", fontsize=15)
    return figure, panels
