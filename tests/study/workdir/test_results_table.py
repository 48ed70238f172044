"""The one table of columns: what is written comes back with its type, and the documentation says the same."""

import itertools
import math

import pytest

from mnnjax.study.workdir import results_table
from mnnjax.study.workdir.results_table import COLUMNS, OPTIONAL, QUANTITIES, _from_csv, _to_csv, typed
from tests.project import ROOT

# Groups that some studies have, but for volumes, whose columns are listed in short.
OF_SOME = (*results_table.SPECTRUM_COLUMNS, *results_table.MINIMUM_COLUMNS)
EXAMPLES = {str: "text", int: 7, float: 0.1, bool: True}


def test_a_row_comes_back_with_its_types():
    row = {column.name: EXAMPLES[column.type] for column in itertools.chain(COLUMNS, *OPTIONAL)}
    (text,) = _from_csv(_to_csv([row]).encode())
    assert list(text) == list(row)
    assert typed(text) == row


def test_columns_of_some_studies_are_there_where_the_first_is_filled_also_by_zero():
    row = {column.name: EXAMPLES[column.type] for column in COLUMNS}
    for value, there in ((0.0, True), (math.nan, True), (None, False)):
        (text,) = _from_csv(_to_csv([row | {"sigma_min_start": value}] if there else [row]).encode())
        assert ("lambda_min" in text) == there
        # What is written again, from its text, keeps them.
        assert _from_csv(_to_csv([text]).encode()) == [text]


def test_what_a_row_may_lack():
    row = {column.name: EXAMPLES[column.type] for column in COLUMNS if not column.missing}
    (text,) = _from_csv(_to_csv([row]).encode())
    assert list(text) == [column.name for column in COLUMNS]
    values = typed(text)
    assert (values["rank"], values["verdict"], values["method"], values["ratio_draws"]) == (None, "", "", None)
    assert math.isnan(values["mse"])
    assert math.isnan(values["ratio_low"])
    assert {name: values[name] for name in row} == row


@pytest.mark.parametrize(
    ("name", "text"), [("bias", "yes"), ("N", "2.5"), ("mse", "oops"), ("data_seed", ""), ("d0", None)]
)
def test_a_value_that_is_not_of_its_type(name, text):
    row = {column.name: str(EXAMPLES[column.type]) for column in COLUMNS} | {name: text}
    with pytest.raises((KeyError, TypeError, ValueError)):
        typed(row)


def test_an_mce_is_called_a_fraction():
    units = {column.name: column.unit for column in COLUMNS if column.name.endswith("mce")}
    assert units
    assert all("fraction" in unit for unit in units.values())


def markdown() -> str:
    """The columns as a table in Markdown; ends and counts, which the five quantities share, once, as '*_low'."""
    head = ["| column | meaning | unit | empty or nan |", "|---|---|---|---|"]
    rows = [
        f"| `{c.name}` | {c.meaning} | {c.unit} | {c.missing} |"
        for c in (*COLUMNS, *OF_SOME, *results_table._METHOD, *results_table._QUANTITIES, *results_table._ENDS)
    ]
    return "\n".join([*head, *rows]) + "\n"


def test_the_table_in_markdown():
    lines = markdown().splitlines()
    assert {line.count("|") for line in lines} == {5}
    names = [line.split("`")[1] for line in lines[2:]]
    ends = [f"*_{end}" for end in ("low", "high", "hits", "draws")]
    of_volumes = ("method", "eps", "global_minimum_mse", *QUANTITIES, *ends)
    assert names == [*(column.name for column in (*COLUMNS, *OF_SOME)), *of_volumes]
    assert markdown() in (ROOT / "configs/results/README.md").read_text()
