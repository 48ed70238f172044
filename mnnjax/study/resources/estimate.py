"""What a study will take, before it runs: memory per cell, and time as measured on the machine at hand.

The costliest cell of each kind is timed, as real programs on random points (timing.py). The times of the others follow
from a model of the arithmetic and the factor by which the model is off for cells of that kind. Nothing is written, and
no image is read.
"""

import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import jax

from mnnjax.host_memory import free_memory
from mnnjax.landscape.certificates import cost
from mnnjax.landscape.descent import cost as descent_cost
from mnnjax.study.plan.grid import Cell
from mnnjax.study.resources import timing
from mnnjax.study.resources.memory import count_local, memory_on_host, memory_per_device
from mnnjax.study.resources.memory_check import MemoryShortage, available, memory_shortage
from mnnjax.study.resources.timing import Timed
from mnnjax.wording import NEVER, duration, plural, size

# Seconds after which no further cell is timed, per kind of work.
STEPS_SECONDS, CERTIFICATE_SECONDS, DESCENT_SECONDS = 18.0, 4.0, 4.0
# As measured: a checkpoint, the evaluation and files at the end of a cell, a process's start and its report.
CHECKPOINT_SECONDS, END_SECONDS, PROCESS_SECONDS = 0.035, 0.15, 5.0
STEPS, CERTIFICATES, DESCENTS, SAVING = KINDS = ("training and volumes", "certificates", "descents", "saving")
REMARKS = """\
The other times are scaled from these by their arithmetic. Whatever else the machine does makes all longer.
Compiling is from an empty cache, and shorter from the second run on.
Upper bounds: Levenberg-Marquardt, which ends early where all repetitions are done, and volumes with a relative_width.
Certificates and descents are of untrained networks: after training they may take a few times as long, or as short.
Images: d0 as published, of which whitening may drop some. The time to read and whiten them is not counted."""


class CellEstimate(NamedTuple):
    """Bytes of each device and of the host; seconds of each of KINDS, and to compile the programs of its shape;
    shortage: None where the cell fits."""

    cell: Cell
    device_bytes: int
    host_bytes: int
    seconds: dict[str, float]
    compiling: float
    shortage: MemoryShortage | None


class Estimate(NamedTuple):
    """Of all cells of a study; timed: the ids of the cells that were timed, per kind of work."""

    cells: list[CellEstimate]
    timed: dict[str, list[str]]


def estimate(planned: Sequence[Cell]) -> Estimate:
    """Memory and time of the cells on this machine and the devices that JAX has here. Raises UserError where the
    processes cannot share the rows of a cell."""
    devices = jax.devices()
    shortages = {cell.id: memory_shortage(cell, devices) for cell in planned}
    certified = [c for c in planned if c.part.volume is None and _omission(c) is None]
    steps, timed_steps = scaled(
        [c for c in planned if c.steps], timing.steps_model, timing.steps_kind, timing.time_steps, STEPS_SECONDS,
        lambda cell: memory_shortage(timing.cut(cell), devices) is None,
    )  # fmt: skip
    certificates, timed_certificates = scaled(
        certified, timing.certificate_model, timing.certificate_kind, timing.time_certificates, CERTIFICATE_SECONDS,
        lambda cell: shortages[cell.id] is None,
    )  # fmt: skip

    descents, timed_descents = scaled(
        [c for c in certified if c.descents and _descent_omission(c) is None], timing.descent_model,
        timing.certificate_kind, timing.time_descents, DESCENT_SECONDS, lambda cell: shortages[cell.id] is None,
    )  # fmt: skip

    def of_cell(cell: Cell) -> CellEstimate:
        nothing = Timed(0.0)
        seconds, compiling = steps.get(cell.id, nothing)
        after = {CERTIFICATES: certificates, DESCENTS: descents}
        kinds = {STEPS: seconds} | {kind: times.get(cell.id, nothing).seconds for kind, times in after.items()}
        kinds[SAVING] = END_SECONDS
        if (train := cell.part.train) is not None:
            chunks = math.ceil(train.total_epochs / train.chunk_epochs)
            kinds[SAVING] += CHECKPOINT_SECONDS * math.ceil(chunks / train.checkpoint_chunks)
        memory = memory_per_device(cell, devices), memory_on_host(cell, devices)
        return CellEstimate(cell, *memory, kinds, compiling, shortages[cell.id])

    timed = {STEPS: timed_steps, CERTIFICATES: timed_certificates, DESCENTS: timed_descents}
    return Estimate([of_cell(cell) for cell in planned], timed)


def _omission(cell: Cell) -> str | None:
    """Why a run would omit the certificates of a cell that it trains."""
    return None if cell.part.volume is not None else cost.omission(cell.N, *cell.last_layer)


def _descent_omission(cell: Cell) -> str | None:
    """Why a run would omit the descents of a cell, and not its certificates."""
    return descent_cost.omission(cell.N, *cell.last_layer) if cell.descents else None


