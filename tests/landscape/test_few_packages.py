"""Certificates, descents and volumes need few of the package's dependencies: those that the README names for them."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mnnjax
from tests.project import ROOT

# What `pip install --no-deps mnnjax` needs beside it for the landscape; pip adds what these need.
FEW = ("jax", "jaxlib", "jaxtyping", "numpy", "scipy", "threadpoolctl")
CODE = """
import sys
import numpy as np
import mnnjax as mj

rng = np.random.default_rng(0)
W, z, X, y = (rng.standard_normal(shape) for shape in ((3, 2), (3,), (6, 2), (6,)))
certificate = mj.certify(W, z, X, y, rho=0.0)
found = mj.descend(W, z, X, y, rho=0.0)
assert found.certificate.mse < certificate.mse
assert [c.verdict for c in mj.certify(W[None], z[None], X, y, rho=0.0)] == [certificate.verdict]
assert mj.exact_volumes(X[:4], np.sign(y[:4]), 1, 0.0, 0.0).rank_deficient is not None
import mnnjax.landscape.volumes.splitting
import mnnjax.theory
import mnnjax.config
mj.Study("mine", mj.Problem(d0=(3,), N=(8,)))
print(found.certificate.verdict)
try:
    mj.make_training
except ModuleNotFoundError as error:
    print(error)
"""


def needed(names: tuple[str, ...]) -> set[str]:
    """The distributions, and all that they need."""
    found: set[str] = set()
    left = [*names]
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name not in found:
            found.add(name)
            asked = importlib.metadata.requires(name) or []
            left += [re.match(r"[\w.-]+", each)[0] for each in asked if "extra ==" not in each]
    return found


@pytest.fixture
def few(tmp_path) -> Path:
    """A folder that holds these packages alone, as links."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for name in needed(FEW):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if not file.parts[0].startswith((".", "__py"))}:
            (folder / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())
    return folder


@pytest.mark.slow
def test_certificates_and_descents_work_where_there_is_no_other_package(few):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (few, ROOT)))}
    # -S: none of this environment's packages.
    command = [sys.executable, "-S", "-P", "-c", CODE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    verdict, missing = done.stdout.splitlines()
    assert verdict in ("global_minimum", "suboptimal_dlm", "suboptimal_kink")
    assert missing.startswith("No module named 'flax")


@pytest.mark.slow
def test_the_landscape_imports_none_of_them():
    heavy = {"flax", "optax", "orbax", "tensorstore", "tyro", "rich", "matplotlib", "sklearn", "jinja2", "pandas"}
    code = f"import sys, mnnjax.landscape; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_the_extra_names_the_rest():
    """A plain install is whole; `study` are the packages that certificates can do without."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    plain, extra = set(project["dependencies"]), set(project["optional-dependencies"]["study"])
    assert {re.match(r"[\w-]+", each)[0] for each in plain - extra} == set(FEW)
    assert extra < plain
    assert all(name in (mnnjax.landscape.__doc__ or "") for name in FEW)
