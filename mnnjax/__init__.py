"""mnnjax: which kind of minimum does training reach, and how much of weight space holds bad ones?

config     what a study is: Problem, Network, Train, Volume, Study
landscape  what is true at a point or in a region, without training: certify, global_minimum, exact_volumes, ...
problems   where the points X and the labels y come from
report     pictures, tables and the HTML page of finished studies
study      how a study runs, on one machine or on many
theory     the paper's expressions and assumptions, at leading order
training   how a network is trained: make_training, make_evaluation, polish, ...

Each is imported where it is first used. Importing any of them but config, theory and study sets, for the whole process,
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
