"""Rules that the whole tree keeps."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT

MODULES = sorted((ROOT / "mnnjax").rglob("*.py"))

# Imports point from a later tier to an earlier one, or stay within a tier; landscape and training do not meet.
TIERS = (
    {"arrays", "config", "errors", "host_memory", "jax_setup", "own_parts", "terminal", "theory", "wording", "workers"},
    {"network", "objective", "data", "problems"},
    {"training", "landscape"},
    {"study", "report"},
    {"cli"},
    {"__init__"},  # the names that people need at the top
)
STRANGERS = {("landscape", "training"), ("training", "landscape")}


def unit(module: Path | str) -> str:
    """The part of the package that a file, or a dotted name, belongs to."""
    parts = module.relative_to(ROOT / "mnnjax").parts if isinstance(module, Path) else module.split(".")[1:]
    return parts[0].removesuffix(".py") if parts else "__init__"


def tier(name: str) -> int:
    return next(i for i, units in enumerate(TIERS) if name in units)


def imports(path: Path) -> set[str]:
    """What a file imports of the package, by dotted names, of functions and classes too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] == "mnnjax"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mnnjax":
            names |= {f"{node.module}.{alias.name}" for alias in node.names if not alias.name.startswith("__")}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downward(path):
    own = unit(path)
    for name in imports(path):
        other = unit(name)
        assert tier(other) <= tier(own), f"{path} imports {name}"
        assert (own, other) not in STRANGERS, f"{path} imports {name}"


def dotted(path: Path) -> str:
    """mnnjax/study/plan/grid.py -> mnnjax.study.plan.grid; a package by its folder."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("depth", [None, 3], ids=["modules", "rooms"])
def test_no_cycle_of_imports(depth):
    """Neither of modules nor of rooms, such as mnnjax.study.plan."""
    names = {dotted(path) for path in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        room = ".".join(dotted(path).split(".")[:depth])
        for name in imports(path):
            module = name if name in names else name.rpartition(".")[0]
            other = ".".join(module.split(".")[:depth])
            graph.setdefault(room, set()).update({other} - {room})
    graphlib.TopologicalSorter(graph).prepare()


def test_only_the_checkpoint_module_imports_orbax():
    assert [p.name for p in MODULES if "import orbax" in p.read_text()] == ["checkpoint.py"]


def test_ruff():
    # What is the project's: a user may keep configs and results of any style beside it.
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True)
    files = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()] or ["mnnjax", "tests"]
    for command in (["check"], ["format", "--check"]):
        run = subprocess.run([sys.executable, "-m", "ruff", *command, *files], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr


def test_help_does_not_wait_for_jax():
    code = "import sys; from mnnjax import cli; cli.main(['--help']); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
