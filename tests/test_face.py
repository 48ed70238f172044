"""The names at the top of the package: found, lazily imported, and visible to editors."""

import ast
import importlib
import subprocess
import sys

import pytest

import mnnjax
from tests.project import ROOT


def test_every_name_is_there_and_listed():
    assert set(mnnjax.__all__) <= set(dir(mnnjax))
    for name in set(mnnjax.__all__) - {"__version__"}:
        value = getattr(mnnjax, name)
        assert value.__name__ in (name, f"mnnjax.{name}")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        mnnjax.nothing  # noqa: B018
    names: dict = {}
    exec("from mnnjax import *", names)
    assert names["certify"] is importlib.import_module("mnnjax.landscape").certify


def test_editors_see_every_name():
    """What stands under TYPE_CHECKING is what __getattr__ finds."""
    (block,) = (n for n in ast.parse((ROOT / "mnnjax/__init__.py").read_text()).body if isinstance(n, ast.If))
    shown = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        shown |= {alias.name: node.module for alias in node.names}
    assert {*shown, "__version__"} == set(mnnjax.__all__)
    for name, module in shown.items():
        home = importlib.import_module(module)
        assert getattr(mnnjax, name) is getattr(home, name)


def test_the_import_waits_for_nothing():
    heavy = {"jax", "numpy", "scipy", "flax", "optax", "matplotlib", "pandas", "tyro"}
    code = f"import sys, mnnjax; dir(mnnjax); mnnjax.Study; sys.exit(len({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("first", ["run_study", "load", "status", "Result", "study.run_study"])
def test_no_order_of_imports_puts_a_module_in_the_place_of_a_function(first):
    code = f"import mnnjax; mnnjax.{first}; mnnjax.load; print(mnnjax.status.__name__, mnnjax.study.status.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["status", "status"], done.stderr
