"""Descents after training: what the rows say of them against landscape.descend, and stops and resumes to the bit."""

import json
import os
import signal
import time

import numpy as np
import pytest

from mnnjax.config import Network, Problem, Study, Train
from mnnjax.landscape import certify, descend
from mnnjax.landscape.descent import cost
from mnnjax.study import load_trained
from mnnjax.study.distributed.stopping import Interrupted
from mnnjax.study.execution import descents as descents_module
from mnnjax.study.execution.descent_workers import Start, go_down
from mnnjax.study.execution.train_cell import ends
from mnnjax.study.plan.grid import cells
from mnnjax.study.plan.shard import Shard
from mnnjax.study.runner import Stopped, run_study
from mnnjax.study.workdir.results_table import COLUMNS, MINIMUM_COLUMNS, read_csv
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.workers import Workers
from tests.study.runs import finish as finish_process
from tests.study.runs import start as start_process
from tests.study.stops import stop_after

MINIMA = ("global_minimum", "suboptimal_dlm", "suboptimal_kink")


def study(layers=1, bias=False, epochs=20) -> Study:
    return Study(
        "downhill", Problem(d0=(4,), N=(20, 30)), Network(hidden_layers=(layers,), bias=bias, rho=0.1),
        Train(epochs=epochs, decay_epochs=0, finish="minimum"), repeats=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A work folder whose study was never disturbed."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    run_study(study(), path)
    return path


def hidden(X, W, b, rho):
    U = X @ W.T + b
    return np.where(U > 0, U, rho * U)


def test_every_repetition_ends_below_where_training_did(undisturbed):
    rows = read_csv(undisturbed / "results.csv")
    assert len(rows) == 8
    for row in rows:
        assert row["minimum_verdict"] in MINIMA
        assert float(row["minimum_mse"]) <= float(row["mse"])
        assert float(row["minimum_distance"]) > 0
        assert int(row["descent_steps"]) > 0
    # The verdict stays that of where training ended.
    assert {row["verdict"] for row in rows} == {"not_converged"}


@pytest.mark.slow
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [2, 1])
def test_rows_and_weights_are_those_of_a_descent(tmp_path, layers, bias):
    run_study(study(layers, bias), tmp_path)
    trained = load_trained(tmp_path, cells(study(layers, bias))[0].id)
    assert trained.minimum is not None
    for k, row in enumerate(trained.rows):
        X, y = (np.asarray(a, np.float64) for a in trained.points(k))
        before, after = (
            {n: np.asarray(a[k], np.float64) for n, a in p.items()} for p in (trained.params, trained.minimum)
        )
        if layers == 2:
            assert (after["W1"] == before["W1"]).all()
            X = hidden(X, before["W1"], before.get("b1", 0.0), 0.1)
        name = f"W{layers}"
        W, c, new_W = before[name], None, after[name]
        if bias:
            X, c = np.column_stack([X, np.ones(len(X))]), float(before["c"])
            W, new_W = (np.column_stack([p[name], p[f"b{layers}"]]) for p in (before, after))
        found = descend(W, before["z"], X, y, 0.1, output_bias=c)
        assert found.certificate.verdict == row["minimum_verdict"]
        assert (found.certificate.kinks, found.steps) == (int(row["minimum_kinks"]), int(row["descent_steps"]))
        assert found.distance == float(row["minimum_distance"])
        assert (new_W == found.W).all()
        assert (after["z"] == found.z).all()
        output = hidden(X, new_W, 0.0, 0.1) @ after["z"] + after.get("c", 0.0)
        assert float(row["minimum_mse"]) == pytest.approx(np.mean((output - y) ** 2), rel=1e-9, abs=1e-20)
        assert float(row["minimum_mce"]) == np.mean((output > 1e-9) != (y > 0))
        bias_after = float(after["c"]) if bias else None
        assert certify(new_W, after["z"], X, y, 0.1, output_bias=bias_after).verdict == row["minimum_verdict"]


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [2, 7, 1])
def test_stopped_between_descents_it_goes_on_to_the_same_bits(tmp_path, monkeypatch, undisturbed, chunks):
    """A cell has one chunk of epochs and four descents."""
    with monkeypatch.context() as patch:
        stop_after(patch, chunks)
        with pytest.raises(Stopped):
            run_study(study(), tmp_path / "run")
    run_study(study(), tmp_path / "run")
    workdir = Workdir(tmp_path / "run")
    assert workdir.results.read_bytes() == (undisturbed / "results.csv").read_bytes()
    for name in ("downhill.h1.d4x4.N20.minimum.npz", "downhill.h1.d4x4.N30.npz"):
        assert (tmp_path / "run/cells" / name).read_bytes() == (undisturbed / "cells" / name).read_bytes()
    # Those that were done are not done again.
    log = workdir.read_log()
    assert sum(entry["event"] == "chunk" for entry in log) == 10
    assert not [p for p in workdir.checkpoints.rglob("*") if p.is_file()]


