"""What the command line prints and returns; `main` runs in this process unless the work is heavy."""

import json
import subprocess
import sys

import pytest

from mnnjax import cli
from mnnjax.cli.run import make_request, parse_options
from mnnjax.study.resources import timing
from mnnjax.study.workdir.results_table import read_csv
from tests.project import ROOT

TINY = """
from mnnjax.config import Problem, Study, Train
study = Study(name="tiny", problem=Problem(d0=(3, 4), N=(6,)), train=Train(epochs=20, decay_epochs=20), repeats=2)
small = Study(name="tiny", problem=Problem(d0=(3,), N=(6,)), train=Train(epochs=5, decay_epochs=5), repeats=2)
"""


@pytest.fixture
def config(tmp_path) -> str:
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    return str(path)


# (arguments after the config, what the one line must name)
WRONG = [
    (["--train.foo", "3"], "--train.foo"),
    (["--train.epochs", "many"], "--train.epochs"),
    (["--train.precision", "float8"], "--train.precision"),
    (["--network.rho", "1"], "network.rho"),
    (["--problem.N", "0"], "problem.N"),
    (["--problem.N"], "problem.N"),
    (["--problem.d0", "1"], "problem.d0"),
    (["--problem.d0"], "problem.d0"),
    (["--train.learning_rate", "-0.1"], "train.learning_rate"),
    (["--train.epochs", "-1"], "train.epochs"),
    (["--train.batch_size", "0"], "train.batch_size"),
    (["--train.optimizer", "adamant"], "adamant"),
    (["--repeats", "0"], "repeats"),
    (["--problem.labels", "classes"], "problem.labels"),
    (["--problem.labels", "teacher"], "problem.teacher_units"),
    (["--problem.N", "6", "6"], "problem.N"),
]


