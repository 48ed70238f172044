"""The loop of training and of volumes: a chunk of work, a checkpoint, a look at stop requests; and what it asks of a
cell's work."""

import abc
import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from mnnjax.landscape import Certificate
from mnnjax.study.distributed import processes
from mnnjax.study.distributed.stopping import Interrupted, Stopped
from mnnjax.study.execution.certify_cell import certify_seeds
from mnnjax.study.execution.descent_workers import End, Start
from mnnjax.study.execution.images import Sources
from mnnjax.study.execution.progress import LineProgress
from mnnjax.study.plan.grid import Cell
from mnnjax.study.workdir.checkpoint import CellCheckpoints
from mnnjax.study.workdir.workdir import SET_ASIDE, Workdir
from mnnjax.workers import Workers


@dataclasses.dataclass(frozen=True)
class Context:
    """What all cells of a run share; stop_requested: the name of the signal that this process received, or None;
    workers: of descents."""

    workdir: Workdir
    sources: Sources
    progress: LineProgress
    stop_requested: Callable[[], str | None]
    workers: Workers[Start, End]

    def stop(self) -> str | None:
        """The name of the signal that any of the processes received; the same on all of them."""
        return next(filter(None, processes.gathered(self.stop_requested())), None)

    def warn(self, cell: Cell, text: str) -> None:
        """Show a warning, and keep it in the log."""
        self.progress.message(f"warning: {text}")
        self.workdir.log("warning", cell=cell.id, text=text)

    def checkpoints(self, cell: Cell, of: str = "") -> contextlib.closing[CellCheckpoints]:
        """The cell's checkpoints in the work folder, as a context manager; of: of what, but for its training. Those of
        the repetitions that a cell gains lie in a folder of their own."""
        folder, first = self.workdir.checkpoints, cell.repetitions.start
        name = f"{cell.id}.from{first}{of}" if first else f"{cell.id}{of}"
        return contextlib.closing(
            CellCheckpoints(folder / name, folder / SET_ASIDE, lambda text: self.warn(cell, text))
        )


class Work(abc.ABC):
    """What a cell does in steps: seed_parallel.py, data_parallel.py, volume_cell.py, or after training descents.py."""

    unit: ClassVar[str]
    """A step, in a word."""

    @property
    @abc.abstractmethod
    def steps(self) -> range:
        """Its own among all steps of the cell."""

    @property
    @abc.abstractmethod
    def template(self) -> Any:
        """A pytree of the shapes and types of what a checkpoint holds."""

    @abc.abstractmethod
    def start(self, saved: Any = None) -> Any:
        """The state at first, or the one that was saved."""

    @abc.abstractmethod
    def chunk(self, state: Any, done: int) -> tuple[Any, int, dict[str, float]]:
        """Further steps after the first `done`: the state after them, how many are done then, and losses for the log.
        Raises Interrupted where a stop was requested; the chunk is given up."""

    @abc.abstractmethod
    def checkpoint_due(self, done: int, chunks: int, seconds: float) -> bool:
        """Whether the state is saved now; chunks, seconds: since it was saved last."""

    def saved(self, state: Any) -> Any:
        """A state, or a part of one, on the host, as a checkpoint holds it."""
        return state


class CellTraining(Work):
    """The training of all repetitions of a cell; every array of a state has them on its leading axis."""

    unit: ClassVar[str] = "epoch"

    def __init__(self, cell: Cell):
        self._cell = cell

    @property
    def steps(self) -> range:
        return range(self._cell.steps)

    @abc.abstractmethod
    def start_at(self, params: Any, non_finite_epoch: Int[np.ndarray, " repeats"]) -> Any:
        """The state at given parameters, repetitions on the leading axis, with an optimizer that has done no step."""

    @abc.abstractmethod
    def run(self, state: Any, epoch: int, epochs: int) -> tuple[Any, Any]:
        """Further epochs: the state after them, and the MSE and the MCE of the last one, each (repeats,)."""

    @abc.abstractmethod
    def evaluate(self, params: Any) -> Any:
        """The Evaluation of all repetitions."""

    @abc.abstractmethod
    def points(self) -> tuple[Float[np.ndarray, "*repeats N d0"], Float[np.ndarray, "*repeats N"]]:
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
        train = self._cell.part.training
        # At the end too: certificates can take minutes, and need not be waited for twice.
        return chunks == train.checkpoint_chunks or done == train.total_epochs

    def certify(self, params: Any, stop_requested: Callable[[], object]) -> list[Certificate | None]:
        """One certificate per repetition, as certify_seeds."""
        part, (X, y) = self._cell.part, self.points()
        if X.ndim == 2:
            X, y = [X] * self._cell.repeats, [y] * self._cell.repeats
        layers, threshold = self._cell.hidden_layers, part.problem.threshold
        return certify_seeds(params, part.network, layers, X, y, threshold, stop_requested)


def run_chunks(
    cell: Cell, work: Work, context: Context, checkpoints: CellCheckpoints, began: float,
    earlier: Callable[[], tuple[int, Any] | None] = lambda: None,
) -> Any:  # fmt: skip
    """The state after all its steps, from the latest valid checkpoint on, or else from an earlier state: (steps done,
    state). began: by time.monotonic(), when the cell was begun. Raises Stopped, with the state saved, where a stop was
    requested."""
    workdir, before, count = context.workdir, work.steps.start, len(work.steps)
    # The other processes go on from where the one that reads the checkpoints says.
    done, saved = processes.from_writer(lambda: checkpoints.restore(work.template) or earlier()) or (0, None)
    workdir.log("cell_start", cell=cell.id, epoch=before + done)
    context.progress.cell_started(cell, before + done)
    state = work.start(saved)
    chunks, saved_at, on_disk = 0, began, done
    while done < count:
        with contextlib.suppress(Interrupted):
            state, done, losses = work.chunk(state, done)
            chunks += 1
            seconds = round(time.monotonic() - began, 3)
            workdir.log("chunk", cell=cell.id, epoch=before + done, **losses, seconds=seconds)
            mce = f", MCE {100 * losses['mce']:.2f} %" if losses else ""
            context.progress.chunk(cell, before + done, f"{work.unit} {done} of {count}{mce}")
        stop = context.stop()
        # A chunk that was given up leaves what has been saved already.
        if done > on_disk and (stop or work.checkpoint_due(done, chunks, time.monotonic() - saved_at)):
            chunks, saved_at, on_disk = 0, time.monotonic(), done
            whole = work.saved(state)
            processes.from_writer(lambda done=done, whole=whole: checkpoints.save(done, whole))
            workdir.log("checkpoint", cell=cell.id, epoch=before + done)
        if stop:
            workdir.log("stop", cell=cell.id, epoch=before + done, reason=stop)
            raise Stopped(f"{stop}: saved {cell.id} at {work.unit} {done} of {count}")
    return state


def finite_mean(values: np.ndarray) -> float:
    """The mean over the finite ones of values (repeats,); nan where there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan
