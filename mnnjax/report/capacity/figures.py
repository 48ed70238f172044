"""The fraction of seeds that end in a certified global minimum against d0 d1 / N; the threshold against d."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from scipy.special import expit

from mnnjax.landscape.volumes.intervals import Estimate
from mnnjax.report.capacity.analysis import Group, by_name, per_point, solved
from mnnjax.report.common.figure_style import (
    DASHED,
    DOTTED,
    GREY,
    WIDTH,
    Picture,
    draw,
    grid_of_panels,
    legend_above,
    line,
    look,
    tell,
)
from mnnjax.wording import of

_AS_PARAMETERS, _AS_WEIGHTS = "parameters = N", "d0 d1 = N"


def capacity(groups: Sequence[Group]) -> tuple[Picture, Picture]:
    """Both pictures of the study."""
    return (
        draw(
            lambda: fraction_panels(groups),
            alt="Fraction of seeds that end in a certified global minimum against d0 d1 / N, one panel per optimizer",
            caption="Fraction of seeds that end in a certified global minimum; bars: 95 % intervals (Clopper and "
            "Pearson). Curves: logistic fits; thin: joined points, where there is no such fit. Dashed: the number of "
            "parameters equals N, in the colour of each width; dotted: d0 d1 = N.",
        ),
        draw(
            lambda: threshold_panel(groups),
            alt="Threshold in d0 d1 / N against d, one colour per optimizer",
            caption="d0 d1 / N at which half of the seeds end in a certified global minimum. Bars: 95 % intervals; a "
            "bar without a marker: only the interval is known; a triangle alone: a bound, pointing to where the value "
            "lies. Dashed: the number of parameters equals N; dotted: d0 d1 = N.",
            suffix="_threshold",
        ),
    )


def fraction_panels(groups: Sequence[Group]) -> Figure:
    """One panel per optimizer, one colour per network shape."""
    named = by_name(groups)
    labels = dict(sorted({g.curve.widths: g.curve.label for g in groups}.items()))
    looks = {widths: look(index) for index, widths in enumerate(labels)}
    figure, panels = grid_of_panels(len(named), 6.5, 5, above=0.6, shared=True)
    for panel, (name, with_name) in zip(panels, named.items(), strict=True):
        panel.set(title=name, ylim=(-0.04, 1.04))
        panel.axvline(1, color=GREY, zorder=1, label=_AS_WEIGHTS, **DOTTED)
        for group in with_name:
            _fractions(panel, group, *looks[group.curve.widths])
    figure.supxlabel("d0 d1 / N", fontsize=15)
    figure.supylabel("fraction of seeds in a global minimum", fontsize=15)
    _legend(figure, [line(labels[widths], *looks[widths], markeredgecolor="white") for widths in looks])
    return figure


def _legend(figure: Figure, handles: Sequence) -> None:
    legend_above(figure, [*handles, line(_AS_PARAMETERS, **DASHED), line(_AS_WEIGHTS, **DOTTED)])


def _fractions(panel: Axes, group: Group, color: str, marker: str) -> None:
    cells = group.curve.cells
    x, found = [per_point(cell) for cell in cells], [solved(cell) for cell in cells]
    estimates = [f.estimate for f in found]
    label = group.curve.label
    panel.axvline(1 / group.parameters_per_weight, color=color, zorder=1, label=_AS_PARAMETERS, **DASHED)
    low, high = [f.low for f in found], [f.high for f in found]
    panel.vlines(x, low, high, color=color, alpha=0.5, label=label, gid="intervals")
    dots = {"linestyle": "none", "markeredgecolor": "white", "zorder": 3, "clip_on": False, "gid": "fractions"}
    (drawn,) = panel.plot(x, estimates, marker=marker, color=color, label=label, **dots)
    tell(drawn, [
        f"{label}, N = {cell.N}, d0 d1 / N = {per_point(cell):.3g}<br>{of(f.hits or 0, f.draws or 0, 'seed')}: "
        f"{f.estimate:.3g} ({f.low:.3g} to {f.high:.3g})"
        for cell, f in zip(cells, found, strict=True)
    ])  # fmt: skip
    if group.rise.kind == "fitted":
        fine = np.linspace(min(x), max(x), 400)
        curve = expit(group.rise.slope * (fine - group.rise.middle))
        panel.plot(fine, curve, color=color, zorder=2, label=label, gid="fit")
    else:
        panel.plot(x, estimates, color=color, linewidth=0.8, zorder=2, label=label, gid="joined")


def threshold_panel(groups: Sequence[Group]) -> Figure:
    """The threshold against d, one colour per optimizer."""
    figure = Figure(figsize=(WIDTH, 5.6))
    panel = figure.subplots()
    scales = {g.size: 1 / g.parameters_per_weight for g in groups}
    sizes = sorted(scales)
    panel.axhline(1, color=GREY, zorder=1, label=_AS_WEIGHTS, **DOTTED)
    panel.plot(sizes, [scales[size] for size in sizes], color=GREY, zorder=1, label=_AS_PARAMETERS, **DASHED)
    named, handles = by_name(groups), []
    for index, (name, with_name) in enumerate(named.items()):
        handles.append(line(name, *look(index), markeredgecolor="white"))
        # Shifted sideways, so that optimizers do not hide each other.
        shift = 1 + 0.03 * (index - (len(named) - 1) / 2)
        for group in with_name:
            _interval(panel, shift * group.size, group, *look(index))
    panel.set(xscale="log", xlim=(sizes[0] / 1.2, sizes[-1] * 1.2))
    panel.set_xticks(sizes, [f"{size:.3g}" for size in sizes])
    panel.xaxis.set_minor_locator(NullLocator())
    square = all(g.curve.widths[0] == g.curve.widths[1] for g in groups)
    panel.set(xlabel="d = d0 = d1" if square else "sqrt(d0 d1)", ylabel="threshold in d0 d1 / N")
    _legend(figure, handles)
    return figure


def _interval(panel: Axes, x: float, group: Group, color: str, marker: str) -> None:
    value: Estimate = group.rise.threshold
    text = f"{group.name}, {group.curve.label}<br>threshold {value.estimate:.4g} ({value.low:.4g} to {value.high:.4g})"
    low, high = (math.isfinite(end) and end > 0 for end in (value.low, value.high))
    style: dict[str, Any]
    if math.isfinite(value.estimate):
        style = {"marker": marker, "markeredgecolor": "white", "zorder": 3, "gid": "estimate"}
        (drawn,) = panel.plot([x], [value.estimate], color=color, label=group.name, **style)
        tell(drawn, [text])
    if low and high:
        style = {"alpha": 0.6, "marker": "_", "gid": "interval"}
        (drawn,) = panel.plot([x, x], [value.low, value.high], color=color, label=group.name, **style)
        tell(drawn, [text, text])
    elif low or high:
        end, pointing = (value.low, "^") if low else (value.high, "v")
        style = {"marker": pointing, "fillstyle": "none", "gid": "bound"}
        (drawn,) = panel.plot([x], [end], color=color, label=group.name, **style)
        tell(drawn, [text])
