"""A study in a bucket gives what it gives on a disk; the bucket is a stand-in on this machine (gcs_stand_in.py), which
Orbax, TensorStore and gcsfs reach as they reach Google's. The logic of the lease is test_lock.py's."""

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest

from mnnjax import cli
from mnnjax.config import Network, Problem, Study, Train, UserError
from mnnjax.study import status
from mnnjax.study.execution.images import Sources
from mnnjax.study.plan.grid import cells
from mnnjax.study.plan.shard import Shard
from mnnjax.study.runner import Stopped, StudyError, run_study
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.workdir import Workdir
from tests.study.damage import flip_a_byte
from tests.study.stops import stop_after

# Orbax leaves the event loops of reads that failed to the garbage collector, and gcsfs its connections.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

STUDY = Study(
    name="far",
    problem=Problem(d0=(4,), N=(20, 30)),
    network=Network(hidden_layers=(1,)),
    train=Train(epochs=20, decay_epochs=0, chunk_epochs=5, checkpoint_chunks=1),
    repeats=2,
)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("on_disk")
    run_study(STUDY, path / "run")
    return (path / "run/results.csv").read_bytes()


def stopped_in_the_second_cell(remote: str, monkeypatch) -> Workdir:
    """After two of its four chunks."""
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        with pytest.raises(Stopped, match=r"saved far\.h1\.d4x4\.N30 at epoch 10 of 20"):
            run_study(STUDY, remote)
    return Workdir(remote)


def epochs_begun_at(workdir: Workdir) -> list[tuple[str, int]]:
    return [(e["cell"].rpartition(".")[2], e["epoch"]) for e in workdir.read_log() if e["event"] == "cell_start"]


@pytest.mark.slow
def test_a_study_in_a_bucket_is_stopped_and_goes_on(remote, monkeypatch, on_disk, capsys):
    workdir = stopped_in_the_second_cell(remote, monkeypatch)
    assert "1 of 2 cells finished" in status(remote)
    assert "last event: stop" in status(remote)
    run_study(STUDY, remote)
    assert workdir.results.read_bytes() == on_disk
    assert epochs_begun_at(workdir) == [("N20", 0), ("N30", 0), ("N30", 10)]
    assert "2 of 2 cells finished" in status(remote)
    assert storage.names(workdir.path) == ["cells", "config.json", "metrics.jsonl", "results.csv"]

    assert cli.main(["report", remote]) == 0
    assert capsys.readouterr().out.endswith(f"report: {remote}/report.html\n")
    assert b"<html" in (workdir.path / "report.html").read_bytes()
    assert "far.csv" in storage.names(workdir.path / "report")
    with pytest.raises(UserError, match=r"belongs to another study \(repeats: there 2, here 1\)"):
        run_study(Study("far", STUDY.problem, STUDY.network, STUDY.train, repeats=1), remote)
    assert len(run_study(Study("far", STUDY.problem, STUDY.network, STUDY.train, repeats=3), remote).rows) == 6


def newest_step(workdir: Workdir):
    folder = workdir.checkpoints / "far.h1.d4x4.N30"
    assert storage.names(folder) == ["10", "5"]
    return folder / "10"


def files(folder) -> list:
    return [f for path in folder.iterdir() for f in (files(path) if path.is_dir() else [path])]


@pytest.mark.slow
def test_a_damaged_checkpoint_in_a_bucket_is_set_aside(remote, monkeypatch, on_disk):
    workdir = stopped_in_the_second_cell(remote, monkeypatch)
    step = newest_step(workdir)
    held = sorted(str(file.relative_to(step)) for file in files(step))
    largest = max(files(step), key=lambda file: len(file.read_bytes()))
    flip_a_byte(largest)
    run_study(STUDY, remote)
    assert workdir.results.read_bytes() == on_disk
    assert epochs_begun_at(workdir)[-1] == ("N30", 5)
    (warning,) = [entry["text"] for entry in workdir.read_log() if entry["event"] == "warning"]
    assert "far.h1.d4x4.N30.10 is damaged" in warning
    aside = workdir.checkpoints / "set_aside"
    (name,) = storage.names(aside)
    assert sorted(str(file.relative_to(aside / name)) for file in files(aside / name)) == held


@pytest.mark.slow
def test_a_save_that_was_cut_off_is_passed_over(remote, monkeypatch, on_disk):
    """In a bucket a step is written under its own name, and a mark that it is whole comes last."""
    workdir = stopped_in_the_second_cell(remote, monkeypatch)
    marks = [file for file in files(newest_step(workdir)) if file.name == "commit_success.txt"]
    assert marks
    for mark in marks:
        mark.unlink()
    run_study(STUDY, remote)
    assert workdir.results.read_bytes() == on_disk
    assert epochs_begun_at(workdir)[-1] == ("N30", 5)


