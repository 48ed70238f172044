"""A claim set against what was measured."""

import collections
import dataclasses
from collections.abc import Iterable
from typing import Literal, get_args

from mnnjax.wording import plural

Status = Literal["agrees", "agrees in part", "does not agree", "cannot be judged"]
Verdict = Literal["holds", "fails", "undecided"]

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
    question: str = ""
    """What the study asks, in one sentence."""
    answer: str = ""
    """The answer in one sentence, with its number."""
    whose: str = "Paper's claim"
    """What stands beside the claim."""


def overall(verdicts: Iterable[str], cases: str) -> tuple[Status, str]:
    """The status of a claim from the verdicts of its cases, and a sentence of their numbers; cases: what they are."""
    counts = collections.Counter(verdicts)
    holds, fails, undecided = (counts[verdict] for verdict in get_args(Verdict))
    total = plural(counts.total(), cases)
    sentence = f"Of {total}, {holds} meet the criterion, {fails} do not, {undecided} cannot be judged."
    if holds:
        return "agrees in part" if fails or undecided else "agrees", sentence
    return "does not agree" if fails else "cannot be judged", sentence
