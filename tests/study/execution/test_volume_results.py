"""Intervals in the rows of a volume study, by adding up what may happen."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import beta, binom

from mnnjax import landscape
from mnnjax.config import Network, Problem, Study, Volume
from mnnjax.study.execution import volume_cell
from mnnjax.study.plan import grid as plan

DRAWS, BATCH, WIDTH = 512, 16, 0.8
LOOKS = [16, 32, 64, 128, 256, 512]
RUNS = np.array([0.20, 0.21, 0.22])  # of splitting
STUDY = Study(
    "splitting", Problem(label_values="zero_one", d0=(3,), N=(5,)), Network(d1=(3,)),
    volume=Volume(method="splitting", samples=DRAWS, batch=BATCH, relative_width=WIDTH, particles=64, runs=3),
)  # fmt: skip


def is_end(hits, draws):
    """Whether the counting of V(G) ends here: its interval holds at every look, at 95 %, and is narrow."""
    tail = 0.025 / len(LOOKS)
    low, high = beta.ppf(tail, hits, draws - hits + 1), beta.ppf(1 - tail, hits + 1, draws - hits)
    return draws == DRAWS or (0 < hits < draws and high - low < WIDTH * hits / draws)


def ends_of_V_G(ends):
    """The interval of V(G) in the ratio's, at each of the ends (hits, draws): that of V(L_eps) is known."""
    (cell,) = plan.cells(dataclasses.replace(STUDY, repeats=len(ends)))
    hits, draws = np.zeros((2, len(ends), 3), int)
    hits[:, 1], draws[:, 1] = np.transpose(ends)
    splitting = np.tile(RUNS, (len(ends), 3, 1))
    rows = volume_cell.rows_of(cell, {"hits": hits, "draws": draws, "splitting": splitting})
    _, low, high = landscape.combine(RUNS, 0.975)
    return {end: (high / row["ratio_high"], low / row["ratio_low"]) for end, row in zip(ends, rows, strict=True)}


@pytest.mark.slow
def test_the_ratio_holds_wherever_counting_may_end():
    ends = [(hits, draws) for draws in LOOKS for hits in range(1, draws + 1) if is_end(hits, draws)]
    intervals = ends_of_V_G(ends)
    for p in (0.1, 0.18, 0.38, 0.5):
        chances, before, missed = {0: 1.0}, 0, 0.0
        for draws in LOOKS:
            now = np.zeros(draws + 1)
            for hits, chance in chances.items():
                new = draws - before
                now[hits : hits + new + 1] += chance * binom.pmf(np.arange(new + 1), new, p)
            chances, before = {}, draws
            for hits, chance in enumerate(now):
                if (hits, draws) not in intervals:
                    chances[hits] = chance
                elif not intervals[hits, draws][0] <= p <= intervals[hits, draws][1]:
                    missed += chance
        # An error of 2.5 % is what is left to V(G).
        assert missed <= 0.025


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (
            [{"suboptimal": 0.25, "global_minima": 0.5}, {"suboptimal": 0.0, "global_minima": 0.1}],
            "V(L_eps) 0.12, V(G) 0.3; bad minima in 1 of 2 repetitions",
        ),
        ([{"suboptimal": 0.0, "rank_deficient": 1.0}], "V(L_eps) 0, rank deficient 1; bad minima in 0 of 1 repetition"),
        # Where only an interval is known, and where nothing of it is.
        ([{"suboptimal": ""}, {"suboptimal": 0.5}], "V(L_eps) 0.5; bad minima in 1 of 1 repetition"),
        ([{"rank_deficient": 0.75}], "rank deficient 0.75"),
    ],
)
def test_the_last_line_of_a_cell_says_where_bad_minima_are(rows, text):
    assert volume_cell.summary(rows) == text
