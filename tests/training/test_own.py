"""Optimizers, initializations and learning rates of the user's, as objects and by name."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mnnjax.config import Network, Problem, Study, Train, UserError
from mnnjax.study.plan.grid import check
from mnnjax.training import learning_rate, make_training

PROBLEM = Problem(d0=(3,), N=(8,))
TRAIN = Train("sgd", (), 0.1, epochs=6, decay_epochs=0, precision="float64")
X = np.random.default_rng(0).standard_normal((8, 3))
Y = np.random.default_rng(1).choice([-1.0, 1.0], 8)
KEY = jax.random.key(0)


def trained(train=TRAIN, network=Network(), epochs=6, **own):  # noqa: B008
    training = make_training(PROBLEM, network, train, 1, 3, 3, 8, **own)
    start = training.init(KEY)
    state, _ = jax.jit(training.run_epochs, static_argnums=6)(start, KEY, X, Y, 8, 0, epochs)
    return start.params, state.params


def same(a, b):
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def steps(params, rates, momentum=0.0):
    """Gradient descent with these rates, written out."""
    W, z = (np.asarray(params[name]) for name in ("W1", "z"))
    dW, dz = np.zeros_like(W), np.zeros_like(z)
    for rate in rates:
        U = X @ W.T
        e = np.maximum(U, 0) @ z - Y
        gW, gz = 2 / 8 * ((U > 0) * e[:, None] * z).T @ X, 2 / 8 * np.maximum(U, 0).T @ e
        dW, dz = momentum * dW + gW, momentum * dz + gz
        W, z = W - rate * dW, z - rate * dz
    return W, z


@pytest.mark.parametrize(
    "optimizer", [optax.sgd(0.1, 0.5), functools.partial(optax.sgd, momentum=0.5), lambda: optax.sgd(0.1, 0.5)],
    ids=["object", "function of the rate", "function"],
)  # fmt: skip
def test_an_optimizer(optimizer):
    start, end = trained(optimizer=optimizer)
    W, z = steps(start, [0.1] * 6, momentum=0.5)
    np.testing.assert_allclose(end["W1"], W, rtol=1e-12)
    np.testing.assert_allclose(end["z"], z, rtol=1e-12)


def test_an_optimizer_takes_the_place_of_levenberg_marquardt():
    train = Train("levenberg_marquardt", epochs=6, decay_epochs=0, learning_rate=0.1, precision="float64")
    start, end = trained(train, optimizer=optax.sgd)
    np.testing.assert_allclose(end["z"], steps(start, [0.1] * 6)[1], rtol=1e-12)


@pytest.mark.parametrize("schedule", [lambda epoch: 0.1 / (1 + epoch), optax.cosine_decay_schedule(0.1, 6)])
def test_a_schedule(schedule):
    start, end = trained(schedule=schedule)
    W, z = steps(start, [float(schedule(epoch)) for epoch in range(6)])
    np.testing.assert_allclose(end["W1"], W, rtol=1e-6)
    np.testing.assert_allclose(end["z"], z, rtol=1e-6)


def test_an_initialization():
    def init(key, shape, dtype):
        return jnp.full(shape, 1 / shape[-1], dtype)

    start, _ = trained(network=Network(bias=True), init=init)
    np.testing.assert_array_equal(start["W1"], np.full((3, 3), 1 / 3))
    np.testing.assert_array_equal(start["z"], np.full(3, 1 / 3))
    assert not np.any(start["b1"])
    assert not np.any(start["c"])
    drawn, _ = trained(init=jax.nn.initializers.normal(0.5))
    assert drawn["W1"].dtype == jnp.float64
    assert np.unique(np.concatenate([drawn["W1"].ravel(), drawn["z"]])).size == 12


OWN = """
import jax, optax

def make_optimizer(learning_rate, momentum=0.0):
    return optax.sgd(learning_rate, momentum)

def with_its_rate():
    return optax.sgd(0.1)

def init(key, shape, dtype):
    return jax.random.normal(key, shape, dtype) / 10

def schedule(epoch):
    return 0.1 / (1 + epoch)

