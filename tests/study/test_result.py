"""What mnnjax.run_study and mnnjax.load give: typed rows, DataFrames, networks, pictures, the page."""

import csv
import json
import math
import sys

import numpy as np
import pandas
import pytest

import mnnjax as mj
from mnnjax.study.result import VERDICTS
from mnnjax.study.workdir.results_table import COLUMNS, MINIMUM_COLUMNS, VOLUME_COLUMNS
from tests.study.stops import stop_after

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

STUDY = mj.Study(
    "mine", mj.Problem(d0=(3,), N=(6, 8)), mj.Network(d1=(2,)),
    mj.Train(epochs=4, decay_epochs=0, chunk_epochs=2, finish="minimum"), repeats=2,
)  # fmt: skip
CELLS = ["mine.h1.d3x2.N6", "mine.h1.d3x2.N8"]


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> mj.Result:
    return mj.run_study(STUDY, tmp_path_factory.mktemp("result") / "run")


@pytest.fixture(scope="module")
def volumes(tmp_path_factory) -> mj.Result:
    problem = mj.Problem(d0=(2,), N=(3, 4))
    study = mj.Study("v", problem, mj.Network(d1=(1,)), repeats=1, volume=mj.Volume("exact"))
    return mj.run_study(study, tmp_path_factory.mktemp("volumes") / "run")


def names(*groups) -> list[str]:
    return [column.name for group in groups for column in group]


def test_rows_are_those_of_results_csv_with_types(result):
    with open(result.workdir / "results.csv", newline="") as file:
        texts = list(csv.DictReader(file))
    assert list(result.rows[0]) == list(texts[0]) == names(COLUMNS, MINIMUM_COLUMNS)
    assert (len(result.rows), result.cells) == (4, CELLS)
    for row, text in zip(result.rows, texts, strict=True):
        assert (row["N"], row["seed"]) == (int(text["N"]), int(text["seed"]))
        assert row["mse"] == float(text["mse"])
        assert row["bias"] is False
        assert row["non_finite_epoch"] is None
        assert math.isnan(row["held_out_mce"])
        assert row["minimum_verdict"] == text["minimum_verdict"]


def test_frame_of_training(result):
    frame = result.to_pandas()
    assert list(frame) == names(COLUMNS, MINIMUM_COLUMNS)
    assert frame["mse"].tolist() == [row["mse"] for row in result.rows]
    wanted = {"N": "int64", "mse": "float64", "bias": "bool", "non_finite_epoch": "Int64", "escapes": "boolean"}
    assert {name: str(frame[name].dtype) for name in wanted} == wanted
    for name in ("verdict", "minimum_verdict"):
        assert list(frame[name].cat.categories) == list(VERDICTS)
        assert frame[name].tolist() == [row[name] for row in result.rows]
    assert {"saddle", "non_finite", "not_certified"} <= set(VERDICTS)
    assert frame["non_finite_epoch"].isna().all()


def test_frame_of_volumes(volumes, result):
    frame = volumes.to_pandas()
    assert list(frame) == names(COLUMNS, VOLUME_COLUMNS)
    assert frame["verdict"].isna().all()
    assert frame["optimizer"].isna().all()
    assert frame["method"].tolist() == ["exact", "exact"]
    # Types do not depend on what is filled: tables of several studies go together.
    both = pandas.concat([frame, result.to_pandas()])
    assert str(both["epochs"].dtype) == "Int64"
    assert str(both["verdict"].dtype) == "category"


def test_without_pandas(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(mj.UserError, match=r"^to_pandas: pandas is not installed; pip install 'mnnjax\[pandas\]'$"):
        result.to_pandas()


@pytest.mark.slow
def test_networks_status_and_page(result):
    trained = result.trained(CELLS[1])
    assert isinstance(trained, mj.Trained)
    assert trained.params["W1"].shape == (2, 2, 3)
    assert "2 of 2 cells finished" in result.status()
    assert repr(result) == f"Result: {result.status().splitlines()[0]}, in {result.workdir}"
    assert result.study == STUDY
    page = result.report()
    assert page == result.workdir / "report.html"
    assert CELLS[0].split(".")[0] in page.read_text()


def test_pictures(result, volumes):
    panel = result.plot().axes[0]
    line = next(line for line in panel.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o")
    np.testing.assert_array_equal(line.get_xdata(), [6, 8])
    means = [100 * np.mean([row["mce"] for row in result.rows if row["N"] == N]) for N in (6, 8)]
    np.testing.assert_allclose(line.get_ydata(), means)
    assert result.plot(1) is not result.plot()
    assert volumes.plot().axes
    with pytest.raises(mj.UserError, match="plot: number 9 is none of 4 pictures, counted from 0"):
        result.plot(9)


@pytest.mark.slow
def test_a_folder_of_a_study_that_was_stopped(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 5)  # in the second cell
        with pytest.raises(mj.Stopped):
            mj.run_study(STUDY, tmp_path / "run")
    result = mj.load(tmp_path / "run")
    assert result.cells == CELLS[:1]
    assert len(result.rows) == len(result.to_pandas()) == 2
    assert "1 of 2 cells finished" in result.status()
    assert mj.run_study(STUDY, tmp_path / "run").cells == CELLS
    # What was read stays as it was.
    assert result.cells == CELLS[:1]


def test_a_folder_without_results(tmp_path):
    with pytest.raises(mj.UserError, match="holds no study"):
        mj.load(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(mj.config.to_dict(STUDY)))
    begun = mj.load(tmp_path / "run")
    assert begun.rows == []
    assert len(begun.to_pandas()) == 0
    with pytest.raises(mj.UserError, match="has no finished cell yet"):
        begun.plot()
