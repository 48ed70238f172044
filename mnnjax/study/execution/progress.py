"""The progress of a running study: a live bar on a terminal, otherwise plain lines now and then."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from mnnjax.study.plan.grid import Cell
from mnnjax.terminal import show
from mnnjax.wording import duration

SECONDS_BETWEEN_LINES = 15.0
# The part of a study's work that is timed before the time left is shown: small cells, which come first, take longer
# for their work than large ones.
LEAST_SHARE = 0.01
# Characters.
BAR_WIDTH = 20
# A line for people, at once.
tell = show


def say_nothing(text: str) -> None:
    """In place of `tell`."""


class LineProgress:
    """Counts the work done and prints plain lines with `message`, at most one every 15 s while a cell trains.

    The time left is computed from the work of this process and the time that it took. The first chunk of each shape is
    left out of both, since its program is compiled then.
    """

    def __init__(self, cells: Sequence[Cell], finished: Sequence[Cell], message: Callable[[str], None]):
        self.message = message
        self._cells, self._finished = len(cells), len(finished)
        self._total = sum(cell.work for cell in cells)
        self._done = sum(cell.work for cell in finished)
        self._compiled: set[tuple] = set()  # shapes
        self._come_to, self._since = self._done, time.monotonic()
        self._timed_work = self._timed_seconds = 0.0
        self._last_line = -math.inf

    def cell_started(self, cell: Cell, step: int) -> None:
        """The cell begins, or resumes from a step."""
        self._advance(self._done + cell.work_until(step), timed=False)

    def chunk(self, cell: Cell, step: int, text: str) -> None:
        """The cell has come to a step, which `text` describes."""
        done = self._done + cell.work_until(step)
        self._advance(done, timed=cell.shape in self._compiled)
        self._compiled.add(cell.shape)
        if self._timed_work >= LEAST_SHARE * self._total:
            left = (self._total - done) * self._timed_seconds / self._timed_work
            text += f", {duration(left)} left"
        self._show(done / self._total, f"{cell.id}: {text}")

    def cell_finished(self, cell: Cell, text: str) -> None:
        """`text` is its result in a few words."""
        # A cell that gains both repetitions and epochs runs in two pieces or three.
        self._finished += cell.only is None or cell.only.stop == cell.part.repeats
        self._done += cell.work
        self._advance(self._done, timed=True)
        self.message(f"[{self._finished}/{self._cells}] {cell.id}: {text}")

    def _advance(self, done: float, timed: bool) -> None:
        """So much work is done by now; timed: the work since the last call counts for the time left."""
        now = time.monotonic()
        if timed:
            self._timed_work += done - self._come_to
            self._timed_seconds += now - self._since
        self._come_to, self._since = done, now

    def _show(self, fraction: float, text: str) -> None:
        if time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.message(f"{100 * fraction:5.1f} %  {text}")


class BarProgress(LineProgress):
    """The same, as a live bar."""

    def __init__(self, cells: Sequence[Cell], finished: Sequence[Cell], bar: Progress):
        super().__init__(cells, finished, lambda text: bar.console.print(text, markup=False, highlight=False))
        fraction: Any = self._done / (self._total or 1.0)  # an int, for rich
        self._bar, self._task = bar, bar.add_task("", total=1.0, completed=fraction)

    def _show(self, fraction: float, text: str) -> None:
        now = min(self._finished + 1, self._cells)
        self._bar.update(self._task, completed=fraction, description=f"cell {now}/{self._cells}  {text}")


@contextlib.contextmanager
def make_progress(cells: Sequence[Cell], finished: Sequence[Cell], quiet: bool) -> Iterator[LineProgress]:
    """A bar where standard output is a terminal, lines where it is not."""
    if quiet or not sys.stdout.isatty():
        yield LineProgress(cells, finished, say_nothing if quiet else tell)
        return
    # What does not fit beside a short bar goes on in a further line.
    text = TextColumn("{task.percentage:5.1f} %  {task.description}", table_column=Column(ratio=1, overflow="fold"))
    with Progress(BarColumn(BAR_WIDTH), text, console=Console(), expand=True) as bar:
        yield BarProgress(cells, finished, bar)
