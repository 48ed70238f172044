"""How a study runs. runner.py: all cells; status.py: how far it is; load.py: the networks of a finished cell.

plan/          the cells of a study
execution/     training or measuring one cell
workdir/       files: results, checkpoints, lock
resources/     memory and time before it runs
distributed/   several processes, stop requests

From Python:

    import dataclasses
    from mnnjax.config import Network, Problem, Study
    from mnnjax.report import write_report
    from mnnjax.study import load_trained, run_study, status

    study = Study("mine", Problem(d0=(10,), N=(50, 100)), repeats=5)
    run_study(study, "runs/mine")  # resumes from the latest valid checkpoint, as `mnnjax run` does
    print(status("runs/mine"))
    write_report(["runs/mine"])  # runs/mine/report.html
    # runs/mine/results.csv: study/workdir/results_table.py says what its columns mean
    run_study(dataclasses.replace(study, repeats=10), "runs/mine")  # trains the five repetitions that are new
    trained = load_trained("runs/mine", "mine.h1.d10x10.N50")
    trained.params["W1"], trained.X  # (10, 10, 10), (10, 50, 10)

    # Your own points X (N, d0) and labels y (N,):
    study = Study("own", Problem("file", "classes"), Network(d1=(10,)))
    run_study(study, "runs/own", data=(X, y))

After Ctrl-C or SIGTERM, run_study saves and raises Stopped; the same call resumes. StudyError says why it cannot go on,
such as on a full disk. If JAX has not started yet, run_study and load_trained set the number of its CPU devices, and
$NPROC, for the whole process: one device per core (jax_setup.use_all_cores).
"""

import importlib
from typing import TYPE_CHECKING, Any

from mnnjax.study.distributed.stopping import Stopped
from mnnjax.study.workdir.lock import StudyError

if TYPE_CHECKING:
    from mnnjax.study.load import load_trained
    from mnnjax.study.runner import run_study
    from mnnjax.study.status import status

# Imported on first use: JAX takes seconds to import, and `mnnjax --help` does not need it.
_MODULES = {"load_trained": "load", "run_study": "runner", "status": "status"}
__all__ = ["Stopped", "StudyError", "load_trained", "run_study", "status"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    # The import of the module `status` has put it in place of the function of that name.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
