"""How a running study shows itself: a live bar on a terminal, plain lines now and then otherwise."""

import sys
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from mnnjax.study.plan import Cell

SECONDS_BETWEEN_LINES = 15.0


def duration(seconds: float | None) -> str:
    """A time span for people: '45 s', '12 min', '3.4 h'; None is 'unknown'."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def tell(text: str) -> None:
    """A line for people, at once."""
    print(text, flush=True)


def say_nothing(text: str) -> None:
    """In place of `tell`."""


class LineProgress:
    """Counts the work done and says so in plain lines, at most one every 15 s while a cell trains."""

    def __init__(self, cells: Sequence[Cell], finished: Sequence[Cell], tell: Callable[[str], None] = tell):
        self._tell = tell
        self._cells = len(cells)
        self._finished = len(finished)
        self._total = sum(cell.work for cell in cells)
        self._done = sum(cell.work for cell in finished)
        self._before = self._done  # work that earlier processes did
        self._began = time.monotonic()
        self._last_line = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def cell_started(self, cell: Cell, step: int) -> None:
        self._before += cell.work * step / cell.steps

    def chunk(self, cell: Cell, step: int, text: str) -> None:
        """The cell has come to a step; `text` says what it is and how it looks."""
        done = self._done + cell.work * step / cell.steps
        here = done - self._before
        left = (time.monotonic() - self._began) * (self._total - done) / here if here > 0 else None
        self._show(done / self._total, f"{cell.id}: {text}, {duration(left)} left")

    def cell_finished(self, cell: Cell, text: str) -> None:
        """`text` is its result in a few words."""
        self._finished += 1
        self._done += cell.work
        self.message(f"[{self._finished}/{self._cells}] {cell.id}: {text}")

    def message(self, text: str) -> None:
        self._tell(text)

    def _show(self, fraction: float, text: str) -> None:
        if time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.message(f"{100 * fraction:5.1f} %  {text}")


class BarProgress(LineProgress):
    """The same as a live bar."""

    def __init__(self, cells: Sequence[Cell], finished: Sequence[Cell], console: Console):
        super().__init__(cells, finished)
        columns = (BarColumn(), TextColumn("{task.percentage:5.1f} %  {task.description}"))
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("", total=1.0, completed=self._done / (self._total or 1.0))

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *_):
        self._bar.stop()

    def message(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)

    def _show(self, fraction: float, text: str) -> None:
        self._bar.update(self._task, completed=fraction, description=f"cell {self._finished + 1}/{self._cells}  {text}")


def make_progress(cells: Sequence[Cell], finished: Sequence[Cell], quiet: bool = False) -> LineProgress:
    """A bar where standard output is a terminal, lines where it is not."""
    if quiet:
        return LineProgress(cells, finished, say_nothing)
    if sys.stdout.isatty():
        return BarProgress(cells, finished, Console())
    return LineProgress(cells, finished)
