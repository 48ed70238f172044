"""Cells whose points are spread over the devices: stopped and resumed, their points, held-out errors and verdicts."""

import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from mnnjax import landscape
from mnnjax.config import Network, Problem, Study, Train
from mnnjax.landscape.certificates import cost
from mnnjax.problems import make_problem
from mnnjax.study import load_trained
from mnnjax.study.execution import data_parallel, train_cell
from mnnjax.study.execution.data_parallel import DataParallel
from mnnjax.study.execution.images import Sources, recorded_shape
from mnnjax.study.plan.grid import cells
from mnnjax.study.plan.keys import seed_keys
from mnnjax.study.runner import Stopped, run_study
from mnnjax.study.workdir.results_table import read_csv
from mnnjax.study.workdir.workdir import Workdir
from tests.study.execution.test_images import store_mnist
from tests.study.stops import stop_after

# Orbax leaves the event loops of reads and writes that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TRAIN = Train(batch_size=64, epochs=6, decay_epochs=2, chunk_epochs=2, checkpoint_chunks=1, parallel="data")
DIGITS = Study("digits", Problem("digits", "classes", data_sets=1), Network(d1=(3,)), TRAIN, repeats=2)


@pytest.fixture(scope="module", autouse=True)
def _little_compilation():
    """Two devices of the eight, and one program for runs that are alike."""
    two = jax.devices()[:2]
    make = functools.cache(data_parallel.training.make_row_training)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "devices", lambda *options: two)
        patch.setattr(jax, "local_devices", lambda **options: two)
        patch.setattr(
            data_parallel.training, "make_row_training", lambda *arguments: make(*arguments[:-1], tuple(arguments[-1]))
        )
        patch.setattr(data_parallel, "make_problem", functools.cache(data_parallel.make_problem))
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("undisturbed")
    run_study(DIGITS, path / "run")
    return (path / "run/results.csv").read_bytes()


def stop_at_epoch_6(path, monkeypatch, study=DIGITS) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Stopped, match=r"SIGTERM: saved .* at epoch 6 of 8"):
            run_study(study, path)


@pytest.mark.slow
def test_a_checkpoint_goes_on_with_another_number_of_devices(tmp_path, monkeypatch, undisturbed):
    stop_at_epoch_6(tmp_path / "run", monkeypatch)
    monkeypatch.setattr(jax, "devices", lambda *options: jax.local_devices()[:1])
    run_study(DIGITS, tmp_path / "run")
    (tmp_path / "undisturbed.csv").write_bytes(undisturbed)
    found, expected = read_csv(tmp_path / "run/results.csv"), read_csv(tmp_path / "undisturbed.csv")
    assert [row["seed"] for row in found] == [row["seed"] for row in expected]
    # Two epochs of 29 steps in float32, with the sums in another order.
    for name in ("mse", "first_order_residual"):
        np.testing.assert_allclose([float(r[name]) for r in found], [float(r[name]) for r in expected], rtol=1e-3)


@pytest.mark.slow
def test_a_reproducible_checkpoint_goes_on_with_another_number_of_devices_to_the_last_bit(tmp_path, monkeypatch):
    study = dataclasses.replace(DIGITS, train=dataclasses.replace(TRAIN, reproducible=True))
    run_study(study, tmp_path / "undisturbed")
    stop_at_epoch_6(tmp_path / "run", monkeypatch, study)
    monkeypatch.setattr(jax, "devices", lambda *options: jax.local_devices()[:1])
    run_study(study, tmp_path / "run")
    assert (tmp_path / "run/results.csv").read_bytes() == (tmp_path / "undisturbed/results.csv").read_bytes()


@pytest.mark.slow
def test_a_stopped_study_goes_on_where_it_was(tmp_path, monkeypatch, undisturbed):
    stop_at_epoch_6(tmp_path / "run", monkeypatch)
    run_study(DIGITS, tmp_path / "run")
    workdir = Workdir(tmp_path / "run")
    assert workdir.results.read_bytes() == undisturbed
    # Four chunks: not one was trained twice.
    assert sum(entry["event"] == "chunk" for entry in workdir.read_log()) == 4
    assert [entry["epoch"] for entry in workdir.read_log() if entry["event"] == "cell_start"] == [0, 6]


@pytest.mark.slow
def test_training_has_learnt_and_each_repetition_has_weights_of_its_own(tmp_path, undisturbed):
    (tmp_path / "results.csv").write_bytes(undisturbed)
    rows = read_csv(tmp_path / "results.csv")
    assert [(row["seed"], row["data_seed"], row["N"], row["d0"]) for row in rows] == [
        ("0", "0", "1797", "61"),
        ("1", "0", "1797", "61"),
    ]
    # Labels are balanced to a percent: a network that knows nothing has an MCE of a half.
    assert all(float(row["mce"]) < 0.25 for row in rows)
    assert rows[0]["mse"] != rows[1]["mse"]
    assert {(row["held_out_mce"], row["held_out_N"]) for row in rows} == {("", "")}


