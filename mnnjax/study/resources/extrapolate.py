"""From a few timings to the times of all cells: a model of the arithmetic, and per kind of cells the factor that the
model is off by, from the costliest of them."""

import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from mnnjax.study.plan.grid import Cell


class Timed(NamedTuple):
    """Seconds of one kind of work on a cell, and to compile the programs of its shape."""

    seconds: float
    compiling: float = 0.0


class Scaled(NamedTuple):
    """Seconds per cell, by its id; seconds to compile a shape; the ids of the cells that were timed."""

    seconds: dict[str, float]
    compiling: float
    timed: list[str]


def scaled(
    cells: Sequence[Cell],
    model: Callable[[Cell], float],
    kind: Callable[[Cell], Hashable],
    measure: Callable[[Cell], Timed],
    budget: float,
    timeable: Callable[[Cell], bool] = lambda cell: True,
) -> Scaled:
    """The times of cells, from those of the costliest cell of each kind; costliest kinds first.

    Args:
      model: seconds of a cell, up to a factor that is similar for cells of one kind.
      measure: times a cell.
      budget: seconds after which no further timing is begun; other kinds take the median factor.
      timeable: whether a cell can be timed here.
    """
    costs: dict[Hashable, float] = {}
    costliest: dict[Hashable, Cell] = {}
    for cell in sorted(cells, key=model):
        costs[kind(cell)] = costs.get(kind(cell), 0.0) + model(cell)
        if timeable(cell):
            costliest[kind(cell)] = cell
    began, timed, factors = time.monotonic(), list[Timed](), dict[Hashable, float]()
    for key in sorted(costliest, key=lambda key: costs[key], reverse=True):
        if timed and time.monotonic() - began > budget:
            break
        timed.append(measure(costliest[key]))
        factors[key] = timed[-1].seconds / model(costliest[key])
    other = statistics.median(factors.values()) if factors else 1.0
    compiling = statistics.median(found.compiling for found in timed) if timed else 0.0
    seconds = {cell.id: model(cell) * factors.get(kind(cell), other) for cell in cells}
    return Scaled(seconds, compiling, [costliest[key].id for key in factors])
