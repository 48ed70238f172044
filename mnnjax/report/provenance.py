"""How the results were made, as the logs (metrics.jsonl) tell it: by what command, on what machine, when.

This is the one part of the report that depends on more than results.
"""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from mnnjax.report.common.tables import Column, Table, table_of
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.wording import duration, integer, plural

FINISHED, STOPPED, LOST, OPEN = "finished", "stopped", "lost", "no end in the log"


@dataclasses.dataclass(frozen=True)
class Invocation:
    """One call of `mnnjax run` in one folder, from its start to its last event. None: not in the log, whose line with
    the start may be lost."""

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
    finished_before: int | None
    """Cells that any folder of the study held at the start."""
    finished_after: int | None
    """These, and the ones that ended meanwhile."""
    cells: int | None
    """Cells of the study."""
    ended: str
    """FINISHED; STOPPED by a stop request; LOST, with no end in the log; OPEN, the same of a folder's last invocation,
    which may still be running."""


def invocations(path: AnyPath) -> list[Invocation]:
    """Those of a work folder, then those of its shards, each in their order; none where there is no log.

    Raises:
      UserError: the folder of one of its shards holds another study.
    """
    workdir = Workdir(path)
    workdirs = [workdir] if workdir.shard else [Workdir(folder) for folder in workdir.folders]
    logs = storage.each(lambda folder: Workdir(folder).read_log(), [w.path for w in workdirs])
    name, found = storage.resolve(path).name, []
    for workdir, log in zip(workdirs, logs, strict=True):
        by_invocation = _split(log)
        shard = str(workdir.shard) if workdir.shard else None
        found += [_invocation(name, shard, events, events is by_invocation[-1]) for events in by_invocation]
    return found


def _split(log: Sequence[Mapping]) -> list[list[Mapping]]:
    """The events of each invocation."""
    by_invocation: list[list[Mapping]] = []
    for entry in log:
        # The line with the start may have been lost.
        if entry["event"] == "start" or not by_invocation or by_invocation[-1][-1]["event"] in ("end", "stop"):
            by_invocation.append([])
        by_invocation[-1].append(entry)
    return by_invocation


def _invocation(folder: str, shard: str | None, events: Sequence[Mapping], is_last: bool) -> Invocation:
    start = events[0] if events[0]["event"] == "start" else {}
    first, last = (_time(events[k]["time"]) for k in (0, -1))
    end = {"end": FINISHED, "stop": STOPPED}.get(events[-1]["event"], OPEN if is_last else LOST)
    before = start.get("finished")
    done = len({entry["cell"] for entry in events if entry["event"] == "cell_end"})
    return Invocation(
        folder=folder,
        shard=shard,
        command=start.get("command") or None,
        **{name: start.get(name) for name in ("mnnjax", "python", "jax", "jaxlib", "seed", "cells")},
        machine=_machine(start) if "device" in start else None,
        started=events[0]["time"],
        # Clocks may be set back.
        seconds=max(0, round((last - first).total_seconds())),
        finished_before=before,
        finished_after=None if before is None else before + done,
        ended=end,
    )


def _machine(start: Mapping) -> str:
    """'8 x NVIDIA H100 80GB HBM3, 52 cores of Intel Xeon, 1000 GB, Linux x86_64'; of a machine without accelerators
    '2 cores of AMD EPYC, 25 GB, Linux x86_64, cpu'."""
    on_cpu, processes = start["device"] == "cpu", start.get("processes", 1)
    parts = (
        "" if on_cpu else f"{start['devices']} x {start['device']}",
        plural(start["cores"], "core") + (f" of {start['processor']}" if start["processor"] else ""),
        f"{start['memory_gb']} GB" if start["memory_gb"] else "",
        start["system"],
        "cpu" if on_cpu else "",
        # All processes share the devices; the rest is of the one that writes the log.
        f"first of {processes} processes" if processes > 1 else "",
    )
    return ", ".join(filter(None, parts))


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


def _utc(text: str) -> str:
    return _time(text).astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M")


def table(invocations: Sequence[Invocation]) -> Table:
    """One row per invocation."""
    several = len({(i.folder, i.shard) for i in invocations}) > 1
    cells = "cells finished"
    columns = (
        Column("folder", "work folder", str if len({i.folder for i in invocations}) > 1 else None),
        Column("shard", "shard", str if several and any(i.shard for i in invocations) else None),
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
    ends = {i.ended for i in invocations}
    notes = [
        "Ran: from the start to the last event in the log.",
        "Lost: killed, or ended by an error; the log has no end." if LOST in ends else "",
        "No end in the log: lost, or still running." if OPEN in ends else "",
        "A dash: not in the log." if any(i.machine is None for i in invocations) else "",
    ]
    return table_of(columns, invocations, " ".join(filter(None, notes)))


def total(invocations: Sequence[Invocation]) -> str:
    """How long the invocations of a work folder took in all."""
    if not invocations:
        return "unknown (no metrics.jsonl)"
    folders = len({i.shard for i in invocations})
    where = f" in {folders} folders, which may have run side by side" if folders > 1 else ""
    return f"{duration(sum(i.seconds for i in invocations))} in {plural(len(invocations), 'invocation')}{where}"
