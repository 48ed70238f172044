"""Charts of the page against the Matplotlib figures that they are made of."""

import io

import matplotlib.style
import numpy as np
import pytest
from matplotlib.figure import Figure

from mnnjax.report.common.charts import chart, plain
from mnnjax.report.common.figure_style import DASHED, draw, grid_of_panels, legend_above, line, tell


def charted(make):
    return chart(draw(make).saved[2])


def by_name(found):
    return {trace["name"]: trace for trace in found["data"] if trace.get("legendgroup") and not trace["showlegend"]}


def test_lines_keep_their_numbers_and_looks():
    def make():
        figure, panels = grid_of_panels(2, 5, 4, above=1, shared=True)
        (drawn,) = panels[0].plot([1, 10, 100], [0.5, np.nan, 2e-7], color="#D55E00", marker="s", label="wide")
        tell(drawn, ["a", "b", "c"])
        panels[1].plot([1, 100], [3, 4], "o", fillstyle="none", color="#0072B2", label="dots")
        panels[0].axvline(10, label="border", **DASHED)
        panels[0].set(xscale="log", xlim=(1, 100), title="left")
        figure.supxlabel("N")
        legend_above(figure, [line("wide"), line("dots"), line("border")])
        return figure

    found = charted(make)
    wide, dots, border = (by_name(found)[name] for name in ("wide", "dots", "border"))
    assert (wide["x"], wide["y"]) == ([1, 10, 100], [0.5, None, 2e-7])
    assert wide["hovertext"] == ["a", "b", "c"]
    assert (wide["mode"], wide["marker"]["symbol"], wide["line"]["color"]) == ("lines+markers", "square", "#d55e00")
    assert (dots["mode"], dots["marker"]["symbol"], dots["xaxis"]) == ("markers", "circle-open", "x2")
    assert border["x"] == pytest.approx([10, 10])
    assert border["y"] == pytest.approx(list(draw(make).figure().axes[0].get_ylim()), rel=0.2)
    assert (border["line"]["dash"], border["hoverinfo"]) == ("dash", "skip")
    first, second = found["panels"]
    assert (first["columns"], second["columns"], first["rows"]) == ([0, 0.5], [0.5, 1], [0, 1])
    assert (first["x"]["type"], first["x"]["range"], first["x"]["title"]) == ("log", [0, 2], "N")
    assert (second["x"]["matches"], second["y"]["matches"], first["x"]["matches"]) == (1, 1, None)
    entries = [trace["name"] for trace in found["data"] if trace["showlegend"]]
    assert entries == ["wide", "dots", "border"]


def test_bars_and_maps_become_boxes():
    def make():
        figure = Figure()
        left, right, low = figure.subplots(1, 3)
        left.bar([1, 2], [0.25, 0.5], [1, 3], [0.5, 0], align="edge", label="share")
        left.legend()
        mesh = right.pcolormesh([0, 1, 3], [0, 2, 5], np.ma.masked_invalid([[0.0, np.nan], [1.0, 0.5]]), vmin=0, vmax=1)
        figure.colorbar(mesh, ax=right)
        low.barh([0, 1], [0.5, 0.25], left=[0, 0.5], height=0.5)
        low.set_yticks([0, 1], ["first", "second"])
        return figure

    found = charted(make)
    upright, cells, flat = (trace for trace in found["data"] if trace["type"] == "bar")
    assert [upright[key] for key in ("x", "width", "base", "y")] == [[1, 2], [1, 3], [0.5, 0], [0.25, 0.5]]
    assert upright["hovertext"] == ["share: 0.25", "share: 0.5"]
    assert [cells[key] for key in ("x", "width", "base", "y")] == [[0, 0, 1], [1, 1, 2], [0, 2, 2], [2, 3, 3]]
    assert len(set(cells["marker"]["color"])) == 3
    assert [flat[key] for key in ("base", "x", "y", "width")] == [[0, 0.5], [0.5, 0.25], [-0.25, 0.75], [0.5, 0.5]]
    assert found["panels"][2]["y"]["ticktext"] == ["first", "second"]
    (bar,) = (trace for trace in found["data"] if "colorbar" in trace.get("marker", {}))
    assert bar["marker"]["colorbar"]["tickvals"] == pytest.approx([float(t) for t in np.linspace(0, 1, 6)])
    assert len(found["panels"]) == 3  # a colour bar is none


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("d0 d1 / N", "d0 d1 / N"),
        (r"$V(\mathcal{L}_\epsilon)$, $\epsilon = $0.1", "V(L<sub>ε</sub>), ε = 0.1"),
        (r"$V(\mathrm{rank}(A \circ X) < N)$", "V(rank(A ∘ X) < N)"),
        (r"smallest  $|w_i \cdot x^{(n)}|$", "smallest |w<sub>i</sub> · x<sup>(n)</sup>|"),
    ],
)
def test_mathematics_as_html(text, html):
    assert plain(text) == html


def test_a_chart_leaves_the_picture_as_it_is():
    def make():
        figure = Figure()
        figure.subplots().plot([1, 2], [3, 4])
        return figure

    picture = draw(make)
    before = picture.png
    chart(picture.saved[2])
    again = io.BytesIO()
    with matplotlib.style.context("default"):
        assert draw(make).png == before
        picture.figure().savefig(again)
