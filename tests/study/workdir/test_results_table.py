"""Every column of results.csv is explained."""

import re

import pytest

from mnnjax.study.workdir.results_table import COLUMNS, MEANINGS, QUANTITIES, VOLUME_COLUMNS, explain, markdown
from tests.project import ROOT


def test_every_column_is_explained_and_no_other():
    own = [name for name in MEANINGS if name[0] != "*"]
    assert own == [*COLUMNS, "method", "eps", *QUANTITIES]
    for name in (*COLUMNS, *VOLUME_COLUMNS):
        assert len(explain(name).meaning) > 5
    assert {f"*_{name.rpartition('_')[2]}" for name in VOLUME_COLUMNS if name not in own} == set(MEANINGS) - set(own)
    with pytest.raises(KeyError):
        explain("mse2")


@pytest.mark.parametrize("name", [c for c in COLUMNS if re.search(r"mce$", c)])
def test_an_mce_is_called_a_fraction(name):
    assert "fraction" in explain(name).unit


def test_the_table_in_markdown():
    lines = markdown().splitlines()
    assert {line.count("|") for line in lines} == {5}
    assert [line.split("`")[1] for line in lines[2:]] == list(MEANINGS)
    assert markdown() in (ROOT / "configs/results/README.md").read_text()