@pytest.mark.slow
def test_shards_in_a_bucket(remote, on_disk, capsys):
    run_study(STUDY, remote, shard=Shard(1, 2))
    assert "shard 1/2: 1 of 1 cells finished (100 %); last event: end" in status(remote)
    assert "not begun: 1 of 2 shards, such as 0/2" in status(remote)
    run_study(STUDY, remote, shard=Shard(0, 2))
    assert cli.main(["report", remote]) == 0
    capsys.readouterr()
    assert (Workdir(remote).path / "results.csv").read_bytes() == on_disk


def test_a_whitening_in_a_bucket_is_read_back(remote):
    problem = Problem("digits", "classes")
    told = []
    first = Sources(Workdir(remote), None, told.append).get(problem)[1]
    again = Sources(Workdir(remote), None, told.append).get(problem)[1]
    np.testing.assert_array_equal(first.transform, again.transform)
    assert len(told) == 1


def test_a_lease_that_a_dead_process_left_is_taken_over(remote, monkeypatch):
    monkeypatch.setattr(storage, "EXPIRE_SECONDS", 0.5)
    (storage.open_path(remote) / "lock").write_text("process 1 on nowhere\nabc\n0\n")
    told = []
    with Workdir(remote).sole_user(told.append):
        assert told == [f"{remote} is held by process 1 on nowhere; waiting up to 0 s to see whether that is at work"]
    assert storage.names(storage.open_path(remote)) == []


def test_a_second_process_in_the_bucket_is_refused(remote, monkeypatch):
    monkeypatch.setattr(storage, "RENEW_SECONDS", 0.1)
    with (
        Workdir(remote).sole_user(lambda line: None),
        pytest.raises(UserError, match=rf"another process \(process {os.getpid()} on .*\) is at work in {remote}; "),
    ):
        run_study(STUDY, remote)


def test_a_bucket_that_is_not_there_is_told_in_one_line(bucket, capsys, tmp_path):
    config = tmp_path / "config.py"
    config.write_text(
        "from mnnjax.config import *\nstudy = Study('a', Problem(d0=(3,), N=(4,)), train=Train(epochs=1))"
    )
    nowhere = "gs://no-such-bucket/run"
    for call in (["run", str(config), "--workdir", nowhere], ["status", nowhere], ["report", nowhere]):
        assert cli.main(call) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"mnnjax: {nowhere}")
        assert error.count("\n") == 1


def test_lines_of_a_log_are_not_lost_between_its_writes(remote, monkeypatch):
    path = storage.open_path(remote) / "metrics.jsonl"
    path.write_bytes(b"old\nhalf")
    log = storage.LineLog(path)
    for k in range(3):
        log.add(f"line {k}")
    assert log.read() == b"old\nhalf\nline 0\n"
    log.flush()
    assert log.read() == b"old\nhalf\nline 0\nline 1\nline 2\n"
    monkeypatch.setattr(storage, "LOG_SECONDS", 0.0)
    log.add("late")
    assert log.read().endswith(b"line 2\nlate\n")


# From here on: without a bucket.


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("s3://bucket/run", "give a local folder or gs://BUCKET/NAME"),
        (str(Path("gs://bucket/run")), "a slash is missing"),
        ("gs://bucket/run", r"needs the extra gcs; pip install -e '\.\[gcs\]'"),
    ],
)
def test_addresses_that_cannot_be_used(address, says, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gcsfs" else there(name))
    with pytest.raises(UserError, match=says) as error:
        run_study(STUDY, address)
    assert "\n" not in str(error.value)


def test_a_run_that_lost_its_folder_writes_no_more_cells(tmp_path, monkeypatch):
    workdir = Workdir(tmp_path / "run")

    def lost():
        raise StudyError("lost")

    monkeypatch.setattr(workdir, "_check_lock", lost)
    with pytest.raises(StudyError):
        workdir.finish_cell(cells(STUDY)[0], [])
    with pytest.raises(StudyError):
        workdir.log("event")
    assert not (tmp_path / "run").exists()


def test_half_a_line_of_a_log_spoils_no_other(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"event": "a"}\n{"eve')
    workdir = Workdir(tmp_path)
    workdir.log("b")
    assert [entry["event"] for entry in workdir.read_log()] == ["a", "b"]
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["event"] == "b"
