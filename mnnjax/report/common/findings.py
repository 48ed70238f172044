"""Findings."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from mnnjax.report.common.training_rows import Cell
from mnnjax.wording import of

Status = Literal["agrees", "agrees in part", "does not agree", "cannot be judged"]


ABOVE = 1.5


@dataclasses.dataclass(frozen=True)
class Finding:
    """A claim set against the measurement. `measured` and `because` hold one sentence an entry."""

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
    """How many repetitions are left out of means and ranges (count; by default the cells' own); nothing if none is."""
    count = sum(c.non_finite for c in cells) if count is None else count
    total = sum(len(c.rows) for c in cells)
    if not count:
        return ()
    return (f"{of(count, total, 'repetition')} ended non-finite: in the counts, but in no mean, range or best.",)