@pytest.mark.slow
def test_a_stop_while_a_descent_runs_keeps_those_that_are_saved(tmp_path, monkeypatch, undisturbed):
    plain, calls = descents_module.Descents.chunk, []

    def given_up(self, state, done):
        calls.append(done)
        if len(calls) < 3:
            return plain(self, state, done)
        os.kill(os.getpid(), signal.SIGTERM)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(descents_module, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)
        patch.setattr(descents_module.Descents, "chunk", given_up)
        with pytest.raises(Stopped, match="at descent 2 of 4"):
            run_study(study(), tmp_path / "run")
    run_study(study(), tmp_path / "run")
    assert (tmp_path / "run/results.csv").read_bytes() == (undisturbed / "results.csv").read_bytes()


@pytest.mark.slow
def test_a_stop_request_does_not_wait_for_descents(tmp_path):
    """Each of which takes minutes."""
    config = tmp_path / "config.py"
    config.write_text(
        "from mnnjax.config import *\n"
        "study = Study('long', Problem(d0=(40,), N=(1600,)), train=Train(epochs=0, decay_epochs=0, finish='minimum'))\n"
    )
    process = start_process(config, tmp_path / "run")
    log = Workdir(tmp_path / "run")
    deadline = time.monotonic() + 120
    # The second start of the cell is that of its descents.
    while sum(entry["event"] == "cell_start" for entry in log.read_log()) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(3)
    os.kill(process.pid, signal.SIGTERM)
    assert "SIGTERM: saved long.h1.d40x40.N1600 at descent 0 of 30" in finish_process(process, 75)


@pytest.mark.slow
def test_shards_give_the_same_bits(tmp_path, undisturbed):
    for index in range(2):
        run_study(study(), tmp_path / "run", shard=Shard(index, 2))
    workdir = Workdir(tmp_path / "run")
    workdir.collect(cells(study()))
    assert workdir.results.read_bytes() == (undisturbed / "results.csv").read_bytes()


@pytest.mark.slow
def test_without_epochs_the_row_measures_the_initialization(tmp_path):
    run_study(study(epochs=0), tmp_path)
    trained = load_trained(tmp_path, "downhill.h1.d4x4.N20")
    for k, row in enumerate(trained.rows):
        X, y = (np.asarray(a, np.float64) for a in trained.points(k))
        W, z = (np.asarray(trained.params[name][k], np.float64) for name in ("W1", "z"))
        assert row["epochs"] == "0"
        assert float(row["mse"]) == pytest.approx(np.mean((hidden(X, W, 0.0, 0.1) @ z - y) ** 2))
        assert float(row["minimum_mse"]) < float(row["mse"])
    # He's variance, of 128 weights of an untrained layer.
    assert np.var(trained.params["W1"]) == pytest.approx(2 / (1.01 * 4), rel=0.5)


