"""A claim set against what was measured."""

import collections
import dataclasses
from collections.abc import Iterable
from typing import Literal, get_args

from mnnjax.landscape.volumes.intervals import proportion
from mnnjax.wording import plural

Status = Literal["agrees", "agrees in part", "does not agree", "cannot be judged"]
Verdict = Literal["holds", "fails", "undecided"]

# From this many parameters per point on, Figure 5.1's claim expects an error of 0.
ABOVE = 1.5


# The share of cases that a claim about nearly all of them needs.
NEARLY_ALL = 0.9
SHARE_CRITERION = (
    f"Agrees where all meet this, or the 95 % interval of their share is above {100 * NEARLY_ALL:g} %. Does not agree "
    "where the share is below one half with its interval, even if all undecided ones counted. Cannot be judged where "
    "more than half are undecided. Otherwise agrees in part."
)


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


def of_share(holds: int, fails: int, undecided: int, cases: str) -> tuple[Status, str]:
    """As overall, of a claim about nearly all cases, which a few exceptions leave standing. SHARE_CRITERION says it in
    words; the intervals are Clopper and Pearson's, 95 %."""
    _, sentence = overall(["holds"] * holds + ["fails"] * fails + ["undecided"] * undecided, cases)
    total = holds + fails + undecided
    if not total or undecided > total / 2:
        return "cannot be judged", sentence
    if holds == total or proportion(holds, total).low > NEARLY_ALL:
        return "agrees", sentence
    few = not holds or proportion(holds + undecided, total).high < 0.5
    return "does not agree" if few else "agrees in part", sentence
