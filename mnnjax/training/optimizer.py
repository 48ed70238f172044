"""The optimizer that a config names, with its options: one of Optax's, a user's, or our own levenberg_marquardt."""

import dataclasses
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jaxtyping import Array, Float

import mnnjax.jax_setup  # noqa: F401
from mnnjax import own_parts
from mnnjax.config import Train, UserError
from mnnjax.config.validation import WORDS
from mnnjax.errors import did_you_mean, first_line, require
from mnnjax.training.levenberg_marquardt import LevenbergMarquardtOptions

# The one optimizer that is not Optax's.
LEVENBERG_MARQUARDT = "levenberg_marquardt"
# An optimizer of Optax's, or what gives one: a function of the learning rate.
OwnOptimizer = optax.GradientTransformation | Callable[..., optax.GradientTransformation]


def optimizer_names() -> list[str]:
    """What train.optimizer may be: the optimizers of Optax and optax.contrib that take a learning rate and need no
    other argument, and levenberg_marquardt. A user's own are "module:function"."""
    names = {name for module in (optax, optax.contrib) for name in dir(module)}
    return sorted([*filter(_is_optimizer, names), LEVENBERG_MARQUARDT])


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


def make_optimizer(
    train: Train, learning_rate: Float[Array, ""] | float, own: OwnOptimizer | None = None
) -> optax.GradientTransformationExtraArgs:
    """The Optax optimizer that the config names, at this learning rate in place of the config's; or the user's own.
    UserError where Optax has no such optimizer, or not with these options, and where the user's cannot be imported or
    gives no optimizer of Optax's."""
    name, given = train.optimizer, train.optimizer_options
    if own is None and not own_parts.is_own(name):
        if (make := _of_optax(name)) is None:
            unknown = (
                f"Optax has no optimizer {name!r} that takes a learning rate{did_you_mean(name, optimizer_names())}"
            )
            hint = "take adam, sgd, rmsprop or another of its names, levenberg_marquardt, or your own 'module:function'"
            raise UserError(f"train.optimizer: {unknown}; {hint}")
        check_options(name, given)
        try:
            return optax.with_extra_args_support(make(learning_rate, **dict(given)))
        except (TypeError, ValueError) as error:
            raise _refusal(train, error) from error
    if isinstance(own, optax.GradientTransformation):
        return optax.with_extra_args_support(own)
    where, shown = ("train.optimizer", name) if own is None else ("optimizer", "what is given to make_training")
    function = own_parts.find(where, name) if own is None else own
    require(callable(function), f"{where}: {function!r:.40} is no optimizer; give one of Optax's, as optax.adam(1e-3)")
    rate = {"learning_rate": learning_rate} if "learning_rate" in inspect.signature(function).parameters else {}
    try:
        made = function(**rate, **dict(given if own is None else ()))
    except Exception as error:  # whatever the user's function raises
        hint = "write make_optimizer(learning_rate), with the options that the study gives"
        raise UserError(
            f"{where}: {shown} fails ({type(error).__name__}: {first_line(error)[:200]}); {hint}"
        ) from error
    made_what = f"{where}: {shown} gives {made!r:.40}, and no optimizer of Optax's"
    require(isinstance(made, optax.GradientTransformation), f"{made_what}; return one, as optax.adam(learning_rate)")
    return optax.with_extra_args_support(made)


def check_optimizer(train: Train, own: OwnOptimizer | None = None) -> None:
    """Raise UserError unless the config's optimizer, or the user's own in its place, can be made and takes a step."""
    if own is not None:
        unused = "only with train.optimizer, and not with the optimizer that is given to make_training"
        require(not train.optimizer_options, f"train.optimizer_options: {unused}")
    elif train.optimizer == LEVENBERG_MARQUARDT:
        levenberg_marquardt_options(train)
        return
    optimizer = make_optimizer(train, train.learning_rate, own)
    params = {"W1": jnp.zeros((3, 2)), "z": jnp.zeros(3)}

    def total(params):
        return jnp.sum(params["W1"]) + jnp.sum(params["z"])

    def step(params):
        more = extra_arguments(total(params), params, total)
        updates, _ = optimizer.update(params, optimizer.init(params), params, **more)
        # Some take gradients per point, which training does not have.
        require(jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, params), "updates of other shapes")
        return updates

    try:
        jax.eval_shape(step, params)
    except Exception as error:  # Optax's asserts, and whatever JAX says of an option's value
        if own is not None or own_parts.is_own(train.optimizer):
            why = f"{type(error).__name__}: {first_line(error)[:200]}"
            raise UserError(f"train.optimizer: your own takes no step ({why}); correct it") from error
        raise _refusal(train, error) from error


def extra_arguments(value: Float[Array, ""], gradient: Any, loss: Callable[[Any], Any]) -> dict[str, Any]:
    """What some optimizers take beside the gradient, and the others ignore: those that search along a line, and those
    that estimate curvature (obj_fn)."""

    def value_fn(params: Any, obj_fn: Any = None) -> Any:
        # A line search has all arguments that it does not know taken by this function.
        return loss(params)

    return {"value": value, "grad": gradient, "value_fn": value_fn, "obj_fn": loss}


def _of_optax(name: str) -> Callable[..., optax.GradientTransformation] | None:
    """The function of that name of Optax or optax.contrib, where it takes a learning rate."""
    for module in (optax, optax.contrib):
        # Not getattr: Optax warns of names that it has moved.
        make = vars(module).get(name)
        if inspect.isfunction(make) and "learning_rate" in inspect.signature(make).parameters:
            return make
    return None


def _is_optimizer(name: str) -> bool:
    """Whether a config can name it."""
    if name.startswith(("_", "scale_by_")) or not (parameters := _parameters(name)):
        return False
    return all(p.default is not p.empty for name, p in parameters.items() if name != "learning_rate")


def _parameters(name: str) -> dict[str, inspect.Parameter]:
    """The parameters of the optimizer of that name, a user's or Optax's; {} where there is none."""
    make = own_parts.find("train.optimizer", name) if own_parts.is_own(name) else _of_optax(name)
    return {} if make is None else dict(inspect.signature(make).parameters)


def _kind(parameter: inspect.Parameter) -> type | None:
    """int, float or bool; None for an option that is not a number, which a config cannot give. The type is that of the
    default, or the annotation's where the default is not a number: annotations differ between releases of Optax and
    JAX."""
    default, named = parameter.default, _types_in(parameter.annotation)
    if not isinstance(default, (bool, int, float)) and any(typing.get_origin(n) is Mapping for n in named):
        return None  # a tree of parameters, which a number could stand for
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
