"""A problem that the devices cannot hold is refused before anything is written."""

import jax
import pytest

from mnnjax import host_memory
from mnnjax.cli.config_file import load_config
from mnnjax.config import Network, Problem, Study, Train, UserError, Volume
from mnnjax.study.plan.grid import cells
from mnnjax.study.resources import memory_check
from mnnjax.study.resources.memory import memory_data_parallel, memory_on_host, memory_per_device
from mnnjax.study.runner import run_study
from tests.project import ROOT

LARGE = load_config(str(ROOT / "configs/gaussian_large.py"))
(CELL,) = cells(LARGE)


def test_the_large_problem_does_not_start_where_it_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_check, "available", lambda own: 3 * 10**9)
    with pytest.raises(UserError, match=r"N1280000: each of 8 devices needs 5\.9 GB .* and has 3\.0 GB; ") as told:
        run_study(LARGE, tmp_path / "run")
    # 32 devices are enough: 4 machines with 8 CPU devices each.
    assert memory_data_parallel(CELL, 16) > 3 * 10**9 >= memory_data_parallel(CELL, 32)
    assert "4 machines such as this one (8 CPU devices each) would do" in str(told.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("has", "told"), [(5e9, "16 such devices would do"), (1e8, "not even 64 such devices would do")]
)
def test_accelerators_are_counted_one_by_one(monkeypatch, has, told):
    monkeypatch.setattr(memory_check, "available", lambda own: int(has))
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    with pytest.raises(UserError, match=told):
        memory_check.require_fit([CELL], jax.devices())


def test_what_fits_or_cannot_be_told_is_not_refused(monkeypatch):
    for has in (memory_data_parallel(CELL, 8), None):
        monkeypatch.setattr(memory_check, "available", lambda own, has=has: has)
        monkeypatch.setattr(memory_check, "free_memory", lambda: None)
        memory_check.require_fit([CELL], jax.devices())


@pytest.mark.parametrize("volume", [None, Volume(batch=2**20)], ids=["seeds", "volumes"])
def test_what_two_thirds_of_the_estimate_do_not_fit_is_refused(monkeypatch, tmp_path, volume):
    study = Study("s", Problem(d0=(9,), N=(9000,)), Network(), volume=volume)
    (cell,) = cells(study)
    needed = memory_on_host(cell, jax.devices())
    for free, fits in ((2 / 3 * needed + 1, True), (2 / 3 * needed - 1, False)):
        monkeypatch.setattr(memory_check, "free_memory", lambda free=free: free)
        assert (memory_check.memory_shortage(cell, jax.devices()) is None) == fits
    named = "problem.N" if volume is None else "volume.batch"
    with pytest.raises(UserError, match=rf"N9000: needs [\d.]+ [MGT]B to [\d.]+ [MGT]B of memory, .* smaller {named}"):
        run_study(study, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_an_accelerator_that_is_too_small_for_its_seeds(monkeypatch):
    (cell,) = cells(Study("s", Problem(d0=(9,), N=(9000,))))
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    monkeypatch.setattr(memory_check, "available", lambda own: memory_per_device(cell, jax.devices()) // 2)
    with pytest.raises(UserError, match="fewer repeats"):
        memory_check.require_fit([cell], jax.devices())


def test_rows_in_bfloat16_take_half_of_the_memory(monkeypatch):
    same = cells(Study("rows", LARGE.problem, LARGE.network, Train(batch_size=8192, parallel="data"), repeats=1))
    assert memory_data_parallel(CELL, 1) < 0.55 * memory_data_parallel(same[0], 1)
    monkeypatch.setattr(memory_check, "available", lambda own: 6 * 10**9)
    with pytest.raises(UserError, match="rows_precision bfloat16 takes half"):
        memory_check.require_fit(same, jax.devices())


def test_files_in_memory_do_not_count_as_used(tmp_path, monkeypatch):
    for name, content in (
        ("max", "1000"),
        ("current", "900"),
        ("stat", "anon 300\nactive_file 200\ninactive_file 400\n"),
    ):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(host_memory, "CGROUPS", (tuple(str(tmp_path / name) for name in ("max", "current", "stat")),))
    assert host_memory.free_memory() == 700
    (tmp_path / "max").write_text("max\n")
    assert host_memory.free_memory() > 10**8


def test_this_machines_memory_is_known():
    assert 10**8 < memory_check.available(1) < 10**14
    assert memory_check.available(4) == pytest.approx(memory_check.available(1) / 4, rel=0.2)
