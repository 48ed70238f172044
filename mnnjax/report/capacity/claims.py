"""What the study of thresholds measured, against Figure 5.1's claim."""

import itertools
import math
from collections.abc import Sequence

from mnnjax.landscape.volumes.intervals import Estimate
from mnnjax.report.capacity.analysis import GLOBAL, Group, all_rows, by_name, mcnemar, pairings
from mnnjax.report.common import minima
from mnnjax.report.common.findings import ABOVE, Finding, overall
from mnnjax.wording import EMPTY, integer, of, plural, significant


def finding(groups: Sequence[Group]) -> Finding:
    """Where the threshold lies, and what the optimizers share."""
    status, numbers = overall((group.verdict for group in groups), "curve")
    measured = []
    for name, with_name in by_name(groups).items():
        at = "; ".join(f"{in_words(g.rise.threshold)} for {g.curve.label}" for g in with_name)
        measured.append(f"{name}: the d0 d1 / N at which half of the seeds end in a certified global minimum is {at}.")
    measured += _paired_sentences(groups)
    few = [row for row in all_rows(groups) if row.d0 * row.d1 < row.N]
    if few and all(g.part.problem.labels == "random" and not g.part.network.bias for g in groups):
        count = sum(row.verdict == GLOBAL for row in few)
        measured.append(
            "With d0 d1 < N, where Lemma 2's equations for a zero residual outnumber their unknowns, "
            f"{of(count, len(few), 'seed')} end in a certified global minimum (none is expected)."
        )
    for name, with_name in by_name(groups).items():
        if below := [row for row in all_rows(with_name) if minima.has_descent(row)]:
            measured.append(f"{name}, descents from where training ended. {minima.sentence(below)}")
    if any(group.part.problem.data_sets for group in groups):
        measured.append("Seeds share data sets, but all intervals treat them as independent: they are too narrow.")
    return Finding(
        claim="From which d0 d1 / N on does training end in a certified global minimum? (The paper's proofs need "
        "d0 d1 > N up to logarithms, and are about volumes, not training; in its Figure 5.1 the error is about zero "
        "from about parameters = N on.)",
        measured=tuple(measured),
        criterion="An optimizer and d agree with Figure 5.1 when the 95 % interval of the threshold, at which half of "
        f"the seeds end in a certified global minimum, lies at or below parameters / N = {ABOVE}; they do not when it "
        "lies above, and cannot be judged otherwise.",
        status=status,
        because=(numbers,),
        question="From which d0 d1 / N on does training end in a certified global minimum?",
        answer=_answer(groups),
        whose="Question",
    )


def _answer(groups: Sequence[Group]) -> str:
    parts = []
    for name, with_name in by_name(groups).items():
        known = [t.estimate for g in with_name if math.isfinite((t := g.rise.threshold).estimate)]
        ends = dict.fromkeys(significant(end) for end in (min(known), max(known))) if known else None
        others = dict.fromkeys(in_words(g.rise.threshold) for g in with_name)
        parts.append(f"{name} {' to '.join(ends) if ends else '; '.join(others)}")
    return f"Half of the seeds do at d0 d1 / N of: {', '.join(parts)}."


def in_words(interval: Estimate) -> str:
    """'1.3 [1.28, 1.33]', 'between 1.2 and 1.3', 'above 2', 'unknown'."""
    low, high = (significant(end) if math.isfinite(end) else "" for end in (interval.low, interval.high))
    if math.isfinite(interval.estimate):
        return f"{significant(interval.estimate)} [{low or EMPTY}, {high or EMPTY}]"
    if low and high:
        return f"between {low} and {high}"
    return f"above {low}" if low else f"below {high}" if high else "unknown"


def _paired_sentences(groups: Sequence[Group]) -> list[str]:
    pairs, sentences = pairings(groups), []
    for a, b in itertools.combinations(by_name(groups), 2):
        counts = [p.counts for p in pairs if (p.first, p.second) == (a, b)]
        if counts:
            both, first, second, neither = map(sum, zip(*counts, strict=True))
            p = mcnemar(first, second)
            sentences.append(
                f"The same problems from the same start, {plural(both + first + second + neither, 'pair')}: solved by "
                f"both {integer(both)}, only by {a} {integer(first)}, only by {b} {integer(second)}, by neither "
                f"{integer(neither)} (McNemar's exact test: p {'< 1e-6' if p < 1e-6 else f'= {significant(p)}'})."
            )
        else:
            sentences.append(f"{a} and {b} share no problem and start, so they cannot be compared in pairs.")
    return sentences
