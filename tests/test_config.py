"""Studies as JSON and back, and the line a user reads about each value that cannot be."""

import dataclasses
import json
import math

import pytest

from mnnjax.checks import first_difference
from mnnjax.config import (
    Network,
    Problem,
    Study,
    Train,
    UserError,
    Volume,
    digest,
    from_dict,
    to_dict,
)

PROBLEM = Problem(d0=(5,), N=(10, 20))
RICH = Study(
    "rich",
    Problem("sphere", "teacher", "zero_one", 3, d0=(5, 7), d0_d1_over_N=(0.5, 2.0)),
    Network(d1=(4, 8), hidden_layers=(1, 2), rho=-0.1, bias=True, init="gaussian"),
    Train("sgd", (("momentum", 0.9), ("nesterov", 1.0)), 0.1, 32, 7, 0, 0.5, "float64", 3, 2),
    repeats=4,
    seed=2**31 - 1,
    figure="fig5_1",
    also=(
        Study("digits", Problem("digits", "classes"), Network(d1=(3,)), also=(Study("deepest", PROBLEM),)),
        Study("plain", PROBLEM),
        Study(
            "volumes",
            Problem("uniform", N=(8, 16), d0_over_N=0.5, constant_input=True, data_sets=2),
            Network(d0_d1_over_N=(1.0, 2.5)),
            volume=Volume("splitting", 0.1, 100, None, 7, 32, 0.3, False, "random", 50, 3, 9),
            figure="volumes",
        ),
        Study(
            "table1",
            Problem(
                *("mnist", "classes"),
                N=(5000,),
                data_sets=1,
                lower_classes=(0, 2),
                upper_classes=(1,),
                split="all",
                whitening="zca",
                whitening_images=4000,
            ),
            Network(d1=(89,)),
            Train(batch_size=1024, parallel="rows"),
            figure="table1",
        ),
    ),
)


@pytest.mark.parametrize("study", [Study("plain", PROBLEM), RICH], ids=lambda study: study.name)
def test_json_holds_the_whole_study(study):
    restored = from_dict(Study, json.loads(json.dumps(to_dict(study))))
    assert restored == study
    assert hash(restored) == hash(study)  # tuples, not lists, all the way down
    assert digest(restored) == digest(study)


def test_parts_are_in_the_order_in_which_they_run():
    assert [part.name for part in RICH.parts] == ["rich", "digits", "deepest", "plain", "volumes", "table1"]


def test_fields_that_json_lacks_take_their_defaults():
    assert from_dict(Study, {"name": "a", "problem": {"d0": [5], "N": [10, 20]}}) == Study("a", PROBLEM)


def test_hidden_layers_may_be_one_number():
    assert Network(hidden_layers=2) == Network(hidden_layers=(2,))
    assert from_dict(Network, {"hidden_layers": 2}) == from_dict(Network, {"hidden_layers": [2]})


def test_thresholds_lie_between_the_two_labels():
    assert Problem(d0=(5,), N=(9,), label_values="zero_one").threshold == 0.5
    assert Problem(d0=(5,), N=(9,), label_values="plus_minus_one").threshold == 0.0


def changes(study):
    """Every field, at every depth, with the study in which it alone is another."""
    values = to_dict(study)
    for path in [
        ("name",), ("repeats",), ("seed",), ("figure",), ("also", 1, "seed"), ("also", 0, "also", 0, "problem", "N", 1),
        *(("problem", f.name) for f in dataclasses.fields(Problem)),
        *(("network", f.name) for f in dataclasses.fields(Network)),
        *(("train", f.name) for f in dataclasses.fields(Train)),
        *(("also", 2, "volume", f.name) for f in dataclasses.fields(Volume)),
    ]:  # fmt: skip
        changed = json.loads(json.dumps(values))
        inner = changed
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = "something else"
        yield ".".join(map(str, path)), changed


def test_first_difference_names_the_field_and_both_values():
    stored = to_dict(RICH)
    assert first_difference(stored, to_dict(from_dict(Study, stored))) is None
    for path, changed in changes(RICH):
        text = first_difference(stored, changed)
        assert text.startswith(f"{path}: ")
        assert '"something else"' in text