def test_without_finish_the_table_has_no_such_columns_and_the_run_names_the_option(tmp_path, capsys):
    plain = Study("plain", Problem(d0=(4,), N=(20,)), train=Train(epochs=5, decay_epochs=0), repeats=2)
    run_study(plain, tmp_path)
    cell, hint = capsys.readouterr().out.splitlines()[-2:]
    assert cell.endswith(" %; 0 of 2 at a local minimum; 2 not converged")
    assert hint.startswith("2 of 2 repetitions ended at no minimum yet: --train.finish minimum, with another --workdir")
    # Of what this run trained.
    run_study(plain, tmp_path)
    assert "train.finish" not in capsys.readouterr().out
    (header, *_) = (tmp_path / "results.csv").read_text().splitlines()
    assert header.split(",") == [column.name for column in COLUMNS]
    assert load_trained(tmp_path, "plain.h1.d4x4.N20").minimum is None


def test_what_overflowed_goes_nowhere(tmp_path):
    wild = Train("sgd", learning_rate=1e4, epochs=60, decay_epochs=0, finish="minimum")
    run_study(Study("wild", Problem(d0=(3,), N=(20,)), train=wild, repeats=2), tmp_path)
    for row in read_csv(tmp_path / "results.csv"):
        assert [row[column.name] for column in MINIMUM_COLUMNS] == ["non_finite", "", "", "", "", ""]


def test_where_memory_is_short_the_study_says_so_and_omits_descents(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cost, "free_memory", lambda: 1000)
    run_study(study(), tmp_path)
    why = cost.omission(20, 4, 4)
    assert f"downhill.h1.d4x4.N20: no descents: {why}" in capsys.readouterr().out
    assert {row["minimum_verdict"] for row in read_csv(tmp_path / "results.csv")} == {"not_certified"}
    assert load_trained(tmp_path, "downhill.h1.d4x4.N20").minimum is None


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        (["global_minimum"] * 2 + ["suboptimal_kink"] * 3, "; 5 of 5 at a local minimum: 2 global, 3 kinks"),
        (
            ["suboptimal_dlm", "saddle", "saddle", "non_finite"],
            "; 1 of 4 at a local minimum: 1 differentiable; 2 saddle",
        ),
        (["not_certified"] * 2, "; 2 not certified"),
        (["non_finite"], ""),
    ],
)
def test_the_verdicts_of_a_cell_in_a_few_words(verdicts, text):
    assert ends(verdicts) == text


def test_memory_decides_how_many_descents_run_side_by_side(monkeypatch):
    (cell, _) = cells(study())
    monkeypatch.setattr(descents_module, "cores", lambda: 3)
    each = descents_module.WORKER_BYTES + cost.descent_bytes(20, 4, 4)
    for free, count in ((None, 3), (10 * each, 3), (5 * each // 2, 2), (10, 1)):
        monkeypatch.setattr(descents_module, "free_memory", lambda free=free: free)
        assert descents_module.descents_at_once(cell) == count


def starts(count: int) -> list[Start]:
    rng = np.random.default_rng(0)
    drawn = ((rng.standard_normal(shape) for shape in ((3, 3), (3,), (12, 3), (12,))) for _ in range(count))
    return [Start(W, z, None, X, np.sign(y), 0.0, 0.0) for W, z, X, y in drawn]


@pytest.mark.slow
def test_workers_give_what_this_process_gives_and_pass_errors_on():
    given = starts(5)
    with Workers(go_down) as workers:
        found = dict(end for end in workers.each(enumerate(given), 2, lambda: None) if end is not None)
        with pytest.raises(ValueError, match="rho"):
            list(workers.each([(0, given[0]._replace(rho=1.0))], 1, lambda: None))
        # They are used again, and a stop request ends those that are at work.
        assert list(workers.each(enumerate(given), 2, lambda: "SIGTERM"))[-1] is None
    for k, start in enumerate(given):
        here = go_down(start)
        assert (found[k].W == here.W).all()
        assert found[k][3:] == here[3:]


@pytest.mark.slow
def test_a_study_shared_by_devices_goes_down_too(tmp_path):
    train = Train(epochs=2, decay_epochs=0, batch_size=64, parallel="data", finish="minimum")
    run_study(Study("rows", Problem(d0=(4,), N=(64,), data_sets=1), train=train, repeats=2), tmp_path)
    assert {row["minimum_verdict"] for row in read_csv(tmp_path / "results.csv")} <= set(MINIMA)
    assert json.loads((tmp_path / "config.json").read_text())["train"]["finish"] == "minimum"
