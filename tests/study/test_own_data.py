"""Studies on a user's own data: a file, arrays from Python, and a set stored under a name."""

import dataclasses
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from mnnjax import cli
from mnnjax.config import Network, Problem, Study, Train, UserError, Volume, to_dict
from mnnjax.data import import_data
from mnnjax.problems import fit_whitening, open_images
from mnnjax.report import write_report
from mnnjax.study import Stopped, load_trained, run_study, status
from mnnjax.study.execution.images import Sources
from mnnjax.study.workdir.results_table import read_csv
from mnnjax.study.workdir.study_file import require_growable
from mnnjax.study.workdir.workdir import Workdir
from tests.report.by_hand import make_row, make_workdir, text_of
from tests.study.stops import stop_after

RNG = np.random.default_rng(0)
X, CLASSES = RNG.standard_normal((30, 4)) * [1, 5, 0.1, 2] + 3, np.arange(30) % 5
X_TEST, TEST_CLASSES = RNG.standard_normal((11, 4)), np.arange(11) % 5
IMAGES = RNG.integers(0, 256, (30, 2, 2, 1), np.uint8)
SIGNS = np.where(CLASSES == 1, -1, 1)
TRAIN = Train(epochs=3, decay_epochs=0, chunk_epochs=1, checkpoint_chunks=1)


def study_of(problem: Problem, train: Train = TRAIN, **more) -> Study:
    return Study("own", problem, Network(d1=(3,)), train, repeats=2, **more)


def from_python(**fields) -> Problem:
    return Problem("file", "classes", **fields)


@pytest.fixture
def mine(tmp_path) -> Path:
    """A file with a test split."""
    arrays = {"X": X, "y": CLASSES, "X_test": X_TEST, "y_test": TEST_CLASSES}
    np.savez(tmp_path / "mine.npz", **arrays)
    return tmp_path / "mine.npz"


def refused(call) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def opened(workdir: Path, problem: Problem, data=None, data_dir=None):
    workdir.mkdir(exist_ok=True)
    return Sources(Workdir(workdir), data_dir, lambda line: None, data).get(problem)


# What is given, and the kind of whitening that it gets.
KINDS = {
    "real": (X, from_python(), "none"),
    "real, pca": (X, from_python(whitening="pca"), "pca"),
    "real, zca": (X.astype(np.float32), from_python(whitening="zca"), "zca"),
    "images": (IMAGES, from_python(), "pca"),
    "images, none": (IMAGES, from_python(whitening="none"), "none"),
}


@pytest.mark.parametrize("case", KINDS)
def test_real_points_are_taken_as_they_are_and_images_are_whitened(tmp_path, case):
    points, problem, kind = KINDS[case]
    rows = points.reshape(30, 4).astype(np.float64)
    for _ in range(2):  # the second time as the work folder has it
        images, whitening = opened(tmp_path / "run", problem, (points, SIGNS))
        found = whitening.apply(images.read(np.arange(30)), np.float64)
        if kind == "none":
            np.testing.assert_array_equal(found, rows)
        else:
            centred = rows - rows.mean(axis=0)
            np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-13)
            np.testing.assert_allclose(found.T @ found / 30, np.eye(4), atol=1e-10)
            # The same space: each is a linear map of the other.
            np.testing.assert_allclose(found @ np.linalg.lstsq(found, centred)[0], centred, atol=1e-10)
        np.testing.assert_array_equal(images.upper, SIGNS == 1)
    (record,) = (tmp_path / "run/whitening").glob("file-*.json")
    record = json.loads(record.read_text())
    assert (record["N"], record["d0"], record["whitening"], record["digest"]) == (30, 4, kind, images.digest)


