"""The pictures of minima below show the numbers of the rows."""

import math

import pytest

from mnnjax.report.common import minima_figures
from mnnjax.report.common.minima import Start, with_descents
from mnnjax.report.common.rows import read_rows
from tests.report.by_hand import as_claimed, figure_5_1, make_workdir
from tests.report.minima_by_hand import below, cell

ENDS = ["global_minimum"] * 3 + ["suboptimal_kink"] * 4 + ["suboptimal_dlm"] + ["saddle"] * 2


@pytest.fixture
def cells(tmp_path):
    study, _ = figure_5_1(as_claimed)
    rows = cell("curves", 10, 200, ENDS) + cell("curves", 10, 50, ["global_minimum"] * 10, kinks=10)
    rows += [below("curves", 20, 400, k, "suboptimal_kink", mse=0.1 * (k + 1), kinks=40 * (k + 1)) for k in range(6)]
    return with_descents(read_rows(make_workdir(tmp_path / "w", study, rows) / "results.csv"))


def test_shares_are_stacked(cells):
    ten, twenty = minima_figures.share_panels([Start("after adam", True, cells)]).axes
    heights = [[bar.get_height() for bar in bars] for bars in ten.containers]
    # By rising d0 d1 / N: 0.5, then 2.
    assert heights == [pytest.approx(pair) for pair in ([0.3, 1], [0.4, 0], [0.1, 0], [0.2, 0])]
    tops = [bar.get_y() + bar.get_height() for bar in ten.containers[-1]]
    assert tops == pytest.approx([1, 1])
    edges = [bar.get_x() for bar in ten.containers[0]] + [
        ten.containers[0][-1].get_x() + ten.containers[0][-1].get_width()
    ]
    # The border lies half-way between them in the logarithm.
    assert edges == pytest.approx([0.25, 1, 4])
    assert [ten.get_title(), twenty.get_title()] == ["d = 10", "d = 20"]


def test_medians_with_intervals(cells):
    figure = minima_figures.kink_panels([Start("after adam", True, cells)])
    kinks_ten, kinks_twenty, mse_ten, mse_twenty = figure.axes

    def drawn(panel, gid):
        (line,) = (line for line in panel.lines if line.get_gid() == gid)
        return line.get_xdata(), line.get_ydata()

    assert drawn(kinks_ten, "kinks")[1] == pytest.approx([0.125, 0.1])
    x, y = drawn(kinks_twenty, "kinks")
    assert (x[0], y[0]) == (1, pytest.approx(0.35))
    (bar,) = next(c for c in kinks_twenty.collections if c.get_gid() == "kinks intervals").get_segments()
    # Of six values the least and the largest: the median lies outside with probability 2 / 2^6.
    assert bar[:, 1] == pytest.approx([0.1, 0.6])
    assert drawn(mse_twenty, "minimum")[1] == pytest.approx([0.175])
    assert drawn(mse_twenty, "end")[1] == pytest.approx([0.35])
    # Global minima, at the least MSE that is drawn.
    assert drawn(mse_ten, "minimum")[1][1] == 1e-6


def test_random_points_have_no_end_of_training(cells):
    figure = minima_figures.kink_panels([Start("Gaussian weights", False, cells)])
    assert not [line for panel in figure.axes for line in panel.lines if line.get_gid() == "end"]
    assert math.isclose(figure.axes[0].get_ylim()[0], 0)