cosine = optax.cosine_decay_schedule(0.1, 6)
number = 3
def nothing(learning_rate): return None
def fails(learning_rate): raise KeyError("momentum")
def per_point(learning_rate): return optax.stateless(lambda g, p: jax.tree.map(lambda x: x[0], g))
def flat(key, shape, dtype): return jax.random.normal(key, (6,), dtype)
def vector(epoch): return jax.numpy.ones(2)
"""


@pytest.fixture
def own(tmp_path, monkeypatch) -> str:
    """The name of a module with the user's functions."""
    name = f"own_{tmp_path.name.translate({ord(c): '_' for c in '-.[]'})}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_functions_by_name(own):
    named = Train(f"{own}:make_optimizer", (("momentum", 0.5),), 0.1, epochs=6, decay_epochs=0, precision="float64")
    same(trained(named)[1], trained(optimizer=optax.sgd(0.1, 0.5))[1])
    with_its_rate = Train(f"{own}:with_its_rate", (), 9.0, epochs=6, decay_epochs=0, precision="float64")
    same(trained(with_its_rate)[1], trained(optimizer=optax.sgd(0.1))[1])
    for name in ("schedule", "cosine"):
        train = Train("sgd", (), 0.1, epochs=2, decay_epochs=4, precision="float64", schedule=f"{own}:{name}")
        module = __import__(own)
        same(trained(train)[1], trained(schedule=getattr(module, name))[1])
        assert learning_rate(train, 3) == pytest.approx(float(getattr(module, name)(3)))
    start, _ = trained(network=Network(init=f"{own}:init"))
    same(start, trained(init=__import__(own).init)[0])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer": "own:mistyped"}, "train.optimizer: own has no mistyped; define it there"),
        ({"optimizer": "own:make_optimzer"}, r"own has no make_optimzer \(did you mean make_optimizer\?\)"),
        (
            {"optimizer": "no_such:f"},
            r"train.optimizer: no_such:f cannot be imported \(No module named",
        ),
        ({"optimizer": "own:number"}, "train.optimizer: own:number is 3, and no function"),
        (
            {"optimizer": "own:nothing"},
            "train.optimizer: own:nothing gives None, and no optimizer of Optax's; return one",
        ),
        (
            {"optimizer": "own:fails"},
            r"train.optimizer: own:fails fails \(KeyError: 'momentum'\); write make_optimizer",
        ),
        ({"optimizer": "own:init"}, "train.optimizer: own:init fails"),
        ({"optimizer": "own:per_point"}, "train.optimizer: your own takes no step .*updates of other shapes"),
        (
            {"optimizer": "own:make_optimizer", "options": (("b1", 0.9),)},
            "unexpected keyword argument 'b1'",
        ),
        ({"schedule": "own:vector"}, r"train.schedule: own:vector gives shape \(2,\), and no number"),
        ({"schedule": "own:init"}, "train.schedule: own:init fails"),
        (
            {"init": "own:flat"},
            r"network.init: own:flat gives an array of shape \(6,\) for the shape \(3, 2\)",
        ),
        ({"init": "own:schedule"}, "network.init: own:schedule fails"),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
)
def test_mistakes_are_told_before_a_study_runs(own, settings, words):
    given = {name: v.replace("own:", f"{own}:") if isinstance(v, str) else v for name, v in settings.items()}
    init, options = given.pop("init", "he"), given.pop("options", ())
    study = Study("mine", PROBLEM, Network(init=init), Train(optimizer_options=options, **given))
    with pytest.raises(UserError, match=words.replace("own:", f"{own}:").replace("own has", f"{own} has")) as error:
        check(study)
    assert "\n" not in str(error.value)


@pytest.mark.wrong_types
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"optimizer": 3}, "optimizer: 3 is no optimizer; give one of Optax's"),
        ({"optimizer": lambda learning_rate: 3}, "optimizer: what is given to make_training gives 3, and no optimizer"),
        (
            {"optimizer": optax.adam(1e-3), "schedule": lambda epoch: 1.0},
            "schedule: the given optimizer has a learning",
        ),
        ({"init": lambda key, shape, dtype: None}, "init: given to make_training gives no array"),
        ({"schedule": lambda: 0.1}, "schedule: given to make_training fails"),
    ],
)
def test_objects_that_are_none(given, words):
    with pytest.raises(UserError, match=words):
        make_training(PROBLEM, Network(), TRAIN, 1, 3, 3, 8, **given)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Train(optimizer="mine:"), "train.optimizer: 'mine:' is not of the form 'module:function'"),
        (lambda: Train(optimizer="mine.py:f"), None),
        (lambda: Train(optimizer="a/b:f"), "not of the form"),
        (lambda: Train(optimizer=optax.adam(1e-3)), r"is no name; give make_training\(..., optimizer=...\) an object"),
        (lambda: Train(schedule="cosine"), "train.schedule: 'cosine' is neither 'decay' nor a 'module:function'"),
        (lambda: Train("levenberg_marquardt", schedule="a:b"), "levenberg_marquardt has no learning rate"),
        (lambda: Network(init="hee"), r"network.init: 'hee' is not one of 'he', .* \(did you mean he\?\)"),
    ],
)
def test_names_of_another_form(make, words):
    if words is None:
        assert make()
        return
    with pytest.raises(UserError, match=words):
        make()
