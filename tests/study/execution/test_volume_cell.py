"""Volume studies: their rows are the library's own numbers, and stops leave no trace in them."""

import dataclasses
import os
import signal
import subprocess

import jax
import numpy as np
import pytest

from mnnjax import landscape
from mnnjax.config import Network, Problem, Study, Volume
from mnnjax.problems import make_problem
from mnnjax.study.execution import volume_cell as study_volumes
from mnnjax.study.plan import grid as plan
from mnnjax.study.runner import Stopped, run_study
from mnnjax.study.workdir.results_table import QUANTITIES, read_csv
from mnnjax.study.workdir.workdir import Workdir
from tests.study.damage import largest_file, truncate
from tests.study.runs import command
from tests.study.stops import stop_after

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PROBLEM = Problem(label_values="zero_one", d0=(3,), N=(5,))
SAMPLING = Study(
    "sampling", PROBLEM, Network(d1=(2, 3)), repeats=2,
    volume=Volume(samples=80, batch=32, suboptimal_samples=60, global_samples=40),
)  # fmt: skip
EXACT = Study("exact", Problem(label_values="zero_one", d0=(2,), N=(4,)), Network(d1=(2,)), repeats=2,
              volume=Volume(method="exact"))  # fmt: skip
SPLITTING = Study(
    "splitting", PROBLEM, Network(d1=(3,)), repeats=2,
    volume=Volume(method="splitting", samples=32, batch=32, particles=64, runs=3, max_linear_programs=8),
)  # fmt: skip
EVERYTHING = dataclasses.replace(SAMPLING, name="everything", also=(EXACT, SPLITTING))


def numbers(row: dict, name: str) -> tuple[float, ...]:
    return tuple(float(row[name + suffix]) for suffix in ("", "_low", "_high"))


def run(study: Study, path) -> list[dict]:
    run_study(study, path)
    return read_csv(path / "results.csv")


def repetition(cell: plan.Cell, k: int):
    """The key, points and labels of a cell's repetition, from what the plan says of its seeds."""
    draw = make_problem(cell.part.problem, cell.N, cell.d0, cell.part.network.rho, np.float64)
    key = jax.random.fold_in(jax.random.key(cell.data_seeds[k]), cell.data_salt)
    X, y = (np.asarray(values) for values in draw(key, cell.N))
    return jax.random.fold_in(jax.random.key(cell.seeds[k]), cell.training_salt), X, y


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    return path, run(EVERYTHING, path)


def rows_of(undisturbed, study: Study) -> list[dict]:
    return [row for row in undisturbed[1] if row["study"] == study.name]


@pytest.mark.slow
def test_sampled_rows_are_what_estimate_volumes_gives(undisturbed):
    rows = rows_of(undisturbed, EVERYTHING)
    planned = [(cell, k) for cell in plan.cells(SAMPLING) for k in range(2)]
    assert len(rows) == len(planned) == 4
    for row, (cell, k) in zip(rows, planned, strict=True):
        key, X, y = repetition(dataclasses.replace(cell, part=SAMPLING), k)
        expected = landscape.estimate_volumes(
            key, X, y, cell.d1, 0.0, 0.0, 80, suboptimal_samples=60, global_samples=40
        )
        assert row["candidates"] == row["candidates_draws"] == ""
        for name in set(QUANTITIES) - {"candidates"}:
            found = getattr(expected, name)
            if found.draws:
                assert (int(row[f"{name}_hits"]), int(row[f"{name}_draws"])) == (found.hits, found.draws)
            if not np.isnan(found.estimate):
                assert numbers(row, name) == (found.estimate, found.low, found.high)
        names = ("suboptimal", "global_minima", "rank_deficient")
        assert [row[f"{name}_draws"] for name in names] == ["60", "40", "80"]
        assert (row["method"], row["eps"], row["verdict"]) == ("sampling", "0.0", "")


@pytest.mark.slow
def test_exact_rows_are_what_exact_volumes_gives(tmp_path):
    (cell,) = plan.cells(EXACT)
    for k, row in enumerate(run(EXACT, tmp_path)):
        _, X, y = repetition(cell, k)
        expected = landscape.exact_volumes(X, y, 2, 0.0, 0.0)
        for name in ("suboptimal", "global_minima", "rank_deficient"):
            assert numbers(row, name) == (getattr(expected, name),) * 3
            assert row[f"{name}_hits"] == ""


