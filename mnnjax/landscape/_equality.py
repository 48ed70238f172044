"""Equality of results whose fields may be nan."""


class EqualWithNan:
    """Mixin for frozen dataclasses made with eq=False: equal where all fields are, and nan equals nan.

    The generated __eq__ compares nan by identity up to Python 3.12 and by value from 3.13 on.
    """

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _without_nan(self) == _without_nan(other)

    def __hash__(self) -> int:
        return hash(_without_nan(self))


def _without_nan(result) -> tuple:
    return tuple("nan" if value != value else value for value in vars(result).values())
