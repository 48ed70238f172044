"""Studies with a user's own optimizer, initialization and learning rate: recorded, and refused where they changed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import mnnjax as mj
from mnnjax import cli, own_parts
from mnnjax.study.execution.seed_parallel import seed_programs

MODULE = """
import jax
import optax

SCALE = 10

def make_optimizer(learning_rate, momentum=0.0):
    return optax.sgd(learning_rate, momentum)

def scaled(value):
    return value / SCALE

def init(key, shape, dtype):
    return scaled(jax.random.normal(key, shape, dtype))

def schedule(epoch):
    return 0.1 / (1 + epoch)

def another(): ...
"""


@pytest.fixture
def module(tmp_path, monkeypatch) -> Path:
    """The file of a module that this test alone has."""
    file = tmp_path / "parts" / f"own_{abs(hash(str(tmp_path)))}.py"
    file.parent.mkdir()
    file.write_text(MODULE)
    monkeypatch.syspath_prepend(file.parent)
    return file


def changed(module: Path, old: str, new: str) -> None:
    """As in the next process: the module is imported anew."""
    assert old in module.read_text()
    module.write_text(module.read_text().replace(old, new))
    sys.modules.pop(module.stem, None)


def study(module: Path, **changes) -> mj.Study:
    own = {"optimizer": "make_optimizer", "schedule": "schedule"}
    train = {name: f"{module.stem}:{function}" for name, function in own.items()}
    return mj.Study(
        "own", mj.Problem(d0=(3,), N=(8,)), mj.Network(init=f"{module.stem}:init"),
        mj.Train(**train, epochs=3, decay_epochs=0), repeats=2, **changes,
    )  # fmt: skip


def test_a_study_trains_with_them_and_resumes(module, tmp_path):
    result = mj.run_study(study(module), tmp_path / "run")
    recorded = json.loads((tmp_path / "run/config.json").read_text())["sources"]
    assert set(recorded) == {f"{module.stem}:{name}" for name in ("make_optimizer", "schedule", "init")}
    assert {row["optimizer"] for row in result.rows} == {f"{module.stem}:make_optimizer"}
    # Two small steps from the initial weights.
    trained = result.trained(result.cells[0])
    assert np.abs(trained.params["W1"]).max() < 1
    kept = (tmp_path / "run/results.csv").read_bytes()
    # What they do not use may change.
    changed(module, "def another(): ...", "study = 3")
    mj.run_study(study(module), tmp_path / "run")
    assert (tmp_path / "run/results.csv").read_bytes() == kept
    assert mj.load(tmp_path / "run").study == study(module)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("optax.sgd(", "optax.adam(", "train.optimizer"),
        ("(1 + epoch)", "(2 + epoch)", "train.schedule"),
        ("value / SCALE", "value * SCALE", "network.init"),
        ("SCALE = 10", "SCALE = 20", "network.init"),
    ],
)
def test_a_changed_source_is_refused(module, tmp_path, old, new, field):
    mj.run_study(study(module), tmp_path / "run")
    changed(module, old, new)
    with pytest.raises(mj.UserError, match=rf"^{field}: the source of {module.stem}:\w+ has changed since .*; restore"):
        mj.run_study(study(module), tmp_path / "run")
    # Results are there all the same, and the networks while the module is.
    assert len(mj.load(tmp_path / "run").rows) == 2
    mj.run_study(study(module), tmp_path / "other")


def test_a_folder_is_read_without_the_module(module, tmp_path):
    mj.run_study(study(module), tmp_path / "run")
    module.unlink()
    sys.modules.pop(module.stem)
    result = mj.load(tmp_path / "run")
    assert len(result.rows) == 2
    assert "1 of 1 cells finished" in result.status()
    seed_programs.cache_clear()  # as in another process
    with pytest.raises(mj.UserError, match=r"train.optimizer: \w+:make_optimizer cannot be imported \(No module named"):
        result.trained(result.cells[0])


@pytest.mark.slow
def test_functions_in_the_config_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"config_{abs(hash(str(tmp_path)))}"
    text = (
        MODULE
        + f"""
import mnnjax as mj
study = mj.Study(
    "own", mj.Problem(d0=(3,), N=(8,)), mj.Network(init="{name}:init"),
    mj.Train(optimizer="{name}:make_optimizer", epochs=3, decay_epochs=0), repeats=2,
)
"""
    )
    config = tmp_path / f"{name}.py"
    config.write_text(text)
    arguments = ["run", str(config), "--workdir", str(tmp_path / "run")]
    assert cli.main(arguments) == 0
    changed(config, "optax.sgd(", "optax.adam(")
    assert cli.main(arguments) == 2
    assert f"train.optimizer: the source of {name}:make_optimizer has changed" in capsys.readouterr().err


def test_what_a_function_uses():
    source = """
import a, b.c
from d import e as f
RATE = 1
if RATE:
    def inner(): return f()
@a.decorated
def g(x):
    y = inner()
    return y + b.c
def h(RATE): return 1
class K: pass
"""
    assert own_parts._used(source, "g") == [
        "import a, b.c", "from d import e as f", "RATE = 1", "if RATE:\n    def inner(): return f()",
        "@a.decorated\ndef g(x):\n    y = inner()\n    return y + b.c",
    ]  # fmt: skip
    assert own_parts._used(source, "K") == ["class K: pass"]


def test_functions_of_libraries_and_of_no_file():
    assert own_parts.source_digest("train.optimizer", "optax.contrib:muon")
    with pytest.raises(mj.UserError, match=r"math:sin has no source that can be read; define it in a file"):
        own_parts.source_digest("train.schedule", "math:sin")