def test_first_difference_sees_missing_fields_and_other_lengths():
    assert first_difference({"a": 1, "b": 2}, {"a": 1}).startswith("b: ")
    assert first_difference({"a": 1}, {"a": 1, "b": 2}).startswith("b: ")
    assert first_difference({"a": [1, 2]}, {"a": [1]}).startswith("a: ")
    assert "1" in first_difference({"a": {"b": [0, 1]}}, {"a": {"b": [0, 2]}})


def test_digests_of_studies_that_differ_in_one_field_differ():
    studies = [
        RICH, dataclasses.replace(RICH, seed=1), dataclasses.replace(RICH, also=()),
        dataclasses.replace(RICH, network=dataclasses.replace(RICH.network, rho=0.1)),
        dataclasses.replace(RICH, train=dataclasses.replace(RICH.train, batch_size=None)),
        dataclasses.replace(RICH, problem=dataclasses.replace(RICH.problem, d0=(7, 5))),
    ]  # fmt: skip
    assert len({digest(study) for study in studies}) == len(studies)


def test_equal_studies_have_one_digest():
    one, other = (Study("a", PROBLEM, Network(rho=rho)) for rho in (0, 0.0))
    assert one == other
    assert digest(one) == digest(other)


def gaussian(**fields):
    return Problem(**{"d0": (5,), "N": (9,), **fields})


def measured(volume=None, network=None, problem=None, **fields):
    return Study("a", problem or PROBLEM, network or Network(), volume=volume or Volume(), **fields)


NAN, INFINITY = math.nan, math.inf
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
    ("volume.draws", lambda: Volume(draws=0)),
    ("volume.global_draws", lambda: Volume(global_draws=-1)),
    ("volume.batch", lambda: Volume(batch=100)),
    ("volume.particles", lambda: Volume(particles=1)),
    ("volume.splits", lambda: Volume(splits=1)),
    ("volume.linear_programs", lambda: Volume(linear_programs=-1)),
    ("volume.relative_width", lambda: Volume(relative_width=0.0)),
    ("volume.redraw", lambda: Volume("exact", redraw=True)),
    ("volume.output_signs", lambda: Volume("exact", output_signs="random")),
    ("volume.suboptimal_draws", lambda: Volume("splitting", suboptimal_draws=5)),
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
]  # fmt: skip


@pytest.mark.parametrize(("field", "make"), IMPOSSIBLE, ids=[f"{i}-{field}" for i, (field, _) in enumerate(IMPOSSIBLE)])
def test_impossible_values_are_named(field, make):
    with pytest.raises(UserError) as caught:
        make()
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)


MISSPELT = [
    ("problem.inputs", lambda: gaussian(inputs="gausian")),
    ("problem.labels", lambda: gaussian(labels="rnadom")),
    ("problem.label_values", lambda: gaussian(label_values="zero-one")),
    ("network.init", lambda: Network(init="normal")),
    ("train.precision", lambda: Train(precision="double")),
    ("volume.method", lambda: Volume("splittnig")),
    ("volume.output_signs", lambda: Volume(output_signs="none")),
    ("figure", lambda: Study("a", PROBLEM, figure="fig5.1")),
]


@pytest.mark.parametrize(("field", "make"), MISSPELT, ids=[field for field, _ in MISSPELT])
def test_misspelt_words_are_named(field, make):
    with pytest.raises(UserError, match=field):
        make()


FRACTIONS = [
    ("problem.N", lambda: gaussian(N=(9.5,))),
    ("problem.d0", lambda: gaussian(d0=(5.5,))),
    ("repeats", lambda: Study("a", PROBLEM, repeats=2.5)),
    ("train.epochs", lambda: Train(epochs=2.5)),
]


@pytest.mark.parametrize(("field", "make"), FRACTIONS, ids=[field for field, _ in FRACTIONS])
def test_counts_that_are_not_whole_are_named(field, make):
    with pytest.raises(UserError, match=field):
        make()


@pytest.mark.parametrize("train", [{"learning_rate": [0.1]}, {"optimizer_options": [["momentum"]]}], ids=str)
def test_values_of_another_kind_are_the_users_error(train):
    with pytest.raises(UserError) as caught:
        from_dict(Train, train)
    assert type(caught.value) is UserError
