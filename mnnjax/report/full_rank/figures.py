"""Heat maps over N and d1 of how often a random region has rank N or holds a global minimum, and P(rank = N) against
the number of columns of A o X."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnnjax.config import Study
from mnnjax.report.common.figure_style import (
    DASHED,
    GREY,
    Picture,
    draw,
    legend_above,
    line,
    log_ticks,
    look,
    size_ticks,
    tell,
    thinned,
)
from mnnjax.report.common.rows import Cell, grouped
from mnnjax.report.common.settings import signs
from mnnjax.report.full_rank.claims import full_rank_measure

# A map of at most so many rows and columns shows its numbers.
_FEW = 8
# Columns / N below this are not drawn: P(rank = N) is 0 for sure.
_LEFT = 0.4
_BORDER = "columns = N"


def full_rank(part: Study, cells: Sequence[Cell]) -> Picture:
    """The picture of a study of ranks; one row of panels per d0."""
    any_global = any(cell.measures("global_minima") for cell in cells)
    sentences = [
        f"P(rank = N): share of weight space with rank(A o X) = N{'; below it' if any_global else '.'}",
        f"the share of regions that hold a global minimum, {signs(part)}." if any_global else "",
        "Left: over N and d1, by colour. Right: against columns / N, with 95 % intervals; columns: d1 times the "
        f"coordinates of an input{', the constant one included' if part.problem.constant_input else ''}.",
        "Dashed: as many columns of A o X as points; with fewer the rank is less than N for sure. "
        f"Columns / N below {_LEFT} are not drawn on the right.",
    ]
    return draw(
        lambda: rank_panels(part, cells),
        alt="Heat maps over N and d1 of the probability that a random region has rank N or holds a global minimum, "
        "and that probability against the number of columns per point",
        caption=" ".join(filter(None, sentences)),
    )


def rank_panels(part: Study, cells: Sequence[Cell]) -> Figure:
    """A heat map and a panel against columns / N for P(rank = N), and where measured for P(holds a global minimum)."""
    several = len(part.problem.d0) > 1
    groups = grouped(cells, lambda cell: cell.d0 if several else 0).values()
    shown: list[tuple[str, Callable]] = [("P(rank = N)", full_rank_measure)]
    if any(cell.measures("global_minima") for cell in cells):
        shown.append(("P(holds a global minimum)", lambda cell: cell.pooled("global_minima")))
    lines = [(title, measure_of, group) for group in groups for title, measure_of in shown]
    figure = Figure(figsize=(13.2, 4.9 * len(lines) + 0.5))
    panels = figure.subplots(len(lines), 2, squeeze=False)
    sizes = sorted({cell.N for cell in cells})
    colors = matplotlib.colormaps["plasma"](np.linspace(0, 0.8, len(sizes)))
    looks = {N: (color, look(index)[1]) for index, (N, color) in enumerate(zip(sizes, colors, strict=True))}
    for (left, right), (title, measure_of, group) in zip(panels, lines, strict=True):
        for panel in (left, right):
            panel.set_title(f"{title}, d0 = {group[0].d0}" if several else title)
        figure.colorbar(_heat_map(left, group, measure_of, grows=part.problem.grows), ax=left, aspect=30, pad=0.02)
        _against_columns(right, group, measure_of, looks)
    handles = [line(f"N = {N}", *looks[N], markeredgecolor="white", linewidth=1.2) for N in sizes]
    legend_above(figure, [*thinned(handles), line(_BORDER, **DASHED)])
    figure.set_layout_engine("constrained", wspace=0.05, hspace=0.05)
    return figure


def _heat_map(panel: Axes, cells: Sequence[Cell], measure_of: Callable, grows: bool):
    sizes, widths = sorted({c.N for c in cells}), sorted({c.d1 for c in cells})
    grid = np.full((len(widths), len(sizes)), np.nan)
    for cell in cells:
        if measure := measure_of(cell):
            grid[widths.index(cell.d1), sizes.index(cell.N)] = measure.estimate
    panel.set_facecolor("#E4E4E4")
    panel.grid(visible=False)
    x, y = _edges(sizes), _edges(widths)
    mesh = panel.pcolormesh(x, y, np.ma.masked_invalid(grid), vmin=0, vmax=1, rasterized=True)
    places = [(i, j) for i, j in np.ndindex(grid.shape) if math.isfinite(grid[i, j])]
    tell(mesh, [f"N = {sizes[j]}, d1 = {widths[i]}<br>{grid[i, j]:.3g}" for i, j in places])
    if max(grid.shape) <= _FEW:
        for (i, d1), (j, N) in itertools.product(enumerate(widths), enumerate(sizes)):
            if math.isfinite(p := grid[i, j]):
                panel.text(N, d1, f"{p:.2g}", ha="center", va="center", color="white" if p < 0.6 else "black")
    inputs = {cell.N: cell.rows[0].coordinates for cell in cells}
    # Where d0 is fixed, the line is straight and goes on to the edges.
    border = [(N, N / inputs.get(int(N), inputs[sizes[0]])) for N in (sizes if grows else (x[0], x[-1]))]
    for width, color in ((4, "black"), (2, "white")):
        panel.plot(
            *zip(*border, strict=True),
            color=color,
            linestyle=(0, (8 / width, 5 / width)),
            linewidth=width,
            label=_BORDER,
        )
    panel.set(xlim=(x[0], x[-1]), xlabel="N (training points)")
    panel.set(ylim=(y[0], y[-1]), ylabel="d1 (hidden units)")
    size_ticks(panel.xaxis, sizes)
    size_ticks(panel.yaxis, widths)
    return mesh


def _edges(values: Sequence[int]) -> list[float]:
    """Borders half-way between neighbours; the outer ones as far away as the next inner ones."""
    first, last = (values[1] - values[0], values[-1] - values[-2]) if len(values) > 1 else (1, 1)
    return [(a + b) / 2 for a, b in itertools.pairwise([values[0] - first, *values, values[-1] + last])]


def _against_columns(panel: Axes, cells: Sequence[Cell], measure_of: Callable, looks: Mapping[int, tuple]) -> None:
    measured = [(cell, measure) for cell in cells if (measure := measure_of(cell))]
    for N, (color, marker) in looks.items():
        points = sorted((c.columns_per_point, m.estimate, m.low, m.high) for c, m in measured if c.N == N)
        if not points:
            continue
        x, p, low, high = zip(*points, strict=True)
        label = f"N = {N}"
        panel.vlines(x, low, high, color=color, alpha=0.5, linewidth=1.4, label=label, gid="intervals")
        style = {"color": color, "marker": marker, "markersize": 5, "linewidth": 1.2}
        (drawn,) = panel.plot(x, p, **style, markeredgecolor="white", markeredgewidth=0.5, label=label, gid="point")
        tell(drawn, [f"{label}, columns / N = {a:.3g}<br>{b:.3g} ({c:.3g} to {d:.3g})" for a, b, c, d in points])
    ratios = [cell.columns_per_point for cell in cells]
    panel.axvline(1, color=GREY, zorder=1, label=_BORDER, **DASHED)
    panel.set(xscale="log", xlim=(max(min([*ratios, 1]) / 1.2, _LEFT), max([*ratios, 1]) * 1.2))
    log_ticks(panel.xaxis)
    panel.set(ylim=(-0.03, 1.03), xlabel="columns of A o X / N")
