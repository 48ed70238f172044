"""What a study will take, before it runs: memory a cell, and time as measured on the machine at hand.

The costliest shapes are timed, as real programs on random points; the others are scaled from them (scaling.py), and so
are those that do not fit this machine even when they are cut to be timed. Nothing is written, and no image is read.
"""

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence

import jax

from mnnjax import landscape
from mnnjax.jax_setup import Device
from mnnjax.study.plan import grid as plan
from mnnjax.study.plan.grid import Cell
from mnnjax.study.resources import time_training as probes
from mnnjax.study.resources import time_volumes as volume_probes
from mnnjax.study.resources.extrapolate import Timed, Work
from mnnjax.study.resources.memory import memory_on_host, memory_per_device
from mnnjax.study.resources.memory_check import Misfit, misfit
from mnnjax.training import LEVENBERG_MARQUARDT
from mnnjax.wording import NEVER, duration, plural

# Seconds in which shapes are timed, of each kind of work.
TRAINING_SECONDS, CERTIFICATE_SECONDS, VOLUME_SECONDS = 11.0, 4.0, 18.0
# As measured: what a checkpoint takes, and the evaluation and files at the end of a cell.
CHECKPOINT_SECONDS, END_SECONDS = 0.035, 0.15
# And a process, until it is at its first cell and from the last one to its report.
PROCESS_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Timers:
    """What is timed; tests put others in their place. Each takes a cell.

    epoch: an epoch of all repetitions. certificates: those of all repetitions. volumes: those of all repetitions.
    """

    epoch: Callable[[Cell], Timed] = probes.time_epoch
    certificates: Callable[[Cell], Timed] = probes.time_certificates
    volumes: Callable[[Cell], Timed] = volume_probes.time_volumes


@dataclasses.dataclass(frozen=True)
class CellEstimate:
    """Bytes of each device and of the host; seconds of training or of volumes, of certificates, and of checkpoints and
    files.

    lacks: where the cell does not fit this machine.
    """

    cell: Cell
    device_bytes: int
    host_bytes: int
    training: float
    volumes: float
    certificates: float
    saving: float
    lacks: Misfit | None = None

    @property
    def seconds(self) -> float:
        """All but compiling, in seconds: cells of one shape share their programs."""
        return self.training + self.volumes + self.certificates + self.saving


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Of some cells.

    compiling: seconds of the programs of a shape, from an empty cache, for training and for volumes.
    timed: the ids of the cells that were timed, for each kind of work.
    devices: in words.
    """

    cells: tuple[CellEstimate, ...]
    compiling: dict[str, float]
    timed: dict[str, list[str]]
    devices: str

    @property
    def shapes(self) -> dict[tuple, list[Cell]]:
        """The cells of each shape to compile."""
        return plan.by_shape(own.cell for own in self.cells)

    @property
    def totals(self) -> dict[str, float]:
        """Seconds by kind of work, and of all."""
        names = ("training", "volumes", "certificates", "saving")
        kinds: dict[str, float] = {name: sum(getattr(own, name) for own in self.cells) for name in names}
        kinds["compiling"] = sum(self.compiling[_running(alike[0])] for alike in self.shapes.values())
        kinds["starting and report"] = PROCESS_SECONDS
        return kinds | {"total": sum(kinds.values())}

    def of(self, some: Sequence[Cell]) -> "Estimate":
        """The part that belongs to some of the cells."""
        ids = {cell.id for cell in some}
        return dataclasses.replace(self, cells=tuple(own for own in self.cells if own.cell.id in ids))


def estimate(planned: Sequence[Cell], timers: Timers = Timers()) -> Estimate:
    """Memory and time of the cells on this machine and the devices that JAX has here.

    Raises:
      UserError: the processes cannot share the rows of a cell.
    """
    devices = jax.devices()
    lacks = {cell.id: misfit(cell, devices) for cell in planned}
    trained = [cell for cell in planned if cell.part.volume is None]
    certified = [cell for cell in trained if landscape.certifiable(cell.N, *cell.last_layer)]
    found = {
        "training": Work(
            probes.epoch_model, _training_kind, probes.step_size, timers.epoch, TRAINING_SECONDS,
            often=lambda cell: cell.part.training.total_epochs,
            timeable=lambda cell: misfit(probes.cut(probes.on_random_points(cell)), devices) is None,
        ).scaled(trained),
        "certificates": Work(
            probes.certificate_model, probes.certificate_kind, probes.certificate_size, timers.certificates,
            CERTIFICATE_SECONDS, timeable=lambda cell: lacks[cell.id] is None,
        ).scaled(certified),
        "volumes": Work(
            volume_probes.volume_model, lambda cell: cell.part.name, lambda cell: float(cell.N), timers.volumes,
            VOLUME_SECONDS, timeable=lambda cell: lacks[cell.id] is None,
        ).scaled([cell for cell in planned if cell.part.volume is not None]),
    }  # fmt: skip
    cells = tuple(
        CellEstimate(
            cell,
            memory_per_device(cell, devices),
            memory_on_host(cell, devices),
            saving=_saving(cell),
            lacks=lacks[cell.id],
            **{name: scaled.seconds.get(cell.id, 0.0) for name, scaled in found.items()},
        )
        for cell in planned
    )
    compiling = {name: found[name].compiling for name in ("training", "volumes")}
    timed = {name: scaled.timed for name, scaled in found.items() if scaled.timed}
    return Estimate(cells, compiling, timed, _name(devices))


def _running(cell: Cell) -> str:
    return "training" if cell.part.volume is None else "volumes"


def _training_kind(cell: Cell) -> Hashable:
    train = cell.part.training
    return train.optimizer, train.precision, train.batch_size is None, train.parallel


def _saving(cell: Cell) -> float:
    """Seconds of a cell's checkpoints, and of its evaluation and files."""
    train = cell.part.train
    if train is None:
        return END_SECONDS
    chunks = math.ceil(train.total_epochs / train.chunk_epochs)
    return END_SECONDS + CHECKPOINT_SECONDS * math.ceil(chunks / train.checkpoint_chunks)


