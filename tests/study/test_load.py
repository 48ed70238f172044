"""The weights of finished cells are kept, and with points that are drawn again they give the rows of results.csv."""

import dataclasses
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from mnnjax.cli.config_file import load_config
from mnnjax.config import Network, Problem, Study, Train, UserError, Volume
from mnnjax.study import Stopped, load_trained, run_study
from mnnjax.study.plan.grid import cells
from mnnjax.study.plan.shard import Shard
from mnnjax.study.resources import memory_check
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.training import make_evaluation
from tests.project import ROOT
from tests.small_sets import flip
from tests.study.damage import truncate
from tests.study.stops import stop_after

# Orbax leaves the event loops of reads and writes that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TRAIN = Train(epochs=150, decay_epochs=150, chunk_epochs=100, checkpoint_chunks=1)
# Two widths of data sets, of which the repetitions have two, and padded rows.
STUDY = Study(
    name="kept",
    problem=Problem(label_values="zero_one", data_sets=2, d0=(4,), N=(18, 20)),
    network=Network(d1=(8,), hidden_layers=(2,), rho=0.1, bias=True),
    train=TRAIN,
    repeats=3,
)
IDS = [cell.id for cell in cells(STUDY)]
CERTIFIED = ("verdict", "rank", "margin", "grad_norm", "region_mse", "region_mce", "reason", "kinks")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("kept") / "run"
    run_study(STUDY, path)
    return path


def written(value) -> str:
    """As results.csv has it."""
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def errors(trained, study: Study):
    """The Evaluation of all repetitions, by the study's own program: as many rows, in the same order."""
    (cell,) = (cell for cell in cells(study, lambda problem: (1797, 61)) if cell.id == trained.cell)
    evaluate = make_evaluation(study.problem, study.network, cell.hidden_layers, cell.d1)
    points = [np.stack(arrays) for arrays in zip(*map(trained.points, range(study.repeats)), strict=True)]
    X, y = (np.pad(a, [(0, 0), (0, cell.N_padded - cell.N), (0, 0)][: a.ndim]) for a in points)

    def of_all(params, X, y, N):
        return jax.lax.map(lambda arrays: evaluate(*arrays, N), (params, X, y))

    return jax.device_get(jax.jit(of_all)(trained.params, X, y, cell.N))


def gives_its_rows(trained, study: Study) -> None:
    """Certificates and errors of what was loaded are those of the rows, to the last bit."""
    assert len(trained.rows) == study.repeats
    found = errors(trained, study)
    for k, row in enumerate(trained.rows):
        certificate = trained.certificate(k)
        assert {name: row[name] for name in CERTIFIED} == {n: written(getattr(certificate, n)) for n in CERTIFIED}
        assert (row["mse"], row["mce"]) == (written(float(found.mse[k])), written(certificate.mce))
        # NumPy sums up in another order.
        assert certificate.mse == pytest.approx(float(row["mse"]), rel=1e-9)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("cell", IDS)
def test_weights_and_points_give_the_rows(finished, cell):
    trained = load_trained(finished, cell)
    N, layers = (int(trained.rows[0][name]) for name in ("N", "hidden_layers"))
    assert {name: leaf.shape for name, leaf in trained.params.items()} == {
        **{f"W{layer}": (3, 8, 4 if layer == 1 else 8) for layer in range(1, layers + 1)},
        **{f"b{layer}": (3, 8) for layer in range(1, layers + 1)},
        "z": (3, 8), "c": (3,),
    }  # fmt: skip
    assert {leaf.dtype for leaf in (*trained.params.values(), trained.X, trained.y)} == {np.dtype("float32")}
    assert (trained.X.shape, trained.y.shape) == ((3, N, 4), (3, N))
    assert (trained.cell, trained.rho, trained.threshold) == (cell, 0.1, 0.5)
    assert [row["data_seed"] for row in trained.rows] == ["0", "1", "0"]
    np.testing.assert_array_equal(trained.X[0], trained.X[2])
    assert (trained.X[0] != trained.X[1]).all()
    gives_its_rows(trained, STUDY)


def test_the_same_run_keeps_the_same_bytes_also_after_a_stop(tmp_path, monkeypatch, finished):
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(Stopped):
            run_study(STUDY, tmp_path)
    # Before its certificates are made a cell has neither.
    assert sorted(p.name for p in (tmp_path / "cells").iterdir()) == [f"{IDS[0]}.csv", f"{IDS[0]}.npz"]
    with pytest.raises(UserError, match=rf"has not finished {IDS[1]}; trained are {IDS[0]}$"):
        load_trained(tmp_path, IDS[1])
    run_study(STUDY, tmp_path)
    for file in (finished / "cells").iterdir():
        assert (tmp_path / "cells" / file.name).read_bytes() == file.read_bytes()
    assert len(list((finished / "cells").iterdir())) == 2 * len(IDS)


def test_weights_are_there_before_the_rows_that_make_a_cell_finished(tmp_path, monkeypatch):
    workdir = Workdir(tmp_path)
    names = []
    monkeypatch.setattr(workdir, "write", lambda path, content: names.append(path.name))
    trained, measured, *_ = cells(STUDY)
    workdir.finish_cell(trained, [], {".npz": {"z": np.zeros(1)}})
    workdir.finish_cell(measured, [])
    assert names == [f"{trained.id}.npz", f"{trained.id}.csv", f"{measured.id}.csv"]


