"""The Python of the README and of the pages beside the code runs as it stands, block after block."""

import re

import numpy as np
import pytest

from tests.project import ROOT

README = (ROOT / "README.md").read_text()
PAGES = ("README.md", "configs/README.md", "mnnjax/landscape/README.md")


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def run(page: str) -> dict:
    """The names that a page's blocks leave, each run after those before; without PyTorch's, which tests do not need."""
    names: dict = {}
    for block in blocks(page, "python"):
        if "l1.weight" not in block:
            exec(compile(block, page, "exec"), names)
    return names


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", PAGES)
def test_the_python_runs_as_pasted(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as in a session that begins there
    names = run(page)
    told = capsys.readouterr().out
    if page == "README.md":
        assert told.endswith(blocks(page, "")[1])
    elif page == "configs/README.md":
        assert np.asarray(names["end"].mse).shape == (30,)
        assert "global_minimum" in told
    elif page == "mnnjax/landscape/README.md":
        verdicts = [line for line in told.splitlines() if line in ("not_converged", "global_minimum")]
        assert verdicts == ["not_converged", "global_minimum"]
        assert "suboptimal_kink" in told
        for line in blocks(page, "")[-1].splitlines():  # the estimate, to its last digit
            assert line in told


def test_the_readme_is_short_and_its_links_lead_somewhere():
    assert len(README.splitlines()) <= 120
    for page in (*PAGES, "launch/README.md"):
        text = (ROOT / page).read_text()
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            assert link.startswith("https://") or (ROOT / page).parent.joinpath(link).exists(), (page, link)
        for path, anchor in re.findall(r"\]\(([^)#]*\.md)?#([^)]+)\)", text):
            there = (ROOT / page).parent / path if path else ROOT / page
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_commands_of_the_readme_are_those_of_the_command_line():
    from mnnjax.cli.entry import USAGE

    for line in USAGE.splitlines():
        if line.startswith("  mnnjax "):
            assert " ".join(line.split()[:2]) in README