def _name(devices: Sequence[Device]) -> str:
    kind = "CPU" if devices[0].platform == "cpu" else devices[0].device_kind
    return f"{len(devices)} {kind} device" + ("s" if len(devices) > 1 else "")


def describe(whole: Estimate, own: Sequence[Cell] | None = None) -> str:
    """The estimate as a table: cells, shapes to compile, and totals. own: some of the cells, a shard's, which alone are
    listed; the totals are then given of both."""
    listed = whole if own is None else whole.of(own)
    planned = [each.cell for each in listed.cells]
    lines = [
        f"{'cell':<40} {'N':>8} {'padded':>8} {'parameters':>10} {'per point':>9} {'a device':>10} {'host':>9} "
        f"{'time':>10}"
    ]
    for each in listed.cells:
        cell = each.cell
        lines.append(
            f"{cell.id:<40} {cell.N:>8} {cell.N_padded:>8} {cell.parameters:>10} {cell.parameters / cell.N:>9.3f} "
            f"{_bytes(each.device_bytes):>10} {_bytes(each.host_bytes):>9} {duration(each.seconds):>10}"
        )
    lines += ["", f"{'shapes to compile':<40} {'cells':>8}"]
    lines += [f"{_shape_name(cells):<40} {len(cells):>8}" for cells in listed.shapes.values()]
    rows, padded = sum(c.N for c in planned), sum(c.N_padded for c in planned)
    padding = f"{100 * (1 - rows / padded):.1f} % of rows are padding" if padded else "no rows"
    lines += [
        "",
        f"{plural(len(planned), 'cell')}, {plural(sum(c.part.repeats for c in planned), 'repetition')}, "
        f"{plural(len(listed.shapes), 'shape')} to compile, {padding}",
        _totals("these cells" if own is not None else "all cells", listed),
    ]
    if own is not None:
        lines.append(_totals(f"the whole study ({plural(len(whole.cells), 'cell')})", whole))
    return "\n".join([*lines, *_remarks(listed), *_misfits(listed)])


def _misfits(found: Estimate) -> list[str]:
    """A line about the cells that do not fit this machine, where there are some."""
    some = [each for each in found.cells if each.lacks is not None]
    if not some:
        return []
    worst = max(some, key=lambda each: each.lacks.needed if each.lacks else 0)
    others = f"; nor do {len(some) - 1} smaller ones" if len(some) > 1 else ""
    return [f"does not fit this machine: {worst.cell.id} {worst.lacks}{others}; `run` would refuse"]


def _totals(of: str, found: Estimate) -> str:
    """One line: what some cells take."""
    kinds = found.totals
    parts = [f"{name} {duration(value)}" for name, value in kinds.items() if name != "total" and value]
    most = max((each.host_bytes for each in found.cells), default=0)
    about = "about " if kinds["total"] < NEVER else ""
    total = f"{of} on {found.devices}: {about}{duration(kinds['total'])} ({', '.join(parts)})"
    return f"{total}, at most {_bytes(most)} of the host"


def _remarks(found: Estimate) -> list[str]:
    """What the numbers are, and are not."""
    parts = [own.cell.part for own in found.cells]
    images = any(part.problem.is_image for part in parts)
    certified = any(own.certificates for own in found.cells)
    return [
        *(f"timed just now, {name}: {', '.join(ids)}" for name, ids in found.timed.items()),
        "The other times are scaled from these by their arithmetic. Whatever else the machine does makes all longer; "
        "compiling is from an empty cache, and shorter from the second run on.",
        *(text for said, text in (
            (certified, "Certificates are of random networks: they may take a few times as long, or as short, where "
             "training ends otherwise."),
            (any(part.train is not None and part.train.optimizer == LEVENBERG_MARQUARDT for part in parts),
             "Levenberg-Marquardt ends early where all repetitions are done: its time is an upper bound."),
            (any(part.volume is not None and part.volume.relative_width for part in parts),
             "Volumes end early where intervals are narrow enough: their time is an upper bound."),
            (images, "Images: d0 as published; whitening may drop some. Reading and whitening them is not counted."),
            (images and certified, "The rank of images is taken to be in doubt, which certificates take longest for."),
        ) if said),
    ]  # fmt: skip


def _shape_name(cells: list[Cell]) -> str:
    cell = cells[0]
    width = f"d{cell.d0}x{max(c.d1 for c in cells)}"
    return f"{cell.part.name}.h{cell.hidden_layers}.{width}, {cell.N_padded} rows"


def _bytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB" if count < 10 * 2**30 else f"{count / 2**30:.0f} GiB"
