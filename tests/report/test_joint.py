"""Several folders on one page: what differs, one picture of all, and sections named by it."""

import dataclasses

import pytest

from mnnjax import cli
from mnnjax.config import Train
from mnnjax.report import figure, joint, write_report
from mnnjax.study.workdir.results_table import read_csv
from tests.report.by_hand import as_claimed, figure_5_1, make_workdir, report_files, text_of, written

ADAM, ROWS = figure_5_1(as_claimed, widths=(10, 20))
SGD = dataclasses.replace(ADAM, train=Train(optimizer="sgd"))
WORSE = [row | {"mce": min(1.0, 2 * row["mce"])} for row in ROWS if row["d1"] == 20]


@pytest.fixture
def folders(tmp_path):
    return make_workdir(tmp_path / "one", ADAM, ROWS), make_workdir(tmp_path / "two", SGD, WORSE)


@pytest.mark.slow
def test_a_joint_report_leaves_the_folders_own_pages(folders):
    first, second = folders
    write_report([first])
    before = {path: content for path, content in written(first).items() if "joint" not in path.parts}
    page = write_report(folders)
    assert page == first / "report" / "joint" / "report.html"
    after = written(first)
    assert all(after[path] == content for path, content in before.items())
    assert not (second / "report").exists()

    text = text_of(page)
    (line,) = read_csv(page.parent / "report" / "joint_fields.csv")
    assert line == {"field": "train.optimizer", "one": "adam", "two": "sgd"}
    for name in ("one (optimizer adam), curves: Figure 5.1", "two (optimizer sgd), curves: Figure 5.1"):
        assert text.count(name) == 2
    assert {"joint_fig5_1.png", "joint_fig5_1.svg", "joint_fig5_1_scaled.png"} <= report_files(page.parent)
    assert report_files(first) - {"joint"} == {path.name for path in before if path.parent.name == "report"} - {
        ".written"
    }


@pytest.mark.slow
def test_a_joint_report_goes_where_it_is_asked_for(folders, tmp_path, capsys):
    first, second = map(str, folders)
    assert cli.main(["report", first, second, "--output", str(tmp_path / "both")]) == 0
    assert capsys.readouterr().out.endswith(f"report: {tmp_path / 'both' / 'report.html'}\n")
    assert (tmp_path / "both" / "report" / "joint_fig5_1.png").exists()
    assert not (folders[0] / "report").exists()


def test_one_picture_holds_the_lines_of_all(folders):
    """A curve has the colour of its name, whichever folders have it."""
    both = joint.overlay({path.name: figure(path, "curves") for path in folders})
    (panel,) = both.axes
    lines = {(line.get_label(), line.get_linestyle()): line for line in panel.lines if len(line.get_xdata()) == 5}
    assert set(lines) == {("d = 10", "-"), ("d = 20", "-"), ("two", ":")}
    wide, copied = lines["d = 20", "-"], lines["two", ":"]
    assert copied.get_color() == wide.get_color() != lines["d = 10", "-"].get_color()
    assert copied.get_ydata() == pytest.approx(2 * wide.get_ydata())
    assert panel.get_ylim()[1] >= 100 * max(row["mce"] for row in WORSE[::3])
    (legend,) = both.legends
    assert [text.get_text() for text in legend.get_texts()] == ["d = 10", "d = 20", "parameters = N", "one", "two"]


def test_folders_with_little_in_common_keep_their_names():
    far = dataclasses.replace(SGD, repeats=7, seed=3, problem=dataclasses.replace(SGD.problem, N=(11,)))
    assert joint.labels(["a", "b"], [ADAM, far]) == ["a", "b"]
    assert joint.labels(["a"], [ADAM]) == ["a"]
    assert joint.labels(["a", "b"], [ADAM, ADAM]) == ["a", "b"]
    more = dataclasses.replace(ADAM, also=(dataclasses.replace(SGD, name="more"),))
    (row,) = joint.fields_table(["a", "b"], [ADAM, more]).rows
    assert row == ("study more", "-", "there")
