"""A claim, what was measured, and whether they agree."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from mnnjax.report.common.rows import Cell
from mnnjax.wording import of

Status = Literal["agrees", "agrees in part", "does not agree", "cannot be judged"]


# From this many parameters per point on, Figure 5.1's claim expects an error of 0.
ABOVE = 1.5


@dataclasses.dataclass(frozen=True)
class Finding:
    """A claim beside the measurement: the criterion, the numbers and the status. `measured` and `because` hold one
    sentence per entry."""

    claim: str
    measured: tuple[str, ...]
    criterion: str
    status: Status
    because: tuple[str, ...]
    whose: str = "Paper's claim"
    """What stands beside the claim."""


def overall(met: int, failed: int, undecided: int) -> Status:
    """The status of a claim from how many of its cases meet the criterion, fail it, or cannot be judged."""
    if met:
        return "agrees in part" if failed or undecided else "agrees"
    return "does not agree" if failed else "cannot be judged"


def non_finite_sentence(cells: Sequence[Cell], count: int | None = None) -> tuple[str, ...]:
    """How many repetitions (count; by default those of the cells that are non-finite) are left out; none if none is."""
    count = sum(c.non_finite for c in cells) if count is None else count
    total = sum(len(c.rows) for c in cells)
    if not count:
        return ()
    return (f"{of(count, total, 'repetition')} ended non-finite: counted, but excluded from means, ranges and bests.",)
