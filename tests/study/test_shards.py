"""The shards of a study, each in a folder of its own, give together what one run gives, to the last byte."""

import dataclasses
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mnnjax import cli
from mnnjax.config import Network, Problem, Study, Train, UserError
from mnnjax.study import status
from mnnjax.study.plan.grid import cells
from mnnjax.study.plan.shard import Shard
from mnnjax.study.runner import run_study
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.results_table import read_csv
from mnnjax.study.workdir.workdir import Workdir
from tests.started import wait_for
from tests.study.runs import finish, start

CONFIG = """
from mnnjax.config import Network, Problem, Study, Train
study = Study(
    name="parted",
    problem=Problem(d0=(4, 5), N=(20, 30)),
    network=Network(hidden_layers=(1,)),
    train=Train(epochs={epochs}, decay_epochs=0, batch_size={batch}, chunk_epochs=100, checkpoint_chunks=1),
    repeats=2,
)
"""
STUDY = Study(
    name="parted",
    problem=Problem(d0=(4, 5), N=(20, 30)),
    network=Network(hidden_layers=(1,)),
    train=Train(epochs=10, decay_epochs=0, chunk_epochs=100, checkpoint_chunks=1),
    repeats=2,
)
IDS = [cell.id for cell in cells(STUDY)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """results.csv of one run without shards."""
    path = tmp_path_factory.mktemp("whole")
    run_study(STUDY, path / "run")
    return (path / "run/results.csv").read_bytes()


@pytest.fixture
def config(tmp_path) -> str:
    path = tmp_path / "config.py"
    path.write_text(CONFIG.format(epochs=10, batch=None))
    return str(path)


def report_of(path: Path) -> tuple[bytes, str]:
    """results.csv and the page, after `mnnjax report`."""
    assert cli.main(["report", str(path)]) == 0
    return (path / "results.csv").read_bytes(), (path / "report.html").read_text()


def trained(path: Path) -> list[str]:
    """The cells that were trained in a folder and those inside it, in any order."""
    logs = [Workdir(folder).read_log() for folder in (path, *path.glob("shard-*"))]
    return sorted(entry["cell"] for log in logs for entry in log if entry["event"] == "cell_end")


def test_three_shards_give_what_one_run_gives(tmp_path, whole):
    for index in range(3):
        assert len(run_study(STUDY, tmp_path, shard=Shard(index, 3)).cells) == (2, 1, 1)[index]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", *(f"shard-{k}-of-3" for k in range(3))]
    results, page = report_of(tmp_path)
    assert results == whole
    assert "the study is unfinished" not in page
    assert trained(tmp_path) == sorted(IDS)
    first = read_csv(tmp_path / "shard-0-of-3/results.csv")
    assert [row["cell"] for row in first] == [IDS[0], IDS[0], IDS[3], IDS[3]]


def test_a_study_goes_on_with_another_number_of_shards_or_none(tmp_path, whole):
    run_study(STUDY, tmp_path, shard=Shard(0, 3))
    run_study(STUDY, tmp_path, shard=Shard(1, 2))
    assert trained(tmp_path) == sorted([IDS[0], IDS[3], IDS[1]])
    assert not list((tmp_path / "shard-1-of-2/cells").glob(f"{IDS[3]}*"))
    run_study(STUDY, tmp_path)
    assert (tmp_path / "results.csv").read_bytes() == whole
    assert trained(tmp_path) == sorted(IDS)
    # And the other way round: all is done.
    run_study(STUDY, tmp_path, shard=Shard(1, 4))
    assert trained(tmp_path) == sorted(IDS)
    assert report_of(tmp_path)[0] == whole


def test_status_and_report_of_an_unfinished_study(tmp_path, whole, capsys):
    run_study(STUDY, tmp_path, shard=Shard(1, 3))
    run_study(STUDY, tmp_path, shard=Shard(0, 3))
    Workdir(tmp_path / "shard-1-of-3").log("warning", text="something is odd")
    lines = status(tmp_path).splitlines()
    assert re.fullmatch(r"parted: 3 of 4 cells finished \(\d\d % of the work\); left: 1 cell, 2 repetitions", lines[0])
    assert lines[1].startswith("  shard 0/3: 2 of 2 cells finished (100 %); last event: end at ")
    assert lines[2].startswith("  shard 1/3: 1 of 1 cells finished (100 %); last event: warning at ")
    assert lines[3:] == ["    warning: something is odd", "  not begun: 1 of 3 shards, such as 2/3"]
    results, page = report_of(tmp_path)
    assert "6 of 8 repetitions so far: the study is unfinished" in page
    left_out = [line for line in whole.splitlines() if f",{IDS[2]},".encode() not in line]
    assert results.splitlines() == left_out


def test_status_and_report_of_one_shard(tmp_path):
    run_study(STUDY, tmp_path, shard=Shard(0, 3))
    folder = tmp_path / "shard-0-of-3"
    assert status(folder).startswith("shard 0/3 of parted: 2 of 2 cells finished (100 %)\n  last event: end at ")
    before = (folder / "results.csv").read_bytes()
    results, page = report_of(folder)
    assert results == before
    assert "the study is unfinished" not in page
    assert not (tmp_path / "report.html").exists()
    # Taken away from its study it is a folder of the whole study, in which the other cells are missing.
    folder.rename(tmp_path / "copy")
    assert status(tmp_path / "copy").startswith("parted: 2 of 4 cells finished")


@pytest.mark.parametrize("text", ["3/3", "0/0", "a/b", "1", "-1/3", "1/3/5", "1/", "1.0/3"])
def test_a_shard_that_cannot_be(config, tmp_path, capsys, text):
    assert cli.main(["run", config, "--workdir", str(tmp_path / "run"), "--shard", text]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "shard" in error
    if not text.startswith("-"):
        assert f"{text!r} is none; write I/N with I from 0 to N - 1" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_more_shards_than_cells(config, tmp_path, capsys):
    run = ["run", config, "--workdir", str(tmp_path / "run"), "--shard", "5/6"]
    assert cli.main([*run, "--dry-run"]) == 0
    assert not (tmp_path / "run").exists()
    capsys.readouterr()
    assert cli.main(run) == 0
    assert "shard 5/6 of parted: has no cells, since there are more shards than cells" in capsys.readouterr().out
    assert status(tmp_path / "run").startswith("parted: 0 of 4 cells finished")


def test_another_study_is_refused_in_every_shard(tmp_path):
    run_study(STUDY, tmp_path, shard=Shard(0, 3))
    other = Study("parted", STUDY.problem, Network(hidden_layers=(1,), rho=0.25), STUDY.train, repeats=2)
    for shard in (None, Shard(0, 3), Shard(1, 3), Shard(0, 2)):
        with pytest.raises(UserError, match=r"network\.rho: there 0\.0, here 0\.25"):
            run_study(other, tmp_path, shard=shard)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "shard-0-of-3"]


@pytest.mark.slow
def test_a_shard_of_another_study_that_was_moved_here_is_refused(tmp_path):
    other = dataclasses.replace(STUDY, seed=5)
    run_study(other, tmp_path / "other", shard=Shard(1, 3))
    run_study(STUDY, tmp_path / "run", shard=Shard(0, 3))
    (tmp_path / "other/shard-1-of-3").rename(tmp_path / "run/shard-1-of-3")
    for call in (lambda: status(tmp_path / "run"), lambda: run_study(STUDY, tmp_path / "run")):
        with pytest.raises(UserError, match=r"shard-1-of-3 belongs to another study .*; move that folder out of"):
            call()


def test_a_shards_folder_is_no_place_for_a_run(tmp_path):
    run_study(STUDY, tmp_path, shard=Shard(1, 3))
    with pytest.raises(UserError, match=rf"give --workdir {tmp_path} and --shard 1/3"):
        run_study(STUDY, tmp_path / "shard-1-of-3")
    with pytest.raises(UserError, match=rf"is the folder of shard 1/3; give --workdir {tmp_path}"):
        run_study(STUDY, tmp_path / "shard-1-of-3", shard=Shard(0, 2))


@pytest.mark.slow
def test_shards_of_images_whiten_by_themselves_and_agree(tmp_path):
    study = Study(
        name="images",
        problem=Problem("digits", "classes", N=(40, 60, 80)),
        network=Network(d1=(3,)),
        train=Train(epochs=3, decay_epochs=0),
        repeats=2,
    )
    run_study(study, tmp_path / "whole")
    run_study(study, tmp_path / "parted", shard=Shard(1, 2))
    # 61 directions are left of 64 pixels, which the shard's folder knows and the study's does not.
    assert "images: 1 of 3 cells finished" in status(tmp_path / "parted")
    run_study(study, tmp_path / "parted", shard=Shard(0, 2))
    assert report_of(tmp_path / "parted")[0] == (tmp_path / "whole/results.csv").read_bytes()
    assert len(list((tmp_path / "parted").glob("shard-*/whitening/*.npz"))) == 2


def test_another_shard_may_begin_while_the_folder_is_looked_at(tmp_path, monkeypatch):
    names, others = storage.names, [Workdir(tmp_path, Shard(1, 3))]

    def names_after_another_began(folder):
        while others:
            others.pop().claim(STUDY, cells(STUDY))
        return names(folder)

    monkeypatch.setattr(storage, "names", names_after_another_began)
    Workdir(tmp_path, Shard(0, 3)).check(STUDY)
    assert not others
    with pytest.raises(UserError, match="belongs to another study"):
        Workdir(tmp_path, Shard(0, 3)).check(dataclasses.replace(STUDY, seed=3))


# From here on: real processes.


@pytest.mark.slow
def test_shards_side_by_side_of_which_one_is_killed(tmp_path):
    config = tmp_path / "config.py"
    config.write_text(CONFIG.format(epochs=2000, batch=8))
    finish(start(config, tmp_path / "whole"))
    workdir = tmp_path / "parted"
    shards = [start(config, workdir, "--shard", f"{k}/3") for k in range(3)]
    metrics = workdir / "shard-0-of-3/metrics.jsonl"
    # In the midst of the first of its two cells.
    wait_for(lambda: metrics.exists() and metrics.read_text().count('"checkpoint"') >= 3, seconds=300)
    shards[0].send_signal(signal.SIGKILL)
    finish(shards[0], -signal.SIGKILL)
    # While the others may still be at work, on cells of which none need be finished yet.
    assert "parted: " in status(workdir)
    assert cli.main(["report", str(workdir)]) == 0
    for process in shards[1:]:
        assert f"of parted: 1 of 1 cells finished; mnnjax report {workdir} shows all shards" in finish(process)
    assert status(workdir).startswith("parted: 2 of 4 cells finished")
    assert "so far: the study is unfinished" in report_of(workdir)[1]
    output = finish(start(config, workdir, "--shard", "0/3"))
    assert "shard 0/3 of parted: 2 of 2 cells finished" in output
    begun = [e["epoch"] for e in Workdir(workdir / "shard-0-of-3").read_log() if e["event"] == "cell_start"]
    assert begun[0] == 0
    assert begun[1] >= 200
    results, page = report_of(workdir)
    assert results == (tmp_path / "whole/results.csv").read_bytes()
    assert "the study is unfinished" not in page


@pytest.mark.slow
def test_shards_that_start_at_the_same_moment_agree_on_the_folder(tmp_path):
    """They all make the study's folder and its config.json; here many times over, in processes without JAX's start."""
    code = (
        "import sys, pathlib\n"
        "from mnnjax.config import Problem, Study\n"
        "from mnnjax.study.plan.shard import Shard\n"
        "from mnnjax.study.workdir.workdir import Workdir\n"
        "study = Study('a', Problem(d0=(3,), N=(4,)))\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "for k in range(40):\n"
        "    workdir = Workdir(pathlib.Path(sys.argv[1]) / str(k), Shard(int(sys.argv[2]), 3))\n"
        "    workdir.check(study)\n"
        "    with workdir.sole_user(print):\n"
        "        workdir.claim(study, [])\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(k)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for k in range(3)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    for k in range(40):
        found = sorted(p.name for p in (tmp_path / str(k)).iterdir())
        assert found == ["config.json", "shard-0-of-3", "shard-1-of-3", "shard-2-of-3"]
