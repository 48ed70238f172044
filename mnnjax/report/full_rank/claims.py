"""The probability that a random region's Jacobian has rank N, against the later work's claim (arXiv 2305.19510)."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from mnnjax.landscape.volumes.intervals import Estimate
from mnnjax.report.common.findings import Finding, Verdict, overall
from mnnjax.report.common.rows import Cell, grouped
from mnnjax.wording import of, plural, ratio, significant

# "With high probability", and up to how many columns "a little more than N" reaches: this times N log(N / 0.05).
HIGH, LITTLE = 0.95, 2.0


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The criterion for one input width and number of points. limit: 2 log(N / 0.05), in columns / N; start: the
    smallest columns / N from which on every cell has an estimate of at least 0.95, nan where there is none; surely: the
    same, with the whole interval at 0.95 or above; furthest, last: the largest columns / N of a cell, and the estimate
    there."""

    d0: int
    N: int
    limit: float
    start: float
    surely: float
    furthest: float
    last: float
    verdict: Verdict


def full_rank_measure(cell: Cell) -> Estimate | None:
    """P(rank(A o X) = N): one minus the volume of the other regions."""
    deficient = cell.pooled("rank_deficient")
    if deficient is None or not math.isfinite(deficient.estimate):
        return None
    hits = None if deficient.hits is None or deficient.draws is None else deficient.draws - deficient.hits
    return Estimate(1 - deficient.estimate, 1 - deficient.high, 1 - deficient.low, hits, deficient.draws)


def judge(cells: Sequence[Cell]) -> list[Judgement]:
    """The criterion for every d0 and N."""
    groups = grouped(sorted(cells, key=lambda cell: (cell.d0, cell.N, cell.d1)), lambda cell: (cell.d0, cell.N))
    judgements = []
    for (d0, N), group in groups.items():
        if measured := _against_columns(group):
            limit = LITTLE * math.log(N / (1 - HIGH))
            start, surely = (_from_which([(x, getattr(m, p)) for x, m in measured]) for p in ("estimate", "low"))
            fails = any(x >= limit and m.high < HIGH for x, m in measured)
            verdict = "fails" if fails else "holds" if surely <= limit else "undecided"
            furthest, measure = measured[-1]
            judgements.append(Judgement(d0, N, limit, start, surely, furthest, measure.estimate, verdict))
    return judgements


def _against_columns(cells: Sequence[Cell]) -> list[tuple[float, Estimate]]:
    """(columns / N, P(rank = N)) of those that have it."""
    return [(cell.columns_per_point, measure) for cell in cells if (measure := full_rank_measure(cell))]


def _from_which(values: Sequence[tuple[float, float]]) -> float:
    """The smallest x from which on every p of the pairs (x, p) is at least 0.95; nan where there is none."""
    falling = sorted(values, key=lambda pair: (-pair[0], pair[1]))
    kept = list(itertools.takewhile(lambda pair: pair[1] >= HIGH, falling))
    return kept[-1][0] if kept else math.nan


def finding(cells: Sequence[Cell], judgements: Sequence[Judgement]) -> Finding:
    """The later work's claim against what was measured."""
    pairs = _against_columns(cells)
    few = [measure for x, measure in pairs if x < 1]
    impossible = [measure for measure in few if not measure.estimate <= 0]
    start = _from_which([(x, measure.estimate) for x, measure in pairs])
    unsure = sum(measure.low < HIGH <= measure.high for x, measure in pairs if x >= 1)
    status, numbers = overall((judgement.verdict for judgement in judgements), "case")
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
        f"open whether P(rank = N) is at least {HIGH}.",
    ]
    because = [numbers]
    if impossible:
        because.append(f"In {plural(len(impossible), 'cell')} with fewer columns than points P is not 0: impossible.")
    return Finding(
        claim="A random region's Jacobian A o X has rank N with high probability once d0 d1 exceeds N by a little "
        "(mild overparameterization), for d0 = 1 once d1 exceeds N log N up to constants.",
        measured=tuple(measured),
        criterion=f"For every d0 and N: P(rank = N) >= {HIGH}, with its whole interval, in all cells from some number "
        f"of columns on that is at most 2 N log(N / 0.05), our reading of 'a little' (columns: d1 times the inputs "
        f"of a unit, the constant one included). It fails where a cell with at least that many columns has P below "
        f"{HIGH} with its whole interval, and cannot be judged otherwise. With fewer columns than points P must be "
        "exactly 0.",
        status="does not agree" if impossible else status,
        because=tuple(because),
        question="From how many columns on has a random region's Jacobian A o X rank N?",
        answer=measured[0],
        whose="Later work's claim",
    )
