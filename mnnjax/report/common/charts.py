"""Matplotlib figures as charts of the page, with hover values: the same numbers, in Plotly's terms.

A figure is described once, in Matplotlib. A chart is a dict that page.js lays out for the width of the window and for
light or dark: `panels`, and `data`, which holds Plotly's traces. Only what the report's figures hold is known here:
lines, bars, bands, intervals, heat maps, texts, legends and colour bars. Artists that share a legend's label are shown
and hidden together.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib.colors
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, ScalarFormatter

from mnnjax.report.common.figure_style import told

Chart = dict[str, Any]

_SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "v": "triangle-down", "D": "diamond", "P": "cross", "X": "x",
    "<": "triangle-left", ">": "triangle-right", "_": "line-ew",
}  # fmt: skip
_DASHES = {"-": "solid", "--": "dash", ":": "dot"}
# Points to pixels of the screen.
_PIXELS = 4 / 3
# A point of a chart is written with so many digits.
_DIGITS = 6
_COLORBAR = "<colorbar>"
_MATH = {
    r"\mathcal": "", r"\mathrm": "", r"\cdot": "·", r"\epsilon": "ε", r"\circ": "∘", r"\;": " ", "{": "", "}": "",
}  # fmt: skip
_SCRIPTS = ((re.compile(r"_(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\\[a-z]+|\w))"), "sub"),
            (re.compile(r"\^(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\\[a-z]+|\w))"), "sup"))  # fmt: skip


def chart(figure: Figure) -> Chart:
    """The chart of a figure that has been drawn."""
    panels = [panel for panel in figure.axes if panel.axison and panel.get_label() != _COLORBAR]
    legends = [*figure.legends, *(legend for panel in figure.axes if (legend := panel.get_legend()))]
    named = {text.get_text() for legend in legends for text in legend.get_texts()}
    data = [trace for legend in legends for trace in _entries(legend)]
    for number, panel in enumerate(panels, start=1):
        for trace in _traces(panel):
            label = trace.get("name")
            group = {"legendgroup": plain(label)} if label in named else {}
            name = plain(label) if label and not label.startswith("_") else ""
            data.append(trace | group | {"name": name, "xaxis": f"x{number}", "yaxis": f"y{number}"})
    return {
        "panels": [_panel(panel, panels, figure) for panel in panels],
        "data": [*data, *_colorbars(figure)],
        "height": round(96 * figure.get_figheight() * 0.9),
    }


def plain(text: str) -> str:
    """A label with Matplotlib's mathematics as HTML: '$V(\\mathcal{L}_\\epsilon)$' as 'V(L<sub>ε</sub>)'."""
    parts = text.split("$")
    for place in range(1, len(parts), 2):
        for pattern, tag in _SCRIPTS:
            parts[place] = pattern.sub(lambda m, tag=tag: f"<{tag}>{m[1] or m[2]}</{tag}>", parts[place])
        for command, mark in _MATH.items():
            parts[place] = parts[place].replace(command, mark)
    return "".join(parts).replace("  ", " ").strip()


def _panel(panel: Axes, panels: Sequence[Axes], figure: Figure) -> dict[str, Any]:
    """Its place in the grid, as fractions from the left and from the top, its title and its axes."""
    place = panel.get_subplotspec()
    assert place is not None
    columns, rows = (_shares(ratios) for ratios in (place.get_gridspec().get_width_ratios(),
                                                    place.get_gridspec().get_height_ratios()))  # fmt: skip
    above = [p for p in panels if (spec := p.get_subplotspec()) and spec.colspan == place.colspan and p.get_title()]
    same_row = [p for p in panels if (spec := p.get_subplotspec()) and spec.rowspan == place.rowspan]
    side = [text.get_text() for p in same_row for text in p.texts if text.get_transform() == p.transAxes]
    return {
        "title": plain(panel.get_title()),
        "whole_title": ", ".join(filter(None, [plain(above[0].get_title()) if above else "", *side[:1]])),
        "side": next((t.get_text() for t in panel.texts if t.get_transform() == panel.transAxes), ""),
        # A panel that is alone in its row has all of it.
        "columns": [0, 1] if len(same_row) == 1 else [columns[place.colspan.start], columns[place.colspan.stop]],
        "rows": [rows[place.rowspan.start], rows[place.rowspan.stop]],
        "x": _axis(panel.xaxis, figure.get_supxlabel(), panels, "x"),
        "y": _axis(panel.yaxis, figure.get_supylabel(), panels, "y"),
        "notes": [_note(text) for text in panel.texts if text.get_transform() == panel.transData],
    }  # fmt: skip


def _note(text: Text) -> dict[str, Any]:
    x, y = text.get_position()
    return {"x": x, "y": y, "text": text.get_text(), "color": _hex(text.get_color())}


def _shares(ratios: Any) -> list[float]:
    return [0.0, *(float(end) for end in np.cumsum(ratios) / np.sum(ratios))]


