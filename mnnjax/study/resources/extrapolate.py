"""From a few timings to the times of all cells: a model of the arithmetic, corrected by what was timed nearest."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

from mnnjax.study.plan.grid import Cell, by_shape

MOST_TIMED = 6
# A shape is not timed that could change the total by a smaller part than this.
WORTH_TIMING = 0.03
# How far apart programs of different kinds lie, on the scale of the logarithm of their size.
OTHER_KIND = 2.0


class Timed(NamedTuple):
    """Seconds of one kind of work on a cell, and to compile the programs of its shape."""

    seconds: float
    compiling: float = 0.0


class Scaled(NamedTuple):
    """Seconds of each cell by its id; of compiling, a shape; and the ids of the cells that were timed."""

    seconds: dict[str, float]
    compiling: float
    timed: list[str]


@dataclasses.dataclass(frozen=True)
class Work:
    """One kind of work.

    model: seconds of a cell, up to a factor that is equal for cells of one kind and size, and close for those of
      similar size.
    measure: times a cell.
    budget: seconds in which shapes are timed: no further one is begun after them.
    often: how often a cell takes what is modelled and timed.
    timeable: whether a cell can be timed here.
    """

    model: Callable[[Cell], float]
    kind: Callable[[Cell], Hashable]
    size: Callable[[Cell], float]
    measure: Callable[[Cell], Timed]
    budget: float
    often: Callable[[Cell], float] = lambda cell: 1.0
    timeable: Callable[[Cell], bool] = lambda cell: True

    def scaled(self, cells: Sequence[Cell]) -> Scaled:
        """Time one cell of each shape in turn, the one that could change the total most, and scale the others."""
        shapes = by_shape(cells)
        left = [cell for alike in shapes.values() if self.timeable(cell := max(alike, key=self.model))]
        began, found = time.monotonic(), []
        factors: list[tuple[Cell, float]] = []
        while left and len(found) < MOST_TIMED and (not found or time.monotonic() - began < self.budget):
            seconds = {cell.id: self._seconds(cell, factors) for cell in cells}
            unknown = [
                sum(seconds[alike.id] for alike in shapes[cell.shape]) * self._distance(cell, factors) for cell in left
            ]
            if found and max(unknown) < WORTH_TIMING * sum(seconds.values()):
                break
            cell = left.pop(int(np.argmax(unknown)))
            found.append(self.measure(cell))
            factors.append((cell, found[-1].seconds / self.model(cell)))
        seconds = {cell.id: self._seconds(cell, factors) for cell in cells}
        compiling = statistics.median(timed.compiling for timed in found) if found else 0.0
        return Scaled(seconds, compiling, [cell.id for cell, _ in factors])

    def _seconds(self, cell: Cell, factors: list[tuple[Cell, float]]) -> float:
        return self.model(cell) * self.often(cell) * self._factor(cell, factors)

    def _distance(self, cell: Cell, factors: list[tuple[Cell, float]]) -> float:
        """To the nearest cell that was timed."""
        return min((self._between(cell, other) for other, _ in factors), default=1.0)

    def _between(self, a: Cell, b: Cell) -> float:
        return abs(math.log(self.size(a) / self.size(b))) + OTHER_KIND * (self.kind(a) != self.kind(b))

    def _factor(self, cell: Cell, factors: list[tuple[Cell, float]]) -> float:
        """What the model is off by: between two sizes that were timed, a power; of the cell's kind if any was."""
        alike = [pair for pair in factors if self.kind(pair[0]) == self.kind(cell)] or factors
        if not alike:
            return 1.0
        points = sorted((math.log(self.size(other)), math.log(max(factor, 1e-12))) for other, factor in alike)
        sizes, off = zip(*points, strict=True)
        return math.exp(float(np.interp(math.log(self.size(cell)), sizes, off)))