def scaled(
    cells: Sequence[Cell],
    model: Callable[[Cell], float],
    kind: Callable[[Cell], Hashable],
    measure: Callable[[Cell], Timed],
    budget: float,
    timeable: Callable[[Cell], bool] = lambda cell: True,
) -> tuple[dict[str, Timed], list[str]]:
    """The times of cells by id, from those of the costliest cell of each kind; and the ids of those that were timed.

    Args:
      model: seconds of a cell, up to a factor that is similar for cells of one kind.
      measure: times a cell.
      budget: seconds after which no further timing is begun, costliest kinds first; other kinds take the medians.
      timeable: whether a cell can be timed here.
    """
    costs: dict[Hashable, float] = {}
    costliest: dict[Hashable, Cell] = {}
    for cell in sorted(cells, key=model):
        costs[kind(cell)] = costs.get(kind(cell), 0.0) + model(cell)
        if timeable(cell):
            costliest[kind(cell)] = cell
    began, rates = time.monotonic(), dict[Hashable, Timed]()
    for key in sorted(costliest, key=lambda key: costs[key], reverse=True):
        if rates and time.monotonic() - began > budget:
            break
        seconds, compiling = measure(costliest[key])
        rates[key] = Timed(seconds / model(costliest[key]), compiling)
    other = Timed(*map(statistics.median, zip(*rates.values(), strict=True))) if rates else Timed(1.0)
    times = {}
    for cell in cells:
        factor, compiling = rates.get(kind(cell), other)
        times[cell.id] = Timed(model(cell) * factor, compiling)
    return times, [costliest[key].id for key in rates]


def totals(found: Sequence[CellEstimate]) -> dict[str, float]:
    """Seconds by kind of work; each shape is compiled once."""
    kinds = {kind: sum(each.seconds[kind] for each in found) for kind in KINDS}
    compiling = sum({each.cell.shape: each.compiling for each in found}.values())
    return kinds | {"compiling": compiling, "starting and report": PROCESS_SECONDS}


def describe(whole: Estimate, shard: Sequence[Cell] | None = None) -> str:
    """The estimate as text: a table of the cells, totals, and what does not fit. The cells of a shard, if given, are
    listed alone; the totals are then given of both."""
    listed = [each for each in whole.cells if shard is None or each.cell in shard]
    planned = [each.cell for each in listed]
    lines = [f"{'cell':<40} {'N':>8} {'padded':>8} {'parameters':>10} {'per device':>10} {'host':>9} {'time':>10}"]
    for each in listed:
        cell, device, host = each.cell, size(each.device_bytes), size(each.host_bytes)
        row = f"{cell.id:<40} {cell.N:>8} {cell.N_padded:>8} {cell.parameters:>10} {device:>10} {host:>9}"
        lines.append(f"{row} {duration(sum(each.seconds.values())):>10}")
    repetitions = plural(sum(cell.repeats for cell in planned), "repetition")
    shapes = plural(len({cell.shape for cell in planned}), "shape")
    lines += ["", f"{plural(len(planned), 'cell')}, {repetitions}, {shapes} to compile"]
    lines.append(_time_line("all cells" if shard is None else "these cells", totals(listed)))
    if shard is not None:
        lines.append(_time_line(f"the whole study ({plural(len(whole.cells), 'cell')})", totals(whole.cells)))
    lines.append(_memory_line(listed))
    lines += [f"timed just now, {kind}: {', '.join(timed)}" for kind, timed in whole.timed.items() if timed]
    lines.append(REMARKS)
    for each in listed:
        if omitted := _omission(each.cell):
            lines.append(f"will be not_certified: {each.cell.id}: {omitted}")
        elif omitted := _descent_omission(each.cell):
            lines.append(f"will go down to no minimum: {each.cell.id}: {omitted}")
        if (lack := each.shortage) is not None:
            needs = f"{each.cell.id} needs {size(lack.needed)}, {size(lack.free)} are free"
            lines.append(f"does not fit this machine: {needs}; `run` would refuse")
    return "\n".join(lines)


def _time_line(cells: str, seconds: Mapping[str, float]) -> str:
    total = sum(seconds.values())
    about = "about " if total < NEVER else ""
    parts = ", ".join(f"{kind} {duration(value)}" for kind, value in seconds.items() if value)
    return f"{cells}: {about}{duration(total)} ({parts})"


def _memory_line(found: Sequence[CellEstimate]) -> str:
    """The most that a cell takes of each device and of the machine, beside what these have."""
    devices = jax.devices()
    kind = "CPU" if devices[0].platform == "cpu" else devices[0].device_kind
    device = max((each.device_bytes for each in found), default=0)
    host = max((each.host_bytes for each in found), default=0)
    free = available(count_local(devices)), free_memory()
    device_has, host_has = ("not known" if count is None else size(count) for count in free)
    return (
        f"memory at most: {size(device)} of each of {plural(len(devices), f'{kind} device')} (has {device_has}), "
        f"{size(host)} of this machine (free: {host_has})"
    )
