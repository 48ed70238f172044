"""The page as a file that must work alone and from a disk, and the folders and files that it is made of."""

import dataclasses
import html.parser
import json
import math
import re

import pytest

from mnnjax.config import Network, Problem, Study, Train, UserError, to_dict
from mnnjax.report import figure, write_report
from mnnjax.report.common.tables import Column, Table
from mnnjax.study.workdir.results_table import read_csv
from mnnjax.wording import integer, percent, unbroken
from tests.project import ROOT
from tests.report.by_hand import (
    GAUSSIAN,
    as_claimed,
    figure_5_1,
    figure_5_2,
    make_row,
    make_workdir,
    report,
    report_files,
    status_of,
    text_of,
    written,
)

VENDOR = ROOT / "mnnjax" / "report" / "vendor"


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.references, self.tags, self.open, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br", "input"):
            self.open.append(tag)
        self.ids += [v for k, v in attributes if k == "id"]
        self.references += [v for k, v in attributes if k in ("src", "href", "srcset", "data", "action", "poster")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def everything():
    """One study of every kind of section, with a repetition that overflowed in each figure."""
    study, rows = figure_5_1(as_claimed, layers=(1, 2))
    rows[0] |= {"mse": math.inf, "mce": math.nan, "verdict": "non_finite"}
    dots, dot_rows = figure_5_2()
    images = [make_row("images", 28, 1797, k, k / 1797, d0=64) for k in range(3)]
    other = [make_row("other", 4, 10, k, 0.1 * k) for k in range(3)]
    study = dataclasses.replace(
        study,
        also=(
            dots,
            Study("images", Problem(inputs="digits", labels="classes"), Network(d1=(28,)), repeats=3, figure="table1"),
            Study("other", GAUSSIAN, repeats=3),
        ),
    )
    return study, rows + dot_rows + images + other


@pytest.mark.slow
def test_page_needs_no_other_file(tmp_path, everything):
    path = write_report([make_workdir(tmp_path / "w", *everything)])
    page = Page(path.read_text())
    assert path == tmp_path / "w" / "report.html"
    assert page.open == []
    pictures = [r for r in page.references if r.startswith("data:")]
    assert len(pictures) == 6  # of three figures, and the verdicts' shares of parts that have no other such table
    assert all(r.startswith("data:image/png;base64,") for r in pictures)
    # The table of contents leads to every section.
    assert page.ids == [r[1:] for r in page.references if r.startswith("#")]
    assert page.ids == ["curves", "dots", "images", "other", "runs"]
    links = [r for r in page.references if not r.startswith(("data:", "#"))]
    assert links[0] == "https://arxiv.org/abs/1702.05777"
    assert all((path.parent / link).is_file() for link in links[1:])
    assert "report/curves_criterion.csv" in links
    assert not {"link", "iframe", "object"} & set(page.tags)
    own = path.read_text().replace((VENDOR / "plotly-basic.min.js").read_text(), "")
    assert not re.search(r"@import|url\(|<script[^>]* src|https?://(?!arxiv.org/abs)", own)


@pytest.mark.slow
def test_files_beside_the_page(tmp_path, everything):
    write_report([make_workdir(tmp_path / "w", *everything)])
    stems = ("curves", "curves_scaled", "curves_shares", "dots", "dots_shares", "other_shares")
    pictures = {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    tables = {f"{stem}.csv" for stem in ("curves", "curves_criterion", "dots", "images", "other")}
    tables |= {f"{stem}_verdicts.csv" for stem in ("curves", "dots", "images", "other")}
    assert report_files(tmp_path / "w") == pictures | tables | {"runs.csv"}
    for name in pictures:
        start = b"\x89PNG" if name.endswith("png") else b"<?xml"
        assert (tmp_path / "w" / "report" / name).read_bytes().startswith(start)


@pytest.mark.slow
def test_same_results_give_the_same_bytes(tmp_path, everything):
    """Of the page too where the logs are the same."""
    first, second = (make_workdir(tmp_path / side / "w", *everything) for side in "ab")
    write_report([first])
    once = written(first)
    write_report([first])
    write_report([second])
    assert written(first) == once == written(second)

    (second / "metrics.jsonl").write_text('{"time": "2026-11-24T18:51:16+0000", "event": "start"}\n')
    write_report([second])
    changed = {path for path, content in written(second).items() if once.get(path) != content}
    assert {path.name for path in changed} == {"metrics.jsonl", "report.html", "runs.csv"}


@pytest.mark.slow
def test_unfinished_study_says_so(tmp_path):
    study, rows = figure_5_1(as_claimed)
    path = make_workdir(tmp_path / "w", study, rows[:7])
    page = text_of(write_report([path], planned_rows={path: len(rows)}))
    assert "7 of 30 repetitions so far: the study is unfinished" in page
    assert "Agreement so far" in page
    assert "Fewer than the 3 repetitions asked for: 1 cell." in page

    finished = make_workdir(tmp_path / "v", study, rows)
    assert "unfinished" not in text_of(write_report([finished], planned_rows={finished: len(rows)}))


@pytest.mark.parametrize("rows", [None, []])
def test_no_results_yet(tmp_path, rows):
    page = report(tmp_path / "w", Study("early", GAUSSIAN, figure="fig5_2"), rows)
    assert "0 repetitions" in page
    assert "No results yet: early." in page


def test_rows_of_no_known_study_are_mentioned(tmp_path):
    page = report(tmp_path / "w", Study("known", GAUSSIAN), [make_row("known", 4, 10, 0), make_row("stray", 4, 10, 0)])
    assert "Not shown: 1 row of results.csv that name no study" in page


@pytest.mark.slow
def test_several_workdirs_share_a_page_without_sharing_files(tmp_path):
    study, rows = figure_5_1(as_claimed)
    first = make_workdir(tmp_path / "one", study, rows)
    second = make_workdir(tmp_path / "two", study, rows[:15])
    third = make_workdir(tmp_path / "x" / "two", Study("alone", GAUSSIAN), [make_row("alone", 4, 10, 0)])
    page = write_report([first, second, third, second])
    assert page == first / "report" / "joint" / "report.html"
    joint = page.parent / "report"
    names = {p.name for p in joint.glob("*.csv")}
    kinds = ("", "_criterion", "_verdicts")
    assert names == {f"{folder}_curves{kind}.csv" for folder in ("one", "two") for kind in kinds} | {
        "alone.csv",
        "alone_verdicts.csv",
        "joint_fields.csv",
        "runs.csv",
    }
    assert len(read_csv(joint / "one_curves.csv")) == 10
    assert len(read_csv(joint / "two_curves.csv")) == 5
    assert not (first / "report.html").exists()
    assert not (second / "report").exists()
    # Two figures and the verdicts of two folders, verdicts of the third; both figures once more, together.
    assert Page(page.read_text()).tags.count("img") == 9
    repeats = f"repeats {Study('alone', GAUSSIAN).repeats}"
    curves = ("one (repeats 3), curves: Figure 5.1", "two (repeats 3), curves: Figure 5.1")
    for heading in (*curves, f"two ({repeats}), alone: Results"):
        assert text_of(page).count(heading) == 2  # in the contents, and where it stands


def test_the_most_common_reasons_of_not_converged_are_counted(tmp_path):
    outside = "the minimum lies outside: neuron {} would change sign at point {}"
    far = "the nearest minimum lies {} of the weights' norm away"
    reasons = [outside.format(3, 17), outside.format(4, 1) + "; 2 neurons are at zero", far.format(1.2e-05), ""]
    rows = [make_row("s", 4, 10, k, verdict="not_converged", reason=text) for k, text in enumerate(reasons)]
    rows += [make_row("s", 4, 10, 4, verdict="global_minimum", reason="a proof with 5 digits")]
    text = report(tmp_path / "w", Study("s", GAUSSIAN), rows)
    assert (
        "Most common reasons of not_converged: the minimum lies outside: neuron ... would change sign at point ... (2);"
        " the nearest minimum lies ... of the weights' norm away (1)." in text
    )
    assert "Most common" not in report(tmp_path / "v", Study("s", GAUSSIAN), rows[-1:])


@pytest.mark.slow
def test_file_names_that_would_meet_are_kept_apart(tmp_path):
    study, rows = figure_5_1(as_claimed)
    study = dataclasses.replace(study, also=(Study("curves_criterion", GAUSSIAN),))
    path = make_workdir(tmp_path / "w", study, [*rows, make_row("curves_criterion", 4, 10, 0)])
    write_report([path])
    assert "verdict" in read_csv(path / "report" / "curves_criterion.csv")[0]
    assert len(read_csv(path / "report" / "curves_criterion_2.csv")) == 1


def test_no_study_is_written_over_the_table_of_runs(tmp_path):
    path = make_workdir(tmp_path / "w", Study("Runs", GAUSSIAN), [make_row("Runs", 4, 10, 0)])
    write_report([path])
    tables = {"runs.csv", "Runs_2.csv", "Runs_2_verdicts.csv"}
    assert report_files(path) == tables | {"Runs_2_shares.png", "Runs_2_shares.svg"}
    assert len(read_csv(path / "report" / "Runs_2.csv")) == 1


def test_lines_do_not_end_within_a_number_or_a_relation():
    text = "of 1 280 000 points, N = 20, d0 d1 >= 2 N, parameters / N, 0.5 % and |w . x| in 3 of 30 cells. Next"
    assert unbroken(text).replace("\xa0", "_") == (
        "of 1_280_000 points, N_=_20, d0 d1_>=_2 N, parameters /_N, 0.5_% and |w_._x| in 3 of 30 cells. Next"
    )


def test_settings_are_shown(tmp_path):
    train = Train(optimizer="sgd", optimizer_options=(("momentum", 0.9),), epochs=1234, precision="float64")
    study = Study("plain", GAUSSIAN, train=train, repeats=7, seed=11)
    page = report(tmp_path / "w", study, [make_row("plain", 4, 10, 11)])
    for part in ("sgd, momentum 0.9", "1 234 epochs + 1 000", "float64", "7 repeats, seed 11", "full batch"):
        assert part in page


def test_text_from_files_is_escaped(tmp_path):
    path = make_workdir(tmp_path / "w", Study("plain", GAUSSIAN), [make_row("plain", 4, 10, 0, verdict="<b>&odd")])
    page = write_report([path]).read_text()
    assert "&lt;b&gt;&amp;odd 1" in page
    assert "<b>" not in page


def test_damaged_results_are_the_users_to_mend(tmp_path):
    path = make_workdir(tmp_path / "w", Study("plain", GAUSSIAN), [make_row("plain", 4, 10, 0, mce="oops")])
    with pytest.raises(UserError, match=r"results\.csv, line 2"):
        write_report([path])
    with pytest.raises(UserError, match="no work folder"):
        write_report([])
    with pytest.raises(UserError, match=r"no config\.json"):
        write_report([tmp_path])


def test_groups_and_counts_of_a_table():
    columns = (
        Column("a", "a"),
        Column("b", "b", percent, "two", count="hidden"),
        Column("hidden", "", None),
        Column("c", "c", integer, "two", style="paper", count="a", count_text=" of {}"),
    )
    table = Table(columns, ((7, 0.5, 3, 2), (None, 0.5, None, None)))
    assert table.groups == [("", 1), ("two", 2)]
    assert table.classes == ["text", "first", "paper"]
    assert table.shown == [["7", "50 % (3)", "2 of 7"], ["-", "50 %", "-"]]
    assert table.to_csv() == "a,b,hidden,c\n7,0.5,3,2\n,0.5,,\n"
    assert Table(columns[:1], ((7,),)).groups == []


def test_the_figure_of_a_study_from_python(tmp_path, everything):
    path = make_workdir(tmp_path / "w", *everything)
    first = figure(path)
    assert [panel.get_title() for panel in first.axes] == ["1 hidden layer", "2 hidden layers"]
    assert figure(str(path), "dots").axes[1].get_ylabel() == "final MSE"
    with pytest.raises(UserError, match=r"no picture 'dot'; there are: curves, curves_scaled, .*dots"):
        figure(path, "dot")
    with pytest.raises(UserError, match="no picture yet"):
        figure(make_workdir(tmp_path / "early", Study("early", GAUSSIAN, figure="fig5_2"), None))


def test_a_report_leaves_no_stale_files(tmp_path):
    """Those that it wrote and does not write again; what others put there stays."""
    study = Study("plain", GAUSSIAN, repeats=2)
    path = make_workdir(tmp_path / "w", study, [make_row("plain", 4, 10, 0)])
    write_report([path])
    assert {"plain.csv", "plain_shares.png"} <= report_files(path)
    (path / "report" / "mine.txt").write_text("notes")
    (path / "config.json").write_text(json.dumps(to_dict(dataclasses.replace(study, name="other"))))
    (path / "results.csv").write_text((path / "results.csv").read_text().replace("plain", "other"))
    write_report([path])
    assert {"other.csv", "other_shares.png", "mine.txt"} <= report_files(path)
    assert not [name for name in report_files(path) if name.startswith("plain")]


def test_a_table_has_its_numbers_for_sorting():
    table = Table((Column("a", "a", percent), Column("b", "b")), ((0.125, "x"), (math.nan, None), (math.inf, True)))
    assert table.fields[0] == [("12.5 %", "0.125"), ("x", None)]
    assert table.fields[1] == [("-", None), ("-", None)]
    assert [number for _, number in table.fields[2]] == ["Infinity", None]


@pytest.mark.slow
def test_nothing_agrees_where_no_repetition_has_converged(tmp_path):
    study, rows = figure_5_1(as_claimed, widths=(10,))
    found = [row | {"verdict": "not_converged"} for row in rows]
    page = report(tmp_path / "none", study, found)
    assert status_of(page) == "agrees in part"
    assert "No repetition has converged, by its certificate (15 of 15 repetitions not_converged)." in page
    found[0]["verdict"] = "global_minimum"
    assert status_of(report(tmp_path / "one", study, found)) == "agrees"


def test_training_curves_come_from_the_log(tmp_path):
    study = Study("plain", GAUSSIAN, train=Train(epochs=300, decay_epochs=0))
    path = make_workdir(tmp_path / "w", study, [make_row("plain", 4, 10, 0)])
    lines = [("chunk", 100, 0.5, 0.25), ("chunk", 200, 0.2, 0.1), ("chunk", 200, 0.1, 0.125), ("chunk", 301, 9.0, 0.5)]
    entries = [{"event": "start"}] + [
        {"event": event, "cell": "plain.h1.d4x4.N10", "epoch": epoch, "mse": mse, "mce": mce}
        for event, epoch, mse, mce in lines
    ]
    stamp = {"time": "2026-11-24T18:51:16+0000"}
    (path / "metrics.jsonl").write_text("".join(json.dumps(stamp | entry) + "\n" for entry in entries))
    mse, mce = figure(path, "plain_training").axes
    assert mse.lines[0].get_xydata().tolist() == [[100, 0.5], [200, 0.1]]  # trained again; no descent afterwards
    assert mce.lines[0].get_xydata().tolist() == [[100, 25], [200, 12.5]]
    assert mse.get_yscale() == "log"


def test_verdicts_are_a_picture_of_every_cell(tmp_path):
    given = ["global_minimum", "global_minimum", "suboptimal_dlm", "not_converged"]
    rows = [make_row("s", 4, N, k, verdict=verdict) for N in (10, 20) for k, verdict in enumerate(given)]
    rows[-1]["verdict"] = "global_minimum"
    (panel,) = figure(make_workdir(tmp_path / "w", Study("s", GAUSSIAN), rows)).axes
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in panel.containers}
    # By rising d0 d1 / N: N = 20 comes first.
    assert heights == {"global minimum": [0.75, 0.5], "suboptimal dlm": [0.25, 0.25], "not converged": [0, 0.25]}