@pytest.mark.slow
def test_splitting_rows_combine_independent_runs(undisturbed):
    (cell,) = plan.cells(SPLITTING)
    for k, row in enumerate(rows_of(undisturbed, SPLITTING)):
        key, X, y = repetition(cell, k)
        for target, name in enumerate(("suboptimal", "rank_deficient")):
            own = jax.random.fold_in(key, 2**31 + target)
            options = {"target": name, "particles": 64}
            h = landscape.fit_importance(jax.random.fold_in(own, 0), X, y, 3, 0.0, 0.0, **options)
            runs = [
                landscape.run_splitting(
                    jax.random.fold_in(own, 1 + s), h, X, y, 3, 0.0, 0.0, **options, max_linear_programs=8
                )
                for s in range(3)
            ]
            assert numbers(row, name) == landscape.combine([r.volume for r in runs])
            if name == "suboptimal":
                assert numbers(row, "candidates") == landscape.combine([r.candidate for r in runs])
        assert row["global_minima_draws"] == "32"


@pytest.mark.slow
@pytest.mark.parametrize("steps", [4, 13])
def test_a_stopped_volume_study_goes_on_where_it_was(tmp_path, monkeypatch, undisturbed, steps):
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(Stopped, match="SIGTERM: saved"):
            run_study(EVERYTHING, tmp_path / "run")
    run_study(EVERYTHING, tmp_path / "run")
    workdir = Workdir(tmp_path / "run")
    assert workdir.results.read_bytes() == (undisturbed[0] / "results.csv").read_bytes()
    # No step was done twice.
    chunks = [entry for entry in workdir.read_log() if entry["event"] == "chunk"]
    assert len(chunks) == sum(cell.steps for cell in plan.cells(EVERYTHING))
    assert not [p for p in workdir.checkpoints.rglob("*") if p.is_file()]


@pytest.mark.slow
def test_a_stop_amid_linear_programs_gives_up_the_batch_alone(tmp_path, monkeypatch, undisturbed):
    calls = []
    plain = study_volumes.sampling.holds_minimum

    def holds(*arguments):
        calls.append(1)
        if len(calls) == 40:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(study_volumes.sampling, "holds_minimum", holds)
        with pytest.raises(Stopped):
            run_study(EVERYTHING, tmp_path / "run")
    run_study(EVERYTHING, tmp_path / "run")
    assert (tmp_path / "run/results.csv").read_bytes() == (undisturbed[0] / "results.csv").read_bytes()


@pytest.mark.slow
def test_a_damaged_checkpoint_is_told_and_costs_only_time(tmp_path, monkeypatch, undisturbed):
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(Stopped):
            run_study(EVERYTHING, tmp_path / "run")
    workdir = Workdir(tmp_path / "run")
    step = next(p for p in workdir.checkpoints.glob("everything.*/*") if p.name.isdigit())
    truncate(largest_file(step))
    run_study(EVERYTHING, tmp_path / "run")
    assert any("damaged" in entry.get("text", "") for entry in workdir.read_log())
    assert workdir.results.read_bytes() == (undisturbed[0] / "results.csv").read_bytes()


@pytest.mark.slow
def test_a_wanted_width_ends_the_draws_of_each_repetition_by_itself(tmp_path):
    wide = dataclasses.replace(
        SAMPLING, network=Network(d1=(2,)), repeats=4, problem=dataclasses.replace(PROBLEM, data_sets=4),
        volume=Volume(samples=4096, batch=32, suboptimal_samples=0, global_samples=0, relative_width=0.4),
    )  # fmt: skip
    rows = run(wide, tmp_path / "run")
    draws = [int(row["rank_deficient_draws"]) for row in rows]
    assert max(draws) < 4096
    assert len(set(draws)) > 1
    for row in rows:
        estimate, low, high = numbers(row, "rank_deficient")
        assert high - low < 0.4 * estimate


