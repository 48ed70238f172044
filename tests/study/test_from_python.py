"""What people call from notebooks is to be had from mnnjax.study, and costs no start of JAX before."""

import dataclasses
import signal
import subprocess
import sys

import pytest

import mnnjax.study
from mnnjax.config import Problem, Study, Train
from mnnjax.report import write_report
from mnnjax.study import Stopped, StudyError, load_trained, run_study
from mnnjax.study.workdir.results_table import read_csv
from tests.study.stops import stop_after


def test_names():
    assert set(mnnjax.study.__all__) <= set(dir(mnnjax.study))
    assert issubclass(StudyError, RuntimeError)
    for name in mnnjax.study.__all__:
        assert name in mnnjax.study.__doc__
        assert getattr(mnnjax.study, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        mnnjax.study.nothing  # noqa: B018


def test_the_import_does_not_wait_for_jax():
    code = "import sys, mnnjax.study; dir(mnnjax.study); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.slow
def test_status_is_a_function():
    code = "from mnnjax.study import status, run_study; sys.exit(not callable(status))"
    assert subprocess.run([sys.executable, "-c", f"import sys; {code}"], capture_output=True).returncode == 0


@pytest.mark.slow
def test_the_example_of_the_docstring(tmp_path, monkeypatch):
    study = Study("mine", Problem(d0=(10,), N=(50, 100)), train=Train(epochs=20, decay_epochs=0), repeats=5)
    with monkeypatch.context() as patch:
        stop_after(patch, 1, signal.SIGINT)
        with pytest.raises(Stopped):
            run_study(study, tmp_path / "mine")
    assert run_study(study, tmp_path / "mine").cells == [f"mine.h1.d10x10.N{N}" for N in (50, 100)]
    assert write_report([tmp_path / "mine"]) == tmp_path / "mine/report.html"
    assert len(read_csv(tmp_path / "mine/results.csv")) == 10
    grown = run_study(dataclasses.replace(study, repeats=10), tmp_path / "mine")
    assert len(grown.rows) == 20
    trained = load_trained(tmp_path / "mine", "mine.h1.d10x10.N50")
    assert trained.params["W1"].shape == (10, 10, 10)
    assert trained.X.shape == (10, 50, 10)
