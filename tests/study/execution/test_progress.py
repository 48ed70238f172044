"""What a running study says of itself, by a clock that the test moves."""

import pytest

from mnnjax.config import Network, Problem, Study, Train
from mnnjax.study.execution import progress
from mnnjax.study.execution.progress import LineProgress
from mnnjax.study.plan.grid import Cell, cells
from mnnjax.wording import duration

TRAIN = Train(epochs=100, decay_epochs=0, chunk_epochs=10)
# Two shapes of equal cells.
CELLS = cells(Study("s", Problem(d0=(4,), N=(20,)), Network(d1=(3,), hidden_layers=(1,)), TRAIN)) * 5
OTHER = cells(Study("t", Problem(d0=(4,), N=(20,)), Network(d1=(3,), hidden_layers=(1,)), TRAIN)) * 5


class Clock:
    """In place of the module time."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


CLOCK = Clock()


class Shown:
    """A study whose cells take so long, and what it says."""

    def __init__(self, planned: list[Cell], finished: int = 0):
        self.clock, self.lines = CLOCK, []
        self.progress = LineProgress(planned, planned[:finished], self.lines.append)

    def train(
        self, cell: Cell, chunk: float, compiling: float = 0.0, after: float = 0.0, start: int = 0, end: int = 10
    ):
        """Chunks from number `start` to `end`, the first of which takes `compiling` seconds longer."""
        self.progress.cell_started(cell, 10 * start)
        self.clock.seconds += compiling
        for k in range(start, end):
            self.clock.seconds += chunk
            self.progress.chunk(cell, 10 * (k + 1), f"chunk {k + 1}")
        if end == 10:
            self.clock.seconds += after
            self.progress.cell_finished(cell, "done")

    def last(self) -> str:
        return self.lines[-1]


@pytest.fixture(autouse=True)
def _every_line(monkeypatch):
    monkeypatch.setattr(progress, "time", CLOCK)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)


def test_the_first_chunk_tells_no_time_left_since_its_program_was_compiled():
    shown = Shown(CELLS)
    shown.train(CELLS[0], chunk=2.0, compiling=600.0, end=1)
    assert shown.last() == "  2.0 %  s.h1.d4x3.N20: chunk 1"


def test_the_time_left_leaves_out_compiling():
    shown = Shown(CELLS)
    shown.train(CELLS[0], chunk=2.0, compiling=600.0, end=3)
    # 47 chunks of 2 s.
    assert shown.last() == f"  6.0 %  s.h1.d4x3.N20: chunk 3, {duration(94)} left"
    shown = Shown([*CELLS, *OTHER])
    for k, cell in enumerate(CELLS):
        shown.train(cell, chunk=2.0, compiling=0.0 if k else 600.0)
    shown.train(OTHER[0], chunk=2.0, compiling=600.0, end=2)
    # 48 chunks of 2 s: that another shape was compiled is left out too.
    assert shown.last() == f" 52.0 %  t.h1.d4x3.N20: chunk 2, {duration(96)} left"


def test_certificates_count():
    shown = Shown(CELLS)
    shown.train(CELLS[0], chunk=2.0, compiling=600.0, after=7.2)
    shown.train(CELLS[1], chunk=2.0, end=5)
    # 14 chunks were timed, at 2 s, and 7.2 s of certificates; 35 chunks are left.
    assert shown.last().endswith(f"chunk 5, {duration(35 * (2.0 + 7.2 / 14))} left")


def test_work_of_earlier_processes_tells_nothing_of_the_time():
    shown = Shown(CELLS, finished=2)
    shown.train(CELLS[2], chunk=1.0, compiling=600.0, start=5, end=7)
    # 23 chunks are left, and one was timed.
    assert shown.last() == " 54.0 %  s.h1.d4x3.N20: chunk 7, 23 s left"


def test_little_work_tells_nothing_of_the_time():
    """Small cells, which come first, take longer for their work than large ones."""
    large = cells(Study("large", Problem(d0=(40,), N=(4000,)), Network(d1=(40,)), TRAIN))
    shown = Shown([*CELLS[:1], *large])
    shown.train(CELLS[0], chunk=5.0)
    assert CELLS[0].work < progress.LEAST_SHARE * large[0].work
    assert not any("left" in line for line in shown.lines)
    shown.train(large[0], chunk=1.0, end=3)
    assert "left" in shown.last()


def test_lines_come_seldom_but_cells_and_messages_at_once(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 15.0)
    shown = Shown(CELLS)
    shown.train(CELLS[0], chunk=4.0)
    # At 4, 20 and 36 s.
    assert [line.partition(": ")[2].partition(",")[0] for line in shown.lines] == [
        "chunk 1",
        "chunk 5",
        "chunk 9",
        "done",
    ]
    assert shown.last() == "[1/5] s.h1.d4x3.N20: done"
    shown.progress.message("warning: odd")
    assert shown.last() == "warning: odd"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (1e5, "27.8 h"),
        (5e5, "5.8 days"),
        (1e9, "never"),
    ],
)
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text
