"""How far a study has come, read from its folder."""

from mnnjax.study import storage
from mnnjax.study.plan import Cell
from mnnjax.study.results import NON_FINITE, Workdir
from mnnjax.study.shard import Shard
from mnnjax.study.sources import recorded_cells
from mnnjax.study.storage import AnyPath

# What is told of the last event; the log has more of it, such as the machine.
DETAILS = ("cells", "finished", "processes", "cell", "epoch", "mse", "mce", "seconds", "reason", "text")


def status(path: AnyPath | str) -> str:
    """A few lines for people; the study may be running, stopped or finished. Of a study in shards, with a line each.

    Raises:
      UserError: the folder holds no study.
    """
    workdir = Workdir(path)
    study = workdir.study()
    cells = recorded_cells(workdir, study)
    finished = [cell for cell in cells if workdir.is_finished(cell.id)]
    name = f"shard {workdir.shard} of {study.name}" if workdir.shard else study.name
    lines = [f"{name}: {len(finished)} of {len(cells)} cells finished"]
    for part in study.parts:
        own = [cell for cell in cells if cell.part.name == part.name]
        done = [cell.id for cell in finished if cell.part.name == part.name]
        line = f"  {part.name}: {len(done)}/{len(own)} cells, {part.repeats} repetitions each"
        failed = sum(row["verdict"] == NON_FINITE for row in workdir.rows(done))
        lines.append(line + (f", {failed} ended with a non-finite loss" if failed else ""))
    last, warnings = _log(workdir)
    lines += [f"  last event: {last}"] if last else []
    lines += [f"  warning: {text}" for text in warnings]
    return "\n".join(lines + ([] if workdir.shard else _shards(workdir, cells)))


def _shards(workdir: Workdir, cells: list[Cell]) -> list[str]:
    lines = []
    begun = {shard: folder for folder in workdir.folders if (shard := Shard.of_folder(folder.name))}
    logs = storage.each(lambda folder: _log(Workdir(folder)), list(begun.values()))
    for shard, (last, warnings) in zip(begun, logs, strict=True):
        own = shard.of(cells)
        line = f"  shard {shard}: {sum(workdir.is_finished(cell.id) for cell in own)} of {len(own)} cells finished"
        lines.append(line + (f", last event: {last}" if last else ""))
        lines += [f"    warning: {text}" for text in warnings]
    for count in dict.fromkeys(shard.count for shard in begun):
        absent = [shard for shard in (Shard(index, count) for index in range(count)) if shard not in begun]
        waited_for = [s for s in absent if not all(workdir.is_finished(cell.id) for cell in s.of(cells))]
        if waited_for:
            lines.append(f"  not begun: {len(waited_for)} of {count} shards, such as {waited_for[0]}")
    return lines


def _log(workdir: Workdir) -> tuple[str, list[str]]:
    """The last event ('' where there is none) and the warnings."""
    log = workdir.read_log()
    warnings = [entry["text"] for entry in log if entry["event"] == "warning"]
    if not log:
        return "", warnings
    details = ", ".join(f"{name} {log[-1][name]}" for name in DETAILS if name in log[-1])
    return f"{log[-1]['event']} at {log[-1]['time']}" + (f" ({details})" if details else ""), warnings