def test_many_real_points_are_whitened_block_by_block(monkeypatch):
    """By sums of products over blocks, against the covariance of all at once; the means are far from zero."""
    monkeypatch.setattr("mnnjax.problems.whitening.BLOCK_ROWS", 64)
    points = np.random.default_rng(1).standard_normal((500, 5)) @ np.diag([3, 1, 0.5, 1, 2]) + 1e4
    points[:, 3] = 7
    found = fit_whitening(points.__getitem__, 500, 5)
    assert found.d0 == 4
    white = found.apply(points, np.float64)
    # Rounding of points of size 1e4 and spread 0.5.
    np.testing.assert_allclose(white.T @ white / 500, np.eye(4), atol=1e-10)
    variances = 1 / (found.transform**2).sum(axis=0)
    np.testing.assert_allclose(variances, np.linalg.eigvalsh(np.cov(points.T, bias=True))[:0:-1], rtol=1e-9)


def test_classes_are_grouped_as_of_known_sets_and_two_values_by_their_order(mine):
    file = Problem("file", "classes", path=str(mine))
    np.testing.assert_array_equal(open_images(file).upper, CLASSES >= 2)
    np.testing.assert_array_equal(open_images(file).held_out.upper, TEST_CLASSES >= 2)
    joined = open_images(dataclasses.replace(file, split="all"))
    assert (joined.N, joined.held_out) == (41, None)
    np.testing.assert_array_equal(joined.read(np.arange(41)), np.concatenate([X, X_TEST]))
    some = open_images(dataclasses.replace(file, lower_classes=(4,), upper_classes=(0, 3)))
    np.testing.assert_array_equal(some.upper, CLASSES[np.isin(CLASSES, (0, 3, 4))] != 4)
    np.testing.assert_array_equal(some.read(np.arange(some.N)), X[np.isin(CLASSES, (0, 3, 4))])
    assert "mine.npz has classes 0 to 4" in refused(lambda: open_images(dataclasses.replace(file, upper_classes=(5,))))
    np.savez(mine, X=X, y=SIGNS * 0.5)
    alone = open_images(dataclasses.replace(file, split="all"))
    assert (alone.N, alone.held_out) == (30, None)
    np.testing.assert_array_equal(alone.upper, SIGNS == 1)


@pytest.mark.slow
def test_a_stopped_study_takes_the_same_data_and_no_others(tmp_path, mine, monkeypatch):
    """From a file, the file elsewhere, and arrays from Python: to the last bit the results of one run."""
    np.savez(mine, X=X, y=CLASSES)
    run, study = tmp_path / "run", study_of(Problem("file", "classes", path=str(mine)))
    with monkeypatch.context() as patch:
        stop_after(patch, 1, signal.SIGINT)
        with pytest.raises(Stopped):
            run_study(study, run)
    without = study_of(from_python())
    assert "problem.path: none is given; data from Python need run_study" in refused(lambda: run_study(without, run))
    for other in ((X + 1e-9, CLASSES), (X, (CLASSES + 1) % 5), (X[:29], CLASSES[:29])):
        message = refused(lambda other=other: run_study(without, run, data=other))
        assert f"the data of X and y from Python are not those that {run} began with (checksum" in message
    np.savez(mine, X=X + 1, y=CLASSES)
    assert "the data of mine.npz are not those" in refused(lambda: run_study(study, run))
    moved = tmp_path / "elsewhere.npz"
    np.savez(moved, X=X, y=CLASSES)
    with monkeypatch.context() as patch:
        stop_after(patch, 1, signal.SIGINT)
        with pytest.raises(Stopped):
            run_study(study_of(Problem("file", "classes", path=str(moved))), run)
    assert len(run_study(without, run, data=(X, CLASSES)).cells) == 1
    run_study(without, tmp_path / "whole", data=(X.tolist(), CLASSES.tolist()))
    assert (run / "results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()
    # Finished: nothing is missing, but other data are still not taken for those of the results.
    assert len(run_study(without, run).cells) == 1
    assert "are not those that" in refused(lambda: run_study(without, run, data=(X + 1, CLASSES)))
    assert "own: 1 of 1 cells finished" in status(run)
    assert refused(lambda: load_trained(run, "own.h1.d4x3.N30")).startswith("problem.path: none is given")
    trained = load_trained(run, "own.h1.d4x3.N30", data=(X, CLASSES))
    for k in range(2):
        order = np.lexsort(trained.X[k].T)
        np.testing.assert_array_equal(trained.X[k][order], X.astype(np.float32)[np.lexsort(X.astype(np.float32).T)])
        np.testing.assert_array_equal(trained.y[k][order], np.where(CLASSES < 2, -1, 1)[np.lexsort(X.T)])


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["replicas", "data"])
def test_a_stored_set_is_trained_on_tested_and_certified(tmp_path, mine, parallel):
    """The errors of the row are those that NumPy computes from the weights; the test points were never trained on."""
    import_data("mine", mine, tmp_path / "kept", say=lambda line: None)
    problem = Problem("mine", "classes", "zero_one", data_sets=1)
    study = study_of(problem, dataclasses.replace(TRAIN, parallel=parallel), figure="table1")
    run_study(study, tmp_path / "run", tmp_path / "kept")
    trained = load_trained(tmp_path / "run", "own.h1.d4x3.N30", tmp_path / "kept")
    rows = read_csv(tmp_path / "run/results.csv")
    assert len(rows) == 2
    for k, row in enumerate(rows):
        W, z = (trained.params[name][k].astype(np.float64) for name in ("W1", "z"))

        def wrong(points, classes, W=W, z=z):
            output = np.maximum(points.astype(np.float32).astype(np.float64) @ W.T, 0) @ z
            return np.mean((output > 0.5) != (classes >= 2))

        assert float(row["mce"]) == pytest.approx(wrong(X, CLASSES))
        assert (float(row["held_out_mce"]), row["held_out_N"]) == (pytest.approx(wrong(X_TEST, TEST_CLASSES)), "11")
        assert row["verdict"] != "not_certified"
    page = text_of(write_report([tmp_path / "run"]))
    assert "mine: 30 points, d0 = 4, as they are; SHA-256 " in page
    assert "mine · labels by class, the lower half against the upper half (zero one)" in page
    if parallel == "data":
        np.testing.assert_array_equal(trained.X, X.astype(np.float32))


