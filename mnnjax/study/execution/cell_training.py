"""A cell in training: what seed-parallel and data-parallel training have in common."""

import abc
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from mnnjax.landscape import Certificate
from mnnjax.study.execution.certify_cell import certify_seeds
from mnnjax.study.execution.chunks import Work
from mnnjax.study.plan.grid import Cell


class CellTraining(Work):
    """The training of all repetitions of a cell; every array of a state has them on its leading axis."""

    unit: ClassVar[str] = "epoch"

    def __init__(self, cell: Cell):
        self._cell = cell

    @abc.abstractmethod
    def run(self, state: Any, epoch: int, epochs: int) -> tuple[Any, Any]:
        """Further epochs: the state after them, and the MSE and the MCE of the last one, each (repeats,)."""

    @abc.abstractmethod
    def evaluate(self, params: Any) -> Any:
        """The Evaluation of all repetitions."""

    @abc.abstractmethod
    def points(
        self,
    ) -> tuple[
        Float[np.ndarray, "repeats N d0"] | Float[np.ndarray, "N d0"],
        Float[np.ndarray, "repeats N"] | Float[np.ndarray, " N"],
    ]:
        """X (repeats, N, d0) and y (repeats, N) on every host, as training has them; X (N, d0) and y (N,) where the
        repetitions share them."""

    def is_done(self, state: Any) -> bool:
        """Whether every repetition has stopped by itself."""
        return False

    def chunk(self, state: Any, done: int) -> tuple[Any, int, dict[str, float]]:
        """The next epochs, with the mean MSE and MCE of the last one."""
        train = self._cell.part.training
        epochs = min(train.chunk_epochs, train.total_epochs - done)
        state, metrics = self.run(state, done, epochs)
        done = train.total_epochs if self.is_done(state) else done + epochs
        return state, done, dict(zip(("mse", "mce"), map(finite_mean, metrics), strict=True))

    def checkpoint_due(self, done: int, chunks: int, seconds: float) -> bool:
        """After checkpoint_chunks chunks, and at the end; seconds since the last checkpoint do not count."""
        train = self._cell.part.training
        # At the end too: certificates can take minutes, and need not be waited for twice.
        return chunks == train.checkpoint_chunks or done == train.total_epochs

    def certify(self, params: Any, stop_requested: Callable[[], object]) -> list[Certificate | None]:
        """One certificate per repetition, as certify_seeds."""
        part, (X, y) = self._cell.part, self.points()
        if X.ndim == 2:
            X, y = [X] * part.repeats, [y] * part.repeats
        layers, threshold = self._cell.hidden_layers, part.problem.threshold
        return certify_seeds(params, part.network, layers, X, y, threshold, stop_requested)


def finite_mean(values: np.ndarray) -> float:
    """The mean over the finite ones of values (repeats,); nan where there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan
