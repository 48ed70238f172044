"""What is built to be handed on: `python -m build`, and the wheel alone in an empty environment."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from mnnjax import __version__
from tests.project import ROOT

# Nothing that a build needs, or that one before it may have left.
LEFT_OUT = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "runs")
CONFIG = """
from mnnjax.config import Network, Problem, Study, Train

study = Study(
    name="mine",
    problem=Problem(inputs="gaussian", labels="random", d0=(4,), N=(6, 8)),
    network=Network(rho=0.1),
    train=Train(optimizer="adam", learning_rate=1e-2, epochs=20, decay_epochs=0),
    repeats=2,
)
"""

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What a program prints; it must end with 0."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """The folder with the source distribution, and the wheel that is made of it; skips without a package index."""
    pytest.importorskip("build", reason="pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("built")
    ask = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    found = subprocess.run([*ask, "--timeout", "15", "--no-deps", "setuptools>=77"], cwd=folder, capture_output=True)
    if found.returncode:
        pytest.skip("no package index can be reached, and a build takes setuptools from there")
    # Of a copy: a build writes beside its sources.
    shutil.copytree(ROOT, folder / "tree", ignore=LEFT_OUT)
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "tree", cwd=folder)
    return folder / "dist"


@pytest.fixture(scope="module")
def program(dist, tmp_path_factory) -> Path:
    """`mnnjax` of an environment that holds the wheel and what it asks for."""
    home = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(home, with_pip=True)
    # The versions in constraints.txt are those of one Python.
    pinned = ["--constraint", ROOT / "constraints.txt"] if sys.version_info[:2] == (3, 11) else []
    pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, *pinned, *dist.glob("*.whl"), cwd=home)
    return home / "bin" / "mnnjax"


@pytest.fixture
def clean(tmp_path) -> dict[str, str]:
    """The environment of a user who has set nothing."""
    return {"PATH": os.defpath, "HOME": str(tmp_path / "home")}


def test_the_wheel_holds_the_package_alone(dist):
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    suffixes = (".py", ".jinja", ".css", ".js")
    wanted = {str(path.relative_to(ROOT)) for path in (ROOT / "mnnjax").rglob("*") if path.suffix in suffixes}
    wanted |= {f"mnnjax/report/vendor/{name}" for name in ("LICENSE", "README.md")}
    package = {name for name in names if name.startswith("mnnjax/")}
    assert package == wanted | {"mnnjax/py.typed"}
    information = f"mnnjax-{__version__}.dist-info/"
    assert {f"{information}{name}" for name in ("METADATA", "entry_points.txt", "licenses/LICENSE")} <= names
    assert all(name.startswith(information) for name in names - package)


def test_the_source_distribution_can_be_built_and_read(dist):
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "mnnjax/py.typed",
        "mnnjax/report/template.html.jinja",
        "mnnjax/report/page.js",
    } <= names
    assert not [name for name in names if name.startswith(("configs/", "launch/", ".venv"))]


def test_an_index_would_take_both(dist):
    run(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir(), cwd=dist)


def test_the_wheel_alone_runs_a_config_of_the_users(program, clean, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "mine.py").write_text(CONFIG)
    where = run(program.with_name("python"), "-c", "import mnnjax; print(mnnjax.__file__)", cwd=folder, env=clean)
    assert Path(where.strip()).is_relative_to(program.parents[1])
    run(program, "run", "mine.py", cwd=folder, env=clean)
    with open(folder / "runs" / "mine" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((int(row["N"]), int(row["seed"])) for row in rows) == [(6, 0), (6, 1), (8, 0), (8, 1)]
    page = (folder / "runs" / "mine" / "report.html").read_text()
    assert "mine" in page
    assert "<svg" in page or "<table" in page


def test_the_wheel_alone_knows_its_verbs_and_its_machine(program, clean, tmp_path):
    assert "mnnjax run CONFIG" in run(program, "--help", cwd=tmp_path, env=clean)
    found = json.loads(run(program, "doctor", "--json", cwd=tmp_path, env=clean))
    assert found["versions"]["mnnjax"] == __version__
