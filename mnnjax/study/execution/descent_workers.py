"""Processes that carry networks downhill, one core each, and what the study's process sees of them.

A descent does much small NumPy. As measured on two cores, threads are slower than one thread, since they wait for each
other, and processes take half of its time. A fork of a process that runs JAX may hang, and Python's own new processes
run the user's script again; so each worker is a new Python that runs this file.
"""

import contextlib
import itertools
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mnnjax.landscape import descend
from mnnjax.landscape.numerics import leaky_relu
from mnnjax.landscape.regions.minima import is_upper

# Between two looks at stop requests.
LOOK_SECONDS = 0.1


class Start(NamedTuple):
    """Where a descent starts: a network's last two layers, and its last hidden layer's inputs h, of each point."""

    W: Float[np.ndarray, "d1 inputs"]
    z: Float[np.ndarray, " d1"]
    output_bias: float | None
    h: Float[np.ndarray, "N inputs"]
    y: Float[np.ndarray, " N"]
    rho: float
    threshold: float


class End(NamedTuple):
    """Where it ended. mce: the fraction misclassified. distance: from the start, over the norm of its weights."""

    W: Float[np.ndarray, "d1 inputs"]
    z: Float[np.ndarray, " d1"]
    output_bias: float | None
    verdict: str
    mse: float
    mce: float
    kinks: int
    distance: float
    steps: int


def go_down(start: Start) -> End:
    """The descent from a start, in this process."""
    W, z, c, h, y, rho, threshold = start
    found = descend(W, z, h, y, rho, output_bias=c)
    output = leaky_relu(h @ found.W.T, rho) @ found.z + (found.output_bias or 0.0)
    # An output that is at the threshold in exact numbers is of the lower class.
    mce = float(np.mean(is_upper(output, y, threshold) != (y > threshold)))
    certificate = found.certificate
    ended = certificate.verdict, certificate.mse, mce, certificate.kinks, found.distance, found.steps
    return End(found.W, found.z, found.output_bias, *ended)


class Workers(contextlib.AbstractContextManager):
    """Worker processes, which are started when they are needed, and ended with the context."""

    def __init__(self):
        self._processes: dict[Connection, subprocess.Popen] = {}

    def each(
        self, starts: Iterable[tuple[int, Start]], count: int, stop_requested: Callable[[], object]
    ) -> Iterator[tuple[int, End] | None]:
        """(number, end) of each (number, start), in the order in which they end, from so many processes; None as soon
        as a stop is requested: the descents that are not done yet are given up. Raises what a descent raises."""
        while len(self._processes) < count:
            self._start()
        waiting, busy = iter(starts), dict[Connection, int]()

        def give(connection: Connection) -> None:
            if (task := next(waiting, None)) is not None:
                busy[connection] = task[0]
                connection.send(task[1])

        try:
            for connection in itertools.islice(self._processes, count):
                give(connection)
            while busy:
                for connection in wait(list(busy), LOOK_SECONDS):
                    assert isinstance(connection, Connection)
                    answer, number = self._answer(connection), busy.pop(connection)
                    give(connection)
                    yield number, answer
                if stop_requested():
                    yield None
                    return
        finally:
            for connection in busy:
                self._end(connection)

    def _answer(self, connection: Connection) -> End:
        try:
            answer = connection.recv()
        except (EOFError, ConnectionResetError) as error:
            code = self._processes[connection].wait()
            raise RuntimeError(f"a process that computes a descent ended with code {code}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _start(self) -> None:
        own, other = socket.socketpair()
        # Modules are found as here; JAX, if it starts at all, leaves accelerators alone.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "JAX_PLATFORMS": "cpu"}
        # Not -m: its classes would then be those of __main__, which only one of two processes knows.
        # Before what it imports, which takes a second: a terminal, or Slurm, sends stop requests to all processes, and
        # the study's decides.
        ignore = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]"
        code = f"{ignore}; from {__name__} import serve; serve({other.fileno()})"
        command = [sys.executable, "-P", "-c", code]
        with other:
            process = subprocess.Popen(command, env=environment, pass_fds=[other.fileno()])
        self._processes[Connection(own.detach())] = process

    def _end(self, connection: Connection) -> None:
        # It may have been ended before: a generator is closed late where an error holds it.
        if (process := self._processes.pop(connection, None)) is not None:
            connection.close()
            process.kill()
            process.wait()

    def __exit__(self, *error: object) -> None:
        for connection in list(self._processes):
            self._end(connection)


def serve(file: int) -> None:
    """What a worker does: descents from the starts that come by a connection, an open file, until the study's process
    closes it, or is gone."""
    connection = Connection(file)
    starts: queue.SimpleQueue[Start] = queue.SimpleQueue()

    def receive() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                starts.put(connection.recv())
        os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    while True:
        try:
            answer = go_down(starts.get())
        except Exception as error:
            answer = error
        connection.send(answer)
