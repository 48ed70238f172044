"""Several processes on one machine run a study as one does; they stop together, and a lost one is not waited for."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from mnnjax.study.workdir.results_table import read_csv
from mnnjax.study.workdir.workdir import Workdir
from tests.started import free_ports, listens, wait_for
from tests.study.runs import command

# Seeds that do not share a program's last bits, and an optimizer with a state.
CONFIG = """
from dataclasses import replace
from mnnjax.config import Network, Problem, Study, Train
rows = Study(
    name="rows",
    problem=Problem(d0=(5,), N=(150,), labels="teacher", teacher_units=3, data_sets=1),
    network=Network(d1=(4,), rho=0.1, bias=True),
    train=Train(
        batch_size=128, epochs={epochs}, decay_epochs=10, precision="float64", chunk_epochs={chunk},
        checkpoint_chunks=1, parallel="data",
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
minima = replace(
    seeds, name="minima", network=Network(), train=replace(seeds.train, finish="minimum", spectrum=True),
)
images = Study(
    name="images",
    problem=Problem("digits", "classes", N=(40,)),
    network=Network(d1=(3,)),
    train=Train(epochs={epochs}, decay_epochs=10, chunk_epochs={chunk}, checkpoint_chunks=1),
    repeats=3,
)
also = replace(
    rows, name="float32", problem=Problem("digits", "classes", data_sets=1),
    train=replace(rows.train, precision="float32", reproducible=True, rows_precision="bfloat16"),
)
same = replace(rows, train=replace(rows.train, batch_size=None, reproducible=True), also=(also,))
study = {study}
"""
# Long ones are stopped, after some of their epochs, which take less time where each process has its own seeds.
SHORT = {"epochs": 30, "chunk": 10}
LONG = {"rows": {"epochs": 390, "chunk": 20}, "seeds": {"epochs": 7990, "chunk": 200}}


class Run:
    """Processes of one run, which are killed when the test ends; `last`: options of the last one alone."""

    def __init__(self, config: Path, workdir: Path, processes: int, devices: int, last=()):
        (self.port,) = free_ports(1)
        environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
        self.workdir = workdir
        self.logs = [workdir.with_name(f"{workdir.name}.{time.monotonic_ns()}.{k}") for k in range(processes)]
        self.processes = []
        for k, log in enumerate(self.logs):
            group = f"--coordinator 127.0.0.1:{self.port} --num-processes {processes} --process-id {k}".split()
            options = [*(group if processes > 1 else []), *(last if k == processes - 1 else [])]
            call = command(config, workdir, *options)
            with open(log, "wb") as file:
                self.processes.append(subprocess.Popen(call, env=environment, stdout=file, stderr=file))

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

    def trained(self, epoch: int) -> None:
        """Wait until a checkpoint of that epoch or a later one is there."""

        def there() -> bool:
            assert all(process.poll() is None for process in self.processes), self.text()
            return any(e["event"] == "checkpoint" and e["epoch"] >= epoch for e in Workdir(self.workdir).read_log())

        wait_for(there, 120, self.text)


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
@pytest.mark.parametrize("study", ["rows", "seeds", "minima", "images"])
def test_several_processes_train_as_one_does(tmp_path, study):
    config = write_config(tmp_path, study, **SHORT)
    finish(config, tmp_path / "one")
    finish(config, tmp_path / "two", 2)
    if study != "rows":
        assert (tmp_path / "two/results.csv").read_bytes() == (tmp_path / "one/results.csv").read_bytes()
        for file in (tmp_path / "one/cells").glob("*.npz"):
            assert (tmp_path / "two/cells" / file.name).read_bytes() == file.read_bytes()
    assert list((tmp_path / "two/cells").glob("*.npz"))
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
def test_a_reproducible_study_is_the_same_to_the_last_byte_on_any_devices(tmp_path):
    """With padding and a teacher, and in mini-batches of images in bfloat16; so from a checkpoint on other devices."""
    config = write_config(tmp_path, "same", **SHORT)
    for processes, devices in [(1, 1), (1, 2), (1, 4), (1, 8), (2, 2)]:
        finish(config, tmp_path / f"{processes}x{devices}", processes, devices)
    expected = {file.name: file.read_bytes() for file in contents(tmp_path / "1x1")}
    assert len(expected) == 5
    for other in ("1x2", "1x4", "1x8", "2x2"):
        assert {file.name: file.read_bytes() for file in contents(tmp_path / other)} == expected


def contents(workdir: Path) -> list[Path]:
    """results.csv, and the rows and weights of every cell."""
    return [workdir / "results.csv", *(workdir / "cells").iterdir()]


@pytest.mark.slow
@pytest.mark.parametrize(("study", "stopped"), [("rows", 1), ("seeds", 0)])
def test_a_stop_request_to_one_saves_and_ends_all(tmp_path, study, stopped):
    config = write_config(tmp_path, study, **LONG[study])
    with Run(config, tmp_path / "run", 2, 2) as run:
        run.trained(2 * LONG[study]["chunk"])
        run.processes[stopped].send_signal(signal.SIGTERM)
        assert run.wait() == [75, 75], run.text()
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
        # It does not wait for ever for what will not come.
        codes = run.wait(120)
        assert codes[1 - lost] == 75, run.text(1 - lost)
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
        wait_for(lambda: listens(run.port), said=run.text)
        # It is about to wait in JAX, where Python hears nothing.
        time.sleep(2)
        # Another run cannot have the same port, which JAX would crash over.
        second = subprocess.run(run.processes[0].args, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 2
        assert "choose another port" in second.stderr
        run.processes[0].send_signal(signal.SIGINT)
        assert run.processes[0].wait(60) == 75, run.text()
        assert run.text() == "SIGINT: stopped; run the same command again to resume\n"