def points_of(study: Study, workdir: Path, monkeypatch, devices: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """The points that a cell in training has on so many devices, in order."""
    workdir.mkdir(exist_ok=True)
    sources = Sources(Workdir(workdir), None, lambda line: None)
    if study.problem.is_image:
        sources.get(study.problem)
    (cell,) = cells(study, recorded_shape(Workdir(workdir)))
    own = jax.devices()[:devices]
    with monkeypatch.context() as patch:
        patch.setattr(jax, "devices", lambda *options: own)
        parts = list(DataParallel(cell, sources)._parts())
    X, y, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    assert weights.sum() == cell.N
    assert not X[weights == 0].any()
    return X[weights == 1], y[weights == 1]


@pytest.mark.slow
@pytest.mark.parametrize(("inputs", "N"), [("gaussian", 150), ("uniform", 10)])
def test_drawn_points_do_not_depend_on_the_number_of_devices(tmp_path, monkeypatch, inputs, N):
    """Each block of ceil(N / 64) points has a key of its own."""
    problem = Problem(inputs, "random", d0=(4,), N=(N,), data_sets=1)
    study = Study("drawn", problem, Network(d1=(3,)), TRAIN, repeats=2, seed=5)
    X, y = points_of(study, tmp_path / "run", monkeypatch, 1)
    for found, expected in zip(points_of(study, tmp_path / "run", monkeypatch, 2), (X, y), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert X.dtype == np.float32
    assert len(np.unique(X, axis=0)) == N
    assert set(y) == {-1.0, 1.0}
    (cell,) = cells(study)
    size = -(-N // 64)
    block = 7
    key = jax.random.fold_in(seed_keys([5], cell.data_salt)[0], block)
    expected = jax.jit(make_problem(problem, size, 4, 0.0, np.float32))(key, size)
    own = slice(block * size, (block + 1) * size)
    np.testing.assert_allclose(X[own], expected[0], rtol=1e-6)
    np.testing.assert_array_equal(y[own], expected[1])


@pytest.mark.slow
def test_all_drawn_points_have_one_teacher(tmp_path, monkeypatch):
    """Assumption 5. A teacher of one ReLU cuts the plane in two halves: around the circle the label changes twice."""
    problem = Problem("gaussian", "teacher", teacher_units=1, d0=(2,), N=(640,), data_sets=1)
    X, y = points_of(Study("taught", problem, Network(d1=(3,)), TRAIN), tmp_path / "run", monkeypatch, 1)
    around = y[np.argsort(np.arctan2(X[:, 1], X[:, 0]))]
    assert (around != np.roll(around, 1)).sum() == 2


@pytest.mark.slow
def test_a_subset_of_images_is_drawn_without_replacement_with_its_classes(tmp_path, monkeypatch):
    whole, _ = points_of(DIGITS, tmp_path / "run", monkeypatch)
    subset = dataclasses.replace(DIGITS, problem=dataclasses.replace(DIGITS.problem, N=(100,)))
    X, y = points_of(subset, tmp_path / "run", monkeypatch)
    assert X.shape == (100, 61)
    # The same products, summed up in another order and rounded to float32.
    near = np.abs(X[:, None] - whole[None]).max(axis=2) < 1e-4
    assert (near.sum(axis=1) == 1).all()
    found = near.argmax(axis=1)
    assert len(set(found.tolist())) == 100
    np.testing.assert_array_equal(y, np.where(load_digits().target[found] >= 5, 1, -1))
    other = dataclasses.replace(subset, seed=1)
    assert (points_of(other, tmp_path / "run", monkeypatch)[0] != X).any()


@pytest.mark.slow
def test_random_labels_of_images_are_one_draw_for_all_repetitions(tmp_path, monkeypatch):
    problem = Problem("digits", "random", "zero_one", data_sets=1)
    X, y = points_of(dataclasses.replace(DIGITS, problem=problem), tmp_path / "run", monkeypatch)
    np.testing.assert_array_equal(X, points_of(DIGITS, tmp_path / "run", monkeypatch)[0])
    assert set(y) == {0.0, 1.0}
    # 5 standard errors of a fair coin, and of its agreement with the classes.
    assert abs(y.mean() - 0.5) < 5 * 0.5 / np.sqrt(1797)
    assert abs(np.mean(y == (load_digits().target >= 5)) - 0.5) < 5 * 0.5 / np.sqrt(1797)


SMALL = dataclasses.replace(TRAIN, epochs=40, decay_epochs=0, chunk_epochs=40, learning_rate=3e-2)


def output(params: dict, k: int, X: np.ndarray) -> np.ndarray:
    """Of repetition k's network of one hidden layer without biases."""
    return np.maximum(X @ params["W1"][k].astype(np.float64).T, 0) @ params["z"][k].astype(np.float64)


@pytest.mark.slow
def test_the_held_out_error_is_that_of_the_test_images(tmp_path, monkeypatch):
    """Whitened by the training images; the columns against NumPy, from the pixels and the trained weights."""
    kept = store_mnist(tmp_path / "data", train=70, test=30)
    problem = Problem("mnist", "classes", data_sets=1, lower_classes=(0, 1, 2), upper_classes=(3, 4, 5, 6, 7))
    study = Study("held", problem, Network(d1=(3,)), SMALL, repeats=2)
    seen, plain = [], train_cell._held_out
    monkeypatch.setattr(train_cell, "_held_out", lambda *arguments: (seen.append(arguments[2]), plain(*arguments))[1])
    run_study(study, tmp_path / "run", kept)
    rows, params = read_csv(tmp_path / "run/results.csv"), seen[0]
    arrays = {s: [np.load(kept / f"mnist/{s}_{kind}.npy") for kind in ("images", "labels")] for s in ("train", "test")}
    arrays = {split: (images[classes < 8], classes[classes < 8] >= 3) for split, (images, classes) in arrays.items()}
    pixels, upper = arrays["train"]
    varying = pixels.std(axis=0) > 0
    centred = pixels[:, varying] - pixels[:, varying].mean(axis=0)
    # The principal directions of falling variance, the largest entry of each positive.
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    directions *= np.sign(np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1))
    transform = directions.T / (centred @ directions.T).std(axis=0)
    for k, row in enumerate(rows):
        assert (row["N"], row["d0"], row["held_out_N"]) == ("56", "6", "24")
        for name, (images, labels) in {"mce": arrays["train"], "held_out_mce": arrays["test"]}.items():
            X = (images[:, varying] - pixels[:, varying].mean(axis=0)) @ transform
            wrong = (output(params, k, X) > 0) != labels
            np.testing.assert_allclose(float(row[name]), wrong.mean(), rtol=1e-12)
    assert upper.any()
    assert {row["held_out_mce"] for row in rows} != {"0.0"}


TINY = Study(
    "tiny",
    Problem(d0=(6,), N=(12,), data_sets=1),
    Network(d1=(6,)),
    Train(learning_rate=3e-2, epochs=400, decay_epochs=200, chunk_epochs=600, precision="float64", parallel="data"),
    repeats=4,
)


@pytest.mark.slow
def test_a_tiny_cell_gets_certificates(tmp_path):
    """Three times as many weights as points: most runs end at global minima, in float64 up to a certificate."""
    run_study(TINY, tmp_path / "run")
    rows = read_csv(tmp_path / "run/results.csv")
    found = [row for row in rows if row["verdict"] == "global_minimum"]
    assert len(found) >= 2
    for row in found:
        assert (float(row["region_mse"]), float(row["mce"]), row["rank"]) == (0, 0, "12")
        assert 0 < float(row["margin"]) <= float(row["min_abs_neural_input"]) * (1 + 1e-4)  # of the minimum next to it
    trained = load_trained(tmp_path / "run", rows[0]["cell"])
    assert (trained.X.shape, trained.y.shape, trained.params["W1"].shape) == ((12, 6), (12,), (4, 6, 6))
    for k, row in enumerate(rows):
        certificate = trained.certificate(k)
        for name in ("verdict", "mce", "rank", "margin", "grad_norm", "region_mse", "region_mce"):
            assert row[name] == str(getattr(certificate, name))
        # NumPy sums up in another order.
        assert float(row["mse"]) == pytest.approx(certificate.mse, rel=1e-6, abs=1e-25)


@pytest.mark.slow
def test_rows_in_bfloat16_are_read_back_so(tmp_path):
    train = dataclasses.replace(TRAIN, rows_precision="bfloat16")
    run_study(dataclasses.replace(DIGITS, train=train), tmp_path / "run")
    trained = load_trained(tmp_path / "run", "digits.h1.d61x3.N1797")
    assert (trained.X.dtype, trained.X.shape) == ("bfloat16", (1797, 61))
    assert {trained.y.dtype, trained.params["W1"].dtype} == {np.dtype("float32")}
    for k, row in enumerate(trained.rows):
        wrong = (output(trained.params, k, trained.X.astype(np.float64)) > 0) != (trained.y > 0)
        assert float(row["mce"]) == wrong.mean()


@pytest.mark.slow
def test_a_cell_too_large_for_certificates_says_so(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(cost, "factor_fits", lambda *sizes: bool(asked.append(sizes)))
    run_study(TINY, tmp_path / "run")
    assert set(asked) == {(12, 36)}
    for row in read_csv(tmp_path / "run/results.csv"):
        assert row["verdict"] == "not_certified"
        assert "beyond what a certificate takes" in row["reason"]
        assert float(row["mse"]) > 0
        assert {row[name] for name in ("rank", "margin", "grad_norm", "region_mse", "region_mce")} == {""}
    assert load_trained(tmp_path / "run", "tiny.h1.d6x6.N12").certificate(0) is None


@pytest.mark.parametrize(
    ("N", "d0", "d1", "within"),
    [
        (70_000, 713, 89, False),  # Table 1
        (50_000, 3072, 16, False),
        (1_280_000, 12_288, 105, False),
        (1797, 61, 26, True),
        (6000, 10_000, 100, True),
        (1_000_000, 6, 9, True),
        (1_000_000, 60, 90, False),
    ],
)
def test_which_cells_are_within_reach_of_certificates(N, d0, d1, within):
    assert landscape.certifiable(N, d0, d1) == within
