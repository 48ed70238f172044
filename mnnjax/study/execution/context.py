"""What a cell runs in: the work folder, the images, the progress display and stop requests."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from mnnjax.study.distributed import processes
from mnnjax.study.execution.images import Sources
from mnnjax.study.execution.progress import LineProgress
from mnnjax.study.plan.grid import Cell
from mnnjax.study.workdir.checkpoint import CellCheckpoints
from mnnjax.study.workdir.workdir import SET_ASIDE, Workdir


@dataclasses.dataclass(frozen=True)
class Context:
    """The same for all cells of a run.

    stop_requested: the name of the signal that this process received, or None.
    """

    workdir: Workdir
    sources: Sources
    progress: LineProgress
    stop_requested: Callable[[], str | None]

    def stop(self) -> str | None:
        """The name of the signal that any of the processes received; the same on all of them."""
        return processes.first_of(self.stop_requested())

    def warn(self, cell: Cell, text: str) -> None:
        """Show a warning, and keep it in the log."""
        self.progress.message(f"warning: {text}")
        self.workdir.log("warning", cell=cell.id, text=text)

    @contextlib.contextmanager
    def checkpoints(self, cell: Cell) -> Iterator[CellCheckpoints]:
        """The cell's checkpoints, in the work folder."""
        folder = self.workdir.checkpoints
        with contextlib.closing(
            CellCheckpoints(folder / cell.id, folder / SET_ASIDE, lambda text: self.warn(cell, text))
        ) as checkpoints:
            yield checkpoints
