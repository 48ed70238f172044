"""Several processes that run one study together: how they find each other, and the little that they tell each other.

Every process runs the same program in the same order; the first one alone reads and writes the work folder. One that
dies takes the others with it, for they wait for its share of every sum: within a minute they end with an exit code
that says to run the same command again.
"""

import collections
import ctypes
import dataclasses
import importlib.util
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from mnnjax import jax_setup
from mnnjax.checks import EXIT_FAILED, EXIT_STOPPED, EXIT_USAGE, UserError, require

T = TypeVar("T")

# After so long without a sign of life a process counts as dead.
HEARTBEAT_SECONDS = 20
# How long processes wait for each other when they end.
END_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Group:
    """Which process this is, of how many; None is found out by JAX, from the cluster it runs in."""

    coordinator: str | None = None
    """HOST:PORT of the first process, which the others connect to."""
    count: int | None = None
    index: int | None = None
    local_devices: tuple[int, ...] | None = None


def find_group(
    coordinator: str | None, count: int | None, index: int | None, environment: dict[str, str], tpu: bool
) -> Group | None:
    """The processes that this one belongs to; None: it is alone.

    Args:
      coordinator, count, index: as the user gave them, all or none.
      environment: os.environ.
      tpu: whether the machine has TPUs; JAX then knows the other hosts of the slice.

    Raises:
      UserError: some are given and others are not, or they cannot be.
    """
    given = coordinator, count, index
    if any(value is not None for value in given):
        require(
            None not in given,
            "--coordinator, --num-processes, --process-id: they go together; give all three to every process",
        )
        host, _, port = coordinator.rpartition(":")
        require(
            bool(host) and port.isdigit() and 0 < int(port) < 2**16,
            f"--coordinator: {coordinator!r} is not HOST:PORT; give the first process's address, such as 10.0.0.1:8476",
        )
        require(count >= 1, f"--num-processes: {count} is too small; give at least 1")
        require(
            0 <= index < count,
            f"--process-id: {index} is not one of {count} processes; they count from 0 to {count - 1}",
        )
        return Group(*given)
    # Of a job step, which srun starts; an sbatch script by itself is one process, whatever the job may use.
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks > 1 and "SLURM_PROCID" in environment:
        gpus = int(environment.get("SLURM_GPUS_ON_NODE") or 0)
        one_a_node = environment.get("SLURM_STEP_TASKS_PER_NODE", "").split("(")[0] == "1"
        # JAX gives each task the GPU of its own number, also where there is but one task for all of them.
        devices = tuple(range(gpus)) if one_a_node and gpus else None
        return Group(None, tasks, int(environment["SLURM_PROCID"]), devices)
    return Group() if tpu else None


def has_tpu() -> bool:
    """Whether this machine has TPUs and is not asked to leave them alone."""
    wanted = os.environ.get("JAX_PLATFORMS", "tpu")
    there = any(Path("/dev").glob("accel*")) or any(Path("/dev/vfio").glob("[0-9]*"))
    return "tpu" in wanted and there and importlib.util.find_spec("libtpu") is not None


def run_in_group(group: Group | None, run: Callable[[], int]) -> int:
    """run() together with the other processes of the group, before anything else that uses JAX's devices.

    Returns:
      The exit code: that of run(); EXIT_STOPPED where another process is gone. After an error that the others do not
      share the program ends, for they would be waited for in vain.

    Raises:
      UserError: the other processes cannot be met.
    """
    if group is None or not _join(group):
        return run()
    try:
        exit_code = run()
    except UserError as error:
        print(f"mnnjax: {error}", file=sys.stderr)
        exit_code = EXIT_USAGE
    except SystemExit as stop:
        _end(stop.code)
    except BaseException as error:
        if isinstance(error, jax.errors.JaxRuntimeError):
            print("mnnjax: a sum over all processes failed; waiting to hear whether one is gone", file=sys.stderr)
            # JAX aborts (_on_abort) when it knows.
            time.sleep(2 * HEARTBEAT_SECONDS)
        traceback.print_exc()
        _end(EXIT_FAILED)
    _on_abort(exit_code, silent=True)
    try:
        jax.distributed.shutdown()
    except Exception:  # Whatever JAX calls it: others did not come, and say why themselves.
        _end(exit_code)
    _on_abort(None)
    return exit_code