@pytest.mark.slow
def test_subsets_random_labels_and_volumes(tmp_path, mine):
    some = Problem("file", N=(8, 12), path=str(mine))
    run_study(study_of(some), tmp_path / "some")
    for N in (8, 12):
        trained = load_trained(tmp_path / "some", f"own.h1.d4x3.N{N}")
        sets = [{tuple(x) for x in trained.X[k].tolist()} for k in range(2)]
        assert all(len(points) == N and points <= {tuple(x) for x in X.astype("f4").tolist()} for points in sets)
        assert sets[0] != sets[1]
    assert {row["held_out_mce"] for row in read_csv(tmp_path / "some/results.csv")} == {""}
    measured = Study(
        "own", Problem("file", "classes", N=(6,), constant_input=True), Network(d1=(2,)), volume=Volume("exact"),
        repeats=1,
    )  # fmt: skip
    # With the constant, in the plane.
    run_study(measured, tmp_path / "volumes", data=(X[:, :1], SIGNS))
    assert 0 <= float(read_csv(tmp_path / "volumes/results.csv")[0]["rank_deficient"]) <= 1


# The arrays, and words of the one line; more of them in tests/data/test_own.py.
WRONG = {
    "NaN": ((np.where(X > 9, np.nan, X), SIGNS), "holds NaN, infinity"),
    "real targets": ((X, X[:, 0]), "neither two nor classes"),
    "one class only": ((X, np.ones(30)), "all labels are 1"),
    "one input": ((X[:, :1], SIGNS), "its points have d0 = 1; give at least 2 inputs"),
    "three arrays": ((X, SIGNS, SIGNS), "data: give a pair (X, y)"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.wrong_types
def test_wrong_data_are_refused_before_a_folder_is_made(tmp_path, case):
    data, words = WRONG[case]
    assert words in refused(lambda: run_study(study_of(from_python()), tmp_path / "run", data=data))
    assert not (tmp_path / "run").exists()


def test_data_that_the_study_does_not_take_are_refused(tmp_path, mine):
    for problem in (Problem("digits"), Problem("file", path=str(mine))):
        assert "data: only for a study whose problem has inputs='file' and no path" in refused(
            lambda problem=problem: run_study(study_of(problem), tmp_path / "run", data=(X, SIGNS))
        )
    assert "whitening_images: mine.npz is not whitened" in refused(
        lambda: run_study(study_of(Problem("file", path=str(mine), whitening_images=9)), tmp_path / "run")
    )
    assert not (tmp_path / "run").exists()


def test_the_status_of_a_study_that_has_just_begun_is_one_line(tmp_path):
    """Killed before it had read its data, of which only their name is known."""
    (tmp_path / "config.json").write_text(json.dumps(to_dict(study_of(Problem("mine", "classes")))))
    assert refused(lambda: status(tmp_path)) == (
        f"{tmp_path} has not read mine yet; wait a moment, or run the study again"
    )


CONFIG = """
from mnnjax.config import Network, Problem, Study, Train
study = Study("own", Problem({problem}), Network(d1=(3,)), Train(epochs=2, decay_epochs=0), repeats=1)
"""


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("'file', 'classes'", "problem.path: none is given; data from Python need run_study(study, workdir, data="),
        ("'file', path='cut.npz'", "cut.npz is damaged, cut short or no .npz"),
        ("'file', path='gone.npz'", "gone.npz: no such file or folder; give an .npz, or a folder of .npy files"),
        ("'mime', 'classes'", "no mime in kept (did you mean mine?): run `mnnjax data import mime --from FILE.npz`"),
    ],
)
def test_on_the_command_line_it_is_one_line_and_exit_code_2(tmp_path, mine, monkeypatch, capsys, problem, words):
    monkeypatch.chdir(tmp_path)
    import_data("mine", mine, "kept", say=lambda line: None)
    (tmp_path / "cut.npz").write_bytes(mine.read_bytes()[:-300])
    (tmp_path / "study.py").write_text(CONFIG.format(problem=problem))
    assert cli.main(["run", "study.py", "--data-dir", "kept"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("mnnjax: ")
    assert words in told
    assert told.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_dry_run_reads_the_shape(tmp_path, mine, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(CONFIG.format(problem="'file', 'classes', path='mine.npz'"))
    assert cli.main(["run", "study.py", "--dry-run"]) == 0
    assert "own.h1.d4x3.N30" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.npz", "study.py"}


@pytest.mark.parametrize("problem", [Problem("mnist", "classes"), Problem(d0=(4,), N=(9,))], ids=lambda p: p.inputs)
def test_folders_of_before_go_on(tmp_path, problem):
    """Their whitening was "pca" where none was given, and there was no path."""
    study = study_of(problem)
    config = to_dict(study)
    config["problem"] |= {"whitening": "pca"}
    del config["problem"]["path"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    require_growable(tmp_path, study, "")
    if problem.is_image:
        other = dataclasses.replace(study, problem=dataclasses.replace(problem, whitening="none"))
        assert "problem.whitening" in refused(lambda: require_growable(tmp_path, other, ""))


def test_the_path_is_not_part_of_a_study_but_whitening_is(tmp_path):
    study = study_of(from_python(path="a.npz"))
    (tmp_path / "config.json").write_text(json.dumps(to_dict(study)))
    require_growable(tmp_path, study_of(from_python(path="b.npz")), "")
    assert "problem.whitening" in refused(
        lambda: require_growable(tmp_path, study_of(from_python(path="a.npz", whitening="pca")), "")
    )


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (from_python(path="/data/mine.npz", whitening="zca"), "mine.npz, ZCA-whitened · labels by class"),
        (from_python(), "X and y from Python · labels by class"),
        (Problem("tiny_imagenet", split="all", whitening="none"),
         "tiny_imagenet, training and test points joined, not whitened · random labels"),
    ],
)  # fmt: skip
def test_reports_name_the_data(tmp_path, problem, text):
    study = dataclasses.replace(study_of(problem), figure="table1")
    page = text_of(write_report([make_workdir(tmp_path / "w", study, [make_row("own", 3, 30, 0, d0=4)])]))
    assert text in page
    assert problem.data_name in page.partition("Table 1, ours beside the paper's row")[2]
