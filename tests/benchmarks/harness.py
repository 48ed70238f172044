"""Contestants in worker processes that take turns, and the tables and records that come of it.

A worker process holds one contestant, an object whose methods the parent calls by name. Two thread pools never share a
process, and only one process computes at a time. The parent imports neither JAX nor PyTorch.
"""

import contextlib
import importlib
import multiprocessing
import os
import statistics
import time
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Seconds between turns: OpenMP's threads spin on for some time after their work, on the cores of whoever is next.
REST = 0.5


def random_start(d: int, N: int, seeds: int) -> "dict[str, np.ndarray]":
    """W (seeds, d, d), z (seeds, d), X (seeds, N, d) and y (seeds, N) in float32, the same for all contestants."""
    # Here, for accelerator.py says itself what is missing.
    import numpy as np

    random = np.random.default_rng(0)
    W, z, X = (random.standard_normal((seeds, *shape), np.float32) for shape in ((d, d), (d,), (N, d)))
    gain = np.float32((2 / d) ** 0.5)
    return {"W": gain * W, "z": gain * z, "X": X, "y": 2 * random.integers(0, 2, (seeds, N)).astype(np.float32) - 1}


class Worker:
    """The object `cls(**settings)` of a module, in its own process, with these environment variables added.

    wait: until it is there; else the first `receive` does.
    """

    def __init__(self, module: str, cls: str, environment: dict[str, str] | None = None, wait: bool = True, **settings):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, environment or {}, module, cls, settings))
        self._process.start()
        theirs.close()
        if wait:
            self.receive()

    def send(self, method: str, *args) -> None:
        """Call the method without waiting."""
        self._pipe.send((method, args))

    def receive(self):
        """What the method that was sent last returns."""
        try:
            good, value = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"a worker ended with exit code {self._process.exitcode}") from None
        if not good:
            self.close()
            raise RuntimeError(f"in a worker:\n{value}")
        return value

    def ask(self, method: str, *args):
        """What the method returns."""
        self.send(method, *args)
        return self.receive()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(30)
        if self._process.is_alive():
            self._process.kill()


def _serve(pipe, environment: dict[str, str], module: str, cls: str, settings: dict) -> None:
    # Several processes share a GPU, should there be one.
    os.environ.update({"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **environment})
    try:
        contestant = getattr(importlib.import_module(module), cls)(**settings)
        pipe.send((True, None))
        while (request := pipe.recv()) is not None:
            method, args = request
            pipe.send((True, getattr(contestant, method)(*args)))
        if hasattr(contestant, "close"):
            contestant.close()
    except (EOFError, BrokenPipeError):
        # The parent is gone.
        pass
    except Exception:
        pipe.send((False, traceback.format_exc()))
        raise


@contextlib.contextmanager
def workers(together: bool = False, **made: tuple) -> Iterator[dict[str, Worker]]:
    """One Worker for each (module, class, settings), started one after the other or, where they time nothing when they
    start, together; ended on the way out."""
    started = {}
    try:
        for name, (module, cls, settings) in made.items():
            started[name] = Worker(module, cls, wait=not together, **settings)
        if together:
            for worker in started.values():
                worker.receive()
        yield started
    finally:
        for worker in started.values():
            worker.close()


def describe_devices() -> dict:
    """What JAX runs on."""
    with workers(asked=("study_jax", "Devices", {})) as running:
        return running["asked"].ask("describe")


def alternate(
    contestants: dict[str, Worker], turns: int, method: str = "turn", rest: float = REST
) -> dict[str, list[float]]:
    """What `method` of each returns (seconds or rates), turn by turn, after one turn of each that does not count."""
    for worker in contestants.values():
        worker.ask(method)
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns):
        for name, worker in contestants.items():
            time.sleep(rest)
            values[name].append(worker.ask(method))
    return values


def spread(values: list[float], scale: float = 1.0) -> dict[str, float]:
    """Median and range."""
    scaled = [scale * v for v in values]
    return {"median": statistics.median(scaled), "min": min(scaled), "max": max(scaled)}


def ratio(values: list[float], base: list[float]) -> dict[str, float]:
    """Median and range over turns of one contestant's seconds over another's in the same turn."""
    return spread([a / b for a, b in zip(values, base, strict=True)])


def wanted(what: str, value: float, least: float | None = None, most: float | None = None) -> dict:
    """A row of the table of what was wanted: the value must be at least, or at most, this."""
    good = (least is None or value >= least) and (most is None or value <= most)
    limit = f"at least {least:g}" if least is not None else f"at most {most:g}"
    return {"what": what, "wanted": limit, "measured": value, "met": "yes" if good else "NO"}


def table(rows: list[dict]) -> list[list[str]]:
    """The rows as text, after a header: a column a key of any row, a spread as median (min-max). Keys that begin with
    "_" are left out."""
    columns = list(dict.fromkeys(key for row in rows for key in row if not key.startswith("_")))
    return [columns] + [[_text(row.get(key, "")) for key in columns] for row in rows]


def show(title: str, rows: list[dict]) -> str:
    """The rows as an aligned table."""
    cells = table(rows)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join([f"\n{title}", *(line.rstrip() for line in lines)])


def _text(value) -> str:
    if isinstance(value, dict):
        return f"{value['median']:.4g} ({value['min']:.4g}-{value['max']:.4g})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
