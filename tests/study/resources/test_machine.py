"""What the log of a study says of the machine that it ran on."""

import json
import os
import platform

import jax
import pytest

from mnnjax import __version__
from mnnjax.config import Problem, Study, Train
from mnnjax.study import status
from mnnjax.study.resources.machine import cores, machine, memory, processor
from mnnjax.study.runner import run_study
from mnnjax.study.workdir.workdir import Workdir


def test_the_machine_is_this_one():
    found = machine()
    assert found["mnnjax"] == __version__
    assert found["python"] == platform.python_version()
    assert found["jax"] == jax.__version__
    assert (found["devices"], found["device"]) == (jax.device_count(), jax.devices()[0].device_kind)
    assert 1 <= found["cores"] == cores() <= (os.cpu_count() or 1)
    assert found["memory_gb"] == round(memory() / 1e9) > 0
    assert found["processor"] == processor()
    # The same for the same machine, and fit for a log.
    assert machine() == found == json.loads(json.dumps(found))


def test_what_the_system_does_not_say_is_left_out(monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert (memory(), cores()) == (0, 1)


@pytest.mark.slow
def test_the_log_says_with_what_command_and_seed_and_where_a_study_ran(tmp_path):
    study = Study("logged", Problem(d0=(3,), N=(4,)), train=Train(epochs=1, decay_epochs=0), repeats=1, seed=7)
    run_study(study, tmp_path / "run", command="mnnjax run c.py --seed 7")
    start = Workdir(tmp_path / "run").read_log()[0]
    assert start["event"] == "start"
    assert (start["command"], start["seed"], start["processes"]) == ("mnnjax run c.py --seed 7", 7, 1)
    assert machine().items() <= start.items()


@pytest.mark.slow
def test_status_tells_the_counts_of_a_start_and_not_the_machine(tmp_path):
    study = Study("logged", Problem(d0=(3,), N=(4,)), train=Train(epochs=1, decay_epochs=0), repeats=1)
    run_study(study, tmp_path)
    log = tmp_path / "metrics.jsonl"
    log.write_text(log.read_text().splitlines()[0] + "\n")
    (line,) = [line for line in status(tmp_path).splitlines() if "last event" in line]
    assert line.startswith("  last event: start at ")
    assert line.endswith(" (cells 1, finished 0, processes 1)")
