"""The optimizer that a config names: one of Optax's, or levenberg_marquardt, our own."""

import inspect
import re
import types
import typing

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

import mnnjax.jax_setup  # noqa: F401
from mnnjax.config import Train, UserError
from mnnjax.errors import did_you_mean, first_line
from mnnjax.training.levenberg_marquardt import LEVENBERG_MARQUARDT_OPTIONS, levenberg_marquardt_options
from mnnjax.training.options import check_options, told_options

# The one optimizer that is not of Optax: training/levenberg_marquardt.py.
LEVENBERG_MARQUARDT = "levenberg_marquardt"


def optimizer_names() -> list[str]:
    """What train.optimizer may be: Optax's optimizers that take a learning rate, and levenberg_marquardt."""
    own = [name for name in dir(optax) if not name.startswith(("_", "scale_by_")) and _parameters(name)]
    return sorted([*own, LEVENBERG_MARQUARDT])


def optimizer_options(optimizer: str) -> dict[str, type]:
    """The options that a config can give an optimizer, each with its kind: int, float or bool; {} where there is no
    such optimizer.

    Optax's others, such as masks and types of accumulators, are no numbers.
    """
    if optimizer == LEVENBERG_MARQUARDT:
        return LEVENBERG_MARQUARDT_OPTIONS
    kinds = {name: _kind(parameter) for name, parameter in _parameters(optimizer).items()}
    return {name: kind for name, kind in kinds.items() if kind is not None and name != "learning_rate"}


def make_optimizer(train: Train, learning_rate: Float[Array, ""] | float) -> optax.GradientTransformationExtraArgs:
    """The Optax optimizer that the config names, at this learning rate in place of the config's.

    Raises:
      UserError: Optax has no such optimizer, or not with these options.
    """
    name, given = train.optimizer, train.optimizer_options
    if not _parameters(name):
        raise UserError(
            f"train.optimizer: Optax has no optimizer {name!r} that takes a learning rate"
            f"{did_you_mean(name, optimizer_names())}; take adam, sgd, rmsprop or another of its names, "
            "or levenberg_marquardt"
        )
    kinds = optimizer_options(name)
    check_options(name, kinds, given)
    try:
        optimizer = optax.with_extra_args_support(getattr(optax, name)(learning_rate, **dict(given)))
        # Some options show only here that they are of the wrong kind.
        jax.eval_shape(optimizer.init, jnp.zeros(1))
        return optimizer
    except (TypeError, ValueError) as error:
        raise _refusal(train, error) from error


def check_optimizer(train: Train) -> None:
    """Whether the config's optimizer can be made, and takes a step.

    Raises:
      UserError: it cannot, from levenberg_marquardt_options or make_optimizer.
    """
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
    """Of Optax's optimizer of that name; {} where it has none that takes a learning rate."""
    make = getattr(optax, name, None)
    parameters = dict(inspect.signature(make).parameters) if inspect.isfunction(make) else {}
    return parameters if "learning_rate" in parameters else {}


def _kind(parameter: inspect.Parameter) -> type | None:
    """int, float or bool; None where a config, which has numbers alone, cannot give it.

    The default tells the kind, since annotations of the same option differ between releases of Optax and JAX. Where it
    is no number (None, say) the annotation does. Either way make_optimizer lets Optax have the last word.
    """
    default, named = parameter.default, _types_in(parameter.annotation)
    if isinstance(default, bool) or named == {bool}:
        return bool
    if isinstance(default, int):
        return int if float not in named and int in named else float
    if isinstance(default, float) or float in named:
        return float
    return int if int in named else None


def _types_in(hint: object) -> set[object]:
    """The types that an annotation names: itself, or the members of a union, of unions in it, and of their names."""
    if isinstance(hint, str):
        return {kind for kind in (bool, int, float) if kind.__name__ in re.findall(r"\w+", hint)}
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set().union(*map(_types_in, typing.get_args(hint)))
    return {hint}


def _refusal(train: Train, error: Exception) -> UserError:
    given = ", ".join(f"{name} {value!r}" for name, value in train.optimizer_options) or "no options"
    return UserError(
        f"train.optimizer_options: {train.optimizer} cannot be used with {given} ({first_line(error)[:200]}); "
        f"{told_options(train.optimizer, optimizer_options(train.optimizer))}"
    )
