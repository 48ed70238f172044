"""The probability that a random region's Jacobian has rank N, against the later work's claim (arXiv 2305.19510)."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Literal

from mnnjax.report.common.rows import Cell, Measure, grouped

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


def full_rank_measure(cell: Cell) -> Measure | None:
    """P(rank(A o X) = N): one minus the volume of the other regions."""
    deficient = cell.pooled("rank_deficient")
    if deficient is None or not deficient.is_known:
        return None
    hits = None if deficient.hits is None or deficient.draws is None else deficient.draws - deficient.hits
    return Measure(1 - deficient.estimate, 1 - deficient.high, 1 - deficient.low, hits, deficient.draws)


def judge(cells: Sequence[Cell]) -> list[Judgement]:
    """The criterion for every d0 and N, from the cells by rising d1."""
    groups = grouped(sorted(cells, key=lambda cell: (cell.d0, cell.N, cell.d1)), lambda cell: (cell.d0, cell.N))
    pairs = {sizes: against_columns(group) for sizes, group in groups.items()}
    return [_judge(*sizes, measured) for sizes, measured in pairs.items() if measured]


def against_columns(cells: Sequence[Cell]) -> list[tuple[float, Measure]]:
    """(columns / N, P(rank = N)) of those that have it."""
    return [(cell.columns_per_point, measure) for cell in cells if (measure := full_rank_measure(cell))]


def _judge(d0: int, N: int, measured: Sequence[tuple[float, Measure]]) -> Judgement:
    limit = LITTLE * math.log(N / (1 - HIGH))
    surely = from_which([(x, m.low) for x, m in measured])
    fails = any(x >= limit and m.high < HIGH for x, m in measured)
    return Judgement(
        d0=d0,
        N=N,
        limit=limit,
        start=from_which([(x, m.estimate) for x, m in measured]),
        surely=surely,
        furthest=measured[-1][0],
        last=measured[-1][1].estimate,
        verdict="fails" if fails else "holds" if surely <= limit else "undecided",
    )


def from_which(values: Sequence[tuple[float, float]]) -> float:
    """The smallest x from which on every p of the pairs (x, p) is at least 0.95; nan where there is none."""
    falling = sorted(values, key=lambda pair: (-pair[0], pair[1]))
    kept = list(itertools.takewhile(lambda pair: pair[1] >= HIGH, falling))
    return kept[-1][0] if kept else math.nan
