"""How the results were made, as the logs (metrics.jsonl) tell it: by what command, on what machine, when, how long. The
rest of the report depends on results alone."""

import collections
import dataclasses
import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mnnjax.report.common.tables import Column, Table, table_of
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.wording import duration, integer, plural

LOST, OPEN = "lost", "no end in the log"
_time = datetime.datetime.fromisoformat


@dataclasses.dataclass(frozen=True)
class Invocation:
    """One call of `mnnjax run` in one folder, from its start to its last event. folder: the work folder's name; shard:
    '1/4', None outside of shards; events: its lines of the log, at least one; is_last: of its folder."""

    folder: str
    shard: str | None
    events: Sequence[Mapping]
    is_last: bool

    @property
    def start(self) -> Mapping[str, Any]:
        """What the log says of its start; empty where that line is lost."""
        return self.events[0] if self.events[0]["event"] == "start" else {}

    @property
    def machine(self) -> str | None:
        """'8 x NVIDIA H100 80GB HBM3, 52 cores of Intel Xeon, 1000 GB, Linux x86_64'; of a machine without accelerators
        '2 cores of AMD EPYC, 25 GB, Linux x86_64, cpu'."""
        if "device" not in (start := self.start):
            return None
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

    @property
    def seconds(self) -> int:
        """The seconds from its start to its last event; at least 0, since clocks may be set back."""
        return max(0, round((_time(self.events[-1]["time"]) - _time(self.events[0]["time"])).total_seconds()))

    @property
    def finished_after(self) -> int | None:
        """Cells of the study that any folder held at the start, and the ones that ended meanwhile."""
        done = len({entry["cell"] for entry in self.events if entry["event"] == "cell_end"})
        return None if "finished" not in self.start else self.start["finished"] + done

    @property
    def ended(self) -> str:
        """'stopped': by a stop request; LOST: with no end in the log; OPEN: the same of a folder's last invocation,
        which may still be running."""
        last = self.events[-1]["event"]
        return {"end": "finished", "stop": "stopped"}.get(last, OPEN if self.is_last else LOST)


def invocations(path: storage.AnyPath) -> list[Invocation]:
    """Those of a work folder, then those of its shards, each in their order; none where there is no log. Raises
    UserError where the folder of one of its shards holds another study."""
    workdir = Workdir(path)
    workdirs = [workdir] if workdir.shard else [Workdir(folder) for folder in workdir.folders]
    logs = storage.each(lambda folder: Workdir(folder).read_log(), [w.path for w in workdirs])
    name, found = storage.resolve(path).name, []
    for workdir, log in zip(workdirs, logs, strict=True):
        by_invocation: list[list[Mapping]] = []
        for entry in log:
            # The line with the start may have been lost.
            if entry["event"] == "start" or not by_invocation or by_invocation[-1][-1]["event"] in ("end", "stop"):
                by_invocation.append([])
            by_invocation[-1].append(entry)
        shard = str(workdir.shard) if workdir.shard else None
        found += [Invocation(name, shard, events, events is by_invocation[-1]) for events in by_invocation]
    return found


def cell_seconds(invocations: Iterable[Invocation]) -> dict[str, float]:
    """Cell -> the seconds that training, evaluating and certifying it took, lost work included, whitening not."""
    total: collections.Counter[str] = collections.Counter()
    for invocation in invocations:
        # Each event tells the time since the invocation began the cell.
        total.update({e["cell"]: e["seconds"] for e in invocation.events if {"cell", "seconds"} <= e.keys()})
    return dict(total)


def _utc(text: str) -> str:
    return _time(text).astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M")


def table(invocations: Sequence[Invocation]) -> Table:
    """One row per invocation."""

    def logged(key: str, show: Callable[[Any], str] | None = str) -> Column:
        return Column(key, key, show, of=lambda i: i.start.get(key))

    cells, ends = "cells finished", {i.ended for i in invocations}
    columns = (
        Column("folder", "work folder", str if len({i.folder for i in invocations}) > 1 else None),
        Column("shard", "shard", str if any(i.shard for i in invocations) else None),
        Column("command", "command", of=lambda i: i.start.get("command") or None, style="words long"),
        Column("machine", "machine", style="words long"),
        Column("started", "started (UTC)", _utc, of=lambda i: i.events[0]["time"], style="words"),
        Column("seconds", "ran", duration),
        Column("finished_before", "before", integer, cells, lambda i: i.start.get("finished")),
        Column("finished_after", "after", integer, cells, count="cells", count_text=" of {}"),
        logged("cells", None),
        Column("ended", "ended", style="words"),
        logged("seed"), logged("mnnjax"), logged("python", None), logged("jax"), logged("jaxlib", None),
    )  # fmt: skip
    notes = [
        "Ran: from the start to the last event in the log.",
        "Lost: killed, or ended by an error; the log has no end." if LOST in ends else "",
        "No end in the log: lost, or still running." if OPEN in ends else "",
    ]
    return table_of(columns, invocations, " ".join(filter(None, notes)))


def total(invocations: Sequence[Invocation]) -> str:
    """How long the invocations of a work folder took in all."""
    if not invocations:
        return "unknown (no metrics.jsonl)"
    folders = len({i.shard for i in invocations})
    where = f" in {folders} folders, which may have run side by side" if folders > 1 else ""
    return f"{duration(sum(i.seconds for i in invocations))} in {plural(len(invocations), 'invocation')}{where}"
