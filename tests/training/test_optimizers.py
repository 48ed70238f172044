"""The learning rate in closed form, and Optax's optimizers by name."""

import collections.abc
import functools
import inspect
import math
import typing

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mnnjax.config import Network, Problem, Train, UserError
from mnnjax.training import learning_rate, make_optimizer, make_training
from mnnjax.training.optimizer import _parameters, check_optimizer, optimizer_names, optimizer_options

EPS = np.finfo(np.float64).eps


@pytest.mark.parametrize(("epochs", "decay_epochs"), [(5, 4), (0, 7), (6, 0), (1, 1)])
def test_learning_rate_is_constant_and_then_a_geometric_sequence(epochs, decay_epochs):
    train = Train(learning_rate=0.3, decay_to=1e-3, epochs=epochs, decay_epochs=decay_epochs, precision="float64")
    rates = np.asarray(jax.vmap(functools.partial(learning_rate, train))(jnp.arange(epochs + decay_epochs)))
    # A power by way of log and exp: relative error of a few eps times |log decay_to| = 7.
    tolerance = 30 * EPS
    np.testing.assert_allclose(rates[:epochs], 0.3, rtol=tolerance)
    decaying = rates[epochs:]
    if decay_epochs:
        np.testing.assert_allclose(decaying[-1], 0.3 * 1e-3, rtol=tolerance)
        factor = (1e-3) ** (1 / decay_epochs)
        np.testing.assert_allclose(decaying, [0.3 * factor ** (k + 1) for k in range(decay_epochs)], rtol=tolerance)
    assert learning_rate(Train(precision="float32"), 3).dtype == jnp.float32
    assert rates.dtype == np.float64


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("name", "options", "rate"),
    [
        ("rmsprop", (), 1e-2),
        ("adamw", (("weight_decay", 1e-3),), 1e-2),
        ("lion", (), 1e-3),
        ("lamb", (), 1e-2),
        ("muon", (), 1e-2),
        ("prodigy", (), 1.0),
        ("sophia", (), 1e-2),
        pytest.param("lbfgs", (), 1.0, marks=pytest.mark.slow),
    ],
)
def test_optimizers_of_optax_reduce_the_loss(name, options, rate):
    train = Train(name, options, rate, epochs=40, decay_epochs=0)
    training = make_training(Problem(d0=(6,), N=(20,)), Network(), train, 1, 6, 6, 20)

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 6)).astype(np.float32), rng.choice([-1.0, 1.0], 20).astype(np.float32)
    key = jax.random.key(0)
    start = jax.jit(training.init)(key)
    state, last = jax.jit(training.run_epochs, static_argnums=6)(start, key, X, y, 20, 0, 40)
    first = np.mean((np.maximum(X @ np.asarray(start.params["W1"]).T, 0) @ np.asarray(start.params["z"]) - y) ** 2)
    assert last.mse < first
    assert state.non_finite_epoch == -1


Callable = collections.abc.Callable
# As releases of Optax have annotated numbers that may be schedules; and as they may.
NUMBERS = [
    float, "float", "ScalarOrSchedule", typing.Any, inspect.Parameter.empty, jax.typing.ArrayLike, float | jax.Array,
    typing.Optional[float], typing.Union[float, jax.Array, Callable[[int], float]],  # noqa: UP007, UP045
    jax.typing.ArrayLike | Callable[[jax.typing.ArrayLike], jax.typing.ArrayLike],
]  # fmt: skip


@pytest.mark.parametrize("annotation", NUMBERS, ids=str)
def test_an_option_is_known_however_optax_annotates_it(monkeypatch, annotation):
    def decayed(learning_rate, weight_decay=1e-4, nesterov=False, mask=None):
        return optax.adamw(learning_rate, weight_decay=weight_decay, nesterov=nesterov, mask=mask)

    parameters = inspect.signature(decayed).parameters.values()
    changed = [p.replace(annotation=annotation) if p.name == "weight_decay" else p for p in parameters]
    monkeypatch.setattr(decayed, "__signature__", inspect.Signature(changed), raising=False)
    monkeypatch.setattr(optax, "decayed", decayed, raising=False)
    assert optimizer_options("decayed") == {"weight_decay": float, "nesterov": bool}
    check_optimizer(Train("decayed", (("weight_decay", 1e-3), ("nesterov", 1))))
    with pytest.raises(UserError, match="weight_decay nan is not a number"):
        check_optimizer(Train("decayed", (("weight_decay", math.nan),)))


@pytest.mark.filterwarnings("ignore")  # what Optax deprecates it takes all the same
@pytest.mark.parametrize("name", [name for name in optimizer_names() if name != "levenberg_marquardt"])
def test_optax_takes_the_options_that_are_listed(name):
    defaults = {option: p.default for option, p in _parameters(name).items()}
    # Where the default is no number (None, say: an option that is off), any number. A key is not one.
    given = {
        option: defaults[option] if isinstance(defaults[option], (bool, int, float)) else kind(1)
        for option, kind in optimizer_options(name).items()
        if option != "key"
    }
    check_optimizer(Train(name, tuple(given.items())))


@pytest.mark.filterwarnings("ignore")  # of deprecated options
def test_optimizers_of_contrib_have_names():
    assert {"muon", "sophia", "prodigy", "ademamix", "schedule_free_sgd", "adam", "lbfgs"} <= set(optimizer_names())
    # It takes a gradient per point.
    given = (("l2_norm_clip", 1.0), ("noise_multiplier", 1.0), ("seed", 0))
    with pytest.raises(UserError, match="dpsgd cannot be used with"):
        check_optimizer(Train("dpsgd", given))


@pytest.mark.parametrize("name", ["no_such_optimizer", "", "chain", "linear_schedule", "__name__", "Adam", "losses"])
def test_other_names_are_the_users_error(name):
    with pytest.raises(UserError, match=r"train\.optimizer: .*" + name):
        make_optimizer(Train(optimizer=name), 0.1)


@pytest.mark.parametrize(
    ("name", "option", "known"),
    [("adam", "momentum", "b1"), ("sgd", "b1", "momentum"), ("adam", "learning_rate", "b2")],
)
def test_other_options_are_the_users_error(name, option, known):
    with pytest.raises(UserError, match=rf"train\.optimizer_options: .*{option}.*{known}"):
        make_optimizer(Train(optimizer=name, optimizer_options=((option, 0.5),)), 0.1)


def test_a_run_under_an_unknown_name_does_not_start():
    with pytest.raises(UserError, match="nonsense"):
        make_training(Problem(d0=(6,), N=(20,)), Network(), Train(optimizer="nonsense"), 1, 6, 6, 20)
