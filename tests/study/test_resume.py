"""A study survives being stopped, killed and damaged, with the results of an undisturbed run to the last bit."""

import dataclasses
import os
import random
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from mnnjax.config import Network, Problem, Study, Train, UserError
from mnnjax.study.execution import certify_cell as verdicts
from mnnjax.study.execution.certify_cell import certify_network
from mnnjax.study.runner import Stopped, StudyError, run_study
from mnnjax.study.workdir.results_table import read_csv
from mnnjax.study.workdir.workdir import Workdir
from tests.study.damage import flip_a_byte, largest_file, truncate
from tests.study.stops import stop_after

# Orbax leaves the event loops of reads and writes that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

STUDY = Study(
    name="resume",
    problem=Problem(d0=(4,), N=(20, 25, 30)),
    train=Train(epochs=20, decay_epochs=30, chunk_epochs=10, checkpoint_chunks=1),
    repeats=3,
)


# Three cells of five chunks, all of which run the same programs.
CELLS, CHUNKS = 3, 15


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A work folder whose study was never disturbed."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    run_study(STUDY, path)
    return path


@pytest.fixture(scope="module")
def undisturbed(finished) -> bytes:
    return (finished / "results.csv").read_bytes()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """A work folder whose study was stopped in its second cell."""
    path = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(Stopped, match="SIGTERM: saved"):
            run_study(STUDY, path)
    return path


@pytest.fixture
def workdir(stopped, tmp_path) -> Workdir:
    """A copy of that."""
    return Workdir(shutil.copytree(stopped, tmp_path / "run"))


def newest_step(workdir: Workdir) -> Path:
    (cell,) = (p for p in workdir.checkpoints.iterdir() if p.name.startswith("resume."))
    return max((p for p in cell.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))


def events(workdir: Workdir, kind: str) -> list[dict]:
    return [entry for entry in workdir.read_log() if entry["event"] == kind]