def _axis(axis: Axis, of_all: str, panels: Sequence[Axes], name: str) -> dict[str, Any]:
    panel: Axes = axis.axes
    siblings = getattr(panel, f"get_shared_{name}_axes")().get_siblings(panel)
    leader = next(number for number, other in enumerate(panels, start=1) if other in siblings)
    is_log, formatter = axis.get_scale() == "log", axis.get_major_formatter()
    limits = getattr(panel, f"get_{name}lim")()
    settings = {
        "title": plain(axis.get_label_text() or of_all),
        "type": "log" if is_log else "linear",
        "range": _numbers(np.log10(limits) if is_log else limits),
        "grid": bool(axis.get_gridlines() and axis.get_gridlines()[0].get_visible()),
        "matches": leader if panels[leader - 1] is not panel else None,
    }
    if isinstance(axis.get_major_locator(), FixedLocator) and not isinstance(formatter, ScalarFormatter):
        places = axis.get_majorticklocs()
        settings |= {"tickvals": _numbers(places), "ticktext": formatter.format_ticks(places.tolist())}
    return settings


def _traces(panel: Axes) -> Iterator[dict[str, Any]]:
    in_bars = {id(patch) for container in panel.containers for patch in container.get_children()}
    for container in panel.containers:
        if isinstance(container, BarContainer) and container.patches:
            yield _bars(container)
    for patch in panel.patches:
        if id(patch) not in in_bars:
            yield _area(_in_data(panel, patch, [patch.get_path().vertices])[0], patch.get_facecolor(), patch)
    for collection in panel.collections:
        if isinstance(collection, LineCollection):
            yield _segments(panel, collection)
        elif isinstance(collection, QuadMesh):
            yield _mesh(collection)
        elif isinstance(collection, PolyCollection):
            for path in collection.get_paths():
                yield _area(path.vertices, collection.get_facecolor()[0], collection)
    for line in panel.lines:
        yield _line(panel, line)


def _in_data(panel: Axes, artist: Artist, points: Sequence) -> list[np.ndarray]:
    """Points of an artist in the panel's data coordinates, such as those of a line from edge to edge."""
    arrays = [np.asarray(xy, float).reshape(-1, 2) for xy in points]
    if artist.get_transform() == panel.transData:
        return arrays
    return [panel.transData.inverted().transform(artist.get_transform().transform(xy)) for xy in arrays]


def _line(panel: Axes, line: Line2D) -> dict[str, Any]:
    (points,) = _in_data(panel, line, [line.get_xydata()])
    return {"type": "scatter", **_xy(points), **_look(line), **_hover(line, panel)}


def _look(line: Line2D) -> dict[str, Any]:
    """The trace's settings that a line's style stands for."""
    marker, style = line.get_marker(), line.get_linestyle()
    has_line, has_marker = style in _DASHES and line.get_linewidth() > 0, marker in _SYMBOLS
    is_open = _is_hollow(line.get_markerfacecolor()) or line.get_fillstyle() == "none" or marker == "_"
    edge = line.get_color() if is_open else line.get_markeredgecolor()
    settings: dict[str, Any] = {
        "mode": "+".join(["lines"] * has_line + ["markers"] * has_marker) or "none",
        "name": str(line.get_label()),
        "showlegend": False,
    }
    if has_line:
        dash, width = _DASHES[str(style)], round(line.get_linewidth(), 2)
        settings["line"] = {"color": _hex(line.get_color()), "width": width, "dash": dash}
    if has_marker:
        settings["marker"] = {
            "symbol": _SYMBOLS[str(marker)] + ("-open" if is_open else ""),
            "size": round(_PIXELS * line.get_markersize(), 1),
            "color": _hex(line.get_color() if is_open else line.get_markerfacecolor()),
            "line": {"color": _hex(edge), "width": round(line.get_markeredgewidth(), 2)},
        }  # fmt: skip
    if (alpha := line.get_alpha()) is not None:
        settings["opacity"] = alpha
    return settings


def _segments(panel: Axes, lines: LineCollection) -> dict[str, Any]:
    gap = np.full((1, 2), np.nan)
    segments = _in_data(panel, lines, lines.get_segments())
    points = np.concatenate([*itertools.chain.from_iterable((segment, gap) for segment in segments), gap])
    colors: Any = lines.get_colors()
    color, width = colors[0], np.atleast_1d(lines.get_linewidth())[0]
    return {
        "type": "scatter", "mode": "lines", **_xy(points), "name": str(lines.get_label()), "showlegend": False,
        "line": {"color": _hex(color), "width": round(float(width), 2)}, "opacity": float(color[3]),
        "hoverinfo": "skip",
    }  # fmt: skip


def _area(points: Any, color: Any, artist: Artist) -> dict[str, Any]:
    rgba = matplotlib.colors.to_rgba(color)
    return {
        "type": "scatter", "mode": "lines", **_xy(np.asarray(points)), "name": str(artist.get_label()),
        "showlegend": False, "fill": "toself", "fillcolor": _hex(color), "line": {"width": 0}, "opacity": rgba[3],
        "hoverinfo": "skip",
    }  # fmt: skip


