"""Training goes on from loaded networks: as a longer training where the optimizer has no memory, at a constant rate."""

import dataclasses

import numpy as np
import pytest

import mnnjax as mj
from mnnjax.study.plan.grid import cells
from mnnjax.study.runner import run_study

PLAIN = mj.Train("sgd", (), 0.05, epochs=5, decay_epochs=0, chunk_epochs=2)
STUDY = mj.Study(
    "part", mj.Problem(d0=(4,), N=(8,)), mj.Network(d1=(6,), hidden_layers=(2,), rho=0.1, bias=True), PLAIN,
    repeats=3,
)  # fmt: skip
ROWS = mj.Study("part", mj.Problem(d0=(3,), N=(64,), data_sets=1), train=PLAIN, repeats=2)


def cell_of(study: mj.Study, path, epochs: int, **changes) -> mj.Trained:
    """The last cell, trained for so many epochs."""
    train = dataclasses.replace(study.training, epochs=epochs, **changes)
    result = run_study(dataclasses.replace(study, train=train), path)
    return result.trained(result.cells[-1])


def same(a: mj.Trained, b: mj.Trained) -> None:
    assert set(a.params) == set(b.params)
    for name, leaf in a.params.items():
        np.testing.assert_array_equal(leaf, b.params[name])
    assert a.rows == b.rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> mj.Trained:
    return cell_of(STUDY, tmp_path_factory.mktemp("further") / "run", 5)


def test_a_cell_knows_what_it_is(trained):
    assert trained.cell == "part.h2.d4x6.N8"
    assert (trained.problem, trained.network, trained.train) == (STUDY.problem, STUDY.network, PLAIN)
    # Of a grid, what belongs to the cell.
    grid = mj.Study(
        "grid", mj.Problem(d0=(4, 5), d0_d1_over_N=(0.5,)), mj.Network(hidden_layers=(1, 2)), PLAIN, repeats=3
    )
    one = dataclasses.replace(trained, planned=cells(grid)[-1])
    assert one.problem == mj.Problem(d0=(5,), N=(50,))
    assert one.network == mj.Network(d1=(5,), hidden_layers=(2,))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "changes"),
    [
        (STUDY, {}),
        (STUDY, {"batch_size": 3}),
        (ROWS, {"parallel": "data"}),
        (ROWS, {"parallel": "data", "batch_size": 64, "rows_precision": "bfloat16"}),
    ],
    ids=["full batch", "mini-batches", "rows", "batches of rows"],
)
def test_plain_gradient_descent_in_two_parts_equals_one(tmp_path, study, changes):
    further = cell_of(study, tmp_path / "part", 5, **changes).resume(epochs=4)
    whole = cell_of(study, tmp_path / "whole", 9, **changes)
    same(further, whole)
    assert further.train == whole.train
    assert further.certificate(0).verdict == further.rows[0]["verdict"]


@pytest.mark.slow
def test_an_optimizer_begins_anew(tmp_path):
    momentum = {"optimizer_options": (("momentum", 0.9),)}
    further = cell_of(STUDY, tmp_path / "part", 5, **momentum).resume(epochs=4)
    whole = cell_of(STUDY, tmp_path / "whole", 9, **momentum)
    assert (further.params["W1"] != whole.params["W1"]).any()
    # The folder stays as it was.
    assert mj.load(tmp_path / "part").rows[0]["epochs"] == 5
    assert {row["epochs"] for row in further.rows} == {"9"}
    np.testing.assert_array_equal(further.X, whole.X)
    # Twice is once.
    same(further.resume(epochs=2), cell_of(STUDY, tmp_path / "part", 5, **momentum).resume(epochs=4).resume(epochs=2))


@pytest.mark.slow
def test_the_rate_stays_where_it_ended(tmp_path):
    decayed = cell_of(STUDY, tmp_path / "run", 3, decay_epochs=2, decay_to=0.1)
    assert decayed.resume(epochs=1).train.learning_rate == pytest.approx(0.005)
    same(decayed.resume(epochs=2), decayed.resume(epochs=2, learning_rate=0.05 * 0.1))
    other = decayed.resume(epochs=2, learning_rate=0.1)
    assert (other.params["z"] != decayed.resume(epochs=2).params["z"]).any()


@pytest.mark.slow
def test_repetitions_that_overflowed_stay_so(tmp_path):
    wild = cell_of(STUDY, tmp_path / "run", 9, learning_rate=1e30)
    assert {row["verdict"] for row in wild.rows} == {"non_finite"}
    further = wild.resume(epochs=2, learning_rate=1e-9)
    assert [row["non_finite_epoch"] for row in further.rows] == [row["non_finite_epoch"] for row in wild.rows]
    assert {row["verdict"] for row in further.rows} == {"non_finite"}
    assert further.certificate(0) is None


def test_mistakes(trained):
    with pytest.raises(mj.UserError, match="epochs: 0 is too small"):
        trained.resume(epochs=0)
    with pytest.raises(mj.UserError, match=r"train\.learning_rate: -1 is not positive"):
        trained.resume(epochs=1, learning_rate=-1)
    planned = trained.planned
    part = dataclasses.replace(planned.part, train=dataclasses.replace(PLAIN, optimizer="levenberg_marquardt"))
    other = dataclasses.replace(trained, planned=dataclasses.replace(planned, part=part))
    with pytest.raises(mj.UserError, match="learning_rate: the cell's training has a schedule of its own, or no"):
        other.resume(epochs=1, learning_rate=0.1)
