"""How far a study has come, read from its folder."""

import collections
from collections.abc import Collection, Iterable, Mapping, Sequence

from mnnjax.study.execution.images import recorded_cells
from mnnjax.study.overview import last_steps, percent_done
from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.shard import Shard
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.results_table import NON_FINITE
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.wording import plural

# What the status says of the last event; the log has more, such as the machine.
DETAILS = ("cells", "finished", "processes", "cell", "epoch", "mse", "mce", "seconds", "reason", "text")


def status(path: AnyPath | str) -> str:
    """A few lines about a study, which may be running, stopped or finished. The first is about all its cells; one per
    part and per shard follows.

    Raises:
      UserError: the folder holds no study.
    """
    workdir = Workdir(path)
    study = workdir.study()
    cells = recorded_cells(workdir, study)
    # One log per folder: the study's, and those of its shards.
    begun = {} if workdir.shard else {shard: f for f in workdir.folders if (shard := Shard.of_folder(f.name))}
    log, *logs = storage.each(lambda folder: Workdir(folder).read_log(), [workdir.path, *begun.values()])
    lacking = {cell.id: cell for cell in workdir.left(cells)}
    reached = last_steps(workdir, lacking, [log, *logs])
    name = f"shard {workdir.shard} of {study.name}" if workdir.shard else study.name
    lines = [f"{name}: {_progress(cells, lacking, reached)}"]
    if len(study.parts) > 1:
        cells_of = {part.name: [cell for cell in cells if cell.part.name == part.name] for part in study.parts}
        lines += [f"  {name}: {_progress(part_cells, lacking, reached)}" for name, part_cells in cells_of.items()]
    failed = collections.Counter(row["study"] for row in workdir.rows(cells) if row.get("verdict") == NON_FINITE)
    lines += [f"  {part}: {plural(count, 'repetition')} ended with a non-finite loss" for part, count in failed.items()]
    lines += [f"  last event: {event}" for event in _last(log)]
    damaged = [f"{file} is damaged ({why}); to be trained again" for file, why in workdir.damaged(cells).items()]
    lines += [f"  warning: {text}" for text in [*_warnings(log), *damaged]]
    for shard, shard_log in zip(begun, logs, strict=True):
        last = "".join(f"; last event: {event}" for event in _last(shard_log))
        lines.append(f"  shard {shard}: {_progress(shard.of(cells), lacking, reached)}{last}")
        lines += [f"    warning: {text}" for text in _warnings(shard_log)]
    return "\n".join(lines + _absent(begun, cells, lacking))


def _progress(cells: Sequence[Cell], lacking: Mapping[str, Cell], reached: Mapping[str, int]) -> str:
    """'3 of 4 cells finished (78 % of the work); left: 1 cell, 30 repetitions'; lacking: by id, the unfinished cells
    with the repetitions that they lack; reached: the last step that is known of each cell in training."""
    left = [lacking[cell.id] for cell in cells if cell.id in lacking]
    text = f"{len(cells) - len(left)} of {len(cells)} cells finished"
    if not left:
        return f"{text} (100 %)"
    repetitions = plural(sum(cell.repeats for cell in left), "repetition")
    share = percent_done(cells, lacking, reached)
    return f"{text} ({share} % of the work); left: {plural(len(left), 'cell')}, {repetitions}"


def _absent(begun: Collection[Shard], cells: list[Cell], lacking: Collection[str]) -> list[str]:
    """One line per number of shards of which some have not begun and have cells left."""
    lines = []
    for count in dict.fromkeys(shard.count for shard in begun):
        absent = [shard for shard in (Shard(index, count) for index in range(count)) if shard not in begun]
        waited_for = [s for s in absent if any(cell.id in lacking for cell in s.of(cells))]
        if waited_for:
            lines.append(f"  not begun: {len(waited_for)} of {count} shards, such as {waited_for[0]}")
    return lines


def _warnings(log: Iterable[Mapping]) -> list[str]:
    """Each warning once, with how often it came."""
    counts = collections.Counter(entry.get("text", "") for entry in log if entry["event"] == "warning")
    return [f"{text} ({count} times)" if count > 1 else text for text, count in counts.items()]


def _last(log: Sequence[Mapping]) -> list[str]:
    """The last event; none where there is no log."""
    if not log:
        return []
    details = ", ".join(f"{name} {log[-1][name]}" for name in DETAILS if name in log[-1])
    return [f"{log[-1]['event']} at {log[-1].get('time', 'an unknown time')}" + (f" ({details})" if details else "")]
