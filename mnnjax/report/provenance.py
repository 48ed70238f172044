"""How the results were made, told from the logs (metrics.jsonl): by what command, on what machine, in how many goes.

A go is one call of `mnnjax run` in one folder, from its start to its last event. This is the one part of the report
that depends on more than results.
"""

import collections
import dataclasses
import datetime
import itertools
from collections.abc import Mapping, Sequence

from mnnjax.report.common.tables import Column, Table
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.wording import duration, integer, plural

FINISHED, STOPPED, LOST, OPEN = "finished", "stopped", "lost", "no end in the log"
# The page tells more goes than this in fewer rows.
MOST_ROWS = 20


@dataclasses.dataclass(frozen=True)
class Go:
    """One go, or several of one command on one machine, one after the other. None: the log does not tell."""

    folder: str
    """The work folder's name."""
    shard: str | None
    """'1/4'; None outside of shards."""
    command: str | None
    mnnjax: str | None
    """Its version, as are the next three."""
    python: str | None
    jax: str | None
    jaxlib: str | None
    machine: str | None
    """In words."""
    seed: int | None
    started: str
    """As in the log: 2026-11-24T18:51:16+0000."""
    seconds: int
    """From its start to its last event; of several goes together."""
    finished_before: int | None
    """Cells that any folder of the study held at the start."""
    finished_after: int | None
    """These, and the ones that ended meanwhile."""
    cells: int | None
    """How many there are to finish."""
    ends: tuple[str, ...]
    """How each go ended: FINISHED; STOPPED, when it was asked to; LOST, without a word; OPEN, the same of its folder's
    last go, which may be running."""

    @property
    def ended(self) -> str:
        """'finished'; 'stopped 80, lost 19, finished 1' of several."""
        counts = collections.Counter(self.ends)
        return self.ends[0] if len(self.ends) == 1 else ", ".join(f"{how} {n}" for how, n in counts.items())


def goes(path: AnyPath) -> list[Go]:
    """The goes of a work folder, then those of its shards, each in their order; none where there is no log.

    Raises:
      UserError: the folder of one of its shards holds another study.
    """
    workdir = Workdir(path)
    some = [workdir] if workdir.shard else [Workdir(folder) for folder in workdir.folders]
    logs = storage.each(lambda folder: Workdir(folder).read_log(), [own.path for own in some])
    name = storage.resolve(path).name
    return [go for own, log in zip(some, logs, strict=True) for go in _goes(name, own.shard and str(own.shard), log)]


def _goes(folder: str, shard: str | None, log: Sequence[Mapping]) -> list[Go]:
    events: list[list[Mapping]] = []
    for entry in log:
        # The line with the start may have been lost.
        if entry["event"] == "start" or not events or events[-1][-1]["event"] in ("end", "stop"):
            events.append([])
        events[-1].append(entry)
    return [_go(folder, shard, own, is_last=own is events[-1]) for own in events]


def _go(folder: str, shard: str | None, events: Sequence[Mapping], is_last: bool) -> Go:
    start = events[0] if events[0]["event"] == "start" else {}
    first, last = (_time(events[k]["time"]) for k in (0, -1))
    end = {"end": FINISHED, "stop": STOPPED}.get(events[-1]["event"], OPEN if is_last else LOST)
    before, cells = start.get("finished"), start.get("cells")
    done = len({entry["cell"] for entry in events if entry["event"] == "cell_end"})
    return Go(
        folder=folder,
        shard=shard,
        command=start.get("command") or None,
        **{name: start.get(name) for name in ("mnnjax", "python", "jax", "jaxlib", "seed")},
        machine=_machine(start),
        started=events[0]["time"],
        seconds=max(0, round((last - first).total_seconds())),  # clocks are set
        finished_before=before,
        finished_after=None if before is None else before + done,
        cells=cells,
        ends=(end,),
    )


def _machine(start: Mapping) -> str | None:
    """'8 x NVIDIA H100 80GB HBM3, 52 cores of Intel Xeon, 1000 GB, Linux x86_64'; of a machine without accelerators
    '2 cores of AMD EPYC, 25 GB, Linux x86_64, cpu'."""
    if "device" not in start:
        return None
    on_cpu, processes = start["device"] == "cpu", start.get("processes", 1)
    parts = (
        "" if on_cpu else f"{start['devices']} x {start['device']}",
        plural(start["cores"], "core") + (f" of {start['processor']}" if start["processor"] else ""),
        f"{start['memory_gb']} GB" if start["memory_gb"] else "",
        start["system"],
        "cpu" if on_cpu else "",
        # All processes share the devices; the rest is told by the one that writes the log.
        f"first of {processes} processes" if processes > 1 else "",
    )
    return ", ".join(filter(None, parts))


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


def _utc(text: str) -> str:
    return _time(text).astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M")


def condensed(some: Sequence[Go]) -> list[Go]:
    """The same in fewer rows where there are many: a machine may be taken away, and given back, a hundred times."""
    if len(some) <= MOST_ROWS:
        return list(some)
    return [_joined(list(alike)) for _, alike in itertools.groupby(some, key=_setting)]


def _setting(go: Go) -> tuple:
    return (go.folder, go.shard, go.command, go.mnnjax, go.python, go.jax, go.jaxlib, go.machine, go.seed)


def _joined(some: Sequence[Go]) -> Go:
    return dataclasses.replace(
        some[0],
        seconds=sum(go.seconds for go in some),
        finished_after=some[-1].finished_after,
        cells=some[-1].cells,
        ends=tuple(end for go in some for end in go.ends),
    )


def table(some: Sequence[Go]) -> Table:
    """One row a go."""
    several = len({(go.folder, go.shard) for go in some}) > 1
    cells = "cells finished"
    columns = (
        Column("folder", "work folder", str if len({go.folder for go in some}) > 1 else None),
        Column("shard", "shard", str if several and any(go.shard for go in some) else None),
        Column("command", "command", style="words long"),
        Column("machine", "machine", style="words long"),
        Column("started", "started (UTC)", _utc, style="words"),
        Column("seconds", "ran", duration),
        Column("finished_before", "before", integer, cells),
        Column("finished_after", "after", integer, cells, count="cells", count_text=" of {}"),
        Column("cells", "", None),
        Column("ended", "ended", style="words"),
        Column("seed", "seed"),
        Column("mnnjax", "mnnjax"),
        Column("python", "", None),
        Column("jax", "jax"),
        Column("jaxlib", "", None),
    )
    ends = {end for go in some for end in go.ends}
    notes = [
        "Ran: from the start to the last event in the log.",
        "Lost: it ended without a word, killed or by an error." if LOST in ends else "",
        "No end in the log: lost, or still running." if OPEN in ends else "",
        "A dash: not in the log, as of older versions." if any(go.machine is None for go in some) else "",
        "With counts: several goes of one command on one machine together; runs.csv has them one by one."
        if any(len(go.ends) > 1 for go in some)
        else "",
    ]
    rows = tuple(tuple(getattr(go, column.key) for column in columns) for go in some)
    return Table(columns, rows, " ".join(filter(None, notes)))


def total(some: Sequence[Go]) -> str:
    """How long the goes of a work folder took in all."""
    if not some:
        return "no log (metrics.jsonl) tells"
    count, folders = len(some), len({go.shard for go in some})
    where = f" in {folders} folders, which may have run side by side" if folders > 1 else ""
    return f"{duration(sum(go.seconds for go in some))} in {integer(count)} {'go' if count == 1 else 'goes'}{where}"
