"""The paper's Figures 5.1 and 5.2."""

import itertools
import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnnjax.report.common import figure_style
from mnnjax.report.common.figure_style import DASHED, GREY, PALETTE, Picture, draw, line, tell
from mnnjax.report.common.rows import Cell, Curve, Row, grouped, network_curves
from mnnjax.report.paper_figures.claims import MSE_RANGE, NEURAL_INPUT_RANGE, is_plottable
from mnnjax.wording import of, percent, plural, ratio

_BAND = "#F0E442"
_AS_MANY = "parameters = N"
_OPEN = {"markerfacecolor": "none", "markeredgewidth": 1.6}
_AT_EDGE = {"linestyle": "none", "marker": "v", "markersize": 8, "color": PALETTE[1]}
_SIDES = (
    ("left", r"smallest neural input  $|w_i \cdot x^{(n)}|$", lambda row: row.min_abs_neural_input, NEURAL_INPUT_RANGE),
    ("right", "final MSE", lambda row: row.mse, MSE_RANGE),
)


def figure_5_1(cells: Sequence[Cell]) -> tuple[Picture, Picture]:
    """Mean MCE against N, and against parameters / N: one panel per depth, one line per width."""
    by_depth = grouped(network_curves(cells), lambda curve: curve.cells[0].hidden_layers)
    unseen = sum(not cell.finite for cell in cells)
    left_out = f" Not drawn: {plural(unseen, 'cell')} without a finite repetition." if unseen else ""
    dashed = "Dashed: the number of parameters equals N"
    return (
        draw(
            lambda: _error_panels(by_depth, scaled=False),
            alt="Final training MCE against the number of points N, one line per width, one panel per depth",
            caption="Mean of the final training MCE over the finite repetitions; shaded: one standard deviation to "
            f"each side, cut at 0 and 100 %. {dashed}, in the colour of each width; to its left the claim expects 0."
            f"{left_out}",
        ),
        draw(
            lambda: _error_panels(by_depth, scaled=True),
            alt="Final training MCE against parameters per point, one line per width, one panel per depth",
            caption=f"The same means against parameters / N. {dashed}; to its right the claim expects 0.{left_out}",
            suffix="_scaled",
        ),
    )


def figure_5_2(cells: Sequence[Cell]) -> Picture:
    """Every repetition's smallest neural input and final MSE against d."""
    rows = [row for cell in cells for row in cell.rows]
    kept = [row for row in rows if is_plottable(row)]
    left_out = of(len(rows) - len(kept), len(rows), "repetition")
    return draw(
        lambda: _convergence_panels(cells),
        alt="Smallest neural input (left) and final MSE (right) of every repetition against d, logarithmic",
        caption="Left: the smallest absolute neural input over all units and points; right: the MSE; both at the "
        "end of training. Dots are shifted sideways so that all can be seen. "
        + ("Every repetition is drawn." if len(kept) == len(rows) else f"Not drawn, non-finite: {left_out}."),
    )


def _error_panels(by_depth: dict[int, list[Curve]], scaled: bool) -> Figure:
    figure, panels = figure_style.grid_of_panels(len(by_depth), 5.6, 3.9 if scaled else 4.4, above=0.9, shared=True)
    all_curves = [curve for group in by_depth.values() for curve in group]
    widths = sorted({curve.widths: curve.label for curve in all_curves}.items())
    looks = {shape: figure_style.look(index) for index, (shape, _) in enumerate(widths)}
    for panel, (depth, group) in zip(panels, sorted(by_depth.items()), strict=True):
        panel.set_title(plural(depth, "hidden layer"))
        for curve in group:
            # Widths that are all at zero do not hide each other: open marks, the later the smaller.
            place = [shape for shape, _ in widths].index(curve.widths)
            _error_line(panel, curve, scaled, *looks[curve.widths], size=6 + 5 * (len(widths) - place) / len(widths))
        if scaled:
            panel.axvline(1, color=GREY, zorder=1, label=_AS_MANY, **DASHED)
    cells = [cell for curve in all_curves for cell in curve.cells]
    # The dashed lines belong to the picture even where no cell lies beside them.
    x = [1.0, *(c.parameters_per_point for c in cells)] if scaled else [n for c in cells for n in (c.N, c.parameters)]
    panels[0].set(xscale="log", xlim=(min(x) / 1.15, max(x) * 1.15))
    figure_style.log_ticks(panels[0].xaxis)
    top = max(panels[0].get_ylim()[1], 1)
    panels[0].set_ylim(-0.025 * top, top)
    figure.supxlabel("parameters / N" if scaled else "N (training points)", fontsize=15)
    figure.supylabel("final training MCE (%)", fontsize=15)
    shown = [line(label, *looks[shape], **_OPEN) for shape, label in widths]
    figure_style.legend_above(figure, [*shown, line(_AS_MANY, **DASHED)])
    return figure


