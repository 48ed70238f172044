"""The README's Python runs as it stands, block after block."""

import re

import numpy as np
import pytest

from tests.project import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_python_runs_as_pasted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    studies = set()
    for block in BLOCKS:
        if "l1.weight" in block:  # PyTorch's, which the tests do not need
            continue
        exec(compile(block, "README.md", "exec"), names)
        studies.add(names["study"].name)
    told = capsys.readouterr().out
    assert "global_minimum" in told
    assert np.asarray(names["end"].mse).shape == (30,)
    assert studies == {"mine", "own", "volumes"}


def test_commands_of_the_readme_are_those_of_the_command_line():
    from mnnjax.cli.entry import USAGE

    for line in USAGE.splitlines():
        if line.startswith("  mnnjax "):
            assert " ".join(line.split()[:2]) in README
