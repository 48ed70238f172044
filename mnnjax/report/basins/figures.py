"""How often training ends in each kind of minimum, against the exact volume of the regions that hold one."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnnjax.report.basins.analysis import NO_ERROR, Outcome, shape_label
from mnnjax.report.common.figure_style import DASHED, GREY, PALETTE, Picture, draw, legend_above, line, look
from mnnjax.report.common.rows import grouped
from mnnjax.wording import plural

_SIDES = (
    ("left", "suboptimal_dlm", "suboptimal", r"$V(\mathcal{L}_0)$", "sub-optimal, MCE > 0"),
    ("right", "global_minimum", "global_minima", r"$V(\mathcal{G})$", "global minimum"),
)
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
        "local minimum with MCE > 0 (left) or in a global minimum (right) against the exact volume of the regions "
        "that hold one; bars: 95 % intervals. Faint bars: what unresolved runs (not converged, undecided or "
        "non-finite) leave "
        "open. Dashed: frequency = volume. Below: how the runs of each shape ended, means over its data sets."
        f"{left_out}",
    )


def basin_panels(outcomes: Sequence[Outcome]) -> Figure:
    """Two scatter panels, and below them the shares of all ends."""
    groups = grouped(outcomes, lambda outcome: outcome.shape)
    heights = (5.0, 1.6 + 0.45 * len(groups))
    figure = Figure(figsize=(13.2, 0.9 + sum(heights)))
    panels = figure.subplot_mosaic([["left", "right"], ["ends", "ends"]], height_ratios=heights)
    for side, verdict, volume, symbol, name in _SIDES:
        panel = panels[side]
        for index, group in enumerate(groups.values()):
            _dots(panel, group, verdict, volume, *look(index))
        top = 1.05 * max([*panel.dataLim.intervaly, *panel.dataLim.intervalx, 0.02])
        panel.plot([0, top], [0, top], color=GREY, zorder=1, **DASHED, gid="diagonal")
        panel.set(xlim=(-0.02 * top, top), xlabel=f"exact volume {symbol}")
        panel.set(ylim=(-0.02 * top, top), ylabel=f"share of runs: {name}")
    panel, left = panels["ends"], [0.0] * len(groups)
    for name, color, share in _ENDS:
        width = [sum(map(share, group)) / len(group) for group in groups.values()]
        panel.barh(range(len(groups)), width, left=left, color=color, height=0.7, label=name)
        left = [a + b for a, b in zip(left, width, strict=True)]
    panel.set_yticks(range(len(groups)), map(shape_label, groups))
    panel.invert_yaxis()
    panel.set(xlim=(0, 1), xlabel="share of runs")
    panel.grid(visible=False)
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(_ENDS), frameon=False, columnspacing=1.4)
    handles = [line(shape_label(shape), *look(index), linestyle="none") for index, shape in enumerate(groups)]
    legend_above(figure, [*handles, line("frequency = volume", **DASHED)])
    figure.set_layout_engine("constrained", wspace=0.05, hspace=0.05)
    return figure


def _dots(panel: Axes, group: Sequence[Outcome], verdict: str, volume: str, color: str, marker: str) -> None:
    x = [getattr(o, volume) for o in group]
    low, high = zip(*(o.interval(verdict) for o in group), strict=True)
    closed, opened = zip(*(o.open_interval(verdict) for o in group), strict=True)
    panel.vlines(x, closed, opened, color=color, alpha=0.18, linewidth=5, gid="open")
    panel.vlines(x, low, high, color=color, alpha=0.6, linewidth=1.4, gid="intervals")
    panel.plot(x, closed, marker, color=color, markeredgecolor="white", zorder=3, gid="point")
