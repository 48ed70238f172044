"""Section 6's question against what was measured."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from mnnjax.report.basins.analysis import (
    LEAST_SETS,
    NO_ERROR,
    SAME_MSE,
    Ends,
    Outcome,
    mean_ratio,
    mean_share,
    rank_correlation,
    shape_label,
)
from mnnjax.report.common.findings import Finding, Status
from mnnjax.report.common.rows import grouped
from mnnjax.wording import integer, of, percent, plural, significant

# Agreement asks for this share of data sets whose interval holds the volume, partial agreement for a p-value below.
SHARE, LARGEST_P = 0.9, 0.01
# With a larger share of the runs unresolved, a frequency says little.
MOST_UNRESOLVED = 0.5


def finding(outcomes: Sequence[Outcome], without_volume: int) -> Finding:
    """The question of section 6 and what was measured."""
    runs, unresolved = sum(o.runs for o in outcomes), sum(o.unresolved for o in outcomes)
    no_error = sum(o.verdicts[NO_ERROR] for o in outcomes)
    held, possible = (sum(o.holds_volume(o.unresolved * counted) for o in outcomes) for counted in (0, 1))
    shapes = grouped(outcomes, lambda outcome: outcome.shape)
    measured = [f"{shape_label(shape)}: {_means(group)}." for shape, group in shapes.items() if len(shapes) > 1]
    if outcomes:
        measured += [
            f"Over {plural(len(outcomes), 'data set')}: {_means(outcomes)}.",
            f"If unresolved runs counted as either kind, the 95 % interval of the frequency could contain V(L_0) in "
            f"{of(possible, len(outcomes), 'data set')}.",
            f"Sub-optimal with MCE 0, which Definition 4 has neither in L_0 nor in G: {of(no_error, runs, 'run')}; "
            f"unresolved (not converged or non-finite): {integer(unresolved)}.",
        ]
    if found := mean_ratio(outcomes):
        ratio, low, high = map(significant, found)
        interval = f"95 %, by bootstrap over data sets: {low} to {high}"
        measured.append(f"The mean frequency is {ratio} times the mean V(L_0) ({interval}).")
    measured += _global_minima(outcomes)
    if without_volume:
        measured.append(f"Left out: {plural(without_volume, 'data set')} without an exact volume.")
    status, why = _status(outcomes, held, unresolved, runs)
    return Finding(
        claim="Does volume predict basins: does training end in a sub-optimal differentiable local minimum with "
        "MCE > 0 as often as V(L_0) says? (Section 6 asks; the paper makes no claim.)",
        measured=tuple(measured),
        criterion="Agrees when the 95 % interval (Clopper and Pearson) of the frequency of suboptimal_dlm with MCE > 0 "
        f"among all runs contains V(L_0) in at least {100 * SHARE:g} % of the data sets; agrees in part when it does "
        "not, but frequency and volume have a positive rank correlation over all data sets (Spearman, p < "
        f"{LARGEST_P}); otherwise does not agree. Cannot be judged with fewer than {LEAST_SETS} data sets, or with "
        f"more than {100 * MOST_UNRESOLVED:g} % of the runs unresolved.",
        status=status,
        because=(why,),
        question="Does training end in sub-optimal differentiable minima as often as their volume says?",
        answer=f"Their mean frequency is {significant(found[0])} times the mean volume V(L_0) "
        f"(95 %: {significant(found[1])} to {significant(found[2])}), over {plural(len(outcomes), 'data set')}."
        if found
        else why,
        whose="Question",
    )


def _global_minima(outcomes: Sequence[Outcome]) -> list[str]:
    """How often training, and the descents after it, end at the true global minimum."""
    known = [o for o in outcomes if o.training]
    if not known:
        return []
    positive = [o for o in known if o.is_positive]
    return [
        f"The true global minimum over all networks is above zero in {of(len(positive), len(known), 'data set')}. "
        "There a verdict suboptimal says only that the MSE is not zero: the run may be at the global minimum. "
        f"An MSE within {SAME_MSE:g} of it counts as equal.",
        *_reached("Training", [(o, o.training) for o in known if o.training]),
        *_reached("The descent after training", [(o, o.descents) for o in known if o.descents]),
    ]


def _reached(what: str, sets: Sequence[tuple[Outcome, Ends]]) -> list[str]:
    """Of the data sets with a known global minimum, each with the ends of its runs."""
    if not sets:
        return []
    there, runs = sum(e.there.total() for _, e in sets), sum(e.runs for _, e in sets)
    sentence = f"{what} ends at the true global minimum in {of(there, runs, 'run')}"
    if found := mean_share([e for _, e in sets]):
        share, low, high = map(percent, found)
        sentence += f"; mean over data sets {share} (95 %, by bootstrap over data sets: {low} to {high})"
    sentences = [f"{sentence}."]
    if positive := [e for o, e in sets if o.is_positive]:
        there, runs = sum(e.there.total() for e in positive), sum(e.runs for e in positive)
        kinds = _kinds(e.there for e in positive)
        sentences.append(f"{what}, where it is above zero: {of(there, runs, 'run')}{f', as {kinds}' if kinds else ''}.")
    if kinds := _kinds(e.elsewhere for _, e in sets):
        sentences.append(f"{what}, above the global minimum: {kinds}.")
    return sentences


def _kinds(counts: Iterable[Counter[str]]) -> str:
    """Verdicts and how many runs have them, the most frequent first."""
    total = sum(counts, Counter())
    return ", ".join(f"{verdict} {integer(count)}" for verdict, count in total.most_common())


def _status(outcomes: Sequence[Outcome], held: int, unresolved: int, runs: int) -> tuple[Status, str]:
    if len(outcomes) < LEAST_SETS:
        return "cannot be judged", f"There {'is' if len(outcomes) == 1 else 'are'} {plural(len(outcomes), 'data set')}."
    if unresolved > MOST_UNRESOLVED * runs:
        return "cannot be judged", f"{percent(unresolved / runs)} of the runs are unresolved: train longer."
    contained = f"The interval contains V(L_0) in {of(held, len(outcomes), 'data set')}"
    if held >= SHARE * len(outcomes):
        return "agrees", f"{contained}."
    found = rank_correlation(outcomes)
    status = "agrees in part" if found and found[0] > 0 and found[1] < LARGEST_P else "does not agree"
    return status, f"{contained}; rank correlation {_correlation(outcomes)}."


def _means(outcomes: Sequence[Outcome]) -> str:
    def mean(value: Callable[[Outcome], float]) -> str:
        return significant(statistics.fmean(map(value, outcomes)))

    return (
        f"mean frequency of sub-optimal minima with MCE > 0 {mean(lambda o: o.frequency('suboptimal_dlm'))}, "
        f"mean V(L_0) {mean(lambda o: o.suboptimal)}; of global minima "
        f"{mean(lambda o: o.frequency('global_minimum'))}, mean V(G) {mean(lambda o: o.global_minima)}; "
        f"rank correlation {_correlation(outcomes)}"
    )


def _correlation(outcomes: Sequence[Outcome]) -> str:
    found = rank_correlation(outcomes)
    if found is None:
        return "not defined"
    return f"{found[0]:.2f} (p = {significant(found[1])}, {plural(len(outcomes), 'data set')})"
