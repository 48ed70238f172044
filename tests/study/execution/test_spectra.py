"""The columns of train.spectrum against the networks that load_trained gives, and those of an untrained study."""

import numpy as np
import pytest

from mnnjax.config import Network, Problem, Study, Train, UserError
from mnnjax.landscape.regions.spectrum import jacobian_lambda_min, khatri_rao_sigma_min
from mnnjax.study import load_trained
from mnnjax.study.plan import grid as plan
from mnnjax.study.runner import Stopped, run_study
from mnnjax.study.workdir.results_table import SPECTRUM_COLUMNS, read_csv
from tests.study.stops import stop_after

CELL = "spectrum.h1.d4x4.N15"
TRAIN = Train(epochs=10, decay_epochs=0, chunk_epochs=5, spectrum=True)


def study(bias=False, train: Train = TRAIN) -> Study:
    return Study("spectrum", Problem(d0=(4,), N=(15,)), Network(rho=0.1, bias=bias), train, repeats=3)


@pytest.mark.slow
@pytest.mark.parametrize("bias", [True, False])
def test_columns_are_those_of_the_weights_before_and_after(tmp_path, bias):
    run_study(study(bias), tmp_path / "run")
    # The weights without epochs are those at initialization.
    run_study(study(bias, Train(epochs=0, decay_epochs=0, finish="minimum")), tmp_path / "untrained")
    trained, untrained = (load_trained(tmp_path / name, CELL) for name in ("run", "untrained"))
    for k, row in enumerate(trained.rows):
        X = np.asarray(trained.points(k)[0], np.float64)
        X = np.column_stack([X, np.ones(15)]) if bias else X
        for suffix, networks in (("_start", untrained), ("", trained)):
            params = {name: np.asarray(leaf[k], np.float64) for name, leaf in networks.params.items()}
            W = np.column_stack([params["W1"], params["b1"]]) if bias else params["W1"]
            A = np.where(X @ W.T > 0, 1.0, 0.1)
            assert float(row[f"sigma_min{suffix}"]) == khatri_rao_sigma_min(A, X)
            assert float(row[f"lambda_min{suffix}"]) == jacobian_lambda_min(W, params["z"], X, 0.1, bias)
        assert row["lambda_min"] != row["lambda_min_start"]


@pytest.mark.slow
def test_stopped_and_resumed_it_is_the_same(tmp_path, monkeypatch):
    run_study(study(), tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(Stopped):
            run_study(study(), tmp_path / "run")
    run_study(study(), tmp_path / "run")
    files = [tmp_path / name / "results.csv" for name in ("run", "undisturbed")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_of_shared_points_and_of_what_overflowed(tmp_path):
    rows = Train(epochs=2, decay_epochs=0, batch_size=64, parallel="data", spectrum=True)
    run_study(Study("rows", Problem(d0=(8,), N=(64,), data_sets=1), train=rows, repeats=2), tmp_path / "rows")
    for row in read_csv(tmp_path / "rows/results.csv"):
        assert all(np.isfinite(float(row[column.name])) for column in SPECTRUM_COLUMNS)
    wild = Train("sgd", learning_rate=1e4, epochs=60, decay_epochs=0, spectrum=True)
    run_study(Study("wild", Problem(d0=(3,), N=(8,)), train=wild, repeats=2), tmp_path / "wild")
    for row in read_csv(tmp_path / "wild/results.csv"):
        assert np.isfinite(float(row["sigma_min_start"]))
        assert row["sigma_min"] == row["lambda_min"] == "nan"


def test_what_it_cannot_do_is_said_before():
    with pytest.raises(UserError, match=r"^train\.spectrum: only for one hidden layer; give network\.hidden_layers 1$"):
        Study("deep", Problem(d0=(4,), N=(15,)), Network(hidden_layers=(1, 2)), Train(spectrum=True))
    large = Study("large", Problem(d0=(100,), N=(9000,)), train=Train(spectrum=True))
    with pytest.raises(UserError, match=r"d100x100\.N9000 has N d0 d1 = 90 000 000, more than 40 000 000; leave"):
        plan.check(large)