@pytest.mark.parametrize(
    ("chunks", "number"),
    [
        pytest.param(1, signal.SIGTERM, marks=pytest.mark.slow),
        (8, signal.SIGINT),
        pytest.param(10, signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_study_goes_on_where_it_was(tmp_path, monkeypatch, undisturbed, chunks, number):
    with monkeypatch.context() as patch:
        stop_after(patch, chunks, number)
        with pytest.raises(Stopped):
            run_study(STUDY, tmp_path / "run")
    run_study(STUDY, tmp_path / "run")
    workdir = Workdir(tmp_path / "run")
    assert workdir.results.read_bytes() == undisturbed
    # Not one was trained twice.
    assert len(events(workdir, "chunk")) == CHUNKS
    assert not [p for p in workdir.checkpoints.rglob("*") if p.is_file()]


def test_a_run_says_what_it_is_at_and_that_it_heard_a_stop_request(tmp_path, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        stop_after(patch, 6, signal.SIGINT)
        with pytest.raises(Stopped):
            run_study(STUDY, tmp_path / "run")
    first, *others = capfd.readouterr().out.splitlines()
    assert first == f"{STUDY.name}: {CELLS} cells, {CELLS * STUDY.repeats} repetitions, in {tmp_path}/run"
    assert "SIGINT: saving at the end of this chunk; once more stops at once" in others
    for left in ("; 1 finished", "; all finished, nothing to train"):
        run_study(STUDY, tmp_path / "run")
        assert capfd.readouterr().out.splitlines()[0] == first + left


@pytest.mark.slow
def test_a_diverged_run_says_so(tmp_path, capsys):
    train = Train("sgd", learning_rate=1e4, epochs=60, decay_epochs=0)
    run_study(Study("wild", Problem(d0=(3,), N=(20,)), train=train, repeats=3), tmp_path / "run")
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.search(r"%, 3 of 3 repetitions not finite \(from epoch \d+ on\); lower train\.learning_rate$", last)


def test_what_changes_no_result_may_change_in_a_work_folder(tmp_path, finished, undisturbed):
    workdir = Workdir(shutil.copytree(finished, tmp_path / "run"))
    before = len(events(workdir, "chunk"))
    train = dataclasses.replace(STUDY.train, checkpoint_chunks=3)
    changed = dataclasses.replace(STUDY, train=train, figure="fig5_1")
    run_study(changed, tmp_path / "run")
    assert workdir.study() == changed
    assert len(events(workdir, "chunk")) == before
    assert workdir.results.read_bytes() == undisturbed
    for other in (dataclasses.replace(train, chunk_epochs=7), dataclasses.replace(train, epochs=21)):
        with pytest.raises(UserError, match=r"belongs to another study \(train\."):
            run_study(dataclasses.replace(changed, train=other), tmp_path / "run")
    assert workdir.study() == changed


@pytest.mark.slow
def test_levenberg_marquardt_goes_on_where_it_was(tmp_path, monkeypatch):
    """In the midst of its kicks: at one weight a point no run is done early."""
    train = Train(
        "levenberg_marquardt", (("patience", 1),), epochs=12, decay_epochs=0, precision="float64", chunk_epochs=4
    )
    study = Study(name="levenberg_marquardt", problem=Problem(d0=(6,), N=(36,)), train=train, repeats=3)
    run_study(study, tmp_path / "undisturbed")
    stop_after(monkeypatch, 2)
    with pytest.raises(Stopped, match=r"saved levenberg_marquardt\.h1\.d6x6\.N36 at epoch 8 of 12"):
        run_study(study, tmp_path / "run")
    run_study(study, tmp_path / "run")
    results = (tmp_path / "run/results.csv").read_bytes()
    assert results == (tmp_path / "undisturbed/results.csv").read_bytes()


@pytest.mark.slow
def test_a_stop_while_certificates_are_made_keeps_the_training(tmp_path, monkeypatch, undisturbed):
    with monkeypatch.context() as patch:
        calls = []

        def slow(*arguments):
            calls.append(1)
            if len(calls) == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            return certify_network(*arguments)

        patch.setattr(verdicts, "certify_network", slow)
        with pytest.raises(Stopped, match="after its last epoch"):
            run_study(STUDY, tmp_path / "run")
    run_study(STUDY, tmp_path / "run")
    workdir = Workdir(tmp_path / "run")
    assert workdir.results.read_bytes() == undisturbed
    assert len(events(workdir, "chunk")) == CHUNKS


def test_finished_cells_are_never_run_again(tmp_path, finished, undisturbed):
    workdir = Workdir(shutil.copytree(finished, tmp_path / "run"))
    before = len(events(workdir, "chunk"))
    workdir.results.unlink()
    run_study(STUDY, tmp_path / "run")
    assert len(events(workdir, "chunk")) == before
    assert workdir.results.read_bytes() == undisturbed


def empty(step: Path) -> None:
    shutil.rmtree(step)
    step.mkdir()


DAMAGES = {
    "flipped": lambda step: flip_a_byte(largest_file(step)),
    "truncated": lambda step: truncate(largest_file(step)),
    "empty": empty,
}


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_newest_checkpoint_is_set_aside_and_the_one_before_used(workdir, undisturbed, damage, capsys):
    step = newest_step(workdir)
    damage(step)
    capsys.readouterr()
    run_study(STUDY, workdir.path)
    assert workdir.results.read_bytes() == undisturbed
    assert "warning: checkpoint" in capsys.readouterr().out
    (warning,) = events(workdir, "warning")
    assert f"{step.parent.name}.{step.name} is damaged" in warning["text"]
    assert len(list((workdir.checkpoints / "set_aside").iterdir())) == 1
    resumed = [e for e in events(workdir, "cell_start") if e["cell"] == step.parent.name]
    assert [e["epoch"] for e in resumed] == [0, int(step.name) - 10]


@pytest.mark.slow
def test_every_flipped_byte_of_a_checkpoint_is_noticed_or_harmless(tmp_path, workdir, undisturbed):
    step = newest_step(workdir)
    files = sorted(p for p in step.rglob("*") if p.is_file())
    draw = random.Random(0)
    for trial in range(4):
        copy = tmp_path / f"copy{trial}"
        shutil.copytree(workdir.path, copy)
        file = copy / draw.choice(files).relative_to(workdir.path)
        content = bytearray(file.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(content)
        run_study(STUDY, copy)
        assert (copy / "results.csv").read_bytes() == undisturbed, file


@pytest.mark.slow
def test_when_no_checkpoint_is_sound_the_cell_starts_afresh_and_says_so(workdir, undisturbed, capsys):
    for step in newest_step(workdir).parent.iterdir():
        truncate(largest_file(step))
    run_study(STUDY, workdir.path)
    assert workdir.results.read_bytes() == undisturbed
    assert "it starts from the beginning" in capsys.readouterr().out


def test_a_workdir_of_another_study_is_refused(finished):
    other = Study(name="resume", problem=STUDY.problem, network=Network(rho=0.25), repeats=3)
    with pytest.raises(UserError, match=r"network\.rho: there 0\.0, here 0\.25"):
        run_study(other, finished)


def test_a_folder_with_other_things_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="not empty"):
        run_study(STUDY, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_a_kill_before_anything_was_trained_does_no_harm(tmp_path, undisturbed):
    """What a process leaves that dies at its very beginning: a lock, and half a config."""
    (tmp_path / "lock").write_text("process 1 on nowhere\n")
    (tmp_path / "config.json.part").write_text("{")
    run_study(STUDY, tmp_path)
    assert (tmp_path / "results.csv").read_bytes() == undisturbed


def test_a_file_in_place_of_the_workdir_is_refused(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(UserError, match="cannot be used"):
        run_study(STUDY, tmp_path / "run")


def test_a_full_disk_is_told_and_finished_cells_are_kept(tmp_path, stopped, undisturbed):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        workdir = Workdir(shutil.copytree(stopped, disk / "run"))
        free = shutil.disk_usage(disk).free
        (disk / "ballast").write_bytes(bytes(free - 20_000))
        with pytest.raises(StudyError, match="is full; finished cells are kept"):
            run_study(STUDY, workdir.path)
        (disk / "ballast").unlink()
        run_study(STUDY, workdir.path)
        assert workdir.results.read_bytes() == undisturbed
        # Nothing that was finished before is trained again.
        ended = [entry["cell"] for entry in events(workdir, "cell_end")]
        assert len(ended) == len(set(ended)) == CELLS
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_a_non_finite_loss_ends_its_row_and_not_the_study(tmp_path):
    wild = Study(
        name="wild",
        problem=Problem(d0=(4,), N=(20,)),
        train=Train(optimizer="sgd", learning_rate=3.0, epochs=60, decay_epochs=0),
        repeats=12,
    )
    run_study(wild, tmp_path / "run")
    rows = read_csv(tmp_path / "run/results.csv")
    assert len(rows) == 12
    failed = [row for row in rows if row["verdict"] == "non_finite"]
    assert failed
    assert all(row["non_finite_epoch"] != "" for row in failed)
    for row in rows:
        if row not in failed:
            assert float(row["mse"]) < float("inf")
