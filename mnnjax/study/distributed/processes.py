"""Several processes that run one study together: how they meet, and what they exchange.

Every process runs the same program in the same order; the first one alone reads and writes the work folder. When one
dies the others end too, for they wait for its share of every sum: within a minute, with an exit code that says to run
the same command again.
"""

import collections
import contextlib
import ctypes
import os
import pickle
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils

from mnnjax import jax_setup
from mnnjax.errors import EXIT_FAILED, EXIT_STOPPED, EXIT_USAGE, UserError, first_difference, first_line, require
from mnnjax.study.distributed.process_group import Group

T = TypeVar("T")

# A process without a heartbeat for so long counts as dead.
HEARTBEAT_SECONDS = 20
# How long processes wait for each other when they end.
END_SECONDS = 30


def run_in_group(group: Group | None, run: Callable[[], int]) -> int:
    """run() together with the other processes of the group, before anything else that uses JAX's devices.

    Returns:
      The exit code: that of run(); EXIT_STOPPED where another process is gone. After an error that the others do not
      share, the program ends: they would not come to the next exchange.

    Raises:
      UserError: the other processes cannot be met.
    """
    if group is None or not _join(group):
        return run()
    gone = "mnnjax: another process of this run is gone; the last checkpoint is kept: run the same command again\n"
    with _ending_on(signal.SIGABRT, EXIT_STOPPED, gone):
        try:
            exit_code = run()
        except UserError as error:
            print(f"mnnjax: {error}", file=sys.stderr)
            exit_code = EXIT_USAGE
        except SystemExit as stop:
            _end(stop.code if isinstance(stop.code, int) else EXIT_FAILED)
        except BaseException as error:
            if isinstance(error, jax.errors.JaxRuntimeError):
                print("mnnjax: JAX failed; waiting to hear whether another process is gone", file=sys.stderr)
                # JAX aborts the process if so.
                time.sleep(2 * HEARTBEAT_SECONDS)
            traceback.print_exc()
            _end(EXIT_FAILED)
        # The others may have failed, and print why themselves.
        with _ending_on(signal.SIGABRT, exit_code, ""):
            try:
                jax.distributed.shutdown()
            except Exception:  # of any kind
                _end(exit_code)
    return exit_code


def _join(group: Group) -> bool:
    """Meet the others; False where JAX knows of none, on a TPU that is no part of a cluster."""
    jax_setup.use_all_cores()
    # SIGTERM is a stop request (stopping.py), which JAX must not handle.
    jax.config.update("jax_enable_preemption_service", False)
    where = group.coordinator or "the coordinator that the cluster names"
    if group.coordinator and group.index == 0:
        try:
            # JAX crashes where the port is taken.
            socket.create_server(("", int(group.coordinator.rpartition(":")[2]))).close()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error
            raise UserError(f"--coordinator: cannot listen at {where} ({why}); choose another port") from error
    try:
        with contextlib.ExitStack() as stack:
            # JAX aborts after a time limit.
            missing = f"mnnjax: not all processes came to {where} in time; start all of them, alike but for their ids\n"
            stack.enter_context(_ending_on(signal.SIGABRT, EXIT_STOPPED, missing))
            for number in (signal.SIGTERM, signal.SIGINT):
                stopped = f"{number.name}: stopped; run the same command again to resume\n"
                stack.enter_context(_ending_on(number, EXIT_STOPPED, stopped))
            jax.distributed.initialize(
                group.coordinator, group.count, group.index, group.local_devices,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS, shutdown_timeout_seconds=END_SECONDS,
            )  # fmt: skip
            # The processes wait for each other here, too.
            counts = list(collections.Counter(device.process_index for device in jax.devices()).values())
    except (RuntimeError, ValueError) as error:
        if group == Group() and isinstance(error, ValueError):
            return False
        told = f"the other processes cannot be met at {where} ({first_line(error)}); start all of them"
        raise UserError(told) from error
    told = f"the processes have {counts} devices; give each as many (on CPUs: JAX_NUM_CPU_DEVICES)"
    require(len(set(counts)) == 1, told)
    return True


def is_writer() -> bool:
    """Whether this process is the one that reads and writes the work folder."""
    return jax.process_index() == 0


def gathered(value: T) -> list[T]:
    """The values of all processes, in their order; the same list on all of them."""
    if jax.process_count() == 1:
        return [value]
    content = pickle.dumps(value)
    sizes = multihost_utils.process_allgather(np.int32(len(content)))
    contents = multihost_utils.process_allgather(_padded(content, int(max(sizes))))
    return [pickle.loads(contents[k, :size].tobytes()) for k, size in enumerate(sizes)]


def require_same(given: dict) -> None:
    """Every process was given the same JSON value; with another study it would wait for sums that nobody sends. Raises
    UserError on all processes where one was not."""
    first, *others = gathered(given)
    for k, other in enumerate(others, start=1):
        if difference := first_difference(first, other):
            raise UserError(f"process {k} is to run something else than process 0 ({difference}); start all alike")


def together(make: Callable[[], T]) -> T:
    """make() on every process; raises what make() raises, on all processes, if it raises on any."""
    if jax.process_count() == 1:
        return make()
    value, error = None, None
    try:
        value = make()
    except Exception as problem:
        error = problem
    for k, other in enumerate(gathered(None if error is None else _portable(error))):
        if other is not None:
            raise error if error is not None else type(other)(f"process {k}: {other}")
    return cast(T, value)


def from_writer(make: Callable[[], T]) -> T:
    """make() on the process that writes, and its value on all of them; raises what make() raises, likewise on all."""
    if jax.process_count() == 1:
        return make()
    value = together(make if is_writer() else lambda: None)
    content = pickle.dumps(value) if is_writer() else b""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    return pickle.loads(multihost_utils.broadcast_one_to_all(_padded(content, size))[:size].tobytes())


def shared(work: Callable[[Sequence[Any]], list[T]], items: Sequence[Any]) -> list[T]:
    """work(share) on every process, whose share is every n-th of the items, of n processes; all results, in order.
    Raises what `together` raises."""
    parts = gathered(together(lambda: work(items[jax.process_index() :: jax.process_count()])))
    return [parts[i % len(parts)][i // len(parts)] for i in range(len(items))]


def on_host(arrays: Any) -> Any:
    """NumPy copies of whole arrays, also of those that the processes share."""
    if jax.process_count() == 1:
        return jax.device_get(arrays)
    return multihost_utils.process_allgather(arrays, tiled=True)


def _padded(content: bytes, size: int) -> np.ndarray:
    """The bytes, padded to a power of two of at least `size`, so that few programs are compiled."""
    padded = np.zeros(1 << max(size - 1, 0).bit_length(), np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    return padded


def _portable(error: Exception) -> Exception:
    """The error, or one in its place that another process can unpickle and raise with another text."""
    try:
        return pickle.loads(pickle.dumps(type(error)(str(error))))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _end(exit_code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


_kept_alive: list[Any] = []


@contextlib.contextmanager
def _ending_on(number: signal.Signals, exit_code: int, text: str) -> Iterator[None]:
    """End with this exit code and text on a signal: JAX's own, which aborts the process when another one is dead, or
    one that comes while JAX waits.

    The handler is the C library's: Python would run one of its own only after JAX has returned.
    """
    library = ctypes.CDLL(None)
    library.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    library.signal.restype = ctypes.c_void_p

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def handler(_number):
        os.write(2, text.encode())
        os._exit(exit_code)

    _kept_alive.append(handler)
    before = library.signal(number, ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield
    finally:
        library.signal(number, before)
