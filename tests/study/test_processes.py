"""Several processes on one machine run a study as one does; they stop together, and a lost one is not waited for."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mnnjax.checks import UserError
from mnnjax.study.processes import Group, find_group
from mnnjax.study.results import Workdir, read_csv

# Seeds that do not share a program's last bits, and an optimizer with a state.
CONFIG = """
from mnnjax.config import Network, Problem, Study, Train
rows = Study(
    name="rows",
    problem=Problem(d0=(5,), N=(150,), labels="teacher", teacher_units=3, data_sets=1),
    network=Network(d1=(4,), rho=0.1, bias=True),
    train=Train(
        batch_size=128, epochs={epochs}, decay_epochs=10, precision="float64", chunk_epochs={chunk},
        checkpoint_chunks=1, parallel="rows",
    ),
    repeats=3,
)
seeds = Study(
    name="seeds",
    problem=Problem(d0=(4,), N=(20,)),
    network=Network(hidden_layers=(1, 2)),
    train=Train(epochs={epochs}, decay_epochs=10, chunk_epochs={chunk}, checkpoint_chunks=1),
    repeats=3,
)
images = Study(
    name="images",
    problem=Problem("digits", "classes", N=(40,)),
    network=Network(d1=(3,)),
    train=Train(epochs={epochs}, decay_epochs=10, chunk_epochs={chunk}, checkpoint_chunks=1),
    repeats=3,
)
study = {study}
"""
# Long ones are stopped, after some of their epochs, which take less time where each process has its own seeds.
SHORT = {"epochs": 30, "chunk": 10}
LONG = {"rows": {"epochs": 390, "chunk": 20}, "seeds": {"epochs": 7990, "chunk": 200}}


class Run:
    """Processes of one run, which are killed when the test ends; `last`: options of the last one alone."""

    def __init__(self, config: Path, workdir: Path, processes: int, devices: int, last=()):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
        self.workdir = workdir
        self.logs = [workdir.with_name(f"{workdir.name}.{time.monotonic_ns()}.{k}") for k in range(processes)]
        self.processes = []
        for k, log in enumerate(self.logs):
            group = [
                "--coordinator",
                f"127.0.0.1:{self.port}",
                "--num-processes",
                f"{processes}",
                "--process-id",
                f"{k}",
            ]
            command = [sys.executable, "-m", "mnnjax.cli", "run", str(config), "--workdir", str(workdir)]
            command += group if processes > 1 else []
            command += last if k == processes - 1 else []
            with open(log, "wb") as file:
                self.processes.append(subprocess.Popen(command, env=environment, stdout=file, stderr=file))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    def wait(self, seconds: float = 240) -> list[int]:
        """The exit codes."""
        end = time.monotonic() + seconds
        return [process.wait(max(end - time.monotonic(), 0.1)) for process in self.processes]

    def text(self, k: int = 0) -> str:
        return self.logs[k].read_text()

    def listens(self) -> bool:
        """Whether the first process waits for the others."""
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def trained(self, epoch: int) -> None:
        """Wait until a checkpoint of that epoch or a later one is there."""
        end = time.monotonic() + 120
        while not any(e["event"] == "checkpoint" and e["epoch"] >= epoch for e in Workdir(self.workdir).read_log()):
            assert time.monotonic() < end, self.text()
            assert all(process.poll() is None for process in self.processes), self.text()
            time.sleep(0.05)


def write_config(path: Path, study: str, epochs: int, chunk: int) -> Path:
    file = path / f"{study}_{epochs}.py"
    file.write_text(CONFIG.format(study=study, epochs=epochs, chunk=chunk))
    return file


def finish(config: Path, workdir: Path, processes: int = 1, devices: int = 2) -> None:
    with Run(config, workdir, processes, devices) as run:
        assert run.wait() == [0] * processes, run.text()


def numbers(workdir: Path) -> np.ndarray:
    return np.array(
        [[float(row["mse"]), float(row["first_order_residual"])] for row in read_csv(workdir / "results.csv")]
    )


@pytest.mark.slow
@pytest.mark.parametrize("study", ["rows", "seeds", "images"])
def test_several_processes_train_as_one_does(tmp_path, study):
    config = write_config(tmp_path, study, **SHORT)
    finish(config, tmp_path / "one")
    finish(config, tmp_path / "two", 2)
    if study != "rows":
        assert (tmp_path / "two/results.csv").read_bytes() == (tmp_path / "one/results.csv").read_bytes()
    # Sums of 40 epochs in another order; see tests/training/test_sharded.py.
    np.testing.assert_allclose(numbers(tmp_path / "two"), numbers(tmp_path / "one"), rtol=1e-9)
    names = ("seed", "verdict", "mce", "N")
    one, two = (read_csv(tmp_path / name / "results.csv") for name in ("one", "two"))
    assert [[row[n] for n in names] for row in two] == [[row[n] for n in names] for row in one]
    # One process writes, once.
    events = [entry["event"] for entry in Workdir(tmp_path / "two").read_log()]
    assert events.count("start") == events.count("end") == 1
    assert "report.html" in {p.name for p in (tmp_path / "two").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(("study", "stopped"), [("rows", 1), ("seeds", 0)])
def test_a_stop_request_to_one_saves_and_ends_all(tmp_path, study, stopped):
    config = write_config(tmp_path, study, **LONG[study])
    with Run(config, tmp_path / "run", 2, 2) as run:
        run.trained(2 * LONG[study]["chunk"])
        run.processes[stopped].send_signal(signal.SIGTERM)
        assert run.wait(60) == [75, 75], run.text()
        assert "SIGTERM: saved" in run.text()
        assert "run the same command again" in run.text()
    stop = Workdir(tmp_path / "run").read_log()[-1]
    assert (stop["event"], stop["reason"]) == ("stop", "SIGTERM")
    # The same numbers as from one that was not stopped: of seeds also on other devices.
    finish(config, tmp_path / "run", *((2, 2) if study == "rows" else (1, 2)))
    finish(config, tmp_path / "undisturbed", 2, 2)
    assert (tmp_path / "run/results.csv").read_bytes() == (tmp_path / "undisturbed/results.csv").read_bytes()
    starts = [entry["epoch"] for entry in Workdir(tmp_path / "run").read_log() if entry["event"] == "cell_start"]
    assert stop["epoch"] in starts


@pytest.mark.slow
@pytest.mark.parametrize(("lost", "then"), [(0, (4, 1)), (1, (1, 4))])
def test_a_lost_process_ends_the_run_which_goes_on_with_any_number_of_them(tmp_path, lost, then):
    config = write_config(tmp_path, "rows", **LONG["rows"])
    with Run(config, tmp_path / "run", 2, 2) as run:
        run.trained(40)
        run.processes[lost].kill()
        began = time.monotonic()
        codes = run.wait(60)
        assert codes[1 - lost] == 75, run.text(1 - lost)
        assert time.monotonic() - began < 60
        assert "another process of this run is gone" in run.text(1 - lost)
    finish(config, tmp_path / "run", *then)
    log = Workdir(tmp_path / "run").read_log()
    assert [entry["epoch"] for entry in log if entry["event"] == "cell_start"][-1] >= 40
    assert not [entry for entry in log if entry["event"] == "warning"]
    finish(config, tmp_path / "undisturbed")
    # So many steps amplify what another order of the sums changes; minima stay where they are.
    found, expected = (read_csv(tmp_path / name / "results.csv") for name in ("run", "undisturbed"))
    assert [row["verdict"] for row in found] == [row["verdict"] for row in expected]
    np.testing.assert_allclose(numbers(tmp_path / "run")[:, 0], numbers(tmp_path / "undisturbed")[:, 0], rtol=1e-3)


@pytest.mark.slow
def test_what_is_wrong_for_one_process_is_told_by_all(tmp_path):
    config = write_config(tmp_path, "rows", **SHORT)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/something").write_text("")
    # Only the first process looks into the folder.
    with Run(config, tmp_path / "taken", 2, 1) as run:
        assert run.wait() == [2, 2], run.text()
        for k in range(2):
            assert "holds no config.json; choose another --workdir" in run.text(k)
            assert "Traceback" not in run.text(k)
    # Nor would their sums fit together.
    with Run(config, tmp_path / "unlike", 2, 1, ["--repeats", "2"]) as run:
        assert run.wait() == [2, 2], run.text()
        assert "to run something else than process 0 (repeats: there 3, here 2)" in run.text()
    with Run(config, tmp_path / "three", 3, 1) as run:
        assert run.wait() == [2, 2, 2], run.text()
        assert "3 processes cannot share 64 blocks of rows evenly" in run.text()


@pytest.mark.slow
def test_a_process_that_waits_for_the_others_can_be_stopped(tmp_path):
    config = write_config(tmp_path, "rows", **SHORT)
    with Run(config, tmp_path / "run", 2, 1) as run:
        run.processes[1].kill()
        end = time.monotonic() + 60
        while not run.listens():
            assert time.monotonic() < end, run.text()
            time.sleep(0.05)
        # It is about to wait in JAX, where Python hears nothing.
        time.sleep(2)
        # Another run cannot have the same port, which JAX would crash over.
        second = subprocess.run(run.processes[0].args, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 2
        assert "choose another port" in second.stderr
        run.processes[0].send_signal(signal.SIGINT)
        assert run.processes[0].wait(20) == 75, run.text()
        assert run.text() == "SIGINT: stopped; run the same command again to go on\n"


def test_a_process_is_alone_unless_it_is_told_or_started_otherwise():
    assert find_group(None, None, None, {}, tpu=False) is None
    assert find_group("10.0.0.1:8476", 4, 3, {}, tpu=False) == Group("10.0.0.1:8476", 4, 3)
    assert find_group(None, None, None, {}, tpu=True) == Group()
    # A job's script runs once, whatever srun will start in it; so does a step of one task, such as an array's.
    job = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}
    assert find_group(None, None, None, job, tpu=False) is None
    assert find_group(None, None, None, job | {"SLURM_STEP_NUM_TASKS": "1"}, tpu=False) is None
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"}
    assert find_group(None, None, None, job | step, tpu=False) == Group(None, 2, 1)
    assert find_group(None, None, None, job | step | {"SLURM_GPUS_ON_NODE": "4"}, False).local_devices == (0, 1, 2, 3)
    many = step | {"SLURM_GPUS_ON_NODE": "4", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}
    assert find_group(None, None, None, job | many, tpu=False).local_devices is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("10.0.0.1:8476", None, None), "go together"),
        ((None, 2, 0), "go together"),
        (("10.0.0.1", 2, 0), "HOST:PORT"),
        (("10.0.0.1:99999", 2, 0), "HOST:PORT"),
        (("10.0.0.1:8476", 0, 0), "--num-processes: 0"),
        (("10.0.0.1:8476", 2, 2), "--process-id: 2 is not one of 2"),
    ],
)
def test_half_of_what_processes_need_is_the_users_error(given, message):
    with pytest.raises(UserError, match=message):
        find_group(*given, {}, tpu=False)
