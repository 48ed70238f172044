"""What a study will take, before it runs: memory per cell, and time as measured on the machine at hand.

The costliest cell of each kind is timed, as real programs on random points (timing.py); the others are scaled from it
(extrapolate.py), and so are those that do not fit this machine. Nothing is written, and no image is read.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax

from mnnjax import landscape
from mnnjax.jax_setup import Device
from mnnjax.study.plan.grid import Cell, by_shape
from mnnjax.study.resources import timing
from mnnjax.study.resources.extrapolate import Timed, scaled
from mnnjax.study.resources.memory import memory_on_host, memory_per_device
from mnnjax.study.resources.memory_check import MemoryShortage, memory_shortage
from mnnjax.training import LEVENBERG_MARQUARDT
from mnnjax.wording import NEVER, duration, plural, size

# Seconds in which cells are timed, per kind of work.
TRAINING_SECONDS, CERTIFICATE_SECONDS, VOLUME_SECONDS = 11.0, 4.0, 18.0
# As measured: a checkpoint, the evaluation and files at the end of a cell, a process's start and its report.
CHECKPOINT_SECONDS, END_SECONDS, PROCESS_SECONDS = 0.035, 0.15, 5.0
KINDS = ("training", "volumes", "certificates", "saving")


@dataclasses.dataclass(frozen=True)
class Timers:
    """What times the work of a cell, for all repetitions; tests put others in their place."""

    training: Callable[[Cell], Timed] = timing.time_steps
    volumes: Callable[[Cell], Timed] = timing.time_steps
    certificates: Callable[[Cell], Timed] = timing.time_certificates


@dataclasses.dataclass(frozen=True)
class CellEstimate:
    """Bytes of each device and of the host; seconds of each of KINDS; shortage: None where the cell fits."""

    cell: Cell
    device_bytes: int
    host_bytes: int
    seconds: dict[str, float]
    shortage: MemoryShortage | None


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Of some cells.

    compiling: seconds of the programs of a shape, from an empty cache, for training and for volumes.
    timed: the ids of the cells that were timed, per kind of work.
    devices: in words.
    """

    cells: tuple[CellEstimate, ...]
    compiling: dict[str, float]
    timed: dict[str, list[str]]
    devices: str

    @property
    def shapes(self) -> list[list[Cell]]:
        """The cells of each shape to compile."""
        return list(by_shape(each.cell for each in self.cells).values())

    @property
    def totals(self) -> dict[str, float]:
        """Seconds by kind of work, and of all."""
        kinds = {kind: sum(each.seconds[kind] for each in self.cells) for kind in KINDS}
        kinds["compiling"] = sum(self.compiling[_steps(alike[0])] for alike in self.shapes)
        kinds["starting and report"] = PROCESS_SECONDS
        return kinds | {"total": sum(kinds.values())}

    def of(self, cells: Sequence[Cell]) -> "Estimate":
        """The part that belongs to some of the cells."""
        ids = {cell.id for cell in cells}
        return dataclasses.replace(self, cells=tuple(each for each in self.cells if each.cell.id in ids))


def estimate(planned: Sequence[Cell], timers: Timers = Timers()) -> Estimate:
    """Memory and time of the cells on this machine and the devices that JAX has here.

    Raises:
      UserError: the processes cannot share the rows of a cell.
    """
    devices = jax.devices()
    shortages = {cell.id: memory_shortage(cell, devices) for cell in planned}

    def fits(cell: Cell) -> bool:
        return shortages[cell.id] is None

    def fits_when_cut(cell: Cell) -> bool:
        return memory_shortage(timing.cut(cell), devices) is None

    trained = [cell for cell in planned if cell.part.volume is None]
    certified = [cell for cell in trained if landscape.certifiable(cell.N, *cell.last_layer)]
    measured = [cell for cell in planned if cell.part.volume is not None]
    found = {
        "training": scaled(
            trained, timing.steps_model, timing.training_kind, timers.training, TRAINING_SECONDS, fits_when_cut
        ),
        "volumes": scaled(
            measured, timing.steps_model, lambda cell: cell.part.name, timers.volumes, VOLUME_SECONDS, fits
        ),
        "certificates": scaled(
            certified, timing.certificate_model, timing.certificate_kind, timers.certificates, CERTIFICATE_SECONDS, fits
        ),
    }

    def of_cell(cell: Cell) -> CellEstimate:
        seconds = {kind: times.seconds.get(cell.id, 0.0) for kind, times in found.items()}
        memory = memory_per_device(cell, devices), memory_on_host(cell, devices)
        return CellEstimate(cell, *memory, seconds | {"saving": _saving(cell)}, shortages[cell.id])

    return Estimate(
        tuple(map(of_cell, planned)),
        {kind: times.compiling for kind, times in found.items()},
        {kind: times.timed for kind, times in found.items() if times.timed},
        _name(devices),
    )


