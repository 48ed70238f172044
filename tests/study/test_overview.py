"""Many studies at one glance, while other processes may be at work in them."""

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnnjax import cli
from mnnjax.config import Network, Problem, Study, Train, UserError, Volume
from mnnjax.study.overview import find_studies, overview
from mnnjax.study.plan.grid import cells
from mnnjax.study.plan.shard import Shard
from mnnjax.study.workdir import lock
from mnnjax.study.workdir.workdir import Workdir
from tests.project import ROOT

STUDY = Study("s", Problem(d0=5, N=[20, 40, 60]), Network(), Train(epochs=100, decay_epochs=0), repeats=2)
# A process that holds a folder's lock until its standard input is closed.
HOLDER = """
import sys
from pathlib import Path
from mnnjax.study.workdir.lock import hold_file
with hold_file(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def finish(workdir: Workdir, cell, *verdicts: str, **more) -> None:
    rows = [
        {"study": cell.part.name, "cell": cell.id, "seed": seed, "verdict": verdict} | more
        for seed, verdict in zip(cell.seeds, verdicts, strict=True)
    ]
    workdir.finish_cell(cell, rows)


def begun(folder: Path, study: Study = STUDY) -> Workdir:
    workdir = Workdir(folder)
    workdir.claim(study, cells(study))
    return workdir


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def holder():
    """holder(folder): a process that is at work there."""
    started = []

    def start(folder: Path) -> subprocess.Popen:
        command, both = [sys.executable, "-c", HOLDER, str(folder)], subprocess.PIPE
        process = subprocess.Popen(command, cwd=ROOT, stdin=both, stdout=both, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.communicate()


def test_cells_repetitions_verdicts_and_the_last_change(tmp_path):
    workdir = begun(tmp_path)
    assert overview(tmp_path).changed is None
    first, second, _ = cells(STUDY)
    finish(workdir, first, "global_minimum", "not_converged")
    finish(workdir, second, "not_converged", "not_converged")
    workdir.log("chunk", cell=cells(STUDY)[2].id, epoch=50, mse=0.25, mce=0.125)
    found = overview(tmp_path)
    assert (found.name, found.state, found.finished, found.cells) == ("s", "stopped", 2, 3)
    assert (found.repetitions, found.all_repetitions) == (4, 6)
    assert found.verdicts == {"not_converged": 3, "global_minimum": 1}
    assert list(found.verdicts) == ["not_converged", "global_minimum"]
    assert abs(found.changed - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(seconds=60)
    assert found.training == ["s.h1.d5x5.N60: step 50 of 100, MSE 0.25, MCE 12.5 %"]
    finish(workdir, cells(STUDY)[2], "saddle", "saddle")
    found = overview(tmp_path)
    assert (found.state, found.percent, found.training) == ("done", 100, [])


def test_verdicts_are_those_below_where_training_ends_if_there_are_any(tmp_path):
    workdir = begun(tmp_path)
    finish(workdir, cells(STUDY)[0], "not_converged", "not_converged", minimum_verdict="suboptimal_kink")
    assert overview(tmp_path).verdicts == {"suboptimal_kink": 2}


def test_volumes_have_no_verdicts(tmp_path):
    study = Study("v", Problem(d0=2, N=4), volume=Volume(samples=64, batch=16), repeats=1)
    workdir = begun(tmp_path, study)
    workdir.finish_cell(cells(study)[0], [{"study": "v", "cell": cells(study)[0].id, "seed": 0, "method": "sampling"}])
    assert overview(tmp_path).verdicts == {}


def test_it_runs_while_another_process_holds_the_folder_and_nothing_is_written(tmp_path, holder):
    begun(tmp_path / "a")
    process = holder(tmp_path / "a")
    before = files(tmp_path)
    for _ in range(3):
        assert overview(tmp_path / "a").state == "running"
    process.communicate()
    assert overview(tmp_path / "a").state == "stopped"
    assert files(tmp_path) == before


def test_a_shard_at_work_makes_the_study_run(tmp_path, holder):
    begun(tmp_path)
    shard = Workdir(tmp_path, Shard(0, 2))
    shard.claim(STUDY, cells(STUDY))
    finish(shard, cells(STUDY)[0], "saddle", "saddle")
    holder(shard.path)
    found = overview(tmp_path)
    assert (found.state, found.finished) == ("running", 1)
    assert find_studies(tmp_path) == [tmp_path]


def test_looking_keeps_no_run_from_starting(tmp_path):
    """One process looks all the time, and others take the lock again and again."""
    begun(tmp_path)
    looking = "from pathlib import Path; from mnnjax.study.workdir.lock import is_held; import sys\n"
    looking += "print('looks', flush=True)\nwhile True: is_held(Path(sys.argv[1]))"
    with lock.hold_file(tmp_path):
        pass
    process = subprocess.Popen(
        [sys.executable, "-c", looking, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        process.stdout.readline()
        for _ in range(200):
            with lock.hold_file(tmp_path):
                pass
    finally:
        process.kill()
        process.communicate()


def test_studies_are_found_at_any_depth_and_other_folders_are_no_obstacle(tmp_path):
    for name in ("b", "a/deep/er", ".hidden"):
        begun(tmp_path / name)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text('{"model": "of someone else"}')
    (tmp_path / "file").touch()
    found = find_studies(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/deep/er", "b", "other"]
    assert [overview(path).state for path in found] == ["stopped", "stopped", "unreadable"]
    assert "holds no study of this version" in overview(found[2]).error
    with pytest.raises(UserError, match=r"holds no study \(it does not exist\)"):
        find_studies(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no study \(it is empty\)"):
        find_studies(tmp_path / "empty")


def test_a_bucket_tells_a_run_at_work_by_its_lease(remote, tmp_path):
    study = Workdir(f"{remote}/a/x")
    study.claim(STUDY, cells(STUDY))
    found = find_studies(remote)
    assert [str(path) for path in found] == [f"{remote}/a/x"]
    assert overview(found[0]).state == "stopped"
    with study.sole_user(lambda line: None):
        assert overview(found[0]).state == "running"
    assert overview(found[0]).state == "stopped"


# The commands.


def test_status_has_a_line_per_study_and_stays_as_it_was_for_one(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workdir = begun(tmp_path / "runs/first")
    finish(workdir, cells(STUDY)[0], "global_minimum", "suboptimal_kink")
    begun(tmp_path / "runs/second")
    assert cli.main(["status", "runs"]) == 0
    titles, *lines = capsys.readouterr().out.splitlines()
    assert titles.split()[:3] == ["study", "state", "cells"]
    assert [line.split()[:5] for line in lines] == [
        ["first", "stopped", "1", "of", "3"],
        ["second", "stopped", "0", "of", "3"],
    ]
    assert "2 of 6" in lines[0]
    assert lines[0].endswith("1 global, 1 kinks")
    assert cli.main(["status", "runs/first"]) == 0
    assert capsys.readouterr().out.startswith("s: 1 of 3 cells finished")


def test_watch_ends_when_all_are_done(tmp_path, capsys):
    workdir = begun(tmp_path / "runs/first")
    for cell in cells(STUDY):
        finish(workdir, cell, "saddle", "saddle")
    before = files(tmp_path)
    for folder in ("runs", "runs/first"):
        assert cli.main(["watch", str(tmp_path / folder)]) == 0
        told = capsys.readouterr().out
        assert "3 of 3 (100 %)" in told
        assert "first: 6 saddle" in told
    assert files(tmp_path) == before


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "x"])
def test_watch_wants_a_time_that_passes(tmp_path, capsys, seconds):
    assert cli.main(["watch", str(tmp_path), "--seconds", seconds]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_ends_watch_with_its_code_and_one_line(tmp_path):
    begun(tmp_path)
    command = [sys.executable, "-m", "mnnjax.cli", "watch", str(tmp_path)]
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    watch = subprocess.Popen(command, cwd=ROOT, **both)
    assert watch.stdout.readline().startswith("study")
    watch.send_signal(signal.SIGINT)
    assert watch.communicate()[1] == "mnnjax: interrupted\n"
    assert watch.returncode == 130


@pytest.mark.slow
def test_watch_follows_a_study_that_another_process_runs_until_it_is_done(tmp_path):
    """On a terminal: it redraws, shows the cell in training, and leaves the study alone."""
    config = tmp_path / "c.py"
    config.write_text(
        "from mnnjax.config import *\nstudy = Study('s', Problem(d0=4, N=[20, 30]), Network(),"
        " Train(epochs=4000, decay_epochs=0, chunk_epochs=10, batch_size=4), repeats=2)\n"
    )
    environment = os.environ | {"COLUMNS": "80", "TTY_COMPATIBLE": "1", "TERM": "xterm"}
    main, workdir = [sys.executable, "-m", "mnnjax.cli"], str(tmp_path / "runs/s")
    run = subprocess.Popen(
        [*main, "run", str(config), "--workdir", workdir], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    while not (tmp_path / "runs/s/config.json").exists() and run.poll() is None:
        time.sleep(0.05)
    watch = [*main, "watch", str(tmp_path / "runs"), "--seconds", "0.2"]
    told = subprocess.run(watch, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert run.communicate()[0].endswith("report.html\n")
    assert (run.returncode, told.returncode, told.stderr) == (0, 0, "")
    assert "running" in told.stdout
    assert "step " in told.stdout
    assert "2 of 2 (100 %)" in told.stdout.rpartition("running")[2]
    assert json.loads(Path(workdir, "config.json").read_text())["name"] == "s"
