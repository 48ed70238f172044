"""Misspelt names: the line suggests the one that was probably meant, and nothing is written."""

import pytest

from mnnjax import cli
from mnnjax.config import Network, Problem, Study, Train, UserError, from_dict, to_dict
from mnnjax.errors import nearest

TINY = """
from mnnjax.config import Problem, Study, Train
study = Study(name="tiny", problem=Problem(d0=(3,), N=(6,)), train=Train(epochs=2, decay_epochs=2), repeats=2)
"""
VOLUMES = """
from mnnjax.config import Problem, Study, Volume
study = Study(name="tiny", problem=Problem(d0=(3,), N=(6,)), volume=Volume())
"""


@pytest.fixture
def error_of(tmp_path, monkeypatch, capsys):
    """The line that a call ends in, with exit code 2 and nothing left behind."""
    (tmp_path / "tiny.py").write_text(TINY)
    (tmp_path / "volumes.py").write_text(VOLUMES)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())

    def call(*arguments: str) -> str:
        assert cli.main(list(arguments)) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.startswith("mnnjax: ")
        assert told.err.count("\n") == 1
        assert set(tmp_path.iterdir()) - {tmp_path / "__pycache__"} == before
        return told.err

    return call


@pytest.mark.parametrize(
    ("word", "names", "meant"),
    [
        ("rum", ["run", "report", "status"], "run"),
        ("lr", ["train.epochs", "train.learning_rate"], "train.learning_rate"),
        ("learning-rate", ["train.learning_rate"], "train.learning_rate"),
        ("problem.n", ["problem.inputs", "problem.N"], "problem.N"),
        ("network.rho", ["also.0.network.rho", "network.rho"], "network.rho"),
        ("layers", ["d1", "hidden_layers"], "hidden_layers"),
        ("train.foo", ["train.epochs", "train.optimizer"], None),
        ("xyz", [], None),
    ],
)
def test_which_name_was_meant(word, names, meant):
    assert nearest(word, names) == meant


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("rum tiny.py", "unknown command 'rum' (did you mean run?)"),
        ("hlep", "(did you mean help?)"),
        ("tiny.py", "to run a config: mnnjax run tiny.py"),
        ("run tinny.py", "config tinny.py: no such file (did you mean tiny.py?)"),
        ("run tiny", "(did you mean tiny.py?)"),
        ("run .", "config .: is a folder; give a Python file"),
        ("run tiny.py --train.lerning_rate 1", "no option --train.lerning_rate (did you mean --train.learning_rate?)"),
        ("run tiny.py --lr=1", "there is no option --lr (did you mean --train.learning_rate?)"),
        ("run tiny.py --workdri x", "there is no option --workdri (did you mean --workdir?)"),
        ("run tiny.py --dryrun", "there is no option --dryrun (did you mean --dry-run?)"),
        ("run tiny.py --wibble 3", "there is no option --wibble; --help lists the options"),
        ("run tiny.py --volume.samples 3", "--volume.samples: the config has train, and so no volume"),
        ("run volumes.py --train.epochs 3", "--train.epochs: the config has volume, and so no train"),
        ("run tiny.py --train.optimizer adm", "'adm' that takes a learning rate (did you mean adam?)"),
        ("run tiny.py --train.optimizer levenberg_marquart", "(did you mean levenberg_marquardt?)"),
        (
            "run tiny.py --figure fig51",
            "fig5_2, table1, volumes, full_rank, basins, capacity, kinks, not 'fig51' (did you mean",
        ),
        ("run tiny.py --problem.inputs gausian", "problem.inputs: 'gausian' is not known (did you mean gaussian?)"),
        ("run tiny.py --train.precision 64", "--train.precision: takes one of float32, float64, not '64'"),
        ("status --jsn x", "status: there is no option --jsn; see --help"),
        ("bounds --N 9 --d0 3 --d1 3 --epz 1", "bounds: there is no option --epz (did you mean --eps?)"),
        ("construct --ouput x.npz", "construct: there is no option --ouput (did you mean --output?)"),
        ("certify x.npz --polsh y.npz", "certify: there is no option --polsh (did you mean --polish?)"),
        ("doctor --workdr x", "doctor: there is no option --workdr (did you mean --workdir?)"),
    ],
)
def test_misspelt_names(error_of, arguments, words):
    assert words in error_of(*arguments.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--repeats 2.5", "--repeats: takes a whole number, not '2.5'"),
        ("--repeats", "--repeats: takes a whole number, and none is given"),
        ("--problem.d0 3 4.5", "--problem.d0: takes whole numbers, not '3 4.5'"),
        ("--problem.d0-d1-over-N x", "--problem.d0_d1_over_N: takes numbers, not 'x'"),
        ("--network.hidden_layers a", "--network.hidden_layers: takes whole numbers, not 'a'"),
        ("--train.batch_size=x", "--train.batch_size: takes a whole number or None, not 'x'"),
        ("--train.epochs 3 4", "4: not a value of an option"),
        ("--network.bias yes", "--network.bias: takes True or False, not 'yes'"),
        ("--workdir= --repeats 2", "argument --workdir: the name is empty; give one"),
        ("--data_dir=", "argument --data-dir: the name is empty; give one"),
        ("--num_processes many", "argument --num-processes: invalid int value: 'many'"),
    ],
)
def test_values_of_the_wrong_kind(error_of, options, words):
    assert words in error_of("run", "tiny.py", *options.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sgd momentun 0.9", "sgd has no option 'momentun' (did you mean momentum?); sgd has momentum, nesterov"),
        ("sgd b1 0.9", "sgd has no option 'b1'; sgd has momentum, nesterov"),
        (
            "sgd momentum yes",
            "name and a number, True or False, such as momentum 0.9 nesterov True, not 'momentum yes'; sgd",
        ),
        ("sgd momentum", "not 'momentum'; sgd has momentum, nesterov"),
        ("sgd momentum 0.9 0.8", "not 'momentum 0.9 0.8'; sgd has momentum, nesterov"),
        ("sgd momentum True", "momentum True is not a number; sgd has momentum, nesterov"),
        ("sgd momentum 0.9 momentum 0.8", "momentum is given twice"),
        ("sgd nesterov 3", "nesterov 3 is not True or False; sgd has"),
        ("sgd accumulator_dtype 32", "sgd has no option 'accumulator_dtype'; sgd has momentum, nesterov"),
        ("sign_sgd momentum 0.9", "sign_sgd has no option 'momentum'; sign_sgd has none"),
        ("lbfgs memory_size 2.5", "memory_size 2.5 is not a whole number; lbfgs has memory_size"),
        ("lbfgs memory_size 0", "lbfgs cannot be used with memory_size 0 ("),
        (
            "levenberg_marquardt dampin 3",
            "levenberg_marquardt has no option 'dampin' (did you mean damping?); levenberg_marquardt has damping, kick",
        ),
        ("levenberg_marquardt damping x", "not 'damping x'; levenberg_marquardt has damping, kick, patience"),
    ],
)
def test_options_of_the_optimizer(error_of, options, words):
    name, *pairs = options.split()
    more = ["--train.decay_epochs", "0"] if name == "levenberg_marquardt" else []
    given = ["--train.optimizer", name, "--train.optimizer_options", *pairs, *more]
    error = error_of("run", "tiny.py", "--workdir", "w", *given)
    assert "train.optimizer_options: " in error
    assert words in error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "study = Study('x', PROBLEM,\n  train=Train(lr=1))",
            "line 4: Train has no field lr (did you mean learning_rate?",
        ),
        ("study = Study('x', Problem(d=(3,), n=(4,)))", "line 3: Problem has no field d"),
        ("import dataclasses\ndataclasses.replace(Study('x', PROBLEM), nmae='y')", "line 4: Study has no field nmae"),
        ("study = Study('x', Probelm(d0=(3,), N=(4,)))", "name 'Probelm' is not defined (did you mean Problem?)"),
        ("from mnnjax.config import Trian", "line 3: mnnjax.config has no Trian (did you mean Train?)"),
        ("study = Study('x', Problem(inputs='gausian', d0=(3,), N=(4,)))", "(did you mean gaussian?)"),
        ("study = Study('x', PROBLEM, figure='fig5.1')", "(did you mean fig5_1?)"),
        ("study = Study('x', PROBLEM, Train())", "network: Train(...) is not of type Network; name the field: train="),
        ("sudy = Study('x', PROBLEM)", "defines no `study`; `sudy` is a study, rename it"),
        ("study = Study('x', PROBLEM, repeats=0)", "line 3: repeats: 0 is too small"),
    ],
)
def test_misspelt_names_in_a_config(error_of, tmp_path, content, words):
    path = tmp_path / "tiny.py"
    path.write_text(f"from mnnjax.config import *\nPROBLEM = Problem(d0=(3,), N=(4,))\n{content}\n")
    error = error_of("run", "tiny.py")
    assert error.startswith("mnnjax: config tiny.py")
    assert words in error


def test_a_config_without_a_small_variant(error_of):
    assert "defines no `small`; leave out --small" in error_of("run", "tiny.py", "--small")


def test_misspelt_fields_of_json():
    study = to_dict(Study("a", Problem(d0=(3,), N=(4,)), Network(), Train()))
    study["train"]["learningrate"] = study["train"].pop("learning_rate")
    with pytest.raises(UserError, match=r"^Train has no field learningrate \(did you mean learning_rate\?\)$"):
        from_dict(Study, study)
