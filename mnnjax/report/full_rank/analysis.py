"""The probability that a random region's Jacobian has rank N, against the later work's claim (arXiv 2305.19510)."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Literal

from mnnjax.report.common.findings import Finding, overall
from mnnjax.report.common.grouping import grouped
from mnnjax.report.common.tables import SIZES, Column, Table, measure_columns
from mnnjax.report.common.volume_rows import Measure, VolumeCell
from mnnjax.wording import integer, of, plural, ratio, significant

# "With high probability", and up to how many columns "a little more than N" reaches: this times N log(N / 0.05).
HIGH, LITTLE = 0.95, 2.0


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The criterion for one input width and number of points."""

    d0: int
    N: int
    limit: float
    """2 log(N / 0.05), in columns / N."""
    start: float
    """The smallest columns / N from which on every cell has an estimate of at least 0.95; nan where there is none."""
    surely: float
    """The same, with the whole interval at 0.95 or above."""
    furthest: float
    """The largest columns / N of a cell, and the estimate there."""
    last: float
    verdict: Literal["holds", "fails", "undecided"]


def full_rank_measure(cell: VolumeCell) -> Measure | None:
    """P(rank(A o X) = N): one minus the volume of the other regions."""
    deficient = cell.pooled("rank_deficient")
    if deficient is None or not deficient.is_known:
        return None
    hits = None if deficient.hits is None or deficient.draws is None else deficient.draws - deficient.hits
    return Measure(1 - deficient.estimate, 1 - deficient.high, 1 - deficient.low, hits, deficient.draws)


def judge(cells: Sequence[VolumeCell]) -> list[Judgement]:
    """The criterion for every d0 and N, from the cells by rising d1."""
    groups = grouped(sorted(cells, key=lambda cell: (cell.d0, cell.N, cell.d1)), lambda cell: (cell.d0, cell.N))
    measured = {sizes: _against_columns(some) for sizes, some in groups.items()}
    return [_judge(*sizes, some) for sizes, some in measured.items() if some]


def _against_columns(cells: Sequence[VolumeCell]) -> list[tuple[float, Measure]]:
    """(columns / N, P(rank = N)) of those that have it."""
    return [(cell.columns_per_point, measure) for cell in cells if (measure := full_rank_measure(cell))]


def _judge(d0: int, N: int, some: Sequence[tuple[float, Measure]]) -> Judgement:
    limit = LITTLE * math.log(N / (1 - HIGH))
    surely = _from_which([(x, m.low) for x, m in some])
    fails = any(x >= limit and m.high < HIGH for x, m in some)
    return Judgement(
        d0=d0,
        N=N,
        limit=limit,
        start=_from_which([(x, m.estimate) for x, m in some]),
        surely=surely,
        furthest=some[-1][0],
        last=some[-1][1].estimate,
        verdict="fails" if fails else "holds" if surely <= limit else "undecided",
    )


def _from_which(values: Sequence[tuple[float, float]]) -> float:
    """The smallest x from which on every p of the pairs (x, p) is at least 0.95; nan where there is none."""
    falling = sorted(values, key=lambda pair: (-pair[0], pair[1]))
    kept = list(itertools.takewhile(lambda pair: pair[1] >= HIGH, falling))
    return kept[-1][0] if kept else math.nan


def finding(cells: Sequence[VolumeCell], judgements: Sequence[Judgement]) -> Finding:
    """The later work's claim against what was measured."""
    pairs = _against_columns(cells)
    few = [measure for x, measure in pairs if x < 1]
    impossible = [measure for measure in few if not measure.estimate <= 0]
    start = _from_which([(x, measure.estimate) for x, measure in pairs])
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


def _global_sentence(cells: Sequence[VolumeCell]) -> tuple[str, ...]:
    known = [(c.columns_per_point, c.mean("global_minima")) for c in cells if not math.isnan(c.mean("global_minima"))]
    if not known:
        return ()
    start = _from_which(known)
    zero = max((x for x, p in known if p == 0), default=None)
    return (
        f"A random region holds a global minimum with a probability from {significant(min(p for _, p in known))} to "
        f"{significant(max(p for _, p in known))}"
        + ("" if math.isnan(start) else f", at least {HIGH} in all cells with columns / N >= {ratio(start)}")
        + ("." if zero is None else f"; the most columns / N without a hit are {ratio(zero)}."),
    )


def table(cells: Sequence[VolumeCell]) -> Table:
    """One row a cell: both probabilities with their intervals."""
    names = {"full_rank": "P(rank = N)", "global_minima": "P(holds a global minimum)"}
    columns = [
        *SIZES, Column("columns_per_point", "columns / N", ratio), Column("data_sets", "data sets", integer),
    ]  # fmt: skip
    for key, name in names.items():
        columns += measure_columns(key, name)
    rows = [
        (
            cell.d0, cell.d1, cell.N, cell.columns_per_point, len(cell.rows),
            *_fields(full_rank_measure(cell)), *_fields(cell.pooled("global_minima")),
        )
        for cell in cells
    ]  # fmt: skip
    return Table(tuple(columns), tuple(rows), "low, high: 95 % interval. A hit of P(rank = N) is a draw of rank N.")


def _fields(measure: Measure | None) -> tuple:
    return dataclasses.astuple(measure) if measure else (None,) * 5


def criterion_table(judgements: Sequence[Judgement]) -> Table:
    """One row a d0 and N: the numbers that decide."""
    columns = (
        Column("d0", "d0", integer),
        Column("N", "N", integer),
        Column("limit", "2 log(N / 0.05)", ratio),
        Column("start", "P(rank = N) at least 0.95 from columns / N =", ratio),
        Column("surely", "with the whole interval from", ratio),
        Column("furthest", "most columns / N", ratio),
        Column("last", "P(rank = N) there", significant),
        Column("verdict", "claim"),
    )
    rows = tuple(tuple(getattr(j, column.key) for column in columns) for j in judgements)
    return Table(columns, rows, "A dash: in no cell from some columns / N on.")
