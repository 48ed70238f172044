"""The estimate of a study's time on invented machines whose times are known, and on this one."""

import dataclasses
import os
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from mnnjax import landscape
from mnnjax.cli.config_file import load_config
from mnnjax.config import Network, Problem, Study, Train, Volume
from mnnjax.landscape.descent import cost as descent_cost
from mnnjax.landscape.descent.cost import descent_bytes
from mnnjax.study.plan.grid import Cell, cells
from mnnjax.study.plan.shard import Shard
from mnnjax.study.resources import timing
from mnnjax.study.resources.estimate import CERTIFICATES, DESCENTS, KINDS, STEPS, describe, estimate, scaled, totals
from mnnjax.study.resources.memory import memory_per_device
from mnnjax.study.resources.timing import Timed
from mnnjax.training import RowLayout
from tests.project import CONFIGS
from tests.study.one_cell import one_cell


def per_unit_of_work(cell: Cell) -> Timed:
    return Timed(1e-9 * cell.work, 2.0)


@pytest.fixture
def invented(monkeypatch):
    """A machine on which a unit of work takes a nanosecond."""
    monkeypatch.setattr(timing, "time_steps", per_unit_of_work)
    monkeypatch.setattr(timing, "time_certificates", lambda cell: Timed(1e-9 * cell.N * cell.part.repeats))


@pytest.mark.usefixtures("invented")
@pytest.mark.parametrize("small", [False, True], ids=["full", "small"])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
@pytest.mark.quick_cases(3)
def test_every_cell_of_every_config_has_memory_and_time(path, small):
    """Of image configs too, without their data."""
    planned = cells(load_config(str(path), small))
    found = estimate(planned)
    assert [own.cell for own in found.cells] == planned
    for own in found.cells:
        assert own.host_bytes > own.device_bytes
        assert (own.device_bytes > 0) == (own.cell.part.volume is None)
        assert own.seconds[STEPS if own.cell.steps else DESCENTS] > 0
        assert own.seconds[CERTIFICATES] == 0 or own.cell.part.volume is None
        assert np.isfinite(sum(own.seconds.values()))
    text = describe(found)
    assert all(f"{cell.id} " in text for cell in planned)


@pytest.mark.usefixtures("invented")
def test_totals_are_sums_and_shards_add_up_to_the_whole():
    planned = cells(load_config(str(CONFIGS[0].parent / "quickstart.py")))
    found = estimate(planned).cells
    whole = totals(found)
    for name in KINDS:
        assert whole[name] == pytest.approx(sum(own.seconds[name] for own in found))
    assert whole["compiling"] == pytest.approx(2.0 * len({cell.shape for cell in planned}))
    shards = [totals(found[i::3]) for i in range(3)]
    for name in KINDS:
        assert sum(shard[name] for shard in shards) == pytest.approx(whole[name])
    # A shape that several shards have is compiled by each.
    assert sum(shard["compiling"] for shard in shards) >= whole["compiling"]


def test_twice_the_epochs_take_twice_the_training(invented, monkeypatch):
    monkeypatch.setattr(timing, "time_steps", lambda cell: Timed(0.25 * cell.steps, 1.0))
    once, twice = (
        totals(estimate([one_cell(Train(epochs=epochs, decay_epochs=epochs))]).cells) for epochs in (500, 1000)
    )
    assert once[STEPS] == pytest.approx(250)
    assert twice[STEPS] == pytest.approx(500)
    assert twice[CERTIFICATES] == pytest.approx(once[CERTIFICATES])
    assert twice["compiling"] == once["compiling"] == 1.0


@pytest.mark.usefixtures("invented")
def test_problems_beyond_certificates_take_no_time_for_them():
    (cell,) = cells(Study("s", Problem(d0=(300,), N=(21_000,)), Network(d1=(70,))))
    assert not landscape.certifiable(cell.N, cell.d0, cell.d1)
    assert totals(estimate([cell]).cells)[CERTIFICATES] == 0


def grid() -> list[Cell]:
    return cells(Study("s", Problem(d0=(10, 20, 40, 80), N=(50, 200, 800)), Network(hidden_layers=(1, 2))))


