"""How a study runs. runner.py: all cells; status.py: how far it is; load.py: the networks of a finished cell;
result.py: what a folder holds, from Python; overview.py: all studies below a folder; mirrors.py: the log in TensorBoard
and Weights & Biases.

plan/          the cells of a study
execution/     training or measuring one cell
workdir/       files: results, checkpoints, lock
resources/     memory and time before it runs
distributed/   several processes, stop requests

From Python:

    import dataclasses
    import mnnjax as mj

    study = mj.Study("mine", mj.Problem(d0=(10,), N=(50, 100)), repeats=5)
    result = mj.run_study(study, "runs/mine")  # resumes from the latest valid checkpoint, as `mnnjax run` does
    result.to_pandas()  # study/workdir/results_table.py says what its columns mean; result.rows without pandas
    result.plot()  # result.py has all that there is
    result.report()  # runs/mine/report.html
    print(result.status())
    mj.run_study(dataclasses.replace(study, repeats=10), "runs/mine")  # trains the five repetitions that are new

    result = mj.load("runs/mine")  # the same, later or elsewhere, also while the study runs
    trained = result.trained("mine.h1.d10x10.N50")
    trained.params["W1"], trained.X  # (10, 10, 10), (10, 50, 10)
    trained.resume(epochs=1000).rows  # trained further, from these weights

    # Your own points X (N, d0) and labels y (N,):
    study = mj.Study("own", mj.Problem("file", "classes"), mj.Network(d1=(10,)))
    mj.run_study(study, "runs/own", data=(X, y))

The names of this package, run_study, load_trained, status, Stopped and StudyError, also stand in mnnjax itself.
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