def _join(group: Group) -> bool:
    """Meet the others; False where JAX knows of none, on a TPU that is no part of a cluster."""
    jax_setup.use_all_cores()
    _on_abort(EXIT_STOPPED)
    # SIGTERM is ours: a stop request.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            group.coordinator,
            group.count,
            group.index,
            list(group.local_devices) if group.local_devices else None,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=END_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        _on_abort(None)
        if group == Group() and isinstance(error, ValueError):
            return False
        reason = (str(error).strip().splitlines() or [""])[0]
        where = group.coordinator or "the coordinator that the cluster names"
        raise UserError(f"the other processes cannot be met at {where} ({reason}); start all of them") from error
    counts = list(collections.Counter(device.process_index for device in jax.devices()).values())
    require(
        len(set(counts)) == 1,
        f"the processes have {counts} devices; give each as many (on CPUs: JAX_NUM_CPU_DEVICES)",
    )
    return True


def count() -> int:
    return jax.process_count()


def is_writer() -> bool:
    """Whether this process is the one that reads and writes the work folder."""
    return jax.process_index() == 0


def gathered(value: T) -> list[T]:
    """What each process holds, in their order; the same list on all of them."""
    if count() == 1:
        return [value]
    own = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(len(own)))
    # To a power of two, so that few programs are compiled.
    padded = np.zeros(1 << int(max(sizes) - 1).bit_length(), np.uint8)
    padded[: len(own)] = own
    everything = multihost_utils.process_allgather(padded)
    return [pickle.loads(everything[k, :size].tobytes()) for k, size in enumerate(sizes)]


def together(make: Callable[[], T]) -> T:
    """make() on every process; an error of one is an error of all.

    Raises:
      what make() raises, on all processes, if it raises on any.
    """
    if count() == 1:
        return make()
    value = error = None
    try:
        value = make()
    except Exception as problem:
        error = problem
    errors = gathered(None if error is None else _portable(error))
    for k, other in enumerate(errors):
        if other is not None:
            if error is not None:
                raise error
            raise type(other)(f"process {k}: {other}")
    return value


def from_writer(make: Callable[[], T]) -> T:
    """make() on the process that writes, and its value on all of them.

    Raises:
      what make() raises, on all processes.
    """
    if count() == 1:
        return make()
    value = together(make if is_writer() else lambda: None)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(own := pickle.dumps(value)))))
    padded = np.zeros(1 << max(size - 1, 0).bit_length(), np.uint8)
    if is_writer():
        padded[:size] = np.frombuffer(own, np.uint8)
    return pickle.loads(multihost_utils.broadcast_one_to_all(padded)[:size].tobytes())


def first_of(value: T | None) -> T | None:
    """The first process's value that is not None, or None."""
    return next((v for v in gathered(value) if v is not None), None)


def own_share(items: Sequence[T]) -> Sequence[T]:
    """Every so many-th of the items, which `merged` puts together again."""
    return items[jax.process_index() :: count()]


def merged(own: Sequence[T]) -> list[T]:
    """All items, from what each process has of `own_share`."""
    parts = gathered(list(own))
    return [parts[i % len(parts)][i // len(parts)] for i in range(sum(map(len, parts)))]


def on_host(arrays: Any) -> Any:
    """NumPy copies of whole arrays, also of those that the processes share."""
    if count() == 1:
        return jax.device_get(arrays)
    return jax.tree.map(lambda leaf: multihost_utils.process_allgather(leaf, tiled=True), arrays)


def _portable(error: Exception) -> Exception:
    """The error, as one that another process can read."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _end(exit_code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


_kept_alive: list[Any] = []


def _on_abort(exit_code: int | None, silent: bool = False) -> None:
    """End with this exit code where JAX aborts the process because another one is dead; None: abort.

    Through the C library, for Python would run a handler of its own only after the signal, when all is over.
    """
    library = ctypes.CDLL(None)
    if exit_code is None:
        library.signal(signal.SIGABRT, signal.SIG_DFL)
        return

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def handler(_number):
        if not silent:
            text = (
                "mnnjax: another process of this run is gone; the last checkpoint is kept: run the same command again\n"
            )
            os.write(2, text.encode())
        os._exit(exit_code)

    _kept_alive.append(handler)
    library.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    library.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
