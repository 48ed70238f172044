"""Checks of single numbers: one line that names the argument and says what to give."""

import math
from typing import Any

from mnnjax.config import UserError

LARGEST = 1e100  # beyond it floats overflow
SMALLEST = {
    "N": (1, "give at least N = 1 point"),
    "d0": (2, "an input needs at least d0 = 2 numbers"),
    "d1": (1, "a hidden layer needs at least d1 = 1 unit"),
    "d1_star": (1, "a global minimum needs at least 1 hidden unit; leave it out for 2N/d0"),
}


def finite_number(name: str, value: Any) -> float:
    """The argument of that name as a float."""
    if getattr(value, "shape", ()) != ():
        raise UserError(f"{name}: has shape {tuple(value.shape)}; give a single number")
    if isinstance(value, (bool, str, bytes)):
        raise UserError(f"{name}: {value!r} is a {type(value).__name__}; give a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise UserError(f"{name}: is too large; give at most {LARGEST:g}") from error
    except (TypeError, ValueError) as error:
        length = f" of length {len(value)}" if hasattr(value, "__len__") else ""
        raise UserError(f"{name}: is a {type(value).__name__}{length}; give a single number") from error
    if not math.isfinite(number):
        raise UserError(f"{name}: {number} is not finite; give a finite number")
    return number


def in_range(name: str, value: Any) -> float:
    """A number from SMALLEST[name] to LARGEST."""
    number, (minimum, hint) = finite_number(name, value), SMALLEST[name]
    if number < minimum:
        raise UserError(f"{name}: {number:.15g} is too small; {hint}")
    if number > LARGEST:
        raise UserError(f"{name}: {number:.15g} is too large; give at most {LARGEST:g}")
    return number


def whole_numbers(**named: Any) -> list[int]:
    """in_range of each, as whole numbers."""
    for name, value in named.items():
        number = in_range(name, value)
        if not number.is_integer():
            raise UserError(f"{name}: {number} is not a whole number; give one, such as {math.ceil(number)}")
    return [int(value) for value in named.values()]


def fraction(name: str, value: Any) -> float:
    """A number strictly between 0 and 1."""
    number = finite_number(name, value)
    if not 0 < number < 1:
        raise UserError(f"{name}: {number} is not strictly between 0 and 1; give a fraction such as 0.1")
    return number


def global_units(N: int, d0: int, d1_star: object) -> float:
    """The d1* of Theorem 9: the one that is given, else 2N/d0."""
    return 2 * N / d0 if d1_star is None else in_range("d1_star", d1_star)