@pytest.mark.parametrize(
    ("arguments", "named"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_wrong_input_is_one_line_and_exit_code_2(config, tmp_path, capsys, arguments, named):
    workdir = tmp_path / "run"
    assert cli.main(["run", config, "--workdir", str(workdir), *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("mnnjax: ")
    assert output.err.count("\n") == 1
    assert named in output.err
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "no such file"),
        ("x = 1", "defines no `study`"),
        ("study = 3", "defines no `study`"),
        ("\n\nimport", "line 3: SyntaxError: "),
        ("from mnnjax.config import *\n\nTrain(momentum=1)", "line 3: Train has no field momentum; it has optimizer, "),
        ("\n1 / 0", "line 2: ZeroDivisionError"),
        ("import sys\nsys.exit(3)", "line 2: SystemExit: 3; correct the file"),
        ("from mnnjax.config import *\nstudy = Study('a', Problem(d0=(3,), N=(4,)), Network(rho=1))", "network.rho"),
    ],
)
def test_a_config_that_cannot_be_used(tmp_path, capsys, content, named):
    path = tmp_path / "config.py"
    if content is not None:
        path.write_text(content)
    assert cli.main(["run", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mnnjax: config {path}")
    assert error.count("\n") == 1
    assert named in error


@pytest.mark.parametrize(
    "arguments", [["train"], ["run"], ["run", "--small"], ["status", "nowhere"], ["report", "nowhere"]]
)
def test_other_wrong_calls(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["status"], ["report"], ["status", "a", "b"]])
def test_missing_and_surplus_arguments(arguments, capsys):
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_help_lists_the_fields_of_the_study(config, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", config, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for option in ("--small", "--workdir", "--dry-run", "--train.learning_rate", "--network.rho", "--problem.d0"):
        assert option in text


@pytest.fixture
def untimed(monkeypatch):
    """Estimates without the programs that they time: those are tests/study/resources/test_estimate.py's."""
    for name in ("time_steps", "time_certificates"):
        monkeypatch.setattr(timing, name, lambda _: timing.Timed(1.0))


def test_what_a_fields_own_check_says_stands_alone(config, tmp_path, capsys):
    path = tmp_path / "two.py"
    path.write_text(
        TINY + "import dataclasses\nstudy = dataclasses.replace(study, also=(Study('b', study.problem),))\n"
    )
    for options, told in (
        (["--train.epochs", "-1"], "train.epochs: -1 is too small; give at least 0"),
        (["--repeats", "0"], "repeats: 0 is too small; give at least 1"),
        (["--also.0.repeats", "0"], "also.0: repeats: 0 is too small; give at least 1"),
        (["--also.0.train.epochs", "-1"], "also.0: train.epochs: -1 is too small; give at least 0"),
    ):
        assert cli.main(["run", str(path), *options]) == 2
        assert capsys.readouterr().err == f"mnnjax: {told}\n"


def test_help_of_studies_after_the_first_is_one_line_and_they_can_be_set(tmp_path, capsys):
    path = tmp_path / "two.py"
    path.write_text(
        TINY + "import dataclasses\nstudy = dataclasses.replace(study, also=(Study('b', study.problem),))\n"
    )
    with pytest.raises(SystemExit):
        cli.main(["run", str(path), "--help"])
    text = capsys.readouterr().out
    assert "--also.0.FIELD (b)" in text
    assert "--also.0.name" not in text
    request = make_request(parse_options([str(path), "--also.0.repeats", "4"]))
    assert request.study.also[0].repeats == 4


def test_run_alone_has_a_help_and_wants_the_config_first(config, capsys):
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    text = capsys.readouterr().out
    assert all(option in text for option in ("--small", "--workdir", "--data-dir", "--shard", "--dry-run", "--help"))
    assert cli.main(["run", "--small", config]) == 2
    assert "put the config file first" in capsys.readouterr().err


def test_dry_run_prints_the_plan_and_runs_nothing(config, tmp_path, capsys, monkeypatch, untimed):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", config, "--dry-run", "--problem.N", "10", "12"]) == 0
    text = capsys.readouterr().out
    assert "tiny.h1.d4x4.N12" in text
    assert "4 cells, 8 repetitions, 2 shapes to compile" in text
    assert cli.main(["run", config, "--dry-run", "--problem.N", "10", "12", "--shard", "1/3"]) == 0
    text = capsys.readouterr().out
    assert "1 cell, 2 repetitions, 1 shape to compile" in text
    assert "the whole study (4 cells)" in text
    assert not (tmp_path / "runs").exists()


def test_run_status_report(config, tmp_path, monkeypatch, capsys):
    """A whole run in a process of its own, from another folder, without a terminal."""
    command = [sys.executable, "-m", "mnnjax.cli", "run", config, "--train.learning_rate", "0.05", "--repeats", "3"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    workdir = tmp_path / "runs/tiny"
    assert run.stdout.endswith(f"report: {workdir.resolve()}/report.html\n")
    assert json.loads((workdir / "config.json").read_text())["train"]["learning_rate"] == 0.05
    rows = read_csv(workdir / "results.csv")
    assert [(row["d0"], row["seed"]) for row in rows] == [(d, str(s)) for d in ("3", "4") for s in range(3)]
    assert (workdir / "report.html").stat().st_size > 1000

    monkeypatch.chdir(tmp_path)
    assert cli.main(["status", "runs/tiny"]) == 0
    assert "2 of 2 cells finished" in capsys.readouterr().out
    before = (workdir / "report.html").read_bytes()
    assert cli.main(["report", "runs/tiny"]) == 0
    assert (workdir / "report.html").read_bytes() == before

    capsys.readouterr()
    assert cli.main(["run", config]) == 2
    message = "belongs to another study (train.learning_rate: there 0.05, here 0.01)"
    assert message in capsys.readouterr().err
    assert rows == read_csv(workdir / "results.csv")


@pytest.mark.slow
def test_small_has_a_folder_of_its_own(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", config, "--small"]) == 0
    assert (tmp_path / "runs/tiny-small/results.csv").exists()


def test_a_volume_study_has_volume_options_and_no_training_ones(capsys, untimed):
    config = str(ROOT / "configs/full_rank.py")
    assert cli.main(["run", config, "--small", "--dry-run", "--volume.samples", "16", "--volume.eps", "0.2"]) == 0
    assert "uniform_d0_1.h1.d1x10.N5" in capsys.readouterr().out
    for option, value in (("--train.epochs", "3"), ("--volume.eps", "2")):
        assert cli.main(["run", config, "--dry-run", option, value]) == 2
        error = capsys.readouterr().err
        assert option.removeprefix("--") in error
        assert error.count("\n") == 1


def test_exact_volumes_of_too_many_inputs_are_refused_before_a_folder_is_made(tmp_path, capsys):
    path = tmp_path / "exact.py"
    path.write_text(
        "from mnnjax.config import Problem, Study, Volume\n"
        "study = Study('x', Problem(d0=(3,), N=(4,), constant_input=True), volume=Volume('exact'))\n"
    )
    for options in (["--problem.d0", "4", "--problem.no-constant_input"], []):
        for dry in ([], ["--dry-run"]):
            assert cli.main(["run", str(path), "--workdir", str(tmp_path / "run"), *options, *dry]) == 2
            error = capsys.readouterr().err
            assert error.startswith("mnnjax: volume.method: 'exact' is for d0 up to 3, not 4")
            assert error.endswith("take 'sampling'\n")
    assert not (tmp_path / "run").exists()


def test_basins_without_exact_volumes_are_refused_before_a_folder_is_made(tmp_path, capsys):
    options = ["--figure", "basins", "--train.precision", "float64", "--workdir", str(tmp_path / "run")]
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    assert cli.main(["run", str(path), *options]) == 2
    assert capsys.readouterr().err.startswith("mnnjax: figure: 'basins' puts tiny beside exact volumes")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_stop_request_while_python_shuts_down_changes_no_exit_code(config):
    """An object that outlives the signal handlers sends one."""
    code = f"""
import os, signal, sys
from mnnjax import cli
from mnnjax.study.resources import estimate
estimate.estimate = estimate.describe = lambda *_: ""
class Late:
    def __del__(self, kill=os.kill, me=os.getpid(), number=signal.SIGTERM):
        kill(me, number)
late = Late()
sys.exit(cli.main(["run", {str(config)!r}, "--dry-run"]))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["construct", "--help"], ["run", "--help"]])
def test_a_reader_that_has_enough_is_no_error(arguments):
    command = [sys.executable, "-m", "mnnjax.cli", *arguments]
    pipe = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pipe.stdout.close()
    assert pipe.communicate()[1] == ""
    assert pipe.returncode in (0, 1)


def test_images_that_are_missing_are_told_before_a_folder_is_made(tmp_path, capsys):
    config = str(ROOT / "configs/mnist.py")
    for folder in ("none", "file"):
        (tmp_path / "file").touch()
        arguments = ["--data-dir", str(tmp_path / folder), "--workdir", str(tmp_path / "w")]
        assert cli.main(["run", config, "--small", *arguments]) == 2
        assert capsys.readouterr().err.startswith(f"mnnjax: no mnist in {tmp_path}/{folder}: run `mnnjax data prepare")
        assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("inside", ["", "x", "x/y"])
def test_a_file_in_place_of_the_work_folder(config, tmp_path, capsys, inside):
    (tmp_path / "file").touch()
    assert cli.main(["run", config, "--workdir", str(tmp_path / "file" / inside)]) == 2
    error = capsys.readouterr().err
    assert "file cannot be used as a work folder (" in error.replace("/x", "").replace("/y", "")
    assert error.count("\n") == 1
