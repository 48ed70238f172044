"""Validation."""

import ast
import dataclasses
import inspect
import itertools
import math
import types
import typing
from typing import Literal

from mnnjax.errors import T, UserError, did_you_mean, require

# What a number in a config is, in words.
WORDS = {int: "a whole number", float: "a number", bool: "True or False"}


def require_grid(name: str, values: tuple[int, ...], minimum: int, mend: str) -> None:
    """Raise UserError unless all values are at least `minimum`, and different; `mend` ends the line about the first."""
    for value in values:
        require(value >= minimum, f"{name}: {value} is too small; {mend}")
    _require_different(name, values)


def require_seed(seed: int) -> None:
    """Raise UserError unless what is drawn can be drawn from it."""
    require(0 <= seed < 2**31, f"seed: {seed} must lie between 0 and 2^31 - 1")


def require_ratios(name: str, values: tuple[float, ...]) -> None:
    """Raise UserError unless all values are finite, positive and different."""
    for value in values:
        require(0 < value < math.inf, f"{name}: {value} is not a positive number; give values such as 0.5")
    _require_different(name, values)


def _require_different(name: str, values: tuple) -> None:
    require(len(set(values)) == len(values), f"{name}: {values} names a value twice; give each value once")


def require_types(prefix: str, config) -> None:
    """Raise UserError unless every field of a dataclass instance holds a value of its annotated type; dataclasses do
    not check that themselves."""
    hints = typing.get_type_hints(type(config))
    for name, hint in hints.items():
        value = getattr(config, name)
        if _fits(value, hint):
            continue
        shown, mend = repr(value), ""
        if typing.get_origin(hint) is Literal:
            expected = "one of " + ", ".join(map(repr, typing.get_args(hint)))
            mend = did_you_mean(value, typing.get_args(hint)) if isinstance(value, str) else ""
        else:
            expected = f"of type {getattr(hint, '__name__', hint)}" if isinstance(hint, type) else f"of type {hint}"
        if dataclasses.is_dataclass(value):
            # Given by its place, and so to another field.
            shown = f"{type(value).__name__}(...)"
            own = [other for other, own_hint in hints.items() if _fits(value, own_hint)]
            mend = f"; name the field: {own[0]}={shown}" if own else ""
        else:
            own = _plain_values(value)
            fitting = [way for way in (own, (own,)) if _fits(way, hint)]
            mend = f"; give {fitting[0]!r}" if fitting else mend
        raise UserError(f"{prefix}{name}: {shown} is not {expected}{mend}")


def _plain_values(value):
    """Lists, ranges, dictionaries and NumPy's arrays as tuples, and NumPy's numbers as Python's."""
    if isinstance(value, dict):
        value = tuple(value.items())
    elif not isinstance(value, type) and hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(map(_plain_values, value)) if isinstance(value, (list, tuple, range)) else value


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


def document_fields(cls: type[T]) -> type[T]:
    """A decorator of classes: help(cls) shows the strings below the fields too, which otherwise only tyro reads."""
    doc = cls.__doc__

    class WithFields:
        # Looked up where somebody asks: parsing the source would be paid by every import.
        def __get__(self, instance, owner) -> str:
            definition = ast.parse(inspect.getsource(cls)).body[0]
            assert isinstance(definition, ast.ClassDef)
            texts = {
                field.target.id: inspect.cleandoc(below.value.value)
                for field, below in itertools.pairwise(definition.body)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            }
            lines = [f"{name}: {text}".replace("\n", "\n    ") for name, text in texts.items()]
            return "\n  ".join([f"{doc}\n\nAttributes:", *lines])

    cls.__doc__ = WithFields()  # pyright: ignore[reportAttributeAccessIssue]  # a property of the class, not a str
    return cls
