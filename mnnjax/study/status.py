"""How far a study has come, read from its folder."""

from pathlib import Path

from mnnjax.study import plan
from mnnjax.study.results import NON_FINITE, Workdir, read_csv
from mnnjax.study.sources import recorded_shape


def status(path: Path | str) -> str:
    """A few lines for people; the study may be running, stopped or finished.

    Raises:
      UserError: the folder holds no study.
    """
    workdir = Workdir(path)
    study = workdir.study()
    cells = plan.cells(study, recorded_shape(workdir))
    finished = [cell for cell in cells if workdir.is_finished(cell.id)]
    lines = [f"{study.name}: {len(finished)} of {len(cells)} cells finished"]
    for part in study.parts:
        own = [cell for cell in cells if cell.part is part]
        done = [cell for cell in own if cell in finished]
        line = f"  {part.name}: {len(done)}/{len(own)} cells, {part.repeats} repetitions each"
        failed = [row for cell in done for row in read_csv(workdir.cell_file(cell.id)) if row["verdict"] == NON_FINITE]
        lines.append(line + (f", {len(failed)} ended with a non-finite loss" if failed else ""))
    log = workdir.read_log()
    if log:
        last = log[-1]
        details = ", ".join(f"{k} {v}" for k, v in last.items() if k not in ("time", "event"))
        lines.append(f"  last event: {last['event']} at {last['time']}" + (f" ({details})" if details else ""))
    warnings = [entry["text"] for entry in log if entry["event"] == "warning"]
    lines += [f"  warning: {text}" for text in warnings]
    return "\n".join(lines)
