"""Whether cells, or their points, fit into the memory of the devices and of the machine: checked before they run."""

from collections.abc import Sequence
from typing import NamedTuple

import jax

from mnnjax.config import ROW_BLOCKS, UserError
from mnnjax.host_memory import free_memory
from mnnjax.jax_setup import Device
from mnnjax.study.plan.grid import Cell
from mnnjax.study.resources.memory import PROCESS_BYTES, count_local, memory_on_host, memory_per_device
from mnnjax.study.resources.memory import memory_data_parallel as bytes_of_rows
from mnnjax.training import row_devices
from mnnjax.wording import size

# Copies of the points of a cell that are handed out: on the devices, part by part on the host, and put together.
POINT_COPIES = 3
# memory.py counts an upper bound; programs were measured to take down to this part of it.
LEAST_PART = 2 / 3


class MemoryShortage(NamedTuple):
    """Of a cell that does not fit: the bytes that it needs of a device or of the machine, at most; the bytes that are
    free; whether it is a device's rows of X that do not fit."""

    needed: int
    free: int
    of_rows: bool


def require_fit(planned: Sequence[Cell], devices: Sequence[Device]) -> None:
    """Every cell fits into the memory of this machine and of the devices: all that train, of all processes. Raises
    UserError where one does not; says what would fit."""
    for cell in planned:
        if (shortage := memory_shortage(cell, devices)) is None:
            continue
        if shortage.of_rows:
            raise UserError(_rows_error(cell, devices, shortage))
        least = size(round(LEAST_PART * shortage.needed))
        smaller = "problem.N" if cell.part.volume is None else "volume.batch or problem.N"
        lack = f"needs {least} to {size(shortage.needed)} of memory, and {size(shortage.free)} are free"
        raise UserError(f"{cell.id}: {lack}; take a smaller {smaller}, fewer repeats, or a larger machine")


def memory_shortage(cell: Cell, devices: Sequence[Device]) -> MemoryShortage | None:
    """The bytes that a cell needs and lacks; None where it fits, or may fit, or the system does not tell.

    Rows that devices share are counted exactly; all else may take down to LEAST_PART of what is counted. The CPU
    devices of a machine share its memory.
    """
    places = [(memory_on_host(cell, devices, large_certificates=False), free_memory(), False)]
    if cell.data_parallel or jax.default_backend() != "cpu":
        shared = row_devices(devices) if cell.data_parallel else devices
        places.insert(0, (memory_per_device(cell, devices), available(count_local(shared)), cell.data_parallel))
    for needed, free, of_rows in places:
        if free is not None and needed * (1 if of_rows else LEAST_PART) > free:
            return MemoryShortage(needed, free, of_rows)
    return None


def _rows_error(cell: Cell, devices: Sequence[Device], shortage: MemoryShortage) -> str:
    """The message for rows that do not fit: how many devices would do."""
    shared = row_devices(devices)
    step, unit = 1, "such devices"
    if jax.default_backend() == "cpu":
        # More devices of one machine have no more memory among them: machines are what counts.
        step = count_local(shared)
        unit = f"machines such as this one ({step} CPU devices each)"
    counts = [k for k in range(step, ROW_BLOCKS + 1, step) if ROW_BLOCKS % k == 0]
    enough = next((k for k in counts if bytes_of_rows(cell, k) <= shortage.free), None)
    hint = f"{enough // step} {unit} would do" if enough else f"not even {counts[-1] // step} {unit} would do"
    if cell.part.training.rows_precision == "same" and cell.part.training.precision == "float32":
        hint += "; --train.rows_precision bfloat16 takes half of the rows' memory"
    needs = f"each of {len(shared)} devices needs {size(shortage.needed)} for its rows of X and the training"
    return f"{cell.id}: {needs}, and has {size(shortage.free)}; {hint}; or take a smaller problem.N"


def require_points_fit(cell: Cell, devices: Sequence[Device], weights: str) -> None:
    """All points of a cell fit into the memory of this process, on their way from the devices that draw them. Raises
    UserError where they do not. weights: the file of the trained weights, which can be read without the points."""
    sets, rows = (1, cell.N) if cell.data_parallel else (cell.repeats, cell.N_padded)
    points = sets * rows * (cell.d0 + 1) * cell.itemsize
    places = [(POINT_COPIES * points, free_memory())]
    if jax.default_backend() != "cpu":
        local = count_local(devices)
        places.append((points // local, available(local)))
    for needed, most in places:
        if most is not None and needed > most:
            lack = f"its points need {size(needed)} of memory, and there are {size(most)}"
            raise UserError(f"{cell.id}: {lack}; take a larger machine, or the weights alone: numpy.load({weights!r})")


def available(local: int) -> int | None:
    """Bytes that each of this process's `local` devices has; None where the system does not tell."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    free = free_memory()
    return None if free is None else max(free - PROCESS_BYTES, 0) // local
