"""The page on ranks against hand-made results with known answers."""

import dataclasses
import math

import numpy as np
import pytest

from mnnjax.report.common.rows import cells as gather_cells
from mnnjax.report.full_rank import claims
from mnnjax.report.full_rank import figures as full_rank_figures
from tests.report.volumes_by_hand import RANKS, drawn, parsed, rank_row, rank_rows


def rank_judgements(tmp_path, rows, part=RANKS):
    return claims.judge(gather_cells(parsed(tmp_path / "judged", part, rows)))


def rank_finding(tmp_path, rows, part=RANKS):
    cells = gather_cells(parsed(tmp_path / "parsed", part, rows))
    return claims.finding(cells, claims.judge(cells))


def test_heat_maps_hold_the_probabilities(tmp_path):
    rows = rank_rows()
    del rows[-1]  # d1 = 40, N = 20
    cells = gather_cells(parsed(tmp_path / "parsed", RANKS, rows))
    figure = full_rank_figures.rank_panels(RANKS, cells)
    maps = [panel for panel in figure.axes if panel.collections and panel.get_ylabel() == "d1 (hidden units)"]
    rank, global_minima = (np.ma.filled(panel.collections[0].get_array(), math.nan) for panel in maps)
    expected = np.array([[0, 0], [0.4, 0.01], [1, math.nan]])  # lines are d1, columns N
    np.testing.assert_allclose(rank, expected, atol=1e-12)
    np.testing.assert_allclose(global_minima, expected / 2, atol=1e-12)
    norm = maps[0].collections[0].norm
    assert (norm.vmin, norm.vmax) == (0, 1)
    for panel in maps:
        for x, y in panel.lines[0].get_xydata():
            assert 4 * y == pytest.approx(x)  # columns = N
    assert "0.01" in [text.get_text() for text in maps[0].texts]
    against = next(panel for panel in figure.axes if "columns" in panel.get_xlabel())
    points = [(0.4, 0.0), (0.8, 0.0), (1.0, 0.01), (2.0, 0.4), (16.0, 1.0)]
    np.testing.assert_allclose(sorted(drawn(against, "point")), points, atol=1e-12)
    bars = [segment[:, 1] for bars in against.collections for segment in bars.get_segments()]
    assert len(bars) == 5
    assert all(low < high for low, high in bars)


def test_full_rank_agrees(tmp_path):
    finding = rank_finding(tmp_path, rank_rows(d40N10=1000, d40N20=1000))
    # 16 and 8 columns a point; 2 log(N / 0.05) is 10.6 and 12.0.
    assert finding.status == "agrees in part"
    small, large = rank_judgements(tmp_path, rank_rows(d40N10=1000, d40N20=1000))
    assert (small.N, small.verdict, small.furthest, small.last) == (10, "undecided", 16.0, 1.0)
    assert (large.N, large.verdict, large.surely) == (20, "holds", 8.0)
    assert "P(rank = N) is at least 0.95 in all 2 cells with columns / N >= 8.000." in finding.measured
    assert "With fewer columns than points, the largest P(rank = N) of 2 cells is 0." in finding.measured
    part = dataclasses.replace(RANKS, problem=dataclasses.replace(RANKS.problem, N=(20,)))
    only = [row for row in rank_rows() if row["N"] == 20]
    assert rank_finding(tmp_path / "only", only, part).status == "agrees"


def test_full_rank_fails_or_stays_open(tmp_path):
    rows = [row for row in rank_rows(d40N10=700) if row["N"] == 10]
    finding = rank_finding(tmp_path / "fails", rows)
    assert finding.status == "does not agree"
    (judgement,) = rank_judgements(tmp_path / "fails", rows)
    assert (judgement.verdict, judgement.last) == ("fails", pytest.approx(0.7))
    assert rank_finding(tmp_path / "open", [row for row in rows if row["d1"] < 40]).status == "cannot be judged"
    # An interval that straddles 0.95 decides nothing.
    straddling = [rank_row(RANKS, 40, 10, 19, draws=20)]
    finding = rank_finding(tmp_path / "straddling", straddling)
    assert finding.status == "cannot be judged"
    assert any(sentence.startswith("In 1 of 1 cell with at least as many columns") for sentence in finding.measured)


def test_more_rows_than_columns_have_no_full_rank(tmp_path):
    """A single such draw would be a mistake of ours, whatever the rest says."""
    rows = [row for row in rank_rows(d2N20=1) if row["N"] == 20]
    finding = rank_finding(tmp_path, rows)
    assert finding.status == "does not agree"
    assert any("impossible" in sentence for sentence in finding.because)


def test_a_constant_input_is_one_more_column_a_unit(tmp_path):
    part = dataclasses.replace(RANKS, problem=dataclasses.replace(RANKS.problem, constant_input=True))
    (cell,) = gather_cells(parsed(tmp_path / "w", part, [rank_row(part, 5, 10, 900)]))
    assert cell.columns_per_point == 2.5
