"""configs/results/: every folder says how it was made, and the smallest one comes out again."""

import csv
import math
import re
import shlex
from pathlib import Path

import pytest

from mnnjax import cli
from mnnjax.cli.run import make_request, parse_options
from tests.project import ROOT

KEPT = ROOT / "configs" / "results"
MADE = sorted(KEPT.glob("*/runs.csv"))
COUNTS = {"global_minimum", "suboptimal_dlm", "min_abs_neural_input_below_1e-3", "mse_above_1e-7"}


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("runs", MADE, ids=lambda path: path.parent.name)
def test_a_folder_says_how_it_was_made(runs, monkeypatch):
    monkeypatch.chdir(ROOT)
    for go in table(runs):
        command = shlex.split(go["command"])
        assert command[:2] == ["mnnjax", "run"]
        study = make_request(parse_options(command[2:])).study  # it is still a command, of a config that is still there
        assert int(go["seed"]) == study.seed
        for column in ("mnnjax", "jax", "machine", "started"):
            assert go[column]
        assert float(go["seconds"]) >= 0
    assert go["finished_after"] == go["cells"], "the last go finishes the study"


def test_the_page_says_how_every_folder_was_made():
    page = (KEPT / "README.md").read_text()
    for folder in filter(Path.is_dir, KEPT.iterdir()):
        assert re.search(rf"^\| `{folder.name}/` \| `(mnnjax run|python) configs/", page, re.MULTILINE), folder


def test_links_of_the_page_lead_somewhere():
    page = (KEPT / "README.md").read_text()
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for link in re.findall(r"\]\(([^)]+)\)", page):
        assert link[1:] in anchors if link.startswith("#") else (KEPT / link).is_file(), link


def test_tables_and_pictures_are_small():
    for file in KEPT.rglob("*"):
        assert not file.is_file() or file.stat().st_size < 1_000_000, file


@pytest.mark.slow
def test_the_smallest_comes_out_again(tmp_path, monkeypatch, capsys):
    """Figure 5.2 by its command. Rounding differs between kinds of processors, and with it where single runs end; the
    problems are the same, and counts agree within their standard errors."""
    kept = KEPT / "fig5_2"
    command = shlex.split(table(kept / "runs.csv")[0]["command"])
    monkeypatch.chdir(tmp_path)
    assert cli.main([*command[1:-1], str(ROOT / command[-1])]) == 0
    for name in ("fig5_2.csv", "fig5_2_verdicts.csv"):
        before, now = table(kept / name), table(Path("runs/fig5_2/report") / name)
        for old, new in zip(before, now, strict=True):
            assert old.keys() == new.keys()
            for column in ("d0", "d1", "N", "repetitions"):
                assert old[column] == new[column]
            for column in old.keys() & COUNTS:
                n, a, b = (int(text) for text in (old["repetitions"], old[column], new[column]))
                # Of the difference of two counts, with one added to hits and misses each so that it is never zero.
                p = (a + b + 2) / (2 * n + 4)
                assert abs(a - b) <= 4 * math.sqrt(2 * n * p * (1 - p)), (name, old, new)
    # What the page says of its bad ends, by the page's own code: a point switched off in each, and in no other.
    (code,) = re.findall(r"```python\n(.*?)```", (KEPT / "README.md").read_text(), re.DOTALL)
    capsys.readouterr()
    exec(code, {})
    ends = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(ends) == 30
    assert all((verdict == "global_minimum") == (off == "0") for verdict, off in ends)
