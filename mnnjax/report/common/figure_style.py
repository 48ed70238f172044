"""What all pictures share: colours, axes, and PNG and SVG: same results, same bytes, whatever matplotlibrc says."""

import dataclasses
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from mnnjax.wording import integer

# Okabe and Ito's colours for all kinds of colour vision, grey in place of the yellow that is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHED = {"linestyle": (0, (4, 2.5)), "linewidth": 1.5}
GREY = "#555555"
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 15,
    "axes.titlesize": 15,
    "axes.labelsize": 15,
    "legend.fontsize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "mnnjax",
    "svg.fonttype": "path",
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture; `suffix` sets it apart from the others of its section in file names."""

    suffix: str
    alt: str
    caption: str
    png: bytes
    svg: bytes


def draw(make: Callable[[], Figure]) -> dict[str, bytes]:
    """The figure that `make` returns, as "png" and "svg"."""
    # Style settings are read when drawing as well as when saving.
    with matplotlib.style.context(["default", _STYLE]):
        figure = make()
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=160)
        figure.savefig(svg, format="svg", metadata={"Date": None})
    return {"png": png.getvalue(), "svg": svg.getvalue()}


def grid_of_panels(count: int, width: float, height: float, above: float, shared: bool = False) -> tuple[Figure, list]:
    """A figure with `count` panels of about width x height inches, at most two side by side, and `above` inches for its
    legend; shared: all panels have the same axes."""
    columns = min(count, 2)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(max(7.5, width * columns), height * lines + above))
    grid = figure.subplots(lines, columns, sharex=shared, sharey=shared, squeeze=False)
    if shared:
        for panel in grid.flat:
            panel.label_outer(remove_inner_ticks=True)
    for surplus in grid.flat[count:]:
        surplus.set_visible(False)
        # The panel above it is the lowest of its column.
        grid[-2, -1].xaxis.set_tick_params(bottom=True, labelbottom=True)
    return figure, list(grid.flat[:count])


def thinned(values: Sequence, most: int = 9) -> Sequence:
    """Every second value, or third ..., so that no more than `most` are left."""
    return values[:: max(1, math.ceil(len(values) / most))]


def apart(values: Sequence[float], least: float) -> list[float]:
    """The first of the rising values, and those at least `least` above the last one that was kept."""
    kept: list[float] = []
    for value in values:
        if not kept or value >= kept[-1] + least:
            kept.append(value)
    return kept


def look(index: int) -> tuple[str, str]:
    """Colour and marker of the curve with this number."""
    return PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]


def line(label: str, color: Any = GREY, marker: str | Path = "", **style: Any) -> Line2D:
    """A legend's entry."""
    return Line2D([], [], color=color, marker=marker, label=label, **style)


def log_ticks(panels: Sequence[Axes], low: float, high: float) -> None:
    """A logarithmic x axis from low to high with plain numbers; panels that share it are given together."""
    decades = math.log10(high / low)
    subs = (1, 2, 5) if decades < 2.2 else (1, 3) if decades < 4 else (1,)
    for panel in panels:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=subs) if decades > 0.5 else MaxNLocator(4))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda v, _: integer(int(v)) if v >= 1 else f"{v:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
    panels[0].set_xlim(low, high)


def legend_above(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend above the panels, read line by line, with as many columns as fit."""
    room = 72 * figure.get_figwidth()
    columns = next(n for n in range(len(handles), 0, -1) if n == 1 or _legend_width(handles, n) < room)
    by_column = [handle for first in range(columns) for handle in handles[first::columns]]
    figure.legend(handles=by_column, loc="outside upper center", ncols=columns, frameon=False, columnspacing=1.6)


def _legend_width(handles: Sequence[Artist], columns: int) -> float:
    """In points, estimated from the lengths of the labels."""
    longest = [max(len(str(handle.get_label())) for handle in handles[first::columns]) for first in range(columns)]
    return sum(7.5 * length + 58 for length in longest)
