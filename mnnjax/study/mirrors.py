"""Mirrors the log of a study, metrics.jsonl, in TensorBoard and in Weights & Biases, by their own Python clients.

A process of its own follows the log. So a client that fails, waits for the network or never ends does not touch the
study. It has no part in the results, and writes nothing but the folders tensorboard/ and wandb/ of the work folder.
"""

import contextlib
import dataclasses
import datetime
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from mnnjax.config import UserError
from mnnjax.errors import did_you_mean, first_line, require

Logger = Literal["tensorboard", "wandb"]
# The package of each; its extra has the logger's name.
PACKAGES: dict[Logger, str] = {"tensorboard": "tensorboardX", "wandb": "wandb"}
# Seconds between two looks at the log, and that the end of a study waits for what is not written or sent yet.
SECONDS_BETWEEN_LOOKS, SECONDS_TO_END = 0.5, 10.0
# Seconds that the mirror may go on by itself after that.
SECONDS_ALONE = 600.0
# Less important than the study.
NICENESS = 10


def check(loggers: Sequence[str], folder: object) -> None:
    """Raise UserError where a logger does not exist, or its package is not installed, or the folder is in a bucket."""
    for name in loggers:
        if name not in PACKAGES:
            hint = did_you_mean(name, PACKAGES)
            raise UserError(f"loggers: {name!r} is not known{hint}; give some of {', '.join(PACKAGES)}")
        require(
            isinstance(folder, Path), f"{name}: {folder} is no local folder; leave out {name}, or use --workdir DIR"
        )
        found = importlib.util.find_spec(PACKAGES[name])
        # A folder of that name, such as wandb's own, also counts as a package, without a file.
        installed = found is not None and found.origin is not None
        require(installed, f"{name}: needs the extra {name}; pip install -e '.[{name}]'")


@contextlib.contextmanager
def mirroring(folder: Path, loggers: Sequence[str], tell: Callable[[str], None]) -> Iterator[None]:
    """Mirror the log of a work folder meanwhile; `tell` is called with one line about each client that fails."""
    if not loggers:
        yield
        return
    command, pipe = [sys.executable, "-m", "mnnjax.study.mirrors", str(folder.absolute()), *loggers], subprocess.PIPE
    # Ctrl-C in a terminal is for the study alone; the mirror ends when its standard input does, however that came.
    mirror = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert mirror.stdin is not None
    telling = threading.Thread(target=_tell_lines, args=(mirror, tell), daemon=True)
    telling.start()
    try:
        yield
    finally:
        mirror.stdin.close()
        telling.join(SECONDS_TO_END)
        if telling.is_alive():
            tell(f"{' and '.join(loggers)}: still sending after {SECONDS_TO_END:.0f} s, and goes on by itself")


def _tell_lines(mirror: subprocess.Popen, tell: Callable[[str], None]) -> None:
    assert mirror.stdout is not None
    with mirror.stdout as lines:
        for line in lines:
            tell(line.rstrip())
    if code := mirror.wait():
        tell(f"warning: the mirror of the log ended with code {code}; the study goes on without it")


# In the mirror's process.


@dataclasses.dataclass(frozen=True)
class Point:
    """What the log says of a cell after so many of its steps."""

    cell: str
    step: int
    values: Mapping[str, float]
    seconds: float
    """Since 1970, when it was logged."""


class Client(Protocol):
    """One of the services."""

    def add(self, point: Point) -> None:
        """Take a point; those of a cell come in the order of their steps, none of them twice."""

    def flush(self) -> None:
        """Nothing comes for a while."""

    def close(self) -> None:
        """Nothing comes any more."""


class TensorBoard(Client):
    """One event file per cell, in a folder of its name, so that TensorBoard draws cells into one picture. The files are
    made anew of the whole log by every run: none can have a point twice, however the run before has ended."""

    def __init__(self, folder: Path):
        self._folder = folder / "tensorboard"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._writers: dict[str, Any] = {}

    def add(self, point: Point) -> None:
        from tensorboardX import SummaryWriter

        if point.cell not in self._writers:
            # Cells are trained one after the other: the file of the one before is complete.
            self.close()
            self._writers = {point.cell: SummaryWriter(str(self._folder / point.cell))}
        for name, value in point.values.items():
            self._writers[point.cell].add_scalar(name, value, point.step, point.seconds)

    def flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


