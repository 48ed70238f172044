"""How a study runs: plan, runner, checkpoints, results; from Python:

    from mnnjax.config import Problem, Study
    from mnnjax.report import write_report
    from mnnjax.study import load_trained, run_study, status

    study = Study("mine", Problem(d0=(10,), N=(50, 100)), repeats=5)
    run_study(study, "runs/mine")  # goes on from where it stopped, as `mnnjax run` does
    print(status("runs/mine"))
    write_report(["runs/mine"])  # runs/mine/report.html
    # runs/mine/results.csv: study/workdir/results_table.py says what its columns mean
    trained = load_trained("runs/mine", "mine.h1.d10x10.N50")
    trained.params["W1"], trained.X  # (5, 10, 10), (5, 50, 10)

After Ctrl-C, or SIGTERM, run_study saves and raises Stopped; the same call goes on from there. StudyError says that it
cannot go on, such as on a full disk. If JAX has not started yet, run_study and load_trained set the number of its CPU
devices, and $NPROC, for all of the process: a device a core (jax_setup.use_all_cores).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnnjax.study.distributed.stopping import Stopped
    from mnnjax.study.load import load_trained
    from mnnjax.study.runner import run_study
    from mnnjax.study.status import status
    from mnnjax.study.workdir.lock import StudyError

# Loaded when they are asked for: JAX takes seconds to import, and `mnnjax --help` needs none of it.
_MODULES = {
    "Stopped": "distributed.stopping",
    "StudyError": "workdir.lock",
    "load_trained": "load",
    "run_study": "runner",
    "status": "status",
}
__all__ = ["Stopped", "StudyError", "load_trained", "run_study", "status"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    # Importing the module `status` has put it where the function of that name belongs.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
