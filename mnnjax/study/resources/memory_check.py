"""Whether cells fit into the memory of the devices and of the machine, and the points of any cell: told before anything
runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from mnnjax.config import ROW_BLOCKS, UserError
from mnnjax.jax_setup import Device
from mnnjax.study.plan.grid import Cell
from mnnjax.study.resources import machine
from mnnjax.study.resources.memory import PROCESS_BYTES, memory_by_rows, memory_on_host, memory_per_device
from mnnjax.training import row_devices

# Of the points of a cell that are handed out: on the devices, part by part on the host, and put together.
POINT_COPIES = 3
# What is counted (memory.py) is an upper bound; programs were measured to take down to this part of it.
LEAST_PART = 2 / 3
# Of a container: its limit, what is used of it, and what for; in the second version of such groups, and in the first.
CGROUPS = (
    tuple(f"/sys/fs/cgroup/memory.{name}" for name in ("max", "current", "stat")),
    tuple(f"/sys/fs/cgroup/memory/memory.{name}" for name in ("limit_in_bytes", "usage_in_bytes", "stat")),
)


class Misfit(NamedTuple):
    """Of a cell that does not fit: bytes that it takes of a device or of the machine, at most, bytes that there are,
    and whether it is a device's rows of X that do not."""

    needed: int
    free: int
    of_rows: bool

    def __str__(self) -> str:
        return f"wants {_gigabytes(self.needed)}, {_gigabytes(self.free)} are free"


def require_fit(planned: Sequence[Cell], devices: Sequence[Device]) -> None:
    """Every cell fits into the memory of the devices, and of this machine; a machine's CPU devices share its memory.

    devices: all that train, of all processes.

    Raises:
      UserError: one does not; says what would do.
    """
    for cell in planned:
        found = misfit(cell, devices)
        if found is None:
            continue
        if found.of_rows:
            raise UserError(_of_rows(cell, devices, found))
        least = _gigabytes(round(LEAST_PART * found.needed))
        smaller = "problem.N" if cell.part.volume is None else "volume.batch or problem.N"
        raise UserError(
            f"{cell.id}: needs {least} to {_gigabytes(found.needed)} of memory, and {_gigabytes(found.free)} are free; "
            f"take a smaller {smaller}, fewer repeats, or a larger machine"
        )


def misfit(cell: Cell, devices: Sequence[Device]) -> Misfit | None:
    """What a cell lacks; None where it fits, or may fit, or the system does not say.

    Rows that devices share are counted exactly; all else may take down to LEAST_PART of what is counted.
    """
    shared = row_devices(devices) if cell.by_rows else devices
    own = sum(device.process_index == jax.process_index() for device in shared)
    places = [(memory_on_host(cell, devices), free_memory(), False)]
    if cell.by_rows or not _on_cpu():
        places.insert(0, (memory_per_device(cell, devices), available(own), cell.by_rows))
    known = [Misfit(needed, free, of_rows) for needed, free, of_rows in places if free is not None]
    return next((place for place in known if place.needed * (1 if place.of_rows else LEAST_PART) > place.free), None)


def _of_rows(cell: Cell, devices: Sequence[Device], found: Misfit) -> str:
    """How many devices would do for rows that they share."""
    shared = row_devices(devices)
    own = sum(device.process_index == jax.process_index() for device in shared)
    on_cpu = _on_cpu()
    # More devices of one machine's CPU have no more memory among them: machines are what counts.
    each = own if on_cpu else 1
    counts = [k for k in range(each, ROW_BLOCKS + 1, each) if ROW_BLOCKS % k == 0]
    enough = next((k for k in counts if memory_by_rows(cell, k) <= found.free), None)
    unit = f"machines such as this one ({own} CPU devices each)" if on_cpu else "such devices"
    mend = f"{enough // each} {unit} would do" if enough else f"not even {max(counts) // each} {unit} would do"
    halved = cell.part.training.rows_precision == "same" and cell.part.training.precision == "float32"
    return (
        f"{cell.id}: each of {len(shared)} devices needs {_gigabytes(found.needed)} for its rows of X and the "
        f"training, and has {_gigabytes(found.free)}; {mend}"
        + ("; --train.rows_precision bfloat16 takes half of the rows' memory" if halved else "")
        + "; or take a smaller problem.N"
    )


def require_points_fit(cell: Cell, devices: Sequence[Device], weights: str) -> None:
    """All points of a cell fit into the memory of this process, on their way from the devices that draw them.

    weights: the file that has the trained weights, which can be read without the points.

    Raises:
      UserError: they do not.
    """
    sets, rows = (1, cell.N) if cell.by_rows else (cell.part.repeats, cell.N_padded)
    size = sets * rows * (cell.d0 + 1) * cell.itemsize
    own = len([device for device in devices if device.process_index == jax.process_index()])
    places = [(POINT_COPIES * size, free_memory()), (size // own, None if _on_cpu() else available(own))]
    for needed, most in places:
        if most is not None and needed > most:
            raise UserError(
                f"{cell.id}: its points need {_gigabytes(needed)} of memory, and there are {_gigabytes(most)}; take a "
                f"larger machine, or the weights alone: numpy.load({weights!r})"
            )


def available(own: int) -> int | None:
    """Bytes that each of this process's `own` devices has; None where the system does not say."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        statistics = device.memory_stats() or {}
        return statistics.get("bytes_limit")
    free = free_memory()
    return None if free is None else max(free - PROCESS_BYTES, 0) // own


def free_memory() -> int | None:
    """Bytes that the system can give to this process; None where it does not say."""
    limits = []
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        limits.append(1024 * int(lines["MemAvailable"].split()[0]))
    except (OSError, KeyError, ValueError):
        limits += [whole] if (whole := machine.memory()) else []
    limits += [left for names in CGROUPS if (left := _left_in_group(*map(Path, names))) is not None]
    return min(limits) if limits else None


def _left_in_group(limit: Path, used: Path, statistics: Path) -> int | None:
    """Bytes that a container leaves; None where it has no limit."""
    try:
        left = int(limit.read_text()) - int(used.read_text())
        counts = dict(line.split() for line in statistics.read_text().splitlines())
    except (OSError, ValueError):  # no such group, or "max"
        return None
    # Files that were read count as used, and are let go when memory is wanted.
    return left + sum(int(counts.get(name, 0)) for name in ("active_file", "inactive_file"))


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