def _error_line(panel: Axes, curve: Curve, scaled: bool, color: str, marker: str, size: float) -> None:
    drawn = [c for c in curve.cells if c.finite]
    x = [c.parameters_per_point if scaled else c.N for c in drawn]
    mean = np.array([100 * c.mean_mce for c in drawn])
    (drawn_line,) = panel.plot(
        x, mean, color=color, marker=marker, markersize=size, clip_on=False, label=curve.label, **_OPEN
    )
    tell(drawn_line, [_told(curve.label, cell) for cell in drawn])
    # Against parameters / N the widths lie upon each other, and so would their bands.
    if not scaled:
        std = np.nan_to_num([100 * c.std_mce for c in drawn])
        low, high = np.clip((mean - std, mean + std), 0, 100)
        panel.fill_between(x, low, high, color=color, alpha=0.16, linewidth=0, label=curve.label)
        panel.axvline(curve.cells[0].parameters, color=color, zorder=1, label=_AS_MANY, **DASHED)


def _told(label: str, cell: Cell) -> str:
    return (
        f"{label}, N = {cell.N}, parameters / N = {ratio(cell.parameters_per_point)}<br>mean MCE "
        f"{percent(cell.mean_mce)}, std {percent(cell.std_mce)}<br>MCE 0 in {of(cell.zero_mce, len(cell.rows), 'run')}"
    )


def _convergence_panels(cells: Sequence[Cell]) -> Figure:
    figure = Figure(figsize=(12, 5.6))
    panels = figure.subplots(1, 2)
    rows = [row for cell in cells for row in cell.rows if is_plottable(row)]
    zeros = []
    for panel, (side, label, value, paper) in zip(panels, _SIDES, strict=True):
        _dots(panel, cells, value, paper)
        panel.set_ylabel(label)
        count = sum(value(row) == 0 for row in rows)
        zeros += [f"{count} of {len(rows)} ({side})"] if count else []
    if zeros:
        panels[0].plot([], [], **_AT_EDGE, label=f"exactly 0: {', '.join(zeros)}")
    entries = panels[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside upper center", ncols=3, frameon=False, columnspacing=2)
    return figure


def _dots(panel: Axes, cells: Sequence[Cell], value: Callable[[Row], float], paper: tuple[float, float]) -> None:
    widths = sorted({cell.d0 for cell in cells})
    by_width = {d: [row for c in cells if c.d0 == d for row in c.rows if is_plottable(row)] for d in widths}
    step = min((b - a for a, b in itertools.pairwise(widths)), default=widths[0] / 2)
    values = [value(row) for group in by_width.values() for row in group]
    low, high = min([*filter(None, values), paper[0]]), max([*values, paper[1]])
    room = max(1.0, 0.07 * math.log10(high / low))
    panel.set(yscale="log", ylim=(low / 10**room, high * 10 ** (room / 2)))
    panel.set_xlim(widths[0] - 0.6 * step, widths[-1] + 0.6 * step)
    panel.axhspan(*paper, color=_BAND, alpha=0.22, linewidth=0, zorder=0.5, label="range in the paper")
    # Multiples of the golden ratio spread evenly, and are the same on every run.
    points = [
        (d + 0.6 * step * ((k * 0.6180339887) % 1 - 0.5), row) for d in widths for k, row in enumerate(by_width[d])
    ]
    _scatter(panel, points, value)
    medians = [(d, statistics.median(map(value, group))) for d, group in by_width.items() if group]
    if medians:
        d, median = zip(*medians, strict=True)
        left, right = ([x + sign * 0.36 * step for x in d] for sign in (-1, 1))
        panel.hlines(median, left, right, color="black", linewidth=2.4, zorder=3, label="median of a width")
    label = "d = d0 = d1" if all(c.d0 == c.d1 for c in cells) else "d0"
    panel.set(xticks=figure_style.thinned(widths), xlabel=label)
    figure_style.log_ticks(panel.yaxis)
    panel.grid(axis="x", visible=False)


def _scatter(panel: Axes, points: Sequence[tuple[float, Row]], value: Callable[[Row], float]) -> None:
    x, y = np.reshape([(x, value(row)) for x, row in points], (-1, 2)).T
    at_kink = np.array([row.verdict == "suboptimal_kink" for _, row in points], bool)
    plain, hollow, zeros = (y > 0) & ~at_kink, (y > 0) & at_kink, x[y == 0]
    dots = {"linestyle": "none", "marker": "o", "markersize": 6.5}
    texts = np.array([f"d = {row.d0}, seed {row.seed}<br>{value(row):.3g}<br>{row.verdict}" for _, row in points])
    (drawn,) = panel.plot(
        x[plain], y[plain], **dots, color=PALETTE[0], alpha=0.55, markeredgewidth=0, label="one repetition", zorder=2
    )
    tell(drawn, texts[plain])
    if at_kink.any():
        label = f"verdict suboptimal_kink: {at_kink.sum()} of {len(points)}"
        rings = {"color": PALETTE[1], "markerfacecolor": "none", "markeredgewidth": 1.6}
        (drawn,) = panel.plot(x[hollow], y[hollow], **dots, **rings, label=label, zorder=2.5)
        tell(drawn, texts[hollow])
    # Zero has no place on a logarithmic axis: it is drawn at the bottom edge, and counted in the legend.
    bottom = panel.get_xaxis_transform()
    (drawn,) = panel.plot(zeros, [0.02] * len(zeros), **_AT_EDGE, transform=bottom, zorder=3)
    tell(drawn, texts[y == 0])
