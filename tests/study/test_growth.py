"""A study that grows in its folder ends with the files of the larger study run at once, byte for byte, and trains
nothing twice."""

import contextlib
import dataclasses
import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mnnjax import cli
from mnnjax.config import Network, Problem, Study, Train, UserError, Volume
from mnnjax.study import Stopped, load_trained, status
from mnnjax.study.execution import seed_parallel
from mnnjax.study.execution.seed_parallel import placement
from mnnjax.study.plan.grid import cells
from mnnjax.study.plan.shard import Shard
from mnnjax.study.runner import run_study
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.results_table import read_csv
from mnnjax.study.workdir.workdir import Workdir
from tests.study.stops import stop_after

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TRAIN = Train(epochs=10, decay_epochs=0, chunk_epochs=5, checkpoint_chunks=1)
SMALL = Study("grown", Problem(d0=(4,), N=(20,)), Network(), TRAIN, repeats=2)
VOLUME = Volume(samples=80, batch=32, suboptimal_samples=60, global_samples=40)


def of(study: Study, problem=None, network=None, train=None, **changes) -> Study:
    """The study with other fields, and other fields of its parts."""
    parts = {"problem": problem, "network": network, "train": train}
    inner = {name: dataclasses.replace(getattr(study, name), **new) for name, new in parts.items() if new}
    return dataclasses.replace(study, **inner, **changes)


