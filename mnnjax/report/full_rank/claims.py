"""The later work's claim (arXiv 2305.19510) against what was measured."""

import math
from collections.abc import Sequence

from mnnjax.report.common.findings import Finding, overall
from mnnjax.report.common.rows import Cell
from mnnjax.report.full_rank.analysis import HIGH, Judgement, against_columns, from_which
from mnnjax.wording import of, plural, ratio, significant


def finding(cells: Sequence[Cell], judgements: Sequence[Judgement]) -> Finding:
    """The later work's claim against what was measured."""
    pairs = against_columns(cells)
    few = [measure for x, measure in pairs if x < 1]
    impossible = [measure for measure in few if not measure.estimate <= 0]
    start = from_which([(x, measure.estimate) for x, measure in pairs])
    unsure = sum(measure.low < HIGH <= measure.high for x, measure in pairs if x >= 1)
    holds, fails, undecided = ([j for j in judgements if j.verdict == v] for v in ("holds", "fails", "undecided"))
    beyond = sum(x >= start for x, _ in pairs)
    largest = significant(max((measure.estimate for measure in few), default=math.nan))
    measured = [
        f"P(rank = N) is at least {HIGH} in all {plural(beyond, 'cell')} with columns / N >= {ratio(start)}."
        if beyond
        else f"In the cell with the most columns / N, {ratio(max(x for x, _ in pairs))}, P(rank = N) is below {HIGH}.",
        f"With fewer columns than points, the largest P(rank = N) of {plural(len(few), 'cell')} is {largest}."
        if few
        else "No cell has fewer columns than points.",
        f"In {of(unsure, len(pairs) - len(few), 'cell')} with at least as many columns as points, the interval leaves "
        f"open whether P(rank = N) is {HIGH}.",
        *_global_sentence(cells),
    ]
    because = [
        f"Of {plural(len(judgements), 'pair')} (d0, N), {len(holds)} meet the criterion, {len(fails)} fail, "
        f"{len(undecided)} cannot be judged."
    ]
    if impossible:
        because.append(f"In {plural(len(impossible), 'cell')} with fewer columns than points P is not 0: impossible.")
    because += [f"Fails, {_at(j)}." for j in fails]
    because += [f"Undecided, {_at(j)}." for j in undecided]
    return Finding(
        claim="A random region's Jacobian A o X has rank N with high probability once d0 d1 exceeds N by a little "
        "(mild overparameterization), for d0 = 1 once d1 exceeds N log N up to constants.",
        measured=tuple(measured),
        criterion=f"For every d0 and N: P(rank = N) >= {HIGH}, with its whole interval, in all cells from some number "
        f"of columns on that is at most 2 N log(N / 0.05), our reading of 'a little' (columns: d1 times the inputs "
        f"of a unit, the constant one included). It fails where a cell with at least that many columns has P below "
        f"{HIGH} with its whole interval, and cannot be judged otherwise. With fewer columns than points P must be "
        "exactly 0.",
        status="does not agree" if impossible else overall(len(holds), len(fails), len(undecided)),
        because=tuple(because),
        whose="Later work's claim",
    )


def _at(j: Judgement) -> str:
    return (
        f"d0 = {j.d0}, N = {j.N}: P = {significant(j.last)} at the most columns / N, {ratio(j.furthest)}; "
        f"2 log(N / 0.05) = {ratio(j.limit)}"
    )


def _global_sentence(cells: Sequence[Cell]) -> tuple[str, ...]:
    known = [(c.columns_per_point, c.mean("global_minima")) for c in cells if not math.isnan(c.mean("global_minima"))]
    if not known:
        return ()
    start = from_which(known)
    zero = max((x for x, p in known if p == 0), default=None)
    return (
        f"A random region holds a global minimum with a probability from {significant(min(p for _, p in known))} to "
        f"{significant(max(p for _, p in known))}"
        + ("" if math.isnan(start) else f", at least {HIGH} in all cells with columns / N >= {ratio(start)}")
        + ("." if zero is None else f"; the most columns / N without a hit are {ratio(zero)}."),
    )