class WandB(Client):
    """One run per work folder, with metrics such as CELL/mse over CELL/epoch. What is sent is written down before
    that: a later run of the study goes on in the same run of the service, and sends no point twice."""

    def __init__(self, folder: Path):
        self._folder, self._file = folder, folder / "wandb/mnnjax.json"
        known = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._id: str = known.get("id") or uuid.uuid4().hex[:8]
        self._sent: dict[str, int] = known.get("sent", {})
        self._run: Any = None

    def add(self, point: Point) -> None:
        if point.step <= self._sent.get(point.cell, -1):
            return
        # Not for a study that has nothing new.
        self._run = self._run or self._begun()
        # Dots are for values within values there.
        name = point.cell.replace(".", "_")
        if point.cell not in self._sent:
            self._run.define_metric(f"{name}/*", step_metric=f"{name}/epoch")
        self._sent[point.cell] = point.step
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps({"id": self._id, "sent": self._sent}))
        part.replace(self._file)
        values = {"epoch": point.step} | dict(point.values)
        self._run.log({f"{name}/{key}": value for key, value in values.items()})

    def _begun(self) -> Any:
        import wandb

        self._file.parent.mkdir(exist_ok=True)
        study = json.loads((self._folder / "config.json").read_text())
        # Without an account it would ask for one.
        offline = "WANDB_MODE" not in os.environ and not wandb.api.api_key
        if offline:
            print(f"wandb: not logged in, so {self._file.parent} is written; `wandb sync` sends it", flush=True)
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "mnnjax"), dir=str(self._folder), id=self._id, name=study["name"],
            config=study, mode="offline" if offline else None, resume="allow",
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True, disable_git=True),
        )  # fmt: skip

    def flush(self) -> None: ...

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()


CLIENTS: dict[str, Callable[[Path], Client]] = {"tensorboard": TensorBoard, "wandb": WandB}


def follow(folder: Path, loggers: Sequence[str], ended: Callable[[], bool], tell: Callable[[str], None]) -> None:
    """Give every client all points of the log, from its beginning, until `ended`. A client that fails gets no more, and
    `tell` is called once."""
    clients: dict[str, Client] = {}

    def attempt(name: str, does: Callable[[], Any]) -> Any:
        try:
            return does()
        except Exception as error:  # of any kind: these are clients of services
            clients.pop(name, None)
            why = first_line(error)[:200] or type(error).__name__
            tell(f"warning: {name}: {why}; the study goes on without it")

    for name in loggers:
        if client := attempt(name, lambda name=name: CLIENTS[name](folder)):
            clients[name] = client
    points = _Points(folder / "metrics.jsonl")
    last = False
    while clients and not last:
        # The log is read once more after the end.
        last = ended()
        for point in points.new():
            for name, client in list(clients.items()):
                attempt(name, lambda client=client, point=point: client.add(point))
        for name, client in list(clients.items()):
            attempt(name, client.close if last else client.flush)
        if not last:
            time.sleep(SECONDS_BETWEEN_LOOKS)


class _Points:
    """The points of a log, to which another process adds. A cell that was resumed repeats steps after its checkpoint:
    those are left out."""

    def __init__(self, log: Path):
        self._log = log
        self._position = 0
        self._steps: dict[str, int] = {}

    def new(self) -> list[Point]:
        """Those that came since the last call."""
        if not self._log.exists():
            return []
        with open(self._log, "rb") as file:
            file.seek(self._position)
            content = file.read()
        # A line that is being written is for the next call.
        whole = content[: content.rfind(b"\n") + 1]
        self._position += len(whole)
        return [point for line in whole.splitlines() if (point := self._point(line)) is not None]

    def _point(self, line: bytes) -> Point | None:
        try:
            entry = json.loads(line)
            cell, event, step = entry["cell"], entry["event"], int(entry["epoch"])
            seconds = datetime.datetime.fromisoformat(entry["time"]).timestamp()
        except (ValueError, TypeError, KeyError):  # half a line of a killed process, or an event without steps
            return None
        losses = {name: value for name in ("mse", "mce") if isinstance(value := entry.get(name), float)}
        if event != "chunk" or not losses or step <= self._steps.get(cell, -1):
            return None
        self._steps[cell] = step
        return Point(cell, step, {name: value for name, value in losses.items() if math.isfinite(value)}, seconds)


def main(folder: str, *loggers: str) -> None:
    """Follow the log of a work folder until standard input ends."""
    os.nice(NICENESS)
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()
        time.sleep(SECONDS_ALONE)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    follow(Path(folder), loggers, over.is_set, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