def test_repetitions_share_data_sets_where_that_is_asked(tmp_path):
    shared = dataclasses.replace(EXACT, repeats=4, problem=dataclasses.replace(EXACT.problem, data_sets=2))
    rows = run(shared, tmp_path / "run")
    assert [row["data_seed"] for row in rows] == ["0", "1", "0", "1"]
    values = [row["rank_deficient"] for row in rows]
    assert values[:2] == values[2:]
    assert values[0] != values[1]


@pytest.mark.slow
def test_points_drawn_anew_give_the_expectation(tmp_path):
    """E_X of the rank-deficient volume, against its mean over many data sets."""
    sizes = {"problem": EXACT.problem, "network": Network(d1=(2,))}
    redrawn = Study("redrawn", **sizes, repeats=1, volume=Volume(samples=4096, redraw=True, suboptimal_samples=0,
                                                                global_samples=0))  # fmt: skip
    fixed = Study("fixed", **sizes, repeats=60, volume=Volume(method="exact"))
    (row,) = run(redrawn, tmp_path / "redrawn")
    values = [float(r["rank_deficient"]) for r in run(fixed, tmp_path / "fixed")]
    estimate = float(row["rank_deficient"])
    error = np.hypot(np.std(values, ddof=1) / np.sqrt(60), np.sqrt(estimate * (1 - estimate) / 4096))
    assert abs(estimate - np.mean(values)) < 4 * error


def test_a_constant_input_is_a_bias_of_the_hidden_units(tmp_path):
    problem = Problem(inputs="uniform", label_values="zero_one", d0=(1,), N=(4,), constant_input=True)
    study = Study("biased", problem, Network(d1=(2,)), repeats=1, volume=Volume(method="exact"))
    (row,) = run(study, tmp_path / "run")
    (cell,) = plan.cells(study)
    _, X, y = repetition(cell, 0)
    assert X.shape == (4, 1)
    assert (X >= 0).all()
    expected = landscape.exact_volumes(np.hstack([X, np.ones((4, 1))]), y, 2, 0.0, 0.0)
    assert float(row["rank_deficient"]) == expected.rank_deficient
    assert row["bias"] == "True"
    assert int(row["parameters"]) == 2 * 2 + 2


@pytest.mark.slow
def test_the_global_minimum_of_every_data_set(tmp_path):
    study = dataclasses.replace(EXACT, volume=Volume(method="exact", global_minimum=True))
    rows = run(study, tmp_path / "run")
    (cell,) = plan.cells(study)
    for k, row in enumerate(rows):
        _, X, y = repetition(cell, k)
        assert float(row["global_minimum_mse"]) == landscape.exact_global_minimum(X, y, 2, 0.0).mse
        assert float(row["rank_deficient"]) == landscape.exact_volumes(X, y, 2, 0.0).rank_deficient


@pytest.mark.slow
def test_splitting_runs_that_spread_too_much_are_told(tmp_path):
    """Two particles a run hit the target or miss it."""
    rough = dataclasses.replace(
        SPLITTING, name="rough", repeats=1, network=Network(d1=(6,)),
        volume=dataclasses.replace(SPLITTING.volume, particles=2, runs=8, samples=1, global_samples=0),
    )  # fmt: skip
    run(rough, tmp_path / "run")
    (text,) = [entry["text"] for entry in Workdir(tmp_path / "run").read_log() if entry["event"] == "warning"]
    assert "rough.h1.d3x6.N5" in text
    assert "volume.particles" in text


CONFIG = """
from mnnjax.config import Network, Problem, Study, Volume
study = Study(
    name="many_points",
    problem=Problem(label_values="zero_one", N=(96,), d0_over_N=0.5),
    network=Network(d0_d1_over_N=(1.0,)),
    volume=Volume(samples=64, batch=64, suboptimal_samples=0, global_samples=0),
    repeats=2,
)
"""


@pytest.mark.slow
def test_factorizations_on_two_devices_do_not_wait_for_each_other(tmp_path):
    """As they did in a pool of two threads, for ever."""
    (tmp_path / "study.py").write_text(CONFIG)
    call = command(tmp_path / "study.py", tmp_path / "run")
    subprocess.run(call, env=os.environ | {"JAX_NUM_CPU_DEVICES": "2"}, check=True, timeout=120)
    assert len(read_csv(tmp_path / "run/results.csv")) == 2
