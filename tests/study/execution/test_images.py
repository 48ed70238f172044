"""The images of a study and the whitening that its work folder keeps; the stored ones are a small set of our own."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mnnjax.config import Network, Problem, Study, Train, UserError
from mnnjax.data import import_data
from mnnjax.problems import Whitening, open_images
from mnnjax.study import status
from mnnjax.study.execution import images as sources
from mnnjax.study.execution.images import Sources, recorded_shape
from mnnjax.study.plan.grid import cells
from mnnjax.study.runner import run_study
from mnnjax.study.workdir.workdir import Workdir
from tests.small_sets import write_idx
from tests.study.damage import flip_a_byte, truncate

DIGITS = Problem("digits", "classes")
MNIST = Problem("mnist", "classes")


def store_mnist(folder: Path, train: int = 60, test: int = 30, seed: int = 0) -> Path:
    """A folder of data sets in which random images with six pixels that vary are kept as MNIST."""
    rng, sets = np.random.default_rng(seed), {}
    for split, count in (("train", train), ("test", test)):
        images = np.zeros((count, 28, 28, 1), np.uint8)
        images[:, 10:12, 10:13, 0] = rng.integers(0, 256, (count, 2, 3))
        sets[split] = images, rng.permutation(np.arange(count) % 10)
    import_data("mnist", write_idx(folder, sets), folder / "kept", say=lambda line: None)
    return folder / "kept"


@pytest.fixture
def workdir(tmp_path) -> Workdir:
    (tmp_path / "run").mkdir()
    return Workdir(tmp_path / "run")


def files(workdir: Workdir) -> tuple[Path, Path]:
    """The one whitening and its record."""
    (arrays,), (record,) = (list(workdir.whitening.glob(f"*.{kind}")) for kind in ("npz", "json"))
    return arrays, record


def opened(workdir: Workdir, problem: Problem, data_dir: Path | None = None):
    """Images and whitening in a new process, so to say, and what was told."""
    told = []
    return *Sources(workdir, data_dir, told.append).get(problem), told


def forbid(monkeypatch, name: str) -> None:
    def never(*arguments, **options):
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(sources, name, never)


def assert_same(found: Whitening, expected: Whitening) -> None:
    for name in ("mean", "transform"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_a_whitening_is_kept_and_read_back_to_the_last_bit(workdir, monkeypatch):
    images, whitening, told = opened(workdir, DIGITS)
    assert told == ["whitening digits by 1797 of 1797 images (64 pixels)"]
    X = whitening.apply(images.read(np.arange(1797)), np.float64)
    np.testing.assert_allclose(X.T @ X / 1797, np.eye(61), atol=1e-8)
    forbid(monkeypatch, "fit_whitening")
    images, again, told = opened(workdir, DIGITS)
    assert_same(again, whitening)
    np.testing.assert_array_equal(again.apply(images.read(np.arange(1797)), np.float64), X)
    assert not told
    assert images.N == 1797


def test_the_images_are_opened_once(workdir, monkeypatch):
    own = Sources(workdir, None, lambda line: None)
    images, whitening = own.get(DIGITS)
    forbid(monkeypatch, "open_images")
    assert own.get(dataclasses.replace(DIGITS, N=(5,), label_values="zero_one"))[0] is images
    assert recorded_shape(workdir)(DIGITS) == (1797, whitening.d0) == (1797, 61)


@pytest.mark.parametrize("first", ["random", "classes"])
def test_random_labels_share_the_whitening_and_not_the_labels(workdir, first):
    own = Sources(workdir, None, lambda line: None)
    found = {
        labels: own.get(Problem("digits", labels))[0] for labels in sorted(["random", "classes"], key=first.__ne__)
    }
    files(workdir)
    np.testing.assert_array_equal(found["classes"].upper, open_images(DIGITS, None).upper)
    assert found["classes"].upper.any()


@pytest.mark.parametrize(
    "fields",
    [{"whitening": "zca"}, {"lower_classes": (1,), "upper_classes": (2,)}, {"split": "all"}],
    ids=str,
)
def test_other_images_and_other_whitenings_have_files_of_their_own(workdir, tmp_path, fields):
    kept = store_mnist(tmp_path / "data")
    first, second = MNIST, dataclasses.replace(MNIST, **fields)
    whitenings = [opened(workdir, problem, kept)[1] for problem in (first, second)]
    assert len(list(workdir.whitening.glob("*.npz"))) == 2
    assert whitenings[0].transform.shape == whitenings[1].transform.shape
    assert (whitenings[0].transform != whitenings[1].transform).any()


def test_a_whitening_may_be_of_some_of_the_images_evenly_spread(workdir, tmp_path):
    kept = store_mnist(tmp_path / "data")
    problem = dataclasses.replace(MNIST, whitening_images=25)
    images, whitening, told = opened(workdir, problem, kept)
    assert told == ["whitening mnist by 25 of 60 images (784 pixels)"]
    # Every 2.4th, in whole numbers.
    own = images.read(np.floor(np.arange(25) * 2.4 + 1e-9).astype(int))
    X = whitening.apply(own, np.float64)
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(X.T @ X / 25, np.eye(6), atol=1e-9)
    assert images.N == 60


SPOIL = {
    "flipped byte": flip_a_byte,
    "cut short": truncate,
    "gone": Path.unlink,
}


@pytest.mark.parametrize("spoil", SPOIL.values(), ids=SPOIL)
def test_a_damaged_whitening_is_computed_anew_where_that_gives_the_same_numbers(workdir, spoil):
    whitening = opened(workdir, DIGITS)[1]
    arrays, _ = files(workdir)
    sound = arrays.read_bytes()
    spoil(arrays)
    assert_same(opened(workdir, DIGITS)[1], whitening)
    assert arrays.read_bytes() == sound


def test_a_damaged_whitening_that_comes_out_otherwise_is_refused(workdir, monkeypatch):
    whitening = opened(workdir, DIGITS)[1]
    arrays, record = files(workdir)
    flip_a_byte(arrays)
    before = record.read_bytes(), arrays.read_bytes()
    # Another machine rounds otherwise.
    other = dataclasses.replace(whitening, mean=np.nextafter(whitening.mean, np.inf))
    monkeypatch.setattr(sources, "fit_whitening", lambda *arguments: other)
    with pytest.raises(UserError) as caught:
        opened(workdir, DIGITS)
    assert f"{arrays} is damaged" in str(caught.value)
    assert "restore the file, or choose another --workdir" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (record.read_bytes(), arrays.read_bytes()) == before


@pytest.mark.parametrize("content", [b"", b'{"N": 1', b"\xff\xfe"])
def test_a_damaged_record_is_made_anew(workdir, content):
    whitening = opened(workdir, DIGITS)[1]
    _, record = files(workdir)
    sound = record.read_bytes()
    record.write_bytes(content)
    assert_same(opened(workdir, DIGITS)[1], whitening)
    assert record.read_bytes() == sound


def test_other_data_than_the_study_began_with_are_refused(workdir, tmp_path):
    opened(workdir, MNIST, store_mnist(tmp_path / "data"))
    with pytest.raises(UserError) as caught:
        opened(workdir, MNIST, store_mnist(tmp_path / "other", seed=1))
    assert "the data of mnist are not those that" in str(caught.value)
    assert "choose another --workdir" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_bytes_are_checked_before_they_are_whitened(workdir, tmp_path):
    kept = store_mnist(tmp_path / "data")
    flip_a_byte(kept / "mnist/train_images.npy")
    with pytest.raises(UserError, match=r"train_images\.npy: its sha256 is not the manifest's"):
        opened(workdir, MNIST, kept)
    assert not workdir.whitening.exists()


def test_recorded_shapes_are_read_from_the_folder_alone(workdir, tmp_path, monkeypatch):
    shape = recorded_shape(workdir)
    subset = dataclasses.replace(MNIST, lower_classes=(0,), upper_classes=(1, 2))
    assert shape(MNIST) == (60_000, 784)  # As published, before anything is known.
    for problem in (MNIST, subset):
        opened(workdir, problem, store_mnist(tmp_path / f"data{problem is subset}"))
    forbid(monkeypatch, "open_images")
    assert shape(MNIST) == (60, 6)
    assert shape(dataclasses.replace(MNIST, labels="random")) == (60, 6)
    assert shape(subset) == (18, 6)
    assert shape(Problem(d0=(5,), N=(9,))) is None


STUDY = Study("images", MNIST, Network(d1=(3,)), Train(epochs=2, decay_epochs=0), repeats=2)


@pytest.mark.slow
def test_a_finished_study_needs_its_data_no_more(tmp_path):
    run_study(STUDY, tmp_path / "run", store_mnist(tmp_path / "data"))
    results = (tmp_path / "run/results.csv").read_bytes()
    (cell,) = cells(STUDY, recorded_shape(Workdir(tmp_path / "run")))
    assert cell.id == "images.h1.d6x3.N60"
    run_study(STUDY, tmp_path / "run", tmp_path / "nowhere")
    assert (tmp_path / "run/results.csv").read_bytes() == results
    assert "images: 1 of 1 cells finished" in status(tmp_path / "run")
    # One that is not finished does.
    (tmp_path / f"run/cells/{cell.id}.csv").unlink()
    with pytest.raises(UserError, match="no mnist in"):
        run_study(STUDY, tmp_path / "run", tmp_path / "nowhere")


def test_missing_data_are_named_with_the_commands_that_bring_them(tmp_path):
    with pytest.raises(UserError) as caught:
        run_study(STUDY, tmp_path / "run", tmp_path / "nowhere")
    assert "no mnist in" in str(caught.value)
    assert "run `mnnjax data prepare mnist` (or `mnnjax data import mnist --from DIR`)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_subset_larger_than_the_groups_is_refused_when_they_are_known(tmp_path):
    problem = dataclasses.replace(MNIST, lower_classes=(0,), upper_classes=(1,), N=(30,))
    study = dataclasses.replace(STUDY, problem=problem)
    with pytest.raises(UserError, match=r"problem\.N: 30 is more than the 12 images there are"):
        run_study(study, tmp_path / "run", store_mnist(tmp_path / "data"))
    (record,) = (tmp_path / "run/whitening").glob("*.json")
    assert json.loads(record.read_text())["N"] == 12
