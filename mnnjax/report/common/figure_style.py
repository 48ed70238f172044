"""What all pictures share: colours, axes, and PNG and SVG: same results, same bytes, whatever matplotlibrc says."""

import dataclasses
import functools
import io
import itertools
import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from mnnjax.wording import integer

# Okabe and Ito's colours for all kinds of colour vision, grey in place of the yellow that is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHED = {"linestyle": (0, (4, 2.5)), "linewidth": 1.5}
DOTTED = {"linestyle": ":", "linewidth": 1.8}
GREY = "#555555"
# Of a figure, in inches.
WIDTH = 11.2
_STYLE = {
    "font.size": 15, "axes.titlesize": 15, "legend.fontsize": 13,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.grid": True, "grid.color": "#E4E4E4", "lines.linewidth": 2, "lines.markersize": 7,
    "figure.constrained_layout.use": True, "svg.hashsalt": "mnnjax",
}  # fmt: skip


_told: weakref.WeakKeyDictionary[Artist, tuple[str, ...]] = weakref.WeakKeyDictionary()


def tell(artist: Artist, texts: Iterable[str]) -> None:
    """What the page's chart says of each point of the artist, where the pointer rests on it."""
    _told[artist] = tuple(texts)


def told(artist: Artist) -> tuple[str, ...]:
    """What `tell` was given; empty where the chart says the coordinates."""
    return _told.get(artist, ())


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture; `suffix` sets it apart from the others of its section in file names."""

    alt: str
    caption: str
    suffix: str
    make: Callable[[], Figure]

    def figure(self) -> Figure:
        """The figure, drawn anew, in the style of the report."""
        with matplotlib.style.context(["default", _STYLE]):
            return self.make()

    @functools.cached_property
    def saved(self) -> tuple[bytes, bytes, Figure]:
        """PNG, SVG, and the figure that was saved."""
        # Style settings are read when drawing as well as when saving.
        with matplotlib.style.context(["default", _STYLE]):
            figure = self.make()
            png, svg = io.BytesIO(), io.BytesIO()
            figure.savefig(png, format="png", dpi=160)
            figure.savefig(svg, format="svg", metadata={"Date": None})
        return png.getvalue(), svg.getvalue(), figure

    @property
    def png(self) -> bytes:
        """The picture as a PNG file."""
        return self.saved[0]

    @property
    def svg(self) -> bytes:
        """The picture as an SVG file."""
        return self.saved[1]


def draw(make: Callable[[], Figure], alt: str = "", caption: str = "", suffix: str = "") -> Picture:
    """The picture of the figure that `make` returns; drawn when it is asked for."""
    return Picture(alt, caption, suffix, make)


def grid_of_panels(count: int, width: float, height: float, above: float, shared: bool = False) -> tuple[Figure, list]:
    """A figure with `count` panels of about width x height inches, at most two side by side, and `above` inches for its
    legend, which takes the place of a panel that is one too many; shared: all panels have the same axes."""
    columns = min(count, 2)
    lines = math.ceil(count / columns)
    # As wide with one panel as with two, so that texts are as large on a page.
    figure = Figure(figsize=(max(WIDTH, width * columns), height * lines + above))
    grid = figure.subplots(lines, columns, sharex=shared, sharey=shared, squeeze=False)
    if shared:
        for panel in grid.flat:
            panel.label_outer(remove_inner_ticks=True)
    for surplus in grid.flat[count:]:
        surplus.set_axis_off()
        # The panel above it is the lowest of its column.
        grid[-2, -1].xaxis.set_tick_params(bottom=True, labelbottom=True)
    return figure, list(grid.flat[:count])


def size_ticks(axis: Axis, sizes: Sequence[int]) -> None:
    """Ticks at the sizes themselves where they are few and apart, else at round numbers."""
    gaps = [b - a for a, b in itertools.pairwise(sizes)]
    if len(sizes) <= 9 and all(gap >= 0.06 * (sizes[-1] - sizes[0]) for gap in gaps):
        axis.set_ticks(list(sizes))
    else:
        axis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))


def thinned(values: Sequence) -> Sequence:
    """Every second value, or third ..., so that no more than 9 are left."""
    return values[:: max(1, math.ceil(len(values) / 9))]


def look(index: int) -> tuple[str, str]:
    """Colour and marker of the curve with this number."""
    return PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]


def line(label: str, color: Any = GREY, marker: str = "", **style: Any) -> Line2D:
    """A legend's entry."""
    return Line2D([], [], color=color, marker=marker, label=label, **style)


def log_ticks(axis: Axis) -> None:
    """Ticks of a logarithmic axis whose limits are set, also of those that share it: plain numbers where they are
    short."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    ticks = LogLocator(subs=(1, 2, 5) if decades < 3 else (1,))
    axis.set_major_locator(ticks if decades > 0.8 else MaxNLocator(4))
    axis.set_minor_locator(NullLocator())
    if low > 1e-4 and high < 1e7:
        axis.set_major_formatter(FuncFormatter(lambda v, _: integer(int(v)) if v >= 1 else f"{v:g}"))


def legend_above(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend above the panels, read line by line, with about as many columns as fit; or in a panel that is free."""
    if free := [panel for panel in figure.axes if not panel.axison]:
        free[0].legend(handles=handles, loc="center", frameon=False)
        return
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = min(len(handles), max(1, int(72 * figure.get_figwidth() / (7 * longest + 50))))
    by_column = [handle for first in range(columns) for handle in handles[first::columns]]
    figure.legend(handles=by_column, loc="outside upper center", ncols=columns, frameon=False, columnspacing=1.6)
