"""Studies as JSON and back, their differences, and what their fields mean; test_errors.py: invalid values."""

import dataclasses
import json
import os
import pydoc
import subprocess
import sys

import numpy as np
import pytest

from mnnjax.config import Network, Problem, Study, Train, Volume, digest, from_dict, to_dict
from mnnjax.errors import first_difference
from tests.project import ROOT

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
            Train(batch_size=1024, parallel="data"),
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


ALIKE = [
    # A value as people write it, and as the tuple or number that is kept.
    (lambda given: Problem(d0=given, N=(9,)), 12, (12,)),
    (lambda given: Problem(d0=given, N=(9,)), [12, 13], (12, 13)),
    (lambda given: Problem(d0=given, N=(9,)), range(3, 5), (3, 4)),
    (lambda given: Problem(d0=given, N=(9,)), np.arange(3, 5), (3, 4)),
    (lambda given: Problem(d0=given, N=(9,)), np.int64(12), (12,)),
    (lambda given: Problem(d0=given, N=(9,)), (np.int32(12), 13), (12, 13)),
    (lambda given: Problem(d0=(4,), N=given), [np.int64(9)], (9,)),
    (lambda given: Problem(d0=(4,), d0_d1_over_N=given), 2, (2,)),
    (lambda given: Problem(d0=(4,), d0_d1_over_N=given), np.linspace(0.5, 1.5, 3), (0.5, 1.0, 1.5)),
    (lambda given: Problem("mnist", "classes", lower_classes=given), 3, (3,)),
    (lambda given: Network(d1=given), [4, 8], (4, 8)),
    (lambda given: Network(hidden_layers=given), 2, (2,)),
    (lambda given: Network(d0_d1_over_N=given), 1.5, (1.5,)),
    (lambda given: Network(rho=given), np.float32(0.5), 0.5),
    (lambda given: Network(bias=given), np.True_, True),
    (lambda given: Train(optimizer_options=given), {"momentum": 0.9}, (("momentum", 0.9),)),
    (lambda given: Train(optimizer_options=given), [["momentum", 0.9]], (("momentum", 0.9),)),
    (lambda given: Train(epochs=given), np.int64(7), 7),
    (lambda given: Study("a", Problem(d0=4, N=9), repeats=given), np.int64(3), 3),
    (lambda given: Study("a", Problem(d0=4, N=9), also=given), Study("b", Problem(d0=4, N=9)),
     (Study("b", Problem(d0=(4,), N=(9,))),)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "given", "kept"), ALIKE, ids=[f"{k}-{given!r:.20}" for k, (_, given, _) in enumerate(ALIKE)]
)
def test_one_value_or_a_list_stands_for_a_tuple(make, given, kept):
    """In every way that they can be compared, in config.json, and when they are read from it."""
    asked, same = make(given), make(kept)
    assert asked == same
    assert (hash(asked), repr(asked)) == (hash(same), repr(same))
    assert json.dumps(to_dict(asked)) == json.dumps(to_dict(same))
    assert digest(asked) == digest(same)
    assert from_dict(type(same), to_dict(asked)) == same


def test_one_number_in_a_file_stands_for_a_list():
    given, kept = ({"d0": d0, "N": N} for d0, N in ((12, 9), ([12], [9])))
    assert from_dict(Problem, given) == from_dict(Problem, kept)


@pytest.mark.slow
def test_type_checkers_know_what_a_constructor_takes(tmp_path):
    """One value, a list and an array; not a text, nor a field that does not exist; and that what is kept is a tuple."""
    (tmp_path / "study.py").write_text("""
from typing import assert_type
import numpy as np
from mnnjax.config import Network, Problem, Study, Train

problem = Problem(d0=12, N=[9, 10], d0_d1_over_N=np.linspace(0.5, 1, 3))
assert_type(problem.d0, tuple[int, ...])
Study("a", problem, Network(d1=range(3), hidden_layers=np.int64(2)), Train(optimizer_options={"momentum": 0.9}))
Problem(d0="12")  # line 9
Problem(d0=1.5)  # line 10
Network(width=3)  # line 11
problem.d0 = (3,)  # line 12
""")
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--level", "error", "--outputjson"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}  # checkers do not follow every kind of editable installation
    found = subprocess.run([*command, "study.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    told = json.loads(found.stdout)
    assert [found["range"]["start"]["line"] + 1 for found in told["generalDiagnostics"]] == [9, 10, 11, 12]


def test_thresholds_lie_between_the_two_labels():
    assert Problem(d0=(5,), N=(9,), label_values="zero_one").threshold == 0.5
    assert Problem(d0=(5,), N=(9,), label_values="plus_minus_one").threshold == 0.0


def changes(study):
    """Every field, at every depth, with the study in which only that field differs."""
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


def test_rows_that_devices_share_may_come_in_any_even_batches():
    for batch_size in (None, 64, 1024, 64_000):
        assert Train(batch_size=batch_size, parallel="data").batch_size == batch_size
    # 64 blocks are nothing to repetitions that have their points for themselves.
    assert Train(batch_size=1000).parallel == "replicas"
    study = Study("a", Problem(d0=(5,), N=(9,), data_sets=1), train=Train(parallel="data"))
    assert study.train.parallel == "data"


@pytest.mark.parametrize("inputs", ["digits", "patches64", "mnist", "imagenet64"])
def test_images_decide_their_width_and_may_be_all_there_are(inputs):
    problem = Problem(inputs, "classes", lower_classes=(0,), upper_classes=(1,), whitening="zca", whitening_images=2)
    assert (problem.is_image, problem.d0, problem.N) == (True, (), ())
    assert not PROBLEM.is_image


@pytest.mark.parametrize("kind", [int, float])
def test_labels_are_written_for_numbers_and_arrays(kind):
    zero_one, plus_minus = (Problem("digits", label_values=values) for values in ("zero_one", "plus_minus_one"))
    assert [zero_one.labels_of(kind(upper)) for upper in (0, 1)] == [0, 1]
    assert [plus_minus.labels_of(kind(upper)) for upper in (0, 1)] == [-1, 1]
    assert plus_minus.labels_of(np.array([1, 0, 1], kind)).tolist() == [1, -1, 1]


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (Problem, "teacher_units: d1* of Assumption 5"),
        (Network, "rho: Slope for negative neural inputs"),
        (Train, "batch_size: Points per step"),
        (Volume, "samples: Draws of W per repetition"),
        (Study, "repeats: Repetitions per cell"),
    ],
)
def test_help_explains_the_fields(cls, words):
    assert words in pydoc.render_doc(cls, renderer=pydoc.plaintext)


def test_importing_the_package_shows_its_parts_and_loads_none():
    code = """
import sys, mnnjax
parts = ["config", "landscape", "problems", "report", "study", "theory", "training"]
assert sorted(set(dir(mnnjax)) & set(parts)) == parts
assert not any(f"mnnjax.{part}" in sys.modules for part in parts)
assert all(part in mnnjax.__doc__ for part in parts)
for part in ("config", "theory", "study"):
    getattr(mnnjax, part)
assert "jax" not in sys.modules
assert mnnjax.landscape.certify.__name__ == "certify"
import jax
assert jax.config.jax_enable_x64 and jax.config.jax_default_matmul_precision == "highest"
assert not hasattr(mnnjax, "no_such_part")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
