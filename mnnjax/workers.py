"""Processes that compute side by side, one core each: descents of a study, and batches of networks.

Much of the work is small NumPy. As measured on two cores, threads are slower than one thread, since they wait for each
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
from typing import Generic, TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")

# Between two looks at stop requests.
LOOK_SECONDS = 0.1
# Of memory that a worker takes for Python, NumPy, SciPy and JAX, measured.
WORKER_BYTES = 200 * 2**20


class Workers(contextlib.AbstractContextManager, Generic[Task, Answer]):
    """Worker processes, which are started when they are needed, and ended with the context.

    function: what they compute of a task. It is a module's own, so that both processes know it by name; tasks and
      answers can be pickled.
    """

    def __init__(self, function: Callable[[Task], Answer]):
        self._function = function
        self._processes: dict[Connection, subprocess.Popen] = {}

    def each(
        self, tasks: Iterable[tuple[int, Task]], count: int, stop_requested: Callable[[], object] = lambda: None
    ) -> Iterator[tuple[int, Answer] | None]:
        """(number, answer) of each (number, task), in the order in which they end, from so many processes; None as soon
        as a stop is requested: the tasks that are not done yet are given up. Raises what the function raises."""
        while len(self._processes) < count:
            self._start()
        waiting, busy = iter(tasks), dict[Connection, int]()

        def give(connection: Connection) -> None:
            if (task := next(waiting, None)) is not None:
                busy[connection] = task[0]
                connection.send((self._function, task[1]))

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

    def _answer(self, connection: Connection) -> Answer:
        try:
            answer = connection.recv()
        except (EOFError, ConnectionResetError) as error:
            code = self._processes[connection].wait()
            raise RuntimeError(f"a process that computes {self._function.__name__} ended with code {code}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _start(self) -> None:
        own, other = socket.socketpair()
        # Modules are found as here; JAX, if it starts at all, leaves accelerators alone.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "JAX_PLATFORMS": "cpu"}
        # Not -m: its classes would then be those of __main__, which only one of two processes knows.
        # Before what it imports, which takes a second: a terminal, or Slurm, sends stop requests to all processes, and
        # the one that asks decides.
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
    """What a worker does: compute the tasks that come by a connection, an open file, until the process that asks closes
    it, or is gone."""
    connection = Connection(file)
    tasks: queue.SimpleQueue = queue.SimpleQueue()

    def receive() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                tasks.put(connection.recv())
        os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    while True:
        function, task = tasks.get()
        try:
            answer = function(task)
        except Exception as error:
            answer = error
        connection.send(answer)
