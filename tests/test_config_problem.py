"""Problems of images, and of points that devices share: what can be, and the line about what cannot."""

import numpy as np
import pytest

from mnnjax.config import Problem, Study, Train, UserError


def gaussian(**fields):
    return Problem(**{"d0": (5,), "N": (9,), **fields})


IMPOSSIBLE = [
    # The field that the message must name, and what makes the error.
    ("problem.split", lambda: gaussian(split="all")),
    ("problem.split", lambda: Problem("digits", "classes", split="all")),
    ("problem.split", lambda: Problem("patches32", "classes", split="all")),
    ("problem.whitening", lambda: gaussian(whitening="zca")),
    ("problem.whitening", lambda: gaussian(whitening_images=100)),
    ("problem.whitening_images", lambda: Problem("digits", "classes", whitening_images=1)),
    ("problem.whitening_images", lambda: Problem("digits", "classes", whitening_images=-5)),
    ("problem.lower_classes", lambda: gaussian(lower_classes=(0,))),
    ("upper_classes", lambda: Problem("mnist", "random", upper_classes=(0,))),
    ("upper_classes", lambda: Problem("mnist", "classes", upper_classes=(1, 1))),
    ("upper_classes", lambda: Problem("mnist", "classes", lower_classes=(1,), upper_classes=(0, 1))),
    ("problem.lower_classes", lambda: Problem("mnist", "classes", lower_classes=(0, -1))),
    ("problem.labels", lambda: Problem("mnist", "teacher", teacher_units=2)),
    ("problem.d0", lambda: Problem("mnist", "classes", d0=(784,))),
    ("problem.d0", lambda: Problem("mnist", "classes", N=(9,), d0_over_N=0.5)),
    ("network.d1", lambda: Study("a", Problem("cifar10", "classes"))),
    ("train.parallel", lambda: Train("newton", parallel="rows")),
    ("train.batch_size", lambda: Train(batch_size=1000, parallel="rows")),
    ("train.batch_size", lambda: Train(batch_size=32, parallel="rows")),
    ("problem.data_sets", lambda: Study("a", gaussian(), train=Train(parallel="rows"))),
    ("problem.data_sets", lambda: Study("a", gaussian(data_sets=2), train=Train(parallel="rows"))),
    ("problem.inputs", lambda: Problem("mnits", "classes")),
    ("problem.split", lambda: Problem("mnist", "classes", split="test")),
    ("problem.whitening", lambda: Problem("mnist", "classes", whitening="ZCA")),
    ("train.parallel", lambda: Train(parallel="points")),
    ("train.rows_precision", lambda: Train(rows_precision="bfloat16")),
    ("train.rows_precision", lambda: Train(parallel="rows", rows_precision="float16")),
]


@pytest.mark.parametrize(("field", "make"), IMPOSSIBLE, ids=[f"{i}-{field}" for i, (field, _) in enumerate(IMPOSSIBLE)])
def test_impossible_values_are_named(field, make):
    with pytest.raises(UserError) as caught:
        make()
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_that_devices_share_may_come_in_any_even_batches():
    for batch_size in (None, 64, 1024, 64_000):
        assert Train(batch_size=batch_size, parallel="rows").batch_size == batch_size
    # 64 blocks are nothing to repetitions that have their points for themselves.
    assert Train(batch_size=1000).parallel == "seeds"
    study = Study("a", gaussian(data_sets=1), train=Train(parallel="rows"))
    assert study.train.parallel == "rows"


@pytest.mark.parametrize("inputs", ["digits", "patches64", "mnist", "imagenet64"])
def test_images_decide_their_width_and_may_be_all_there_are(inputs):
    problem = Problem(inputs, "classes", lower_classes=(0,), upper_classes=(1,), whitening="zca", whitening_images=2)
    assert (problem.is_image, problem.d0, problem.N) == (True, (), ())
    assert not gaussian().is_image


@pytest.mark.parametrize("kind", [int, float])
def test_labels_are_written_for_numbers_and_arrays(kind):
    zero_one, plus_minus = (gaussian(label_values=values) for values in ("zero_one", "plus_minus_one"))
    assert [zero_one.labels_of(kind(upper)) for upper in (0, 1)] == [0, 1]
    assert [plus_minus.labels_of(kind(upper)) for upper in (0, 1)] == [-1, 1]
    assert plus_minus.labels_of(np.array([1, 0, 1], kind)).tolist() == [1, -1, 1]
