"""The page as a reader has it: alive in a browser, narrow, dark, and on paper."""

import dataclasses
import re

import pytest

from mnnjax.report import write_report
from tests.report.by_hand import as_claimed, figure_5_1, make_workdir
from tests.report.chromium import look, needs_chromium, start
from tests.report.volumes_by_hand import BASINS, LINEAR, RANKS, VOLUMES, basin_rows, linear_rows, rank_rows

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    study, rows = figure_5_1(as_claimed, layers=(1, 2))
    return write_report([make_workdir(tmp_path_factory.mktemp("page") / "w", study, rows)])


def test_charts_are_drawn_without_an_error(page, tmp_path):
    script = """return {
      charts: document.querySelectorAll(".chart .main-svg").length > 0,
      live: document.querySelectorAll("figure.live").length, figures: document.querySelectorAll("figure").length,
      stills: [...document.querySelectorAll("figure img")].filter((image) => image.offsetHeight).length,
    };"""
    found, problems = look(page, tmp_path, script)
    assert problems == []
    assert found == {"charts": True, "live": 3, "figures": 3, "stills": 0}


def test_every_kind_of_chart_is_drawn(tmp_path):
    """Bars, heat maps, volumes, basins: each with marks, and with a legend or a colour bar."""
    rows = basin_rows(lambda V: V, VOLUMES) + linear_rows(0.3) + rank_rows()
    study = dataclasses.replace(BASINS, also=(*BASINS.also, LINEAR, RANKS))
    page = write_report([make_workdir(tmp_path / "w", study, rows)])
    script = """return [...document.querySelectorAll(".chart")].map((chart) => ({
      marks: chart.querySelectorAll(".scatterlayer path, .barlayer path").length,
      keys: chart.querySelectorAll(".legend .traces, .colorbar").length }));"""
    for width in (390, 1280):
        found, problems = look(page, tmp_path, script, width=width)
        assert problems == []
        assert len(found) == 4
        assert all(chart["marks"] > 1 and chart["keys"] for chart in found), found


def test_a_point_tells_its_value(page, tmp_path):
    """The pointer is moved to a mark, as a mouse would."""
    script = """
      const chart = document.querySelector(".chart"), mark = chart.querySelector(".scatterlayer .points path");
      const box = mark.getBoundingClientRect();
      const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
      const layer = chart.querySelector(".nsewdrag");
      for (const kind of ["mouseover", "mousemove"]) {
        layer.dispatchEvent(new MouseEvent(kind, { bubbles: true, ...at }));
      }
      await new Promise((done) => setTimeout(done, 300));
      return [...chart.querySelectorAll(".hoverlayer text")].map((text) => text.textContent).join(" ");
    """
    found, problems = look(page, tmp_path, script)
    assert problems == []
    assert re.search(r"d = 10, N = \d+, parameters / N = \d\.\d+ ?mean MCE [\d.]+ %", found)


def test_the_legend_hides_a_curve(page, tmp_path):
    script = """
      const chart = document.querySelector(".chart");
      const count = () => chart.querySelectorAll(".scatterlayer .trace").length, before = count();
      const entry = [...chart.querySelectorAll(".legend .traces")].find((one) => one.textContent === "d = 10");
      const press = entry.querySelector(".legendtoggle");
      for (const kind of ["mousedown", "mouseup"]) press.dispatchEvent(new MouseEvent(kind, { bubbles: true }));
      await new Promise((done) => setTimeout(done, 1000));
      return [before, count(), chart.data.filter((trace) => trace.visible === "legendonly").map((trace) => trace.name)];
    """
    (before, after, hidden), problems = look(page, tmp_path, script)
    assert problems == []
    assert after < before
    assert set(hidden) == {"d = 10"}


