"""Invalid values: the line that a user reads about each names the field."""

import math

import pytest

from mnnjax.config import Network, Problem, Study, Train, UserError, Volume, from_dict, to_dict

NAN, INFINITY = math.nan, math.inf
PROBLEM = Problem(d0=(5,), N=(10, 20))


def gaussian(**fields):
    return Problem(**{"d0": (5,), "N": (9,), **fields})


def own(path, name="a", **more):
    return Study(name, Problem("file", "classes", path=path), Network(d1=(3,)), **more)


def measured(problem=PROBLEM, network=Network(), volume=Volume(), **fields):  # noqa: B008
    return Study("a", problem, network, volume=volume, **fields)


IMPOSSIBLE = [
    # The field that the message must name, and what makes the error.
    ("problem.d0", lambda: gaussian(d0=())),
    ("problem.d0", lambda: gaussian(d0=(1,))),
    ("problem.d0", lambda: gaussian(d0=(5, -5))),
    ("problem.d0", lambda: gaussian(d0=(5, 5))),
    ("problem.d0", lambda: Problem("digits", "classes", d0=(61,))),
    ("problem.N", lambda: gaussian(N=())),
    ("problem.N", lambda: gaussian(N=(0,))),
    ("problem.N", lambda: gaussian(N=(9, -1))),
    ("problem.N", lambda: gaussian(N=(9, 9))),
    ("N and d0_d1_over_N", lambda: gaussian(d0_d1_over_N=(5.0,))),
    ("problem.d0_d1_over_N", lambda: gaussian(N=(), d0_d1_over_N=(0.0,))),
    ("problem.d0_d1_over_N", lambda: gaussian(N=(), d0_d1_over_N=(2.0, -5.0))),
    ("problem.d0_d1_over_N", lambda: gaussian(N=(), d0_d1_over_N=(NAN,))),
    ("problem.d0_d1_over_N", lambda: gaussian(N=(), d0_d1_over_N=(INFINITY,))),
    ("problem.d0_d1_over_N", lambda: gaussian(N=(), d0_d1_over_N=(5.0, 5.0))),
    ("problem.labels", lambda: gaussian(labels="classes")),
    ("problem.labels", lambda: Problem("digits", "teacher", teacher_units=2)),
    ("problem.teacher_units", lambda: gaussian(labels="teacher")),
    ("problem.teacher_units", lambda: gaussian(labels="teacher", teacher_units=-1)),
    ("problem.teacher_units", lambda: gaussian(teacher_units=2)),
    ("network.d1", lambda: Network(d1=(0,))),
    ("network.d1", lambda: Network(d1=(5, 5))),
    ("network.hidden_layers", lambda: Network(hidden_layers=0)),
    ("network.hidden_layers", lambda: Network(hidden_layers=())),
    ("network.hidden_layers", lambda: Network(hidden_layers=(1, -1))),
    ("network.hidden_layers", lambda: Network(hidden_layers=(2, 2))),
    ("network.rho", lambda: Network(rho=1)),
    ("network.rho", lambda: Network(rho=NAN)),
    ("network.rho", lambda: Network(rho=-INFINITY)),
    ("train.learning_rate", lambda: Train(learning_rate=0.0)),
    ("train.learning_rate", lambda: Train(learning_rate=-0.1)),
    ("train.learning_rate", lambda: Train(learning_rate=NAN)),
    ("train.learning_rate", lambda: Train(learning_rate=INFINITY)),
    ("train.point_weights", lambda: Train(point_weights=-0.5)),
    ("train.point_weights", lambda: Train(point_weights=1.5)),
    ("train.point_weights", lambda: Train(point_weights=NAN)),
    ("train.decay_to", lambda: Train(decay_to=0.0)),
    ("train.decay_to", lambda: Train(decay_to=-0.5)),
    ("train.decay_to", lambda: Train(decay_to=1.5)),
    ("train.decay_to", lambda: Train(decay_to=NAN)),
    ("train.epochs", lambda: Train(epochs=-1)),
    ("train.epochs", lambda: Train(epochs=0, decay_epochs=0)),
    ("train.decay_epochs", lambda: Train(decay_epochs=-1)),
    ("train.batch_size", lambda: Train(batch_size=0)),
    ("train.chunk_epochs", lambda: Train(chunk_epochs=0)),
    ("train.checkpoint_chunks", lambda: Train(checkpoint_chunks=-3)),
    ("problem.d0_over_N", lambda: gaussian(d0=(), d0_over_N=0.0)),
    ("problem.d0_over_N", lambda: gaussian(d0=(), d0_over_N=INFINITY)),
    ("problem.d0_over_sqrt_N_log_N", lambda: gaussian(d0=(), d0_over_sqrt_N_log_N=NAN)),
    ("d0_over_N", lambda: gaussian(d0_over_N=0.5)),
    ("d0_over_N", lambda: gaussian(d0=(), d0_over_N=0.5, d0_over_sqrt_N_log_N=1.0)),
    ("problem.N", lambda: gaussian(d0=(), N=(), d0_d1_over_N=(1.0,), d0_over_N=0.5)),
    ("problem.data_sets", lambda: gaussian(data_sets=-1)),
    ("problem.d0", lambda: gaussian(d0=(0,), constant_input=True)),
    ("problem.constant_input", lambda: Study("a", gaussian(constant_input=True))),
    ("network.d0_d1_over_N", lambda: Network(d0_d1_over_N=(1.0, -2.0))),
    ("d1 and d0_d1_over_N", lambda: Network(d1=(3,), d0_d1_over_N=(1.0,))),
    ("volume.eps", lambda: Volume(eps=1.0)),
    ("volume.eps", lambda: Volume(eps=-0.1)),
    ("volume.eps", lambda: Volume(eps=NAN)),
    ("volume.samples", lambda: Volume(samples=0)),
    ("volume.global_samples", lambda: Volume(global_samples=-1)),
    ("volume.batch", lambda: Volume(batch=100)),
    ("volume.particles", lambda: Volume(particles=1)),
    ("volume.runs", lambda: Volume(runs=1)),
    ("volume.max_linear_programs", lambda: Volume(max_linear_programs=-1)),
    ("volume.relative_width", lambda: Volume(relative_width=0.0)),
    ("volume.redraw", lambda: Volume("exact", redraw=True)),
    ("volume.global_minimum", lambda: Volume("sampling", global_minimum=True)),
    ("volume.output_signs", lambda: Volume("exact", output_signs="random")),
    ("volume.suboptimal_samples", lambda: Volume("splitting", suboptimal_samples=5)),
    ("volume", lambda: measured(train=Train())),
    ("network.hidden_layers", lambda: measured(network=Network(hidden_layers=(1, 2)))),
    ("network.bias", lambda: measured(network=Network(bias=True))),
    ("figure", lambda: measured(figure="fig5_1")),
    ("figure", lambda: Study("a", PROBLEM, figure="full_rank")),
    ("train.precision", lambda: Study("a", PROBLEM, figure="basins")),
    ("name", lambda: Study("", PROBLEM)),
    ("name", lambda: Study("a/b", PROBLEM)),
    ("name", lambda: Study("..", PROBLEM)),
    ("repeats", lambda: Study("a", PROBLEM, repeats=0)),
    ("seed", lambda: Study("a", PROBLEM, seed=-1)),
    ("problem.teacher_units", lambda: Study("a", gaussian(labels="teacher", teacher_units=1), Network(rho=-0.5))),
    ("is not an object", lambda: from_dict(Study, [])),
    ("seed", lambda: Study("a", PROBLEM, seed=2**31)),
    ("also", lambda: Study("a", PROBLEM, also=(Study("a", PROBLEM),))),
    ("also", lambda: Study("a", PROBLEM, also=(Study("b", PROBLEM, also=(Study("a", PROBLEM),)),))),
    ("network.d1", lambda: Study("a", Problem("digits", "classes"))),
    ("problem.d0_d1_over_N",
     lambda: Study("a", Problem("digits", "classes", d0_d1_over_N=(1.0,)), Network(d1=(3,)))),
    ("no_such_field", lambda: from_dict(Study, {"name": "a", "problem": to_dict(PROBLEM), "no_such_field": 1})),
    ("no_such_field", lambda: from_dict(Train, {"no_such_field": 1})),
    ("problem", lambda: from_dict(Study, {"name": "a"})),
    ("network.rho", lambda: from_dict(Study, {"name": "a", "problem": to_dict(PROBLEM), "network": {"rho": 1}})),
    ("network.hidden_layers", lambda: Study("a", PROBLEM, Network(hidden_layers=2), figure="capacity")),
    ("volume.redraw", lambda: measured(Problem("digits"), Network(d1=(3,)), Volume(redraw=True))),
    # Images, and points that devices share.
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
    ("problem.d0", lambda: Problem("mnist", "classes", N=(9,), d0_over_N=0.5)),
    ("train.parallel", lambda: Train("levenberg_marquardt", parallel="data")),
    ("train.batch_size", lambda: Train(batch_size=1000, parallel="data")),
    ("train.batch_size", lambda: Train(batch_size=32, parallel="data")),
    ("problem.data_sets", lambda: Study("a", gaussian(), train=Train(parallel="data"))),
    ("problem.data_sets", lambda: Study("a", gaussian(data_sets=2), train=Train(parallel="data"))),
    ("problem.inputs", lambda: Problem("mnits", "classes")),
    # A user's own data.
    ("problem.inputs", lambda: Problem("../mine", "classes")),
    ("problem.inputs", lambda: Problem("MNIST", "classes")),
    ("problem.inputs", lambda: Problem("", "classes")),
    ("problem.path", lambda: Problem("mine", "classes", path="mine.npz")),
    ("problem.path", lambda: gaussian(path="mine.npz")),
    ("problem.path", lambda: Problem("file", "classes", path="")),
    ("problem.path", lambda: own("a.npz", also=(own("b.npz", name="b"),))),
    ("problem.path", lambda: own("a.npz", also=(own(None, name="b"),))),
    ("problem.d0", lambda: Problem("mine", "classes", d0=(4,))),
    ("problem.labels", lambda: Problem("file", "teacher", teacher_units=2)),
    ("problem.whitening", lambda: Problem("file", whitening="PCA")),
    ("problem.whitening", lambda: gaussian(whitening="none")),
    ("problem.whitening_images", lambda: Problem("mnist", whitening="none", whitening_images=9)),
    ("network.d1", lambda: Study("a", Problem("mine", "classes"))),
    ("problem.split", lambda: Problem("mnist", "classes", split="test")),
    ("problem.whitening", lambda: Problem("mnist", "classes", whitening="ZCA")),
    ("train.parallel", lambda: Train(parallel="points")),
    ("train.rows_precision", lambda: Train(rows_precision="bfloat16")),
    ("train.reproducible", lambda: Train(reproducible=True)),
    ("train.rows_precision", lambda: Train(parallel="data", rows_precision="float16")),
    # Misspelt words.
    ("problem.inputs", lambda: gaussian(inputs="gausian")),
    ("problem.labels", lambda: gaussian(labels="rnadom")),
    ("problem.label_values", lambda: gaussian(label_values="zero-one")),
    ("network.init", lambda: Network(init="normal")),
    ("train.precision", lambda: Train(precision="double")),
    ("volume.method", lambda: Volume("splittnig")),
    ("volume.output_signs", lambda: Volume(output_signs="none")),
    ("figure", lambda: Study("a", PROBLEM, figure="fig5.1")),
    # Values of another kind.
    ("problem.N", lambda: gaussian(N=(9.5,))),
    ("problem.d0", lambda: gaussian(d0=(5.5,))),
    ("repeats", lambda: Study("a", PROBLEM, repeats=2.5)),
    ("train.epochs", lambda: Train(epochs=2.5)),
    ("train.learning_rate", lambda: from_dict(Train, {"learning_rate": [0.1]})),
    ("train.optimizer_options", lambda: from_dict(Train, {"optimizer_options": [["momentum"]]})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gaussian(d0="5"), "problem.d0: '5' is not of type tuple[int, ...]"),
        (lambda: gaussian(d0=5.5), "problem.d0: 5.5 is not of type tuple[int, ...]"),
        (lambda: gaussian(d0=True), "problem.d0: True is not of type tuple[int, ...]"),
        (lambda: gaussian(d0=[4, "5"]), "problem.d0: [4, '5'] is not of type tuple[int, ...]"),
        (lambda: gaussian(d0=None), "problem.d0: None is not of type tuple[int, ...]"),
        (lambda: gaussian(N={9, 10}), "problem.N: {9, 10} is not of type tuple[int, ...]"),
        (lambda: gaussian(d0=[[4, 5]]), "problem.d0: [[4, 5]] is not of type tuple[int, ...]"),
        (
            lambda: Train(optimizer_options="momentum"),
            "train.optimizer_options: 'momentum' is not of type tuple[tuple[str, int | float | bool], ...]",
        ),
        (lambda: Train(epochs="5"), "train.epochs: '5' is not of type int"),
        (lambda: Train(epochs=[5]), "train.epochs: [5] is not of type int"),
        (lambda: from_dict(Problem, {"d0": "5"}), "problem.d0: '5' is not of type tuple[int, ...]"),
        (lambda: Study("a", PROBLEM, also=3), "also: 3 is not of type tuple[mnnjax.config.study.Study, ...]"),
    ],
)
def test_what_is_no_grid_is_told_as_it_was_given(make, words):
    with pytest.raises(UserError) as caught:
        make()
    assert str(caught.value) == words


@pytest.mark.parametrize(("field", "make"), IMPOSSIBLE, ids=[f"{i}-{field}" for i, (field, _) in enumerate(IMPOSSIBLE)])
def test_impossible_values_are_named(field, make):
    with pytest.raises(UserError) as caught:
        make()
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)
