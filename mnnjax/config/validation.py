"""Checks of the values in a config."""

import dataclasses
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, SupportsFloat, SupportsIndex, TypeVar, dataclass_transform

from mnnjax.errors import did_you_mean, require

T = TypeVar("T")
# The key of a field's converter in its metadata.
CONVERTER = "converter"
# Types of values in words.
WORDS = {int: "a whole number", float: "a number", bool: "True or False"}


def require_at_least(prefix: str, config: object, **minima: int) -> None:
    """Raise UserError unless each named field is None or at least its minimum."""
    for name, minimum in minima.items():
        value = getattr(config, name)
        require(value is None or value >= minimum, f"{prefix}{name}: {value} is too small; give at least {minimum}")


def require_grid(name: str, values: tuple[int, ...], minimum: int, hint: str) -> None:
    """Raise UserError unless all values are at least `minimum`, or else with the hint, and different."""
    for value in values:
        require(value >= minimum, f"{name}: {value} is too small; {hint}")
    _require_different(name, values)


def require_ratios(name: str, values: tuple[float, ...]) -> None:
    """Raise UserError unless all values are finite, positive and different."""
    for value in values:
        require(0 < value < math.inf, f"{name}: {value} is not a positive number; give values such as 0.5")
    _require_different(name, values)


def _require_different(name: str, values: tuple) -> None:
    require(len(set(values)) == len(values), f"{name}: {values} has a value twice; give each value once")


def integers(values: SupportsIndex | Iterable[SupportsIndex]) -> tuple[int, ...]:
    """What the constructor takes for a tuple of integers, as that tuple."""
    return tuple_of(values)


def numbers(values: SupportsFloat | Iterable[SupportsFloat]) -> tuple[float, ...]:
    """What the constructor takes for a tuple of numbers, as that tuple."""
    return tuple_of(values)


def pairs(values: Mapping[str, Any] | Iterable[Iterable[Any]]) -> tuple[tuple[str, Any], ...]:
    """What the constructor takes for pairs of a name and a value, as a tuple of them."""
    return tuple_of(values)


def several(*, default: Any, converter: Callable[[Any], tuple]) -> Any:
    """A field that holds a tuple, made by `converter` from what the constructor is given. Type checkers read from the
    converter's annotation what that may be, such as one number or a list (typing.dataclass_transform)."""
    return dataclasses.field(default=default, metadata={CONVERTER: converter})


def convert_fields(prefix: str, config: Any) -> None:
    """Give every field of a dataclass instance its annotated type: lists, ranges and arrays become tuples, one value
    stands for a tuple of one, and numbers of NumPy become Python's. UserError for a value of another type."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, hint = getattr(config, field.name), hints[field.name]
        if _fits(value, hint):
            continue
        converted = field.metadata.get(CONVERTER, _plain_values)(value)
        require(_fits(converted, hint), f"{prefix}{field.name}: {_unfit(value, hint, hints)}")
        object.__setattr__(config, field.name, converted)


def _unfit(value: Any, hint: Any, hints: Mapping[str, Any]) -> str:
    """Why a value is refused, which does not fit the hint of its field."""
    shown, ending = repr(value), ""
    expected = f"of type {hint.__name__ if isinstance(hint, type) else hint}"
    if typing.get_origin(hint) is Literal:
        expected = "one of " + ", ".join(map(repr, typing.get_args(hint)))
        ending = did_you_mean(value, typing.get_args(hint)) if isinstance(value, str) else ""
    if dataclasses.is_dataclass(value):
        # Given by position, and so to the wrong field.
        shown = f"{type(value).__name__}(...)"
        meant = [other for other, other_hint in hints.items() if _fits(value, other_hint)]
        ending = f"; name the field: {meant[0]}={shown}" if meant else ""
    return f"{shown} is not {expected}{ending}"


def _plain_values(value):
    """Lists, ranges, dictionaries and NumPy arrays as tuples, and NumPy numbers as Python's."""
    if isinstance(value, dict):
        value = tuple(value.items())
    elif not isinstance(value, type) and hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(map(_plain_values, value)) if isinstance(value, (list, tuple, range)) else value


def tuple_of(values: Any) -> tuple:
    """The plain values as a tuple, also of one."""
    plain = _plain_values(values)
    return plain if isinstance(plain, tuple) else (plain,)


def _fits(value, hint) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, h) for h in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        hints = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return len(hints) == len(value) and all(map(_fits, value, hints))
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


@dataclass_transform(frozen_default=True, field_specifiers=(several,))
def config_class(cls: type[T]) -> type[T]:
    """A class decorator: a frozen dataclass. help(cls) also shows the strings below the fields, which otherwise only
    tyro reads."""
    doc = cls.__doc__

    class WithFields:
        # Computed when it is read, since reading the source would slow down every import.
        def __get__(self, instance, owner) -> str:
            # A field, over one or several lines, and the string below it.
            pattern = r'(?m)^    (\w+): (?:.|\n        |\n    ])*\n    """((?:.|\n)*?)"""'
            found = re.findall(pattern, inspect.getsource(cls))
            lines = [f"{name}: {inspect.cleandoc(text)}".replace("\n", "\n    ") for name, text in found]
            return "\n  ".join([f"{doc}\n\nAttributes:", *lines])

    cls.__doc__ = WithFields()  # pyright: ignore[reportAttributeAccessIssue]  # a property of the class, not a str
    return dataclasses.dataclass(frozen=True)(cls)
