"""What the study of thresholds measured, in sentences made from its numbers."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from mnnjax.report.capacity.analysis import GLOBAL, Group, all_rows, by_name, mcnemar, narrowing, pairings
from mnnjax.report.capacity.logistic_fit import Interval
from mnnjax.report.common.findings import ABOVE, Finding, overall
from mnnjax.wording import EMPTY, integer, of, plural, significant


def finding(groups: Sequence[Group]) -> Finding:
    """Where the threshold lies, whether it sharpens, and what the optimizers share."""
    limits = [[end * g.parameters_per_weight for end in (g.rise.threshold.low, g.rise.threshold.high)] for g in groups]
    met, failed = sum(high <= ABOVE for _, high in limits), sum(low > ABOVE for low, _ in limits)
    measured = []
    for name, some in by_name(groups).items():
        measured += [_threshold_sentence(name, some), _width_sentence(name, some), _uncertified_sentence(name, some)]
    measured += [*_paired_sentences(groups), *_few_weights_sentence(groups), *_dependence_sentence(groups)]
    return Finding(
        claim="From which d0 d1 / N on does training end in a certified global minimum, and does this threshold "
        "sharpen with d? (The paper's proofs need d0 d1 > N up to logarithms, and are of volumes, not of training; in "
        "its Figure 5.1 the error is about zero from about parameters = N on.)",
        measured=tuple(measured),
        criterion="An optimizer and d agree with Figure 5.1 when the 95 % interval of the threshold, at which half of "
        f"the seeds end in a certified global minimum, lies at or below parameters / N = {ABOVE}; they do not when it "
        "lies above, and cannot be judged otherwise. The threshold sharpens when the interval of the power of d with "
        "which its width goes lies below 0.",
        status=overall(met, failed, len(groups) - met - failed),
        because=(
            f"Of {plural(len(groups), 'curve')} (optimizer and d), {met} agree with Figure 5.1, {failed} do not, "
            f"{len(groups) - met - failed} cannot be judged.",
        ),
        whose="Question",
    )


# What a reader must know where the logistic has no estimate.
_REMARKS = {"misfit": " (no logistic fits)", "separated": " (all 0, then all 1)", "flat": " (it does not rise)"}


def _threshold_sentence(name: str, groups: Sequence[Group]) -> str:
    places = [f"{in_words(g.rise.threshold)} for {g.curve.label}{_REMARKS.get(g.rise.kind, '')}" for g in groups]
    return f"{name}: the d0 d1 / N at which half of the seeds end in a certified global minimum is {'; '.join(places)}."


def in_words(interval: Interval) -> str:
    """'1.3 [1.28, 1.33]', 'between 1.2 and 1.3', 'above 2', 'unknown'."""
    low, high = (significant(end) if math.isfinite(end) else "" for end in (interval.low, interval.high))
    if math.isfinite(interval.estimate):
        return f"{significant(interval.estimate)} [{low or EMPTY}, {high or EMPTY}]"
    if low and high:
        return f"between {low} and {high}"
    return f"above {low}" if low else f"below {high}" if high else "unknown"


def _width_sentence(name: str, groups: Sequence[Group]) -> str:
    # A width of 0 is no lower end.
    widths = [dataclasses.replace(g.rise.width, low=g.rise.width.low or -math.inf) for g in groups]
    listed = "; ".join(f"{in_words(width)} for {g.curve.label}" for width, g in zip(widths, groups, strict=True))
    power = narrowing(groups)
    if power is None:
        trend = "How it changes with d is not measured: it takes two d whose width has an estimate"
    else:
        word = "sharpens" if power.high < 0 else "gets wider" if power.low > 0 else "is not seen to sharpen"
        trend = (
            f"It goes as d to the power {power.exponent:.2f} [{power.low:.2f}, {power.high:.2f}] ({power.widths} "
            f"widths): the threshold {word}"
        )
    return f"{name}: the width in d0 d1 / N, from 25 % of the seeds to 75 %, is {listed}. {trend}."


def _uncertified_sentence(name: str, groups: Sequence[Group]) -> str:
    others = [(row, g.rounding) for g in groups for row in all_rows([g]) if row.verdict != GLOBAL]
    small, right = sum(row.mse <= rounding for row, rounding in others), sum(row.mce == 0 for row, _ in others)
    return (
        f"{name}: {of(len(others), len(all_rows(groups)), 'seed')} end without that certificate; of these {small} have "
        f"an MSE of zero to rounding, {integer(right)} an MCE of 0."
    )


def _paired_sentences(groups: Sequence[Group]) -> list[str]:
    some, sentences = pairings(groups), []
    for one, other in itertools.combinations(by_name(groups), 2):
        counts = [p.counts for p in some if (p.first, p.second) == (one, other)]
        if counts:
            both, first, second, neither = map(sum, zip(*counts, strict=True))
            p = mcnemar(first, second)
            sentences.append(
                f"The same problems from the same start, {plural(both + first + second + neither, 'pair')}: solved by "
                f"both {integer(both)}, only by {one} {integer(first)}, only by {other} {integer(second)}, by neither "
                f"{integer(neither)} (McNemar's exact test: p {'< 1e-6' if p < 1e-6 else f'= {significant(p)}'})."
            )
        else:
            sentences.append(f"{one} and {other} share no problem and start, so they cannot be compared in pairs.")
    return sentences


def _few_weights_sentence(groups: Sequence[Group]) -> tuple[str, ...]:
    rows = [row for row in all_rows(groups) if row.d0 * row.d1 < row.N]
    if not rows or any(g.part.problem.labels != "random" or g.part.network.bias for g in groups):
        return ()
    count = sum(row.verdict == GLOBAL for row in rows)
    return (
        "With d0 d1 < N, where Lemma 2's equations for a zero residual outnumber their unknowns, "
        f"{of(count, len(rows), 'seed')} end in a certified global minimum (none is expected).",
    )


def _dependence_sentence(groups: Sequence[Group]) -> tuple[str, ...]:
    if not any(g.part.problem.data_sets for g in groups):
        return ()
    return ("Seeds share data sets, and all intervals take them for independent: they are too narrow.",)
