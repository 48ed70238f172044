"""mnnjax: which kind of minimum does training reach, and how much of weight space holds bad ones?

    import mnnjax as mj

    study = mj.Study("mine", mj.Problem(d0=(10,), N=(50, 100)), repeats=5)
    result = mj.run_study(study, "runs/mine")  # resumes from the latest valid checkpoint
    result.to_pandas()  # one row per cell and repetition; pip install 'mnnjax[pandas]'

    result.plot()  # a Matplotlib figure
    result.report()  # runs/mine/report.html
    trained = mj.load("runs/mine").trained("mine.h1.d10x10.N50")  # weights and points, later or elsewhere

    certificate = mj.certify(W, z, X, y, rho=0.0)  # what kind of point your own network is at
    found = mj.descend(W, z, X, y, rho=0.0)  # the local minimum downhill from there

The names that most people need stand here; the others, and what all of them mean, stand in

config     what a study is: Problem, Network, Train, Volume, Study
problems   where the points X and the labels y come from
theory     the paper's expressions and assumptions, at leading order
landscape  what is true at a point (certificates), in a region, and of volumes; Theorem 8's construction
training   how a network is trained: make_training, make_evaluation, polish, ...
study      how a study runs, on one machine or on many: plan, execution, workdir, resources, distributed
report     pictures, tables and the HTML page of finished studies, with one folder per figure

Below these lie data (real images, stored once), network and objective (the network and its losses), arrays (checks of
arrays), workers (processes, one per core), errors, wording (numbers as text), terminal and jax_setup; above them cli,
with one file per command.

Each is imported on first use. Importing any of them but config, theory and study sets, for the whole process,
jax_enable_x64 = True and jax_default_matmul_precision = "highest": arrays that your own code makes without a dtype
become float64. Leave x64 on: ranks and volumes need it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnnjax import config, landscape, problems, report, study, theory, training
    from mnnjax.config import Network, Problem, Study, Train, UserError, Volume
    from mnnjax.landscape import (
        Certificate,
        Descent,
        certify,
        descend,
        estimate_volumes,
        exact_global_minimum,
        exact_volumes,
        global_minimum,
        split_volume,
    )
    from mnnjax.report import write_report
    from mnnjax.study import Stopped, StudyError, load_trained, run_study, status
    from mnnjax.study.load import Trained
    from mnnjax.study.result import Result, load
    from mnnjax.training import make_training, polish

__version__ = "0.1.0"
__all__ = [
    "Certificate", "Descent", "Network", "Problem", "Result", "Stopped", "Study", "StudyError", "Train", "Trained",
    "UserError", "Volume", "__version__", "certify", "config", "descend", "estimate_volumes", "exact_global_minimum",
    "exact_volumes", "global_minimum", "landscape", "load", "load_trained", "make_training", "polish", "problems",
    "report", "run_study", "split_volume", "status", "study", "theory", "training", "write_report",
]  # fmt: skip

# Where each name is; those that are not here are modules. JAX takes seconds to import, and is not needed for a config.
_HOMES = {
    "config": ("Network", "Problem", "Study", "Train", "UserError", "Volume"),
    "landscape": (
        "Certificate", "Descent", "certify", "descend", "estimate_volumes", "exact_global_minimum", "exact_volumes",
        "global_minimum", "split_volume",
    ),
    "report": ("write_report",),
    "study": ("Stopped", "StudyError", "load_trained", "run_study", "status"),
    "study.load": ("Trained",),
    "study.result": ("Result", "load"),
    "training": ("make_training", "polish"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mnnjax' has no attribute {name!r}")
    if name not in _HOME_OF:
        return importlib.import_module(f"mnnjax.{name}")
    value = getattr(importlib.import_module(f"mnnjax.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
