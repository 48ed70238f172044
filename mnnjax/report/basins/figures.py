"""How often training ends in each kind of minimum, against the exact volume of the regions that hold one."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnnjax.report.basins.analysis import NO_ERROR, Outcome, shape_label
from mnnjax.report.common.figure_style import DASHED, GREY, PALETTE, Picture, draw, legend_above, line, tell
from mnnjax.report.common.rows import grouped
from mnnjax.wording import percent, plural

_SIDES = (
    ("suboptimal_dlm", "suboptimal", r"$V(\mathcal{L}_0)$", "sub-optimal, MCE > 0", PALETTE[1]),
    ("global_minimum", "global_minima", r"$V(\mathcal{G})$", "global minimum", PALETTE[0]),
)
_INTERVAL, _OPEN = "95 % interval", "what unresolved runs leave open"
_SAME = "frequency = volume"
_ENDS = (
    ("sub-optimal, MCE > 0", PALETTE[1], lambda o: o.frequency("suboptimal_dlm")),
    ("sub-optimal, MCE 0", "#F2B48C", lambda o: o.frequency(NO_ERROR)),
    ("global", PALETTE[0], lambda o: o.frequency("global_minimum")),
    ("sub-optimal kink", PALETTE[2], lambda o: o.frequency("suboptimal_kink")),
    ("saddle", "#B9B9B9", lambda o: o.frequency("saddle")),
    ("unresolved", "#E9E9E9", lambda o: o.unresolved / o.runs),
)


def basins(outcomes: Sequence[Outcome], without_volume: int) -> Picture:
    """The picture of a training study whose data sets have exact volumes."""
    left_out = f" Not drawn: {plural(without_volume, 'data set')} without an exact volume." if without_volume else ""
    return draw(
        lambda: basin_panels(outcomes),
        alt="Frequency with which training ends in a sub-optimal minimum against V(L_0), in a global minimum against "
        "V(G), and the shares of all kinds of ends",
        caption="Each point is one data set (X, y): the share of its runs that end in a sub-optimal differentiable "
        "local minimum with MCE > 0 (orange) or in a global minimum (blue) against the exact volume of the regions "
        "that hold one. Thin bars: 95 % intervals. Faint bars: what unresolved runs (not converged, undecided or "
        "non-finite) leave open. Below: how the runs of each shape ended, means over its data sets."
        f"{left_out}",
    )


def basin_panels(outcomes: Sequence[Outcome]) -> Figure:
    """Two panels per shape, one below the other where there are several shapes, and the shares of all ends."""
    groups = grouped(outcomes, lambda outcome: outcome.shape)
    places = [[(side, shape) for shape in groups] for side in range(len(_SIDES))]
    lines = places if len(groups) > 1 else [[place for line_of in places for place in line_of]]
    heights = [*(3.6 if len(groups) > 1 else 5.0 for _ in lines), 1.6 + 0.45 * len(groups)]
    figure = Figure(figsize=(13.2, 0.9 + sum(heights)))
    grid = figure.add_gridspec(len(lines) + 1, len(lines[0]), height_ratios=heights)
    for row, line_of in enumerate(lines):
        for column, (side, shape) in enumerate(line_of):
            panel = figure.add_subplot(grid[row, column])
            _frequencies(panel, groups[shape], side, first=column == 0 or len(groups) == 1, narrow=len(groups) > 1)
            if len(groups) > 1 and row == 0:
                panel.set_title(shape_label(shape), fontsize=13)
    panel, left = figure.add_subplot(grid[-1, :]), [0.0] * len(groups)
    for name, color, share in _ENDS:
        width = [sum(map(share, group)) / len(group) for group in groups.values()]
        bars = panel.barh(range(len(groups)), width, left=left, color=color, height=0.7, label=name)
        for bar, shape, share_of in zip(bars, groups, width, strict=True):
            tell(bar, [f"{shape_label(shape)}<br>{name}: {percent(share_of)} of the runs"])
        left = [a + b for a, b in zip(left, width, strict=True)]
    panel.set_yticks(range(len(groups)), map(shape_label, groups))
    panel.invert_yaxis()
    panel.set(xlim=(0, 1), xlabel="share of runs")
    panel.grid(visible=False)
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(_ENDS), frameon=False, columnspacing=1.4)
    legend_above(figure, [
        line("one data set", GREY, "o", linestyle="none"), line(_INTERVAL, GREY, linewidth=1),
        line(_OPEN, GREY, alpha=0.25, linewidth=4), line(_SAME, **DASHED),
    ])  # fmt: skip
    figure.set_layout_engine("constrained", wspace=0.05, hspace=0.05)
    return figure


def _frequencies(panel: Axes, group: Sequence[Outcome], side: int, first: bool, narrow: bool) -> None:
    """The share of runs against the volume, one point per data set; `first` has the label of the axis, and a
    `narrow` panel few ticks."""
    verdict, volume, symbol, name, color = _SIDES[side]
    x = [getattr(o, volume) for o in group]
    ends, opened = [o.interval(verdict) for o in group], [o.open_interval(verdict) for o in group]
    low, high = zip(*ends, strict=True)
    closed, at_most = zip(*opened, strict=True)
    panel.vlines(x, closed, at_most, color=color, alpha=0.15, linewidth=4, label=_OPEN, gid="open")
    panel.vlines(x, low, high, color=color, alpha=0.45, linewidth=0.8, label=_INTERVAL, gid="intervals")
    dots = {"linestyle": "none", "marker": "o", "markersize": 5.5, "markeredgecolor": "white", "zorder": 3}
    (drawn,) = panel.plot(x, closed, color=color, gid="point", label="one data set", **dots)
    tell(drawn, [
        f"data seed {o.data_seed}: volume {v:.3g}<br>{name}: {a:.3g} of {o.runs} runs ({b:.3g} to {c:.3g})<br>"
        f"{d:.3g} if all unresolved were"
        for o, v, a, (b, c), d in zip(group, x, closed, ends, at_most, strict=True)
    ])  # fmt: skip
    right, top = (1.05 * max(*values, 0.02) for values in ([*x, 0], [*high, *at_most]))
    panel.plot([0, right], [0, right], color=GREY, zorder=1, label=_SAME, **DASHED, gid="diagonal")
    panel.set(xlim=(-0.03 * right, right), ylim=(-0.03 * top, top), xlabel=f"exact volume {symbol}")
    panel.locator_params(axis="x", nbins=3 if narrow else 6)
    if first:
        panel.set_ylabel(f"share of runs:\n{name}", fontsize=13)