@pytest.mark.slow
def test_weights_that_are_missing_or_damaged(tmp_path):
    study = dataclasses.replace(STUDY, train=Train(epochs=2, decay_epochs=0), network=Network(d1=(3,)))
    run_study(study, tmp_path)
    (file,) = (tmp_path / "cells").glob("*N18.npz")
    file.unlink()
    with pytest.raises(UserError, match=r"N18\.npz is missing; copy it from where the cell was trained"):
        load_trained(tmp_path, file.name.removesuffix(".npz"))
    (other,) = (tmp_path / "cells").glob("*N20.npz")
    for harm in (lambda file: flip(file, file.read_bytes().index(b"NUMPY") + 200), truncate):
        harm(other)
        with pytest.raises(UserError, match=r"N20\.npz is damaged \(.*\); restore it") as error:
            load_trained(tmp_path, other.name.removesuffix(".npz"))
        assert "\n" not in str(error.value)
    np.savez(other, W1=np.zeros((3, 3, 4), np.float32))
    with pytest.raises(UserError, match=r"N20\.npz is damaged \(z: .*\); restore it"):
        load_trained(tmp_path, other.name.removesuffix(".npz"))


def test_a_cell_that_is_not_there(tmp_path, finished):
    with pytest.raises(UserError, match=re.escape(f"has no cell 'N18'; trained are {', '.join(IDS)}")):
        load_trained(finished, "N18")
    volume = Study("v", Problem(d0=(2,), N=(3,)), Network(d1=(1,)), repeats=1, volume=Volume("exact"))
    run_study(volume, tmp_path / "v")
    assert not list((tmp_path / "v/cells").glob("*.npz"))
    with pytest.raises(UserError, match=r"measured volumes in v\.h1\.d2x1\.N3, and trained .* no cell is trained yet"):
        load_trained(tmp_path / "v", "v.h1.d2x1.N3")
    with pytest.raises(UserError, match="holds no study"):
        load_trained(tmp_path, "a")


@pytest.mark.slow
def test_points_that_all_repetitions_share_are_there_once(tmp_path):
    """Of devices that share the points, see execution/test_data_parallel.py."""
    study = Study("s", Problem(d0=(4,), N=(20,), data_sets=1), Network(d1=(4,)), TRAIN, repeats=2)
    run_study(study, tmp_path)
    trained = load_trained(tmp_path, "s.h1.d4x4.N20")
    assert (trained.X.shape, trained.y.shape) == ((20, 4), (20,))
    gives_its_rows(trained, study)


def everything(path: Path) -> dict[Path, tuple[bytes, int]]:
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in path.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_images_of_shards_are_whitened_as_they_were_and_nothing_is_written(tmp_path):
    study = Study(
        name="images",
        problem=Problem("digits", "classes", N=(30, 40)),
        network=Network(d1=(2,)),
        train=dataclasses.replace(TRAIN, epochs=20, decay_epochs=0, precision="float64"),
        repeats=2,
    )
    for k in range(2):
        run_study(study, tmp_path, shard=Shard(k, 2))
    before = everything(tmp_path)
    for N, folder in ((30, tmp_path), (40, tmp_path), (40, tmp_path / "shard-1-of-2")):
        gives_its_rows(load_trained(folder, f"images.h1.d61x2.N{N}"), study)
    assert everything(tmp_path) == before
    for file in (tmp_path / "shard-1-of-2/whitening").iterdir():
        file.rename(tmp_path / file.name)
    with pytest.raises(UserError, match="shard-1-of-2/whitening is missing, which the cell was trained with"):
        load_trained(tmp_path, "images.h1.d61x2.N40")


@pytest.mark.slow
def test_weights_in_a_bucket(remote, tmp_path):
    study = dataclasses.replace(STUDY, train=Train(epochs=2, decay_epochs=0), network=Network(d1=(3,)))
    run_study(study, tmp_path)
    run_study(study, remote)
    near, far = (load_trained(where, "kept.h1.d4x3.N18") for where in (tmp_path, remote))
    assert far.rows == near.rows
    for name, leaf in near.params.items():
        np.testing.assert_array_equal(far.params[name], leaf)


@pytest.mark.slow
def test_networks_that_overflowed_have_no_certificate(tmp_path):
    train = Train("sgd", learning_rate=1e30, epochs=20, decay_epochs=0)
    run_study(Study("far", Problem(d0=(4,), N=(20,)), Network(), train, repeats=1), tmp_path)
    trained = load_trained(tmp_path, "far.h1.d4x4.N20")
    assert trained.rows[0]["verdict"] == "non_finite"
    assert not np.isfinite(trained.params["W1"]).all()
    assert trained.certificate(0) is None


@pytest.mark.slow
def test_points_that_no_memory_holds_are_refused_with_the_file_of_the_weights(monkeypatch, finished):
    monkeypatch.setattr(memory_check, "free_memory", lambda: 1000)
    said = rf"{IDS[0]}: its points need [\d.]+ kB of memory, .* numpy\.load\('{finished}/cells/{IDS[0]}\.npz'\)"
    with pytest.raises(UserError, match=said):
        load_trained(finished, IDS[0])
    (large,) = cells(load_config(str(ROOT / "configs/gaussian_large.py")))
    monkeypatch.setattr(memory_check, "free_memory", lambda: 128 * 10**9)
    with pytest.raises(UserError, match=r"its points need 188\.8 GB of memory, and there are 128\.0 GB; take a larger"):
        memory_check.require_points_fit(large, jax.devices(), "w.npz")
    # On one accelerator of 40 GB, whose host is large enough.
    monkeypatch.setattr(memory_check, "free_memory", lambda: 10**12)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    monkeypatch.setattr(memory_check, "available", lambda own: 40 * 10**9)
    with pytest.raises(UserError, match=r"need 62\.9 GB of memory, and there are 40\.0 GB"):
        memory_check.require_points_fit(large, jax.devices()[:1], "w.npz")
    memory_check.require_points_fit(large, jax.devices()[:2], "w.npz")