def _bars(container: BarContainer) -> dict[str, Any]:
    patches, upright = container.patches, container.orientation == "vertical"
    boxes = [(p.get_x(), p.get_width(), p.get_y(), p.get_height()) for p in patches]
    texts = [text for patch in patches for text in told(patch)]
    colors, edge = [_hex(p.get_facecolor()) for p in patches], float(patches[0].get_linewidth())
    return _boxes(boxes, upright, str(container.get_label()), colors, texts, edge)


def _mesh(mesh: QuadMesh) -> dict[str, Any]:
    corners, values = np.asarray(mesh.get_coordinates()), np.ma.asarray(mesh.get_array()).filled(np.nan)
    places = [(i, j) for i, j in np.ndindex(values.shape) if math.isfinite(values[i, j])]
    boxes = [(x, corners[i, j + 1, 0] - x, y, corners[i + 1, j, 1] - y) for i, j in places for x, y in [corners[i, j]]]
    colors = [_hex(mesh.to_rgba(values[i, j])) for i, j in places]
    return _boxes(boxes, True, str(mesh.get_label()), colors, told(mesh))


def _boxes(
    boxes: Iterable[tuple],
    upright: bool,
    name: str,
    colors: Sequence[str],
    texts: Sequence[str],
    edge: float = 0,
) -> dict[str, Any]:
    """Bars at boxes (left, width, bottom, height)."""
    left, width, bottom, height = map(_numbers, zip(*boxes, strict=True))
    along, across, place = (
        ("y", "x", (left, width, bottom, height)) if upright else ("x", "y", (bottom, height, left, width))
    )
    start, thick, base, length = place
    return {
        "type": "bar", "orientation": "v" if upright else "h", across: start, "offset": 0, "width": thick,
        "base": base, along: length, "name": name, "showlegend": False,
        "marker": {
            "color": colors[0] if len(set(colors)) == 1 else colors, "line": {"color": "#ffffff", "width": edge},
        },
        "hovertext": texts or [f"{name}: {value:.3g}" for value in length], "hoverinfo": "text",
    }  # fmt: skip


def _hover(line: Line2D, panel: Axes) -> dict[str, Any]:
    if texts := told(line):
        return {"hovertext": list(texts), "hoverinfo": "text"}
    # Lines from edge to edge have no values.
    return {} if line.get_transform() == panel.transData else {"hoverinfo": "skip"}


def _entries(legend: Legend) -> Iterator[dict[str, Any]]:
    """Traces without points, for the legend alone; line by line, while Matplotlib fills columns."""
    entries = list(zip(legend.legend_handles, legend.get_texts(), strict=True))
    columns = min(getattr(legend, "_ncols", 1), len(entries))
    # The places (line, column) that the columns fill, one after the other.
    places = sorted(((k // columns, k % columns) for k in range(len(entries))), key=lambda place: place[::-1])
    for _, (handle, text) in sorted(zip(places, entries, strict=True), key=lambda pair: pair[0]):
        name, looks = plain(text.get_text()), {}
        if isinstance(handle, Line2D):
            looks = _look(handle)
        elif isinstance(handle, Patch):
            marker = {"symbol": "square", "size": 13, "color": _hex(handle.get_facecolor())}
            looks = {"mode": "markers", "marker": marker, "opacity": handle.get_alpha() or 1}
        entry = {"name": name, "legendgroup": name, "showlegend": True, "hoverinfo": "skip"}
        yield {"type": "scatter", "x": [None], "y": [None], **looks, **entry}


def _colorbars(figure: Figure) -> list[dict[str, Any]]:
    """A trace that shows the colour bar; several of one figure have the same scale."""
    bars = [bar for panel in figure.axes if (bar := getattr(panel, "_colorbar", None))]
    if not bars:
        return []
    bar = bars[0]
    ticks = [t for t in bar.get_ticks() if bar.vmin <= t <= bar.vmax]
    texts = bar.long_axis.get_major_formatter().format_ticks(ticks)
    shades = [[place, _hex(bar.cmap(place))] for place in np.linspace(0, 1, 11).round(2).tolist()]
    return [{
        "type": "scatter", "mode": "markers", "x": [None], "y": [None], "showlegend": False, "hoverinfo": "skip",
        "marker": {
            "color": [0], "cmin": 0, "cmax": 1, "colorscale": shades, "showscale": True,
            "colorbar": {"title": plain(bar.ax.get_ylabel()), "tickvals": _numbers(bar.norm(ticks)), "ticktext": texts},
        },
    }]  # fmt: skip


def _xy(points: np.ndarray) -> Mapping[str, list[float | None]]:
    return {"x": _numbers(points[:, 0]), "y": _numbers(points[:, 1])}


def _numbers(values: Iterable) -> list[float | None]:
    """Rounded, since they are for the eye; JSON has no nan."""
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in map(float, values)]


def _hex(color: Any) -> str:
    return matplotlib.colors.to_hex(color)


def _is_hollow(color: Any) -> bool:
    return isinstance(color, str) and color == "none"
