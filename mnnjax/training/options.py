"""What train.optimizer_options may hold."""

import math
from collections.abc import Mapping, Sequence

from mnnjax.config.validation import WORDS
from mnnjax.errors import did_you_mean, require


def told_options(optimizer: str, kinds: Mapping[str, type]) -> str:
    """'adam has b1, b2', for errors."""
    return f"{optimizer} has {', '.join(kinds) or 'none'}"


def check_options(optimizer: str, kinds: Mapping[str, type], given: Sequence[tuple[str, int | float | bool]]) -> None:
    """Whether an optimizer has these options, and they are of their kinds.

    kinds: int, float or bool of each option that a config can give.

    Raises:
      UserError: an option that it does not have, or one given twice, or a value of another kind; names those it has.
    """
    where = "train.optimizer_options"
    known = told_options(optimizer, kinds)
    names = [name for name, _ in given]
    for name, value in given:
        require(name in kinds, f"{where}: {optimizer} has no option {name!r}{did_you_mean(name, kinds)}; {known}")
        require(names.count(name) == 1, f"{where}: {name} is given twice; keep one of them")
        kind = kinds[name]
        # What is off or on may be written as 0 or 1.
        good = value in (0, 1) if kind is bool else not isinstance(value, bool) and isinstance(value, (int, kind))
        good = good and not (isinstance(value, float) and math.isnan(value))
        require(good, f"{where}: {name} {value!r} is not {WORDS[kind]}; {known}")
