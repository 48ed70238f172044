"""A study as JSON, and back."""

import dataclasses
import hashlib
import json
import typing
from typing import Any

from mnnjax.config.validation import T
from mnnjax.errors import UserError, did_you_mean, require


def to_dict(config: Any) -> dict:
    """The study, or a part of it, as plain JSON values; from_dict is the inverse."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def digest(config: Any) -> str:
    """A short hash that two studies share if and only if all their fields are equal."""
    # 0 and 0.0 are equal values, so all numbers are written alike.
    values = json.loads(json.dumps(to_dict(config)), parse_int=float)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def from_dict(cls: type[T], values: dict) -> T:
    """The inverse of to_dict; a field that `values` lacks takes its default. UserError for an unknown field, a required
    one that is missing, or an invalid value.

    Example:
        study = from_dict(Study, json.loads(Path("runs/fig5_1/config.json").read_text()))
    """
    require(isinstance(values, dict), f"{cls.__name__}: {values!r} is not an object with fields")
    hints = typing.get_type_hints(cls)
    for name in sorted(set(values) - set(hints)):
        raise UserError(f"{cls.__name__} has no field {name}{did_you_mean(name, hints)}")
    try:
        return cls(**{name: _from_json(hints[name], value) for name, value in values.items()})
    except TypeError as error:
        raise UserError(f"{cls.__name__}: {error}") from error


def _from_json(hint, value):
    if isinstance(value, dict):
        # A dataclass, perhaps with None as the alternative.
        options: list[Any] = [h for h in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(h)]
        return from_dict(options[0], value) if options else value
    if isinstance(value, list):
        # Every list in a study's JSON was a tuple of dataclasses, of tuples, or of plain values.
        inner = next((h for h in typing.get_args(hint) if h is not Ellipsis), None)
        return tuple(_from_json(inner, v) for v in value)
    return value