def _steps(cell: Cell) -> str:
    return "training" if cell.part.volume is None else "volumes"


def _saving(cell: Cell) -> float:
    """Seconds of a cell's checkpoints, and of its evaluation and files."""
    train = cell.part.train
    if train is None:
        return END_SECONDS
    chunks = math.ceil(train.total_epochs / train.chunk_epochs)
    return END_SECONDS + CHECKPOINT_SECONDS * math.ceil(chunks / train.checkpoint_chunks)


def _name(devices: Sequence[Device]) -> str:
    kind = "CPU" if devices[0].platform == "cpu" else devices[0].device_kind
    return plural(len(devices), f"{kind} device")


def describe(whole: Estimate, shard: Sequence[Cell] | None = None) -> str:
    """The estimate as a table: cells, shapes to compile, and totals.

    shard: the cells of a shard, which alone are listed; the totals are then given of both.
    """
    listed = whole if shard is None else whole.of(shard)
    planned = [each.cell for each in listed.cells]
    lines = [
        f"{'cell':<40} {'N':>8} {'padded':>8} {'parameters':>10} {'per point':>9} {'a device':>10} {'host':>9} "
        f"{'time':>10}"
    ]
    for each in listed.cells:
        cell = each.cell
        lines.append(
            f"{cell.id:<40} {cell.N:>8} {cell.N_padded:>8} {cell.parameters:>10} {cell.parameters / cell.N:>9.3f} "
            f"{size(each.device_bytes):>10} {size(each.host_bytes):>9} {duration(sum(each.seconds.values())):>10}"
        )
    lines += ["", f"{'shapes to compile':<40} {'cells':>8}"]
    for alike in listed.shapes:
        cell = alike[0]
        name = f"{cell.part.name}.h{cell.hidden_layers}.d{cell.d0}x{max(c.d1 for c in alike)}, {cell.N_padded} rows"
        lines.append(f"{name:<40} {len(alike):>8}")
    rows, padded = sum(c.N for c in planned), sum(c.N_padded for c in planned)
    padding = f"{100 * (1 - rows / padded):.1f} % of rows are padding" if padded else "no rows"
    lines += [
        "",
        f"{plural(len(planned), 'cell')}, {plural(sum(c.part.repeats for c in planned), 'repetition')}, "
        f"{plural(len(listed.shapes), 'shape')} to compile, {padding}",
        _totals("all cells" if shard is None else "these cells", listed),
    ]
    if shard is not None:
        lines.append(_totals(f"the whole study ({plural(len(whole.cells), 'cell')})", whole))
    return "\n".join([*lines, *_remarks(listed), *_shortages(listed)])


def _totals(cells: str, found: Estimate) -> str:
    """One line: what some cells take."""
    kinds = found.totals
    parts = [f"{name} {duration(value)}" for name, value in kinds.items() if name != "total" and value]
    most = max((each.host_bytes for each in found.cells), default=0)
    about = "about " if kinds["total"] < NEVER else ""
    total = f"{cells} on {found.devices}: {about}{duration(kinds['total'])} ({', '.join(parts)})"
    return f"{total}, at most {size(most)} of the host"


def _remarks(found: Estimate) -> list[str]:
    """What the numbers are, and are not."""
    parts = [each.cell.part for each in found.cells]
    images = any(part.problem.is_image for part in parts)
    certified = any(each.seconds["certificates"] for each in found.cells)
    optimizers = {part.train.optimizer for part in parts if part.train is not None}
    remarks = {
        "Certificates are of untrained networks: they may take a few times as long, or as short, where training ends "
        "otherwise.": certified,
        "Levenberg-Marquardt ends early where all repetitions are done: its time is an upper bound.":
            LEVENBERG_MARQUARDT in optimizers,
        "Volumes end early where intervals are narrow enough: their time is an upper bound.":
            any(part.volume is not None and part.volume.relative_width for part in parts),
        "Images: d0 as published; whitening may drop some. Reading and whitening them is not counted.": images,
        "The rank of images is taken to be in doubt, which certificates take longest for.": images and certified,
    }  # fmt: skip
    return [
        *(f"timed just now, {kind}: {', '.join(ids)}" for kind, ids in found.timed.items()),
        "The other times are scaled from these by their arithmetic. Whatever else the machine does makes all longer; "
        "compiling is from an empty cache, and shorter from the second run on.",
        *(text for text, holds in remarks.items() if holds),
    ]


def _shortages(found: Estimate) -> list[str]:
    """A line about the cells that do not fit this machine, where there are some."""
    short = {each.cell.id: each.shortage for each in found.cells if each.shortage is not None}
    if not short:
        return []
    worst = max(short, key=lambda name: short[name].needed)
    others = f"; nor do {len(short) - 1} smaller ones" if len(short) > 1 else ""
    return [f"does not fit this machine: {worst} {short[worst]}{others}; `run` would refuse"]
