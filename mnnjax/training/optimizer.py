"""The optimizer that a config names, with its options: one of Optax's, or our own levenberg_marquardt."""

import dataclasses
import inspect
import math
import re
import types
import typing
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

import mnnjax.jax_setup  # noqa: F401
from mnnjax.config import Train, UserError
from mnnjax.config.validation import WORDS
from mnnjax.errors import did_you_mean, first_line, require
from mnnjax.training.levenberg_marquardt import LevenbergMarquardtOptions

# The one optimizer that is not Optax's.
LEVENBERG_MARQUARDT = "levenberg_marquardt"


def optimizer_names() -> list[str]:
    """What train.optimizer may be: Optax's optimizers that take a learning rate, and levenberg_marquardt."""
    of_optax = [name for name in dir(optax) if not name.startswith(("_", "scale_by_")) and _parameters(name)]
    return sorted([*of_optax, LEVENBERG_MARQUARDT])


def optimizer_options(optimizer: str) -> dict[str, type]:
    """The options that a config can give an optimizer, each with its type: int, float or bool; {} for an unknown one.
    Optax's other options, such as masks and types of accumulators, are not numbers."""
    if optimizer == LEVENBERG_MARQUARDT:
        return {field.name: type(field.default) for field in dataclasses.fields(LevenbergMarquardtOptions)}
    kinds = {name: _kind(parameter) for name, parameter in _parameters(optimizer).items()}
    return {name: kind for name, kind in kinds.items() if kind is not None and name != "learning_rate"}


def describe_options(optimizer: str) -> str:
    """'adam has b1, b2', for errors."""
    return f"{optimizer} has {', '.join(optimizer_options(optimizer)) or 'none'}"


def check_options(optimizer: str, given: Sequence[tuple[str, int | float | bool]]) -> None:
    """Raise UserError for an unknown option, one given twice, or a value of another type."""
    where, kinds, known = "train.optimizer_options", optimizer_options(optimizer), describe_options(optimizer)
    for name, value in given:
        require(name in kinds, f"{where}: {optimizer} has no option {name!r}{did_you_mean(name, kinds)}; {known}")
        require([n for n, _ in given].count(name) == 1, f"{where}: {name} is given twice; keep one of them")
        kind = kinds[name]
        # What is off or on may be written as 0 or 1.
        fits = value in (0, 1) if kind is bool else not isinstance(value, bool) and isinstance(value, (int, kind))
        is_nan = isinstance(value, float) and math.isnan(value)
        require(fits and not is_nan, f"{where}: {name} {value!r} is not {WORDS[kind]}; {known}")


def levenberg_marquardt_options(train: Train) -> LevenbergMarquardtOptions:
    """The options that the config gives; UserError for an unknown one or a bad value, and where the config has
    mini-batches or decaying learning rates."""
    check_options(train.optimizer, train.optimizer_options)
    options = dataclasses.replace(LevenbergMarquardtOptions(), **dict(train.optimizer_options))
    name, where, damping, kick = train.optimizer, "train.optimizer_options", options.damping, options.kick
    for field, least in (("patience", 1), ("gram_rows", 0), ("cg_steps", 1)):
        value = getattr(options, field)
        require(value >= least, f"{where}: {field} {value} is too small; give at least {least}")
    require(0 < damping < math.inf, f"{where}: damping {damping!r} is not positive; try 0.03")
    require(0 <= kick < 1, f"{where}: kick {kick!r} is not in [0, 1); try 0.1")
    require(not train.point_weights, f"train.point_weights: {name} minimizes the MSE; leave it at 0")
    require(train.batch_size is None, f"train.batch_size: {name} solves for all points at once; leave it out")
    require(train.decay_epochs == 0, f"train.decay_epochs: {name} has no learning rate that could decay; give 0")
    return options


def make_optimizer(train: Train, learning_rate: Float[Array, ""] | float) -> optax.GradientTransformationExtraArgs:
    """The Optax optimizer that the config names, at this learning rate in place of the config's; UserError where Optax
    has no such optimizer, or not with these options."""
    name, given = train.optimizer, train.optimizer_options
    if not _parameters(name):
        unknown = f"Optax has no optimizer {name!r} that takes a learning rate{did_you_mean(name, optimizer_names())}"
        hint = "take adam, sgd, rmsprop or another of its names, or levenberg_marquardt"
        raise UserError(f"train.optimizer: {unknown}; {hint}")
    check_options(name, given)
    try:
        return optax.with_extra_args_support(getattr(optax, name)(learning_rate, **dict(given)))
    except (TypeError, ValueError) as error:
        raise _refusal(train, error) from error


def check_optimizer(train: Train) -> None:
    """Raise UserError unless the config's optimizer can be made, and takes a step."""
    if train.optimizer == LEVENBERG_MARQUARDT:
        levenberg_marquardt_options(train)
        return
    optimizer = make_optimizer(train, train.learning_rate)

    def step(params):
        more = {"value": jnp.sum(params), "grad": params, "value_fn": jnp.sum}
        return optimizer.update(params, optimizer.init(params), params, **more)

    try:
        jax.eval_shape(step, jnp.zeros(1))
    except Exception as error:  # Optax's asserts, and whatever JAX says of an option's value
        raise _refusal(train, error) from error


def _parameters(name: str) -> dict[str, inspect.Parameter]:
    """The parameters of Optax's optimizer of that name; {} where there is none that takes a learning rate."""
    make = getattr(optax, name, None)
    parameters = dict(inspect.signature(make).parameters) if inspect.isfunction(make) else {}
    return parameters if "learning_rate" in parameters else {}


def _kind(parameter: inspect.Parameter) -> type | None:
    """int, float or bool; None for an option that is not a number, which a config cannot give. The type is that of the
    default, or the annotation's where the default is not a number: annotations differ between releases of Optax and
    JAX."""
    default, named = parameter.default, _types_in(parameter.annotation)
    if isinstance(default, bool) or named == {bool}:
        return bool
    if isinstance(default, float) or float in named or (isinstance(default, int) and int not in named):
        return float
    return int if int in named else None


def _types_in(hint: object) -> set[object]:
    """The types that an annotation names: the members of a union and of unions in it, or those that a text names."""
    if isinstance(hint, str):
        return {kind for kind in (bool, int, float) if kind.__name__ in re.findall(r"\w+", hint)}
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set().union(*map(_types_in, typing.get_args(hint)))
    return {hint}


def _refusal(train: Train, error: Exception) -> UserError:
    given = ", ".join(f"{name} {value!r}" for name, value in train.optimizer_options) or "no options"
    used = f"{train.optimizer} cannot be used with {given} ({first_line(error)[:200]})"
    return UserError(f"train.optimizer_options: {used}; {describe_options(train.optimizer)}")
