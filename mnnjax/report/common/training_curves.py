"""How the losses fell while networks were trained, as the logs (metrics.jsonl) tell it."""

import math
from collections.abc import Iterable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from mnnjax.config import Train
from mnnjax.report.common.figure_style import Picture, draw, tell
from mnnjax.report.common.rows import Cell
from mnnjax.training import LEVENBERG_MARQUARDT
from mnnjax.wording import ratio

History = Mapping[int, tuple[float, float]]
"""Epoch -> MSE and MCE (a fraction), means over the finite repetitions."""

# More points than a line can show are thinned to about so many.
_MOST_POINTS = 120


def histories(events: Iterable[Mapping]) -> dict[str, dict[int, tuple[float, float]]]:
    """Cell -> its history, of the lines of a log; what an epoch was trained again after is told by the later line."""
    found: dict[str, dict[int, tuple[float, float]]] = {}
    for event in events:
        if event["event"] == "chunk" and {"cell", "epoch", "mse", "mce"} <= event.keys():
            found.setdefault(event["cell"], {})[event["epoch"]] = (event["mse"], event["mce"])
    return found


def training_curves(cells: Sequence[Cell], found: Mapping[str, History], train: Train) -> Picture | None:
    """MSE and MCE against the epoch, one line per cell; None where no log tells any. A descent after training is no
    part of it."""
    ids = [cell.rows[0].cell for cell in cells]
    found = {name: {e: v for e, v in found.get(name, {}).items() if e <= train.total_epochs} for name in ids}
    shown = [cell for cell in cells if found[cell.rows[0].cell]]
    if not shown:
        return None
    step = "step" if train.optimizer == LEVENBERG_MARQUARDT else "epoch"
    return draw(
        lambda: curve_panels(shown, found, step),
        alt=f"Training MSE (left, logarithmic) and MCE (right) against the {step}, one line per cell",
        caption=f"Training curves: MSE and MCE against the {step}, means over the finite repetitions. One line per "
        "cell, coloured by parameters / N.",
        suffix="_training",
    )


def curve_panels(cells: Sequence[Cell], found: Mapping[str, History], step: str) -> Figure:
    """MSE left, MCE right."""
    figure = Figure(figsize=(13.2, 4.8))
    panels = figure.subplots(1, 2)
    ratios = [cell.parameters_per_point for cell in cells]
    norm = LogNorm(min(ratios) / 1.01, max(ratios) * 1.01)
    colors = matplotlib.colormaps["viridis"]
    for panel, which, title, scale in ((panels[0], 0, "training MSE", 1), (panels[1], 1, "training MCE (%)", 100)):
        for cell in cells:
            _curve(panel, cell, found[cell.rows[0].cell], which, scale, colors(norm(cell.parameters_per_point)))
        panel.set(xlabel=step, ylabel=title)
    if any(value > 0 for line in panels[0].lines for value in line.get_ydata()):
        panels[0].set_yscale("log")
    if len(set(ratios)) > 1:
        bar = figure.colorbar(ScalarMappable(norm, colors), ax=panels, pad=0.02, label="parameters / N")
        ticks = _ticks(min(ratios), max(ratios))
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks], minor=False)
        bar.minorticks_off()
    return figure


def _curve(panel: Axes, cell: Cell, history: History, which: int, scale: float, color) -> None:
    epochs = sorted(history)
    thinned = [*epochs[:: max(1, len(epochs) // _MOST_POINTS)], epochs[-1]]
    points = [
        (e, scale * v) for e in dict.fromkeys(thinned) if (v := history[e][which]) is not None and math.isfinite(v)
    ]
    x, y = zip(*points, strict=True) if points else ((), ())
    (line,) = panel.plot(
        x, y, color=color, linewidth=1.3, marker="o" if len(points) == 1 else "", gid=cell.rows[0].cell
    )
    shape = f"d0 = {cell.d0}, d1 = {cell.d1}, N = {cell.N}: parameters / N = {ratio(cell.parameters_per_point)}"
    tell(line, [f"{shape}<br>after {e}: {v:.3g}" for e, v in points])


def _ticks(low: float, high: float) -> list[float]:
    """One, two and five times powers of ten between them; both ends where there are fewer than two."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5) if low <= digit * 10.0**power <= high]
    return ticks if len(ticks) > 1 else [float(f"{end:.3g}") for end in (low, high)]
