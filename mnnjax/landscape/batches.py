"""Batches of networks, for certify and descend: one after the other while that is quick, then one process per core."""

import collections
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Real
from threadpoolctl import threadpool_limits

from mnnjax.arrays import AnyArray, check_network, on_host, refuse_traced, shape_of
from mnnjax.errors import UserError, first_line, require
from mnnjax.host_memory import free_memory
from mnnjax.jax_setup import cores
from mnnjax.workers import WORKER_BYTES, Workers

Found = TypeVar("Found")
# W (d1, d0), z (d1,), X (N, d0), y (N,) and c of one network, or of several on a leading axis or in a sequence.
Weights = Real[AnyArray, "*networks d1 d0"] | Sequence[Real[AnyArray, "d1 d0"]]
Units = Real[AnyArray, "*networks d1"] | Sequence[Real[AnyArray, " d1"]]
Points = Real[AnyArray, "*sets N d0"] | Sequence[Real[AnyArray, "N d0"]]
Labels = Real[AnyArray, "*labels N"] | Sequence[Real[AnyArray, " N"]]
Biases = float | Sequence[float] | Real[AnyArray, " networks"] | None

# Of a batch that takes no longer, no process is started: that takes about as long.
START_SECONDS = 1.0
# What is raised of an error in one network of a batch; any other kind becomes a RuntimeError.
KINDS = (UserError, ValueError, ArithmeticError, MemoryError)


class _Task(NamedTuple):
    number: int
    function: Callable
    arguments: tuple
    options: dict[str, Any]


def is_batch(W: Weights) -> bool:
    """Whether W is of several networks, (networks, d1, d0), and not (d1, d0) of one."""
    return len(shape_of(W)) == 3


def each_network(
    function: Callable[..., Found], W: Weights, z: Units, X: Points, y: Labels, rho: float, output_bias: Biases,
    bytes_of: Callable[[int, int, int], int], **options: Any,
) -> list[Found]:  # fmt: skip
    """function(W[k], z[k], X, y, rho, output_bias=..., **options) of each network, in order.

    W: (networks, d1, d0). z: (networks, d1). X: (N, d0), or (networks, N, d0). y: (N,), or (networks, N). output_bias:
    None, one number, or (networks,). function: a module's own. bytes_of: the bytes that it takes at (N, d0, d1).

    Each network has one thread of BLAS: then the last digits depend neither on the number of cores nor on where it is
    computed. Raises ValueError, before anything is computed, for arrays that do not match or a network that certify
    would refuse, and whatever the function raises; both with the network's number, counted from 0.
    """
    tasks = list(_tasks(function, W, z, X, y, rho, output_bias, options))
    found, began = [], time.monotonic()
    while len(found) < len(tasks) and time.monotonic() - began < START_SECONDS:
        found.append(_compute(tasks[len(found)]))
    left = collections.deque(tasks[len(found) :])
    (d1, d0), N = tasks[0].arguments[0].shape, len(tasks[0].arguments[3])
    free, each = free_memory(), WORKER_BYTES + bytes_of(N, d0, d1)
    count = min(cores() - 1, len(left) - 1, cores() if free is None else free // each)
    if count < 1:
        return [*found, *map(_compute, left)]
    ended: dict[int, Found] = {}
    stop = threading.Event()

    def in_workers() -> None:
        with Workers(_compute) as workers:
            ended.update(filter(None, workers.each(_numbered(left), count, stop.is_set)))

    # This process computes too, and so does not wait while the others start.
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(in_workers)
        try:
            for number, task in _numbered(left):
                ended[number] = _compute(task)
                if others.done():
                    others.result()  # raises its error
        except BaseException:
            stop.set()
            raise
        others.result()
    return [*found, *(ended[number] for number in range(len(found), len(tasks)))]


def _numbered(left: "collections.deque[_Task]") -> Iterator[tuple[int, _Task]]:
    """The tasks, each to one of those who ask for the next."""
    while True:
        try:
            task = left.popleft()
        except IndexError:
            return
        yield task.number, task


def _tasks(function, W, z, X, y, rho, output_bias, options):
    refuse_traced(W=W, z=z, X=X, y=y, output_bias=output_bias)
    count = shape_of(W)[0]
    require(count > 0, f"W: has shape {shape_of(W)}, which holds no network; give at least one")
    z = _of_each("z", z, 2, count, required=True)
    X, y = _of_each("X", X, 3, count), _of_each("y", y, 2, count)
    biases = itertools.repeat(None) if output_bias is None else _of_each("output_bias", output_bias, 1, count)
    for number, (one, z_k, X_k, y_k, c) in enumerate(zip(W, z, X, y, biases, strict=False)):
        try:
            arguments = check_network(np.asarray(one), z_k, X_k, y_k, rho)
            own = None if c is None else float(on_host("output_bias", c, (), "give one number"))
        except UserError as error:
            raise UserError(f"network {number}: {error}") from error
        yield _Task(number, function, (*arguments, rho), options | {"output_bias": own})


def _of_each(name: str, values, axes: int, count: int, required: bool = False) -> Iterable:
    """The values of each network: those on the leading axis, where there are so many axes, or the same for all."""
    shape = shape_of(values)
    if len(shape) != axes and not required:
        return itertools.repeat(values)
    of_batch = f"W is a batch of {count} networks"
    fits = len(shape) == axes and shape[0] == count
    require(fits, f"{name}: has shape {shape}, and {of_batch}; give one entry of {name} for each, or W[0] for one")
    return values


def _compute(task: _Task):
    """The function of a task's network; what it raises has the network's number."""
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            return task.function(*task.arguments, **task.options)
    except Exception as error:
        kind = next((kind for kind in KINDS if isinstance(error, kind)), RuntimeError)
        raise kind(f"network {task.number}: {first_line(error)}") from error