def scaled_by(truth, planned, budget=1e9):
    """The seconds by id, and the ids of what was timed."""
    times, timed = scaled(planned, lambda c: c.work, lambda c: c.hidden_layers, lambda c: Timed(truth(c)), budget)
    return {name: time.seconds for name, time in times.items()}, timed


def test_a_model_that_is_right_up_to_a_factor_gives_the_true_times():
    """Of each kind."""
    planned = grid()
    truth = {cell.id: cell.work * 1e-9 * (5.0 if cell.hidden_layers == 2 else 1.0) for cell in planned}
    seconds, timed = scaled_by(lambda cell: truth[cell.id], planned)
    assert len(timed) == 2
    assert seconds == pytest.approx(truth)


def test_the_costliest_cell_is_timed_first_and_one_is_enough():
    planned = grid()
    seconds, timed = scaled_by(lambda cell: 2 * cell.work, planned, budget=0.0)
    assert timed == [max(planned, key=lambda cell: cell.work).id]
    assert seconds == pytest.approx({cell.id: 2 * cell.work for cell in planned})
    assert scaled_by(lambda cell: cell.work, []) == ({}, [])


def test_what_is_timed_of_a_large_cell_is_small():
    (cell,) = cells(load_config(str(CONFIGS[0].parent / "imagenet64.py")))
    small = timing.cut(cell)
    devices = jax.devices()
    assert memory_per_device(cell, devices) * len(devices) > 5e10
    assert memory_per_device(small, devices) * len(devices) <= timing.MOST_BYTES
    assert (small.d0, small.d1) == (cell.d0, cell.d1)
    # Several batches, which are copied out of the rows.
    assert RowLayout(small.N, small.part.train.batch_size).steps > 1
    tiny = one_cell()
    assert timing.cut(tiny).bytes_needed == tiny.bytes_needed
    assert timing.cut(tiny).steps < tiny.steps


def test_what_does_not_fit_is_not_timed_and_told(invented, monkeypatch):
    def never(cell):
        raise AssertionError(f"{cell.id} was timed")

    large, small = cells(Study("s", Problem(d0=(10,), N=(50,)), Network(d1=(10**10, 5))))
    found = estimate([large, small])
    assert found.timed == {STEPS: [small.id], CERTIFICATES: [small.id], DESCENTS: []}
    assert "does not fit" not in describe(estimate([small]))
    # What can be cut is timed: one plans for other machines.
    (many,) = cells(Study("s", Problem(d0=(10,), N=(10**9,)), Network(d1=(5,))))
    found = estimate([many])
    assert found.timed == {STEPS: [many.id], CERTIFICATES: [], DESCENTS: []}
    assert f"{many.id} needs " in describe(found).splitlines()[-1]
    monkeypatch.setattr(timing, "time_steps", never)
    monkeypatch.setattr(timing, "time_certificates", never)
    found = estimate([large])
    assert found.cells[0].seconds[STEPS] > 0
    assert f"does not fit this machine: {large.id} needs " in describe(found).splitlines()[-1]


PROBED = [
    one_cell(Train(epochs=4, decay_epochs=4, chunk_epochs=4)),
    one_cell(Train("levenberg_marquardt", epochs=4, decay_epochs=0, precision="float64")),
    one_cell(Train(batch_size=64, parallel="data", epochs=2), d0=(6,), N=(200,), data_sets=1),
]


@pytest.mark.slow
@pytest.mark.parametrize("cell", PROBED, ids=["adam", "levenberg_marquardt", "rows"])
def test_real_programs_are_timed(cell):
    found = timing.time_steps(cell)
    assert 0 < found.seconds < 10
    assert found.compiling > 0
    assert timing.time_certificates(cell).seconds > 0


