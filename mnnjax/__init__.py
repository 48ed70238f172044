"""mnnjax: which kind of minimum does training reach, and how much of weight space holds bad ones?

config     what a study is: Problem, Network, Train, Volume, Study
problems   where the points X and the labels y come from
theory     the paper's expressions and assumptions, at leading order
landscape  what is true at a point (certificates), in a region, and of volumes; Theorem 8's construction
training   how a network is trained: make_training, make_evaluation, polish, ...
study      how a study runs, on one machine or on many: plan, execution, workdir, resources, distributed
report     pictures, tables and the HTML page of finished studies, with one folder per figure

Below these lie data (real images, stored once), network and objective (the network and its losses), arrays (checks of
arrays), errors, wording (numbers as text), terminal and jax_setup; above them cli, with one file per command.

Each is imported on first use. Importing any of them but config, theory and study sets, for the whole process,
jax_enable_x64 = True and jax_default_matmul_precision = "highest": arrays that your own code makes without a dtype
become float64. Leave x64 on: ranks and volumes need it.
"""

import importlib

__version__ = "0.1.0"

_MODULES = ("config", "landscape", "problems", "report", "study", "theory", "training")


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module 'mnnjax' has no attribute {name!r}")
    return importlib.import_module(f"mnnjax.{name}")


def __dir__() -> list[str]:
    return [*_MODULES, "__version__"]
