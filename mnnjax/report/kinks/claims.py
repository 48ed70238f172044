"""What is claimed of the minima below, and what the descents say."""

import collections
import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mnnjax.landscape.volumes.intervals import Estimate, proportion
from mnnjax.report.common import minima
from mnnjax.report.common.findings import NEARLY_ALL, Finding, Verdict, overall
from mnnjax.report.common.minima import DLM, GLOBAL, KINK, UNPROVEN, Start, kind
from mnnjax.report.common.rows import Row
from mnnjax.wording import integer, of, percent, points, ratio, scientific, significant


class Claim(NamedTuple):
    """A claim about each descent of some starts; `meets` is of proven minima."""

    key: str
    whose: str
    text: str
    concerns: Callable[[Start, Row], bool]
    meets: Callable[[str], bool]


def _is_wide(row: Row) -> bool:
    return minima.weights_per_point(row) > 1


CLAIMS = (
    Claim("a", "paper, section 5", "Training converges to differentiable local minima.",
          lambda start, row: start.trained, lambda found: found != KINK),
    Claim("b", "paper, Theorem 10", "Sub-optimal differentiable local minima are rare.",
          lambda start, row: True, lambda found: found != DLM),
    Claim("c", "ours", "With d0 d1 > N descents end at global minima.",
          lambda start, row: _is_wide(row), lambda found: found == GLOBAL),
    Claim("d", "ours", "With d0 d1 <= N descents end at sub-optimal minima at kinks.",
          lambda start, row: not _is_wide(row), lambda found: found == KINK),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Case:
    """A claim and a start: its descents that meet it, that contradict it, and those at no proven minimum."""

    claim: Claim
    start: Start
    meet: int
    contradict: int
    unproven: int

    @property
    def descents(self) -> int:
        """That the claim concerns; at least 1."""
        return self.meet + self.contradict + self.unproven

    @property
    def share(self) -> Estimate:
        """Of the descents that meet the claim, of all; Clopper and Pearson's 95 % interval."""
        return proportion(self.meet, self.descents)

    @property
    def verdict(self) -> Verdict:
        """By the intervals' places, whether descents at no proven minimum would meet the claim or contradict it."""
        if self.share.low > NEARLY_ALL:
            return "holds"
        at_most = proportion(self.meet + self.unproven, self.descents).high
        return "fails" if at_most < NEARLY_ALL else "undecided"


def cases(starts: Sequence[Start]) -> list[Case]:
    """Every claim for every start that it concerns."""
    found = []
    for claim in CLAIMS:
        for start in starts:
            kinds = collections.Counter(kind(row) for row in start.rows if claim.concerns(start, row))
            unproven = kinds.pop(UNPROVEN, 0)
            meet = sum(count for name, count in kinds.items() if claim.meets(name))
            if kinds or unproven:
                found.append(Case(claim, start, meet, kinds.total() - meet, unproven))
    return found


def finding(starts: Sequence[Start]) -> Finding:
    """The claims of the paper and ours, and how many descents meet them."""
    found = cases(starts)
    status, numbers = overall((case.verdict for case in found), "case")
    claims = [claim for claim in CLAIMS if any(case.claim is claim for case in found)]
    return Finding(
        claim=" ".join(f"({claim.key}) {claim.text} ({claim.whose})" for claim in claims),
        measured=tuple(f"({claim.key}) {_MEASURED[claim.key](starts, found)}" for claim in claims),
        criterion="A claim holds for a start where the 95 % interval of the share of descents that meet it lies above "
        f"{percent(NEARLY_ALL)}. It fails where the interval lies below, even if all descents at no proven minimum "
        "counted as meeting it. Otherwise it cannot be judged. Global minima count as differentiable in (a): where the "
        "residual is zero, so is the gradient of the loss, at kinks too.",
        status=status,
        because=(f"{numbers} A case is a claim and a start.",),
        question="Which kind of minimum lies below where training ends, and below random points?",
        answer=minima.sentence([row for start in starts for row in start.rows]),
        whose="Claims",
    )


def _met(claim: str, cases: Sequence[Case]) -> str:
    """'3 of 30 descents meet it (95 %: 2.1 % to 26.5 %)'; without an interval for several starts, which share their
    problems."""
    mine = [case for case in cases if case.claim.key == claim]
    met = f"{of(sum(case.meet for case in mine), sum(case.descents for case in mine), 'descent')} meet it"
    if len(mine) > 1:
        return met
    share = mine[0].share
    return f"{met} (95 %: {percent(share.low)} to {percent(share.high)})"


def _after_training(starts: Sequence[Start], cases: Sequence[Case]) -> str:
    below = [row for start in starts if start.trained for row in start.rows if kind(row) == KINK]
    near = ""
    if below:
        before, after, distance = (
            minima.median(getattr(row, name) for row in below).estimate
            for name in ("mse", "minimum_mse", "minimum_distance")
        )
        near = (
            f" Medians of those at sub-optimal minima at kinks: MSE {scientific(before)} where training ended and "
            f"{scientific(after)} at the minimum; distance {significant(distance)} of the norm of the weights."
        )
    return f"From where training ended, {_met('a', cases)}.{near}"


def _rare(starts: Sequence[Start], cases: Sequence[Case]) -> str:
    rows = [row for start in starts for row in start.rows]
    found = [row for row in rows if kind(row) == DLM]
    told = f"{of(len(found), len(rows), 'descent')} end at a sub-optimal differentiable minimum."
    # Labels are 0 and 1, or -1 and 1: a point without an active neuron, where rho = 0, adds 0 or 1 to N MSE.
    whole = sum(points(row.minimum_mse, row.N) is not None for row in found)
    if whole:
        told += (
            f" In {integer(whole)} of them N MSE is a whole number, as where so many points have no active neuron and "
            "all others are fitted."
        )
    return told


def _wide(starts: Sequence[Start], cases: Sequence[Case]) -> str:
    ratios = [minima.weights_per_point(row) for s in starts for row in s.rows if kind(row) in (KINK, DLM)]
    largest = f" The largest d0 d1 / N with a sub-optimal minimum is {ratio(max(ratios))}." if ratios else ""
    return f"With d0 d1 > N, {_met('c', cases)}.{largest}"


def _narrow(starts: Sequence[Start], cases: Sequence[Case]) -> str:
    rows = [row for start in starts for row in start.rows if kind(row) == KINK and not _is_wide(row)]
    kinks = [minima.kinks_per_weight(row) for row in rows]
    held = f" They have {ratio(min(kinks))} to {ratio(max(kinks))} kinks per weight." if kinks else ""
    return f"With d0 d1 <= N, {_met('d', cases)}.{held}"


_MEASURED = {"a": _after_training, "b": _rare, "c": _wide, "d": _narrow}