def contents(folder: Path) -> dict[str, bytes]:
    """All that a finished study leaves, but for its log."""
    files = [folder / "config.json", folder / "results.csv", *(folder / "cells").iterdir()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


def repetitions_trained(folder: Path) -> list[str]:
    """The cells that ended, as often as they did."""
    return [entry["cell"] for entry in Workdir(folder).read_log() if entry["event"] == "cell_end"]


def require_grows(tmp_path: Path, *studies: Study) -> list[dict]:
    """Run the studies one after the other in one folder, and the last one in another; the rows of it."""
    for study in studies:
        run_study(study, tmp_path / "grown")
    run_study(studies[-1], tmp_path / "at_once")
    assert contents(tmp_path / "grown") == contents(tmp_path / "at_once")
    assert not [file for file in (tmp_path / "grown/checkpoints").rglob("*") if file.is_file()]
    return read_csv(tmp_path / "grown/results.csv")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A finished folder of SMALL."""
    path = tmp_path_factory.mktemp("small") / "run"
    run_study(SMALL, path)
    return path


@pytest.fixture
def folder(small, tmp_path) -> Path:
    """A copy of that."""
    return shutil.copytree(small, tmp_path / "run")


# What grows, and what does not.


def test_repetitions_are_added_and_none_is_trained_again(folder, tmp_path, capsys):
    larger = of(SMALL, repeats=5)
    before = np.load(folder / "cells/grown.h1.d4x4.N20.npz")["z"]
    run_study(larger, folder)
    assert "grown grows: 3 more repetitions in 1 cell" in capsys.readouterr().out.splitlines()
    run_study(larger, tmp_path / "at_once")
    assert contents(folder) == contents(tmp_path / "at_once")
    trained = load_trained(folder, "grown.h1.d4x4.N20")
    assert trained.params["z"].shape[0] == len(trained.rows) == 5
    assert (trained.params["z"][:2] == before).all()
    log = Workdir(folder).read_log()
    assert [entry["text"] for entry in log if entry["event"] == "grow"] == ["3 more repetitions in 1 cell"]
    assert len(repetitions_trained(folder)) == 2


@pytest.mark.slow
def test_longer_training_goes_on_from_where_it_was(folder, tmp_path, capsys):
    larger = of(SMALL, train={"epochs": 20}, repeats=3)
    run_study(larger, folder)
    grows = "grown grows: 1 more repetition in 1 cell, 10 more epochs in 1 cell"
    assert grows in capsys.readouterr().out.splitlines()
    run_study(larger, tmp_path / "at_once")
    assert contents(folder) == contents(tmp_path / "at_once")
    epochs = [entry["epoch"] for entry in Workdir(folder).read_log() if entry["event"] == "chunk"]
    assert epochs == [5, 10, 15, 20, 5, 10, 15, 20]
    # A decay may follow the constant rate; the state is of no more use then.
    decayed = of(larger, train={"decay_epochs": 10})
    run_study(decayed, folder)
    run_study(decayed, tmp_path / "decayed")
    assert contents(folder) == contents(tmp_path / "decayed")
    assert not list((folder / "cells").glob("*.state.npz"))


REFUSED = {
    "fewer repetitions": (of(SMALL, repeats=1), r"\(repeats: there 2, here 1\); a study may gain repetitions, and los"),
    "a value removed": (
        of(SMALL, problem={"N": (25,)}), r"\(problem\.N: there \[20\], here \[25\]\); a grid may gain values, and keeps"
    ),
    "an empty grid": (of(SMALL, network={"d1": (4,)}), r"\(network\.d1: there \[\], here \[4\]\); a grid may gain"),
    "another seed": (of(SMALL, seed=1), r"\(seed: there 0, here 1\); choose another --workdir, or restore that field"),
    "rho": (of(SMALL, network={"rho": 0.5}), r"\(network\.rho: there 0\.0, here 0\.5\); choose another"),
    "a rate": (of(SMALL, train={"learning_rate": 0.1}), r"\(train\.learning_rate: there 0\.01, here 0\.1\); choose"),
    "shorter": (of(SMALL, train={"epochs": 5}), r"\(train\.epochs: there 10, here 5\); training has gone on for 10 ep"),
    "another name": (of(SMALL, name="other"), r'\(name: there "grown", here "other"\)'),
    "volumes": (Study("grown", SMALL.problem, repeats=2, volume=Volume()), r"\(train: there \{.*, here null\); choose"),
}  # fmt: skip


@pytest.mark.parametrize(("study", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_grow_is_refused_in_one_line(folder, study, words):
    before = contents(folder)
    with pytest.raises(UserError, match=rf"run belongs to another study {words}") as error:
        run_study(study, folder)
    assert "\n" not in str(error.value)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            {"decay_epochs": 10},
            {"decay_epochs": 10, "epochs": 20},
            "there 10, here 20); the rate decayed in the last 10",
        ),
        ({"chunk_epochs": 7}, {"chunk_epochs": 7, "epochs": 20}, "training ended in the middle of a chunk of 7 epochs"),
        ({"decay_epochs": 10}, {}, "train.decay_epochs: there 10, here 0); the rate decayed in the last 10 epochs"),
    ],
)
def test_training_that_cannot_go_on_says_why(tmp_path, before, after, words):
    Workdir(tmp_path).claim(of(SMALL, train=before), [])
    with pytest.raises(UserError) as error:
        Workdir(tmp_path).check(of(SMALL, train=after))
    assert words in str(error.value)
    assert str(error.value).endswith(": choose another --workdir")


def test_a_part_may_be_added_and_none_may_go(tmp_path):
    second = of(SMALL, name="second")
    both = of(SMALL, also=(second,))
    Workdir(tmp_path).claim(both, cells(both))
    Workdir(tmp_path).check(of(SMALL, also=(of(SMALL, name="new"), of(second, repeats=3))))
    with pytest.raises(UserError, match=r'\(also: there \["second"\], here \[\]\); a study may gain parts'):
        Workdir(tmp_path).check(SMALL)
    with pytest.raises(UserError, match=r"\(also\.1\.network\.rho: there 0\.0, here 0\.5\); choose another"):
        Workdir(tmp_path).check(of(SMALL, also=(of(SMALL, name="new"), of(second, network={"rho": 0.5}))))


def test_a_folder_that_has_grown_refuses_the_smaller_study(folder):
    Workdir(folder).claim(of(SMALL, repeats=5), cells(of(SMALL, repeats=5)))
    with pytest.raises(UserError, match=r"repeats: there 5, here 2"):
        run_study(SMALL, folder)
    assert json.loads((folder / "config.json").read_text())["repeats"] == 5


def test_status_and_report_while_a_study_grows(folder, capsys):
    assert status(folder).startswith("grown: 1 of 1 cells finished (100 %)")
    Workdir(folder).claim(of(SMALL, repeats=8), cells(of(SMALL, repeats=8)))
    assert status(folder).startswith("grown: 0 of 1 cells finished (25 % of the work); left: 1 cell, 6 repetitions")
    assert cli.main(["report", str(folder)]) == 0
    # What it has is shown.
    assert len(read_csv(folder / "results.csv")) == 2
    with pytest.raises(UserError, match="has not finished grown"):
        load_trained(folder, "grown.h1.d4x4.N20")


@pytest.mark.slow
def test_the_dry_run_estimates_what_is_new(folder, tmp_path, capsys):
    config = tmp_path / "config.py"
    config.write_text(
        "from mnnjax.config import *\n"
        f"study = Study('grown', Problem(d0=(4,), N=(20,)), Network(), {TRAIN!r}, repeats=2)\n"
    )
    before = contents(folder)
    run = ["run", str(config), "--workdir", str(folder), "--dry-run"]
    assert cli.main([*run, "--repeats", "6", "--problem.d0", "4", "3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("grown grows: 1 new cell, 4 more repetitions in 1 cell\n")
    assert "2 cells, 10 repetitions, 2 shapes to compile" in out
    assert cli.main(run) == 0
    assert capsys.readouterr().out == f"1 of 1 cells are finished in {folder}, and not counted\n"
    assert contents(folder) == before


# All kinds of studies, byte for byte.

KINDS = {
    "two layers, batches, data sets": (
        of(SMALL, network={"hidden_layers": (1, 2)}, problem={"data_sets": 1}, train={"batch_size": 8}),
        {"repeats": 5},
    ),
    "biases, spectrum, minimum": (
        of(SMALL, network={"bias": True}, train={"finish": "minimum", "spectrum": True}), {"repeats": 3}
    ),
    "minimum, longer": (of(SMALL, train={"finish": "minimum"}), {"train": {"epochs": 15}}),
    "a decaying rate": (of(SMALL, train={"decay_epochs": 5}), {"repeats": 4}),
    "levenberg_marquardt, longer": (
        of(SMALL, train={"optimizer": "levenberg_marquardt", "precision": "float64"}),
        {"train": {"epochs": 20}, "repeats": 3},
    ),
    "shared rows": (
        of(SMALL, problem={"data_sets": 1, "N": (80,)}, train={"parallel": "data"}),
        {"train": {"epochs": 15}, "repeats": 3},
    ),
    "digits": (
        of(SMALL, problem={"d0": (), "inputs": "digits", "labels": "classes", "N": (40,)}, network={"d1": (3,)}),
        {"repeats": 3, "network": {"d1": (3, 4)}},
    ),
    "one repetition of a large cell": (of(SMALL, problem={"d0": (60,), "N": (900,)}, repeats=1), {"repeats": 2}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("study", "changes"), KINDS.values(), ids=KINDS)
def test_every_kind_of_training_grows(tmp_path, study, changes):
    require_grows(tmp_path, study, of(study, **changes))


@pytest.mark.slow
@pytest.mark.parametrize(
    "volume",
    [
        VOLUME,
        dataclasses.replace(VOLUME, redraw=True),
        Volume(method="splitting", samples=32, batch=32, particles=64, runs=3, max_linear_programs=8),
    ],
    ids=["sampling", "redrawn", "splitting"],
)
def test_volumes_grow(tmp_path, volume):
    """Their padding in N and d1 changes, and their counts do not."""
    problem = Problem(label_values="zero_one", d0=(3,), N=(5,))
    study = Study("volumes", problem, Network(d1=(2,)), volume=volume, repeats=1)
    require_grows(tmp_path, study, of(study, repeats=3, problem={"N": (4, 5)}, network={"d1": (2, 3)}))
    assert repetitions_trained(tmp_path / "grown").count("volumes.h1.d3x2.N5") == 2


@pytest.mark.slow
def test_exact_volumes_grow(tmp_path):
    problem = Problem(label_values="zero_one", d0=(2,), N=(4,))
    study = Study("exact", problem, Network(d1=(2,)), volume=Volume("exact"), repeats=2)
    require_grows(tmp_path, study, of(study, repeats=3))


@pytest.mark.slow
def test_ten_repetitions_grown_to_twenty(tmp_path):
    study = of(SMALL, repeats=10, network={"hidden_layers": (1, 2)})
    rows = require_grows(tmp_path, study, of(study, repeats=20))
    assert [row["seed"] for row in rows] == [*map(str, range(20))] * 2


@pytest.mark.slow
def test_grids_grow_and_cells_whose_padding_changes_are_trained_again(tmp_path, capsys):
    study = of(SMALL, problem={"N": (20, 40)})
    # 20 is not padded at first, and then to 21.
    larger = of(SMALL, problem={"N": (40, 21, 20), "d0": (3, 4)})
    padded = [{c.id: c.N_padded for c in cells(each)} for each in (study, larger)]
    again = [cell_id for cell_id, rows in padded[0].items() if padded[1][cell_id] != rows]
    assert again
    assert len(again) < len(padded[0])
    require_grows(tmp_path, study, larger)
    trained = repetitions_trained(tmp_path / "grown")
    assert {cell_id: trained.count(cell_id) for cell_id in padded[0]} == {
        cell_id: 1 + (cell_id in again) for cell_id in padded[0]
    }
    assert "grown grows: 4 new cells, 1 cell to train again (padding)" in capsys.readouterr().out
    kept = {path.name for path in (tmp_path / "grown/cells/set_aside").iterdir()}
    assert kept == {f"{again[0]}{end}.0" for end in (".csv", ".npz", ".state.npz")}


@pytest.mark.slow
def test_ratios_and_parts_grow(tmp_path):
    study = of(SMALL, problem={"N": (), "d0_d1_over_N": (1.0,)}, network={"d1": (4, 6)})
    larger = of(study, problem={"d0_d1_over_N": (0.5, 1.0, 0.9)}, also=(of(SMALL, name="second"),))
    require_grows(tmp_path, study, larger, of(larger, repeats=3))


# Growth amid other things.


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [1, 3])
def test_a_study_that_was_stopped_in_a_cell_grows(tmp_path, monkeypatch, chunks):
    """The old repetitions of the cell are finished first, from its checkpoint."""
    study = of(SMALL, network={"hidden_layers": (1, 2)})
    with monkeypatch.context() as patch:
        stop_after(patch, chunks)
        with pytest.raises(Stopped):
            run_study(study, tmp_path / "grown")
    require_grows(tmp_path, of(study, repeats=5, train={"epochs": 15}))
    log = Workdir(tmp_path / "grown").read_log()
    # Each piece's chunks, none twice: two cells of two repetitions, and of the three that came.
    assert sum(entry["event"] == "chunk" for entry in log) == 2 * 2 * 3 if chunks > 2 else 2 * 3 + 3
    assert not [entry for entry in log if entry["event"] == "warning"]


@pytest.mark.slow
def test_a_growth_that_is_stopped_may_grow_further(tmp_path, monkeypatch):
    run_study(SMALL, tmp_path / "grown")
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(Stopped):
            run_study(of(SMALL, repeats=4), tmp_path / "grown")
    require_grows(tmp_path, of(SMALL, repeats=7, train={"epochs": 15}))
    assert not [entry for entry in Workdir(tmp_path / "grown").read_log() if entry["event"] == "warning"]


class Killed(BaseException):
    """As kill -9: nothing in the process handles it."""


@pytest.mark.slow
def test_killed_before_any_file_that_growth_writes_or_moves(tmp_path, monkeypatch):
    # Compiled once.
    programs = functools.lru_cache(maxsize=None)(seed_parallel.seed_programs.__wrapped__)
    monkeypatch.setattr(seed_parallel, "seed_programs", programs)
    study = of(SMALL, problem={"N": (20, 40)})
    larger = of(study, problem={"N": (20, 21, 40)}, repeats=3, train={"epochs": 15})
    run_study(study, tmp_path / "begun")
    run_study(larger, tmp_path / "at_once")
    expected, write, move = contents(tmp_path / "at_once"), storage.write_atomically, storage.move
    for number in range(1, 200):
        left = [number]

        def killed(function, left=left):
            def run(*arguments):
                left[0] -= 1
                if not left[0]:
                    raise Killed
                return function(*arguments)

            return run

        folder = shutil.copytree(tmp_path / "begun", tmp_path / f"killed{number}")
        with monkeypatch.context() as patch:
            patch.setattr(storage, "write_atomically", killed(write))
            patch.setattr(storage, "move", killed(move))
            with contextlib.suppress(Killed):
                run_study(larger, folder)
        run_study(larger, folder)
        assert contents(folder) == expected, number
        shutil.rmtree(folder)
        if left[0] > 0:
            break
    assert number > 15


@pytest.mark.slow
def test_a_state_that_is_missing_is_trained_from_the_beginning(folder, tmp_path, capsys):
    larger = of(SMALL, train={"epochs": 20})
    (folder / "cells/grown.h1.d4x4.N20.state.npz").unlink()
    run_study(larger, folder)
    assert "the state of its optimizer after 10 epochs is missing or damaged" in capsys.readouterr().out
    run_study(larger, tmp_path / "at_once")
    assert contents(folder) == contents(tmp_path / "at_once")


@pytest.mark.slow
def test_weights_that_are_damaged_are_trained_again(folder, tmp_path, capsys):
    larger = of(SMALL, repeats=3)
    (folder / "cells/grown.h1.d4x4.N20.npz").write_bytes(b"")
    run_study(larger, folder)
    assert "weights of its first repetitions are missing or damaged" in capsys.readouterr().out
    run_study(larger, tmp_path / "at_once")
    assert contents(folder) == contents(tmp_path / "at_once")


@pytest.mark.slow
def test_shards_grow(tmp_path):
    """Each cell may belong to another shard than before; home has cells too, some of which are padded otherwise."""
    study = of(SMALL, problem={"N": (20, 40)})
    larger = of(study, problem={"N": (20, 21, 40)}, repeats=3, train={"epochs": 15})
    run_study(study, tmp_path / "run", shard=Shard(1, 2))
    run_study(study, tmp_path / "run")
    for index in range(2):
        run_study(larger, tmp_path / "run", shard=Shard(index, 2))
    assert cli.main(["report", str(tmp_path / "run")]) == 0
    run_study(larger, tmp_path / "at_once")
    for name in ("results.csv", "config.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "at_once" / name).read_bytes()
    assert status(tmp_path / "run").startswith("grown: 3 of 3 cells finished (100 %)")


def test_two_seeds_and_more_always_round_alike():
    """Of small cells, seeds are vmapped, and of large ones they are not, whatever their number; never on one device."""
    for N, vmapped in ((20, True), (40_000, False)):
        for repeats in range(1, 40):
            (cell,) = cells(of(SMALL, problem={"N": (N,)}, repeats=repeats))
            found = placement(cell)
            assert (found.vmap_size > 1) == vmapped
            assert found.devices > 1
            assert found.vmap_size * found.groups_per_device * found.devices >= repeats
