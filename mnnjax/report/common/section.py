"""What a wing shows of one study: a claim beside what was measured, pictures and tables."""

import collections
import dataclasses
from collections.abc import Iterable
from typing import Literal

from mnnjax.report.common.figure_style import Picture
from mnnjax.report.common.tables import Table
from mnnjax.wording import plural

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


@dataclasses.dataclass(frozen=True)
class Section:
    """One study of a work folder on the page. A wing fills in `title` to `counts`; sections.py and page.py add the
    rest."""

    title: str
    tables: tuple[tuple[str, str, Table], ...]
    """(suffix, heading, table)."""
    finding: Finding | None = None
    pictures: tuple[Picture, ...] = ()
    counts: tuple[str, ...] = ()
    """Sentences on what the tables hold, and what they lack."""
    settings: tuple[str, ...] = ()
    stem: str = ""
    """What the names of its files begin with; they go on with the suffix of a picture or table."""

    @property
    def files(self) -> set[str]:
        """The names of its files less their endings, in lower case."""
        suffixes = [*(picture.suffix for picture in self.pictures), *(suffix for suffix, _, _ in self.tables)]
        return {f"{self.stem}{suffix}".lower() for suffix in suffixes}


def overall(verdicts: Iterable[str], cases: str) -> tuple[Status, str]:
    """The status of a claim from the verdicts of its cases ("holds", "fails", "undecided"), and a sentence of their
    numbers; cases: what they are."""
    counts = collections.Counter(verdicts)
    holds, fails, undecided = (counts[verdict] for verdict in ("holds", "fails", "undecided"))
    total = plural(counts.total(), cases)
    sentence = f"Of {total}, {holds} meet the criterion, {fails} do not, {undecided} cannot be judged."
    if holds:
        return "agrees in part" if fails or undecided else "agrees", sentence
    return "does not agree" if fails else "cannot be judged", sentence
