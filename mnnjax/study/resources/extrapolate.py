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
# A shape is not timed if it could change the total by a smaller part than this.
WORTH_TIMING = 0.03
# The distance between programs of different kinds, on the scale of the logarithm of their size.
OTHER_KIND = 2.0


class Timed(NamedTuple):
    """Seconds of one kind of work on a cell, and to compile the programs of its shape."""

    seconds: float
    compiling: float = 0.0


class Scaled(NamedTuple):
    """Seconds per cell, by its id; seconds to compile a shape; the ids of the cells that were timed."""

    seconds: dict[str, float]
    compiling: float
    timed: list[str]


@dataclasses.dataclass(frozen=True)
class Work:
    """One kind of work on cells: training, certificates or volumes.

    model: seconds up to a factor, which is equal for cells of one kind and size, and close for those of similar size.
    measure: times a cell.
    budget: seconds after which no further timing is begun.
    timeable: whether a cell can be timed here.
    """

    model: Callable[[Cell], float]
    kind: Callable[[Cell], Hashable]
    size: Callable[[Cell], float]
    measure: Callable[[Cell], Timed]
    budget: float
    timeable: Callable[[Cell], bool] = lambda cell: True

    def scaled(self, cells: Sequence[Cell]) -> Scaled:
        """Time one cell per shape, first the one that could change the total most, and scale the others."""
        shapes = by_shape(cells)
        left = [cell for alike in shapes.values() if self.timeable(cell := max(alike, key=self.model))]
        began, timed = time.monotonic(), list[tuple[Cell, Timed]]()
        while left and len(timed) < MOST_TIMED and (not timed or time.monotonic() - began < self.budget):
            seconds = self._seconds(cells, timed)
            changes = [sum(seconds[c.id] for c in shapes[cell.shape]) * self._distance(cell, timed) for cell in left]
            if timed and max(changes) < WORTH_TIMING * sum(seconds.values()):
                break
            cell = left.pop(int(np.argmax(changes)))
            timed.append((cell, self.measure(cell)))
        compiling = statistics.median(found.compiling for _, found in timed) if timed else 0.0
        return Scaled(self._seconds(cells, timed), compiling, [cell.id for cell, _ in timed])

    def _seconds(self, cells: Sequence[Cell], timed: Sequence[tuple[Cell, Timed]]) -> dict[str, float]:
        return {cell.id: self.model(cell) * self._factor(cell, timed) for cell in cells}

    def _distance(self, cell: Cell, timed: Sequence[tuple[Cell, Timed]]) -> float:
        """To the nearest cell that was timed."""
        distances = (
            abs(math.log(self.size(cell) / self.size(other))) + OTHER_KIND * (self.kind(cell) != self.kind(other))
            for other, _ in timed
        )
        return min(distances, default=1.0)

    def _factor(self, cell: Cell, timed: Sequence[tuple[Cell, Timed]]) -> float:
        """What the model is off by: between two sizes that were timed, a power; from cells of the same kind if any."""
        alike = [pair for pair in timed if self.kind(pair[0]) == self.kind(cell)] or timed
        if not alike:
            return 1.0
        points = sorted(
            (math.log(self.size(other)), math.log(max(found.seconds / self.model(other), 1e-12)))
            for other, found in alike
        )
        sizes, factors = zip(*points, strict=True)
        return math.exp(float(np.interp(math.log(self.size(cell)), sizes, factors)))