@pytest.mark.parametrize("epochs", [0, 10])
def test_descents_have_a_time_and_memory(invented, monkeypatch, epochs):
    finishing = one_cell(Train(epochs=epochs, decay_epochs=0, finish="minimum"))
    (found,) = estimate([finishing]).cells
    assert found.seconds[DESCENTS] > 0
    assert (found.seconds[STEPS] > 0) == (epochs > 0)
    (plain,) = estimate([one_cell(Train(epochs=10, decay_epochs=0))]).cells
    assert plain.seconds[DESCENTS] == 0
    assert found.host_bytes >= plain.host_bytes + descent_bytes(40, 6, 6)
    monkeypatch.setattr(descent_cost, "free_memory", lambda: 100)
    assert "will go down to no minimum: s.h1.d6x6.N40: a descent takes" in describe(estimate([finishing]))
    assert estimate([finishing]).cells[0].seconds[DESCENTS] == 0


@pytest.mark.slow
def test_images_are_timed_on_random_points_of_their_shape(tmp_path, monkeypatch):
    monkeypatch.setenv("MNNJAX_DATA_DIR", str(tmp_path / "none"))
    train = Train(batch_size=64, epochs=1, decay_epochs=1)
    (cell,) = cells(Study("s", Problem("mnist", "classes", N=(128,)), Network(d1=(2,)), train=train, repeats=1))
    assert 0 < timing.time_steps(cell).seconds < 10
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_dry_run_leaves_nothing_behind(tmp_path):
    command = [sys.executable, "-m", "mnnjax.cli", "run", str(CONFIGS[0].parent / "quickstart.py"), "--dry-run"]
    small = ["--small", "--problem.d0_d1_over_N", "1", "--network.hidden_layers", "1"]
    homes = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    run = subprocess.run([*command, *small], cwd=tmp_path, env=os.environ | homes, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert "timed just now, training and volumes: " in run.stdout
    assert not list(tmp_path.iterdir())


VOLUMES = {
    "sampling": Volume(samples=64, batch=32),
    "limited": Volume(samples=64, batch=32, suboptimal_samples=0, global_samples=16, redraw=True),
    "splitting": Volume(method="splitting", samples=32, batch=32, particles=80, runs=3, max_linear_programs=4),
    "exact": Volume(method="exact", global_minimum=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", VOLUMES)
def test_volumes_are_timed(method):
    study = Study("s", Problem(d0=(2,), N=(5,)), Network(d1=(2,)), volume=VOLUMES[method], repeats=2)
    (cell,) = cells(study)
    assert 0 < timing.time_steps(cell).seconds < 100
    # Twice the repetitions are modelled to take twice the time.
    (more,) = cells(dataclasses.replace(study, repeats=4))
    assert timing.steps_model(more) == pytest.approx(2 * timing.steps_model(cell))


@pytest.mark.slow
def test_volumes_that_take_too_long_are_modelled(monkeypatch):
    monkeypatch.setattr(timing, "MOST_SECONDS", 0.0)
    (cell,) = cells(Study("s", Problem(d0=(2,), N=(5,)), Network(d1=(2,)), volume=Volume(samples=64, batch=32)))
    assert timing.time_steps(cell) == Timed(timing.steps_model(cell))


@pytest.mark.usefixtures("invented")
def test_the_plan_as_text_counts_what_is_planned():
    planned = cells(Study("s", Problem(d0=(5, 6), N=(40, 50))))
    found = estimate(planned)
    lines = describe(found).splitlines()
    table = lines[1 : lines.index("")]
    assert [line.split()[:4] for line in table] == [
        [c.id, str(c.N), str(c.N_padded), str(c.parameters)] for c in planned
    ]
    assert "4 cells, 120 repetitions, 2 shapes to compile" in lines
    (memory,) = (line for line in lines if line.startswith("memory at most: "))
    assert re.search(rf"[\d.]+ [kM]B of each of {jax.device_count()} CPU devices \(has [\d.]+ [MGT]B\)", memory)
    assert re.search(r"[\d.]+ MB of this machine \(free: [\d.]+ [MGT]B\)$", memory)
    assert "all cells: about " in describe(found)
    shard = describe(found, Shard(1, 2).of(planned))
    assert planned[0].id not in shard.split("shapes to compile")[0]
    assert "2 cells, 60 repetitions" in shard
    assert "the whole study (4 cells): about" in shard
    assert "0 cells, 0 repetitions, 0 shapes to compile" in describe(found, [])