def test_a_table_sorts_and_filters(page, tmp_path):
    script = """
      const table = [...document.querySelectorAll("table.data")].find((one) => one.tBodies[0].rows.length > 10);
      table.closest("details").open = true;
      const shown = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
      const column = (k) => shown().map((row) => row.cells[k].textContent);
      const heads = [...table.tHead.rows[0].cells], N = heads.findIndex((head) => head.textContent.trim() === "N");
      heads[N].click();
      const rising = column(N);
      heads[N].click();
      const falling = column(N);
      const input = table.closest(".table").querySelector("input");
      input.value = "20"; input.dispatchEvent(new Event("input"));
      const kept = shown().map((row) => [...row.cells].map((cell) => cell.textContent));
      input.value = ""; input.dispatchEvent(new Event("input"));
      return { rising, falling, kept, all: column(N).length, sorted: heads[N].getAttribute("aria-sort") };
    """
    found, problems = look(page, tmp_path, script)
    assert problems == []
    numbers = [int(text.replace(" ", "")) for text in found["rising"]]
    assert len(numbers) == 20
    assert numbers == sorted(numbers) != numbers[::-1]
    assert [int(text.replace(" ", "")) for text in found["falling"]] == sorted(numbers, reverse=True)
    assert 0 < len(found["kept"]) < found["all"] == 20
    assert all("20" in row for row in found["kept"])
    assert found["sorted"] == "descending"


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_does_not_scroll_sideways(page, tmp_path, width):
    script = """
      document.querySelectorAll("details").forEach((folded) => { folded.open = true; });
      await new Promise((done) => setTimeout(done, 500));
      const sizes = [...document.querySelectorAll("p, td, text")].map((one) => getComputedStyle(one).fontSize);
      return [innerWidth, document.documentElement.scrollWidth, Math.min(...sizes.map(parseFloat))];
    """
    (inner, scrolled, smallest), problems = look(page, tmp_path, script, width=width)
    assert problems == []
    assert inner == width
    assert scrolled <= width
    assert smallest >= 8


def test_the_page_is_dark_where_the_reader_wants_it(page, tmp_path):
    script = """
      const shade = (color) => color.match(/[\\d.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3;
      return [shade(getComputedStyle(document.body).backgroundColor), shade(getComputedStyle(document.body).color),
        shade(getComputedStyle(document.querySelector(".chart .xtick text")).fill)];
    """
    (paper, ink, ticks), problems = look(page, tmp_path, script, dark=True)
    assert problems == []
    assert paper < 40
    assert min(ink, ticks) > 200
    (paper, ink, ticks), _ = look(page, tmp_path, script)
    assert paper > 240
    assert max(ink, ticks) < 60


def test_on_paper_no_column_is_cut(page, tmp_path):
    """The style of paper, on a window as wide as a page (A4 landscape less its margins, at 96 pixels an inch)."""
    width = round((297 - 22) / 25.4 * 96)
    script = """
      document.querySelectorAll("details").forEach((folded) => { folded.open = true; });
      const boxes = [...document.querySelectorAll(".wide")];
      return { page: [document.documentElement.scrollWidth, innerWidth],
        cut: boxes.filter((box) => box.scrollWidth > box.clientWidth + 1).length, tables: boxes.length,
        bars: boxes.filter((box) => getComputedStyle(box).overflowX !== "visible").length,
        stills: [...document.querySelectorAll("figure img")].filter((image) => image.offsetHeight).length,
        charts: [...document.querySelectorAll(".chart")].filter((chart) => chart.offsetHeight).length };
    """

    def as_paper(text):
        return text.replace("@media print", "@media all").replace("@media screen", "@media speech")

    found, _ = look(page, tmp_path, script, width=width, change=as_paper)
    assert found["page"][0] <= found["page"][1]
    assert found["tables"] > 2
    assert (found["cut"], found["bars"], found["stills"], found["charts"]) == (0, 0, 3, 0)

    paper = tmp_path / "page.pdf"
    start(tmp_path, "--virtual-time-budget=10000", "--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri())
    boxes = set(re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper.read_bytes()))
    assert len(boxes) == 1
    ((wide, high),) = boxes
    assert float(wide) == pytest.approx(842, abs=2)
    assert float(high) == pytest.approx(595, abs=2)


def test_without_scripts_the_pictures_show(page, tmp_path):
    """Chromium's own switch for it leaves no result to read: the scripts are taken out instead."""

    def silent(text):
        return re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)

    script = "return [...document.querySelectorAll('figure img')].filter((image) => image.offsetHeight > 100).length;"
    found, _ = look(page, tmp_path, script, change=silent)
    assert found == 3
