"""Equality of results whose fields may be nan."""

import dataclasses
import math


class EqualWithNan:
    """Mixin for frozen dataclasses made with eq=False: equal where all fields are, and nan equals nan.

    What dataclasses generate compares nan by identity up to Python 3.12 and by value from 3.13 on, so that a result
    with an unknown number would not equal itself there.
    """

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _comparable(self) == _comparable(other)

    def __hash__(self) -> int:
        return hash(_comparable(self))


def _comparable(result) -> tuple:
    return tuple(_without_nan(getattr(result, field.name)) for field in dataclasses.fields(result))


def _without_nan(value):
    if isinstance(value, tuple):
        return tuple(map(_without_nan, value))
    return "nan" if isinstance(value, float) and math.isnan(value) else value
