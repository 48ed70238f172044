"""Numbers do not depend on how many devices the seeds are spread over."""

import jax
import pytest

from mnnjax.config import Network, Problem, Study, Train
from mnnjax.study.execution import seed_parallel
from mnnjax.study.plan.grid import cells
from mnnjax.study.runner import run_study


def results_on(devices: int, path, monkeypatch, layers: int, repeats: int, cache_bytes: int) -> bytes:
    study = Study(
        name="spread",
        problem=Problem(d0=(4,), N=(11,)),
        network=Network(hidden_layers=layers),
        train=Train(epochs=10, decay_epochs=10, chunk_epochs=20),
        repeats=repeats,
    )
    own = jax.devices()[:devices]
    with monkeypatch.context() as patch:
        patch.setattr(jax, "devices", lambda *backend: own)
        patch.setattr(seed_parallel, "CPU_CACHE_BYTES", cache_bytes)
        seed_parallel.seed_programs.cache_clear()
        run_study(study, path)
    seed_parallel.seed_programs.cache_clear()
    return (path / "results.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "repeats", "cache_bytes", "devices"),
    [pytest.param(1, 5, 1, (2, 5), marks=pytest.mark.slow), (2, 6, 2**19, (2, 3))],
)
def test_results_are_the_same_to_the_last_bit_on_any_number_of_devices(
    tmp_path, monkeypatch, layers, repeats, cache_bytes, devices
):
    """Both where seeds take turns (on 2 devices one of 5 has nothing to do in the last) and where they train together
    (in two groups of 3)."""
    found = [results_on(k, tmp_path / str(k), monkeypatch, layers, repeats, cache_bytes) for k in devices]
    assert found[0] == found[1]


@pytest.mark.parametrize("available", [1, 2, 3, 4, 7, 64])
@pytest.mark.parametrize("repeats", [1, 2, 5, 30])
@pytest.mark.parametrize(("d0", "N"), [(5, 25), (20, 400), (50, 2500)])
def test_seeds_are_spread_over_the_devices(available, repeats, d0, N):
    study = Study(name="large", problem=Problem(d0=(d0,), N=(N,)), train=Train(), repeats=repeats)
    (cell,) = cells(study)
    vmap_size, groups, devices = seed_parallel.placement(cell, jax.devices()[:1] * available)
    # Everybody has a place, no device is idle but the second, and what trains together fits in the cache.
    assert devices <= available
    assert vmap_size * groups * devices >= repeats
    assert repeats > vmap_size * groups * (devices - 1) or devices == 2
    assert vmap_size == 1 or vmap_size * cell.bytes_needed <= seed_parallel.CPU_CACHE_BYTES * repeats
    # Two cores share the work wherever there are two seeds.
    assert devices >= min(available, repeats, 2)
    assert seed_parallel.placement(cell, jax.devices()[:2])[0] == vmap_size
