"""The report against numbers computed here from the same rows, and as a file that must work alone and from a disk."""

import csv
import dataclasses
import html.parser
import json
import math
import re
import statistics

import pytest

from mnnjax.config import Network, Problem, Study, Train, UserError, to_dict
from mnnjax.report import write_report
from mnnjax.study.results import COLUMNS, read_csv

GAUSSIAN = Problem(d0=(4,), N=(10,))


def make_row(part, d, N, seed, mce=0.0, mse=1e-12, u=1e-2, verdict="not_certified", hidden_layers=1, d0=None):
    d0 = d0 or d
    return {
        "study": part, "cell": f"{part}.h{hidden_layers}.d{d0}x{d}.N{N}", "hidden_layers": hidden_layers, "d0": d0,
        "d1": d, "N": N, "rho": 0.0, "parameters": d0 * d + (hidden_layers - 1) * d * d + d, "seed": seed, "mse": mse,
        "mce": mce, "min_abs_neural_input": u, "verdict": verdict,
    }  # fmt: skip


def make_workdir(path, study, rows, columns=COLUMNS):
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(to_dict(study)))
    if rows is not None:
        with open(path / "results.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: repr(v) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return path


def report(path, study, rows, **options):
    """The page as text of a workdir made of these rows."""
    return text_of(write_report([make_workdir(path, study, rows)], **options))


def text_of(page):
    """What a reader sees: no tags, no style sheet."""
    body = page.read_text().partition("<body>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def status_of(page_text):
    """The badge: what stands right after the row's heading."""
    statuses = "agrees in part|agrees|does not agree|cannot be judged"
    return re.search(rf"Agreement (?:so far )?({statuses})\b", page_text).group(1)


def figure_5_1(mce_of_ratio, widths=(10, 20), ratios=(0.25, 0.5, 0.8, 1.2, 2.0), repeats=3, layers=(1,)):
    """A study and its rows, with MCE a function of parameters / N (and the repetition)."""
    study = Study("curves", GAUSSIAN, Network(hidden_layers=layers), repeats=repeats, figure="fig5_1")
    rows = [
        make_row("curves", d, N, k, mce_of_ratio(parameters / N, k), hidden_layers=depth)
        for depth in layers
        for d in widths
        for parameters in [depth * d * d + d]
        for N in [math.ceil(parameters / r) for r in ratios]
        for k in range(repeats)
    ]
    return study, rows


def as_claimed(ratio, k):
    return max(0.0, 0.3 * (1 - ratio)) * (1 + 0.1 * k)


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.references, self.tags, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.references += [v for k, v in attributes if k in ("src", "href", "srcset", "data", "action", "poster")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def everything():
    """One study of every kind of section, with a repetition that overflowed in each figure."""
    study, rows = figure_5_1(as_claimed, layers=(1, 2))
    rows[0] |= {"mse": math.inf, "mce": math.nan, "verdict": "non_finite"}
    dots = [
        make_row("dots", d, d * d // 5, k, mse=10.0 ** (-20 - k), u=0.1 / (k + 1)) for d in (5, 10) for k in range(4)
    ]
    dots[1] |= {"mse": math.nan, "mce": math.nan, "min_abs_neural_input": math.nan, "verdict": "non_finite"}
    dots[2] |= {"min_abs_neural_input": 0.0, "verdict": "non_differentiable"}
    images = [make_row("images", 28, 1797, k, k / 1797, d0=64) for k in range(3)]
    other = [make_row("other", 4, 10, k, 0.1 * k) for k in range(3)]
    study = dataclasses.replace(
        study,
        also=(
            Study("dots", GAUSSIAN, figure="fig5_2", repeats=4),
            Study("images", Problem(inputs="digits", labels="classes"), Network(d1=(28,)), repeats=3, figure="table1"),
            Study("other", GAUSSIAN, repeats=3),
        ),
    )
    return study, rows + dots + images + other


def test_page_needs_no_other_file(tmp_path, everything):
    path = write_report([make_workdir(tmp_path / "w", *everything)])
    page = Page(path.read_text())
    assert path == tmp_path / "w" / "report.html"
    assert page.open == []
    assert len(page.references) == 3
    assert all(r.startswith("data:image/png;base64,") for r in page.references)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"@import|url\(|https?://", path.read_text())


def test_files_beside_the_page(tmp_path, everything):
    write_report([make_workdir(tmp_path / "w", *everything)])
    pictures = {f"{stem}.{kind}" for stem in ("curves", "curves_scaled", "dots") for kind in ("png", "svg")}
    tables = {f"{stem}.csv" for stem in ("curves", "curves_criterion", "dots", "images", "other")}
    tables |= {f"{stem}_verdicts.csv" for stem in ("curves", "dots", "images", "other")}
    assert {p.name for p in (tmp_path / "w" / "report").iterdir()} == pictures | tables
    for name in pictures:
        start = b"\x89PNG" if name.endswith("png") else b"<?xml"
        assert (tmp_path / "w" / "report" / name).read_bytes().startswith(start)


def test_same_results_give_the_same_bytes(tmp_path, everything):
    def written(path):
        return {p.relative_to(path): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}

    first, second = (make_workdir(tmp_path / side / "w", *everything) for side in "ab")
    write_report([first])
    once = written(first)
    write_report([first])
    write_report([second])
    assert written(first) == once == written(second)


def test_figure_5_1_table_counts_every_repetition(tmp_path, everything):
    study, rows = everything
    write_report([make_workdir(tmp_path / "w", study, rows)])
    table = read_csv(tmp_path / "w" / "report" / "curves.csv")
    assert list(table[0]) == [
        "hidden_layers",
        "d0",
        "d1",
        "N",
        "parameters",
        "parameters_per_point",
        "repetitions",
        "mean_mce",
        "std_mce",
        "zero_mce_repetitions",
        "worst_mce",
        "non_finite",
    ]
    assert len(table) == len({row["cell"] for row in rows if row["study"] == "curves"})
    for line in table:
        cell = f"curves.h{line['hidden_layers']}.d{line['d0']}x{line['d1']}.N{line['N']}"
        mine = [row for row in rows if row["cell"] == cell]
        mce = [row["mce"] for row in mine if row["verdict"] != "non_finite"]
        assert int(line["repetitions"]) == len(mine) == 3
        assert int(line["non_finite"]) == 3 - len(mce)
        assert float(line["mean_mce"]) == pytest.approx(sum(mce) / len(mce))
        assert float(line["std_mce"]) == pytest.approx(statistics.stdev(mce))
        assert float(line["worst_mce"]) == max(mce)
        assert int(line["zero_mce_repetitions"]) == mce.count(0)
        assert float(line["parameters_per_point"]) == int(line["parameters"]) / int(line["N"])
    assert sum(int(line["non_finite"]) for line in table) == 1


def test_figure_5_1_agrees(tmp_path):
    page = report(tmp_path / "w", *figure_5_1(as_claimed, layers=(1, 2)))
    assert status_of(page) == "agrees"
    assert "4 of 4 curves meet the criterion" in page
    assert "12 of 12 repetitions have MCE exactly 0" in page  # 2 depths, 2 widths, one cell above 1.5, 3 repetitions
    criterion = read_csv(tmp_path / "w" / "report" / "curves_criterion.csv")
    for line in criterion:
        parameters = int(line["d0"]) ** 2 * int(line["hidden_layers"]) + int(line["d0"])
        assert float(line["zero_from_parameters_per_point"]) == parameters / math.ceil(parameters / 1.2)
        largest_below = max(q for r in (0.25, 0.5) if (q := parameters / math.ceil(parameters / r)) <= 0.7)
        smallest = statistics.mean(as_claimed(largest_below, k) for k in range(3))
        assert float(line["smallest_mean_mce_below"]) == pytest.approx(smallest)
        assert line["verdict"] == "holds"


def test_figure_5_1_names_the_widths_that_fail_and_by_how_much(tmp_path):
    study, rows = figure_5_1(as_claimed)
    for row in rows:
        if row["d1"] == 20 and row["parameters"] / row["N"] > 1.5:
            row["mce"] = 0.012
    page = report(tmp_path / "w", study, rows)
    assert status_of(page) == "agrees in part"
    assert "Fails, 1 hidden layer, d = 20: 1 of 1 cell at 1.5 or above not within 0.5 %" in page
    assert "worst mean MCE 1.2 % at parameters / N = 2.000 (N = 210)" in page
    assert "Fails, 1 hidden layer, d = 10" not in page


@pytest.mark.parametrize("mce", [0.2, 0.0])
def test_figure_5_1_does_not_agree(tmp_path, mce):
    """An error that stays large above parameters = N fails, and so does one that is small far below."""
    page = report(tmp_path / "w", *figure_5_1(lambda ratio, k: mce))
    assert status_of(page) == "does not agree"
    assert "0 of 2 curves meet the criterion, 2 fail" in page


def test_figure_5_1_without_cells_on_a_side_is_no_agreement(tmp_path):
    page = report(tmp_path / "w", *figure_5_1(as_claimed, ratios=(0.8, 1.2, 2.0)))
    assert status_of(page) == "cannot be judged"
    assert "Undecided, 1 hidden layer, d = 10: no cell with parameters / N <= 0.7." in page


def test_figure_5_1_cell_without_a_finite_repetition_fails(tmp_path):
    study, rows = figure_5_1(as_claimed, widths=(10,))
    for row in rows:
        if row["parameters"] / row["N"] > 1.5:
            row |= {"mse": math.inf, "mce": math.nan, "verdict": "non_finite"}
    page = report(tmp_path / "w", study, rows)
    assert status_of(page) == "does not agree"
    assert "no finite repetition at parameters / N = 2.000" in page
    assert "Not drawn: 1 cell without a finite repetition" in page
    assert "3 of 15 repetitions ended non-finite" in page
    assert "Verdicts of 15 repetitions: non_finite 3, not_certified 12." in page


def test_figure_5_2_table(tmp_path, everything):
    study, rows = everything
    write_report([make_workdir(tmp_path / "w", study, rows)])
    narrow, wide = read_csv(tmp_path / "w" / "report" / "dots.csv")
    kept = [0.1, 0.0, 0.025]  # 0.1 / (k + 1) for k = 0, 2, 3; the second is set to 0
    assert [narrow[k] for k in ("d0", "N", "repetitions", "non_finite")] == ["5", "5", "4", "1"]
    assert float(narrow["min_min_abs_neural_input"]) == 0
    assert float(narrow["median_min_abs_neural_input"]) == statistics.median(kept)
    assert float(narrow["max_min_abs_neural_input"]) == 0.1
    assert float(narrow["median_mse"]) == 1e-22
    assert (narrow["min_abs_neural_input_below_1e-3"], narrow["min_abs_neural_input_zero"]) == ("1", "1")
    assert narrow["non_differentiable"] == "1"
    assert (wide["non_finite"], wide["min_abs_neural_input_below_1e-3"], wide["mse_above_1e-7"]) == ("0", "0", "0")


def test_figure_5_2_agrees_only_if_every_repetition_does(tmp_path):
    study = Study("dots", GAUSSIAN, figure="fig5_2", repeats=5)
    good = [make_row("dots", d, d * d // 5, k, mse=1e-20) for d in (5, 10) for k in range(5)]
    page = report(tmp_path / "good", study, good)
    assert status_of(page) == "agrees"
    assert "in 10 of 10 repetitions" in page

    bad = [dict(row) for row in good]
    bad[0]["min_abs_neural_input"] = 1e-15
    bad[1]["mse"] = 0.05
    bad[2] |= {"mse": 1e-35, "min_abs_neural_input": 0.0}
    bad[3] |= {"mse": math.nan, "mce": math.nan, "min_abs_neural_input": math.nan, "verdict": "non_finite"}
    page = report(tmp_path / "bad", study, bad)
    assert status_of(page) == "agrees in part"
    assert "Agrees in 6 of 10 repetitions; 2 have min |w . x| < 1e-3, 1 have MSE > 1e-7, 1 are non-finite" in page
    assert "from 0 to 1.0e-02; below 1e-3 in 2 of 10 repetitions, of these exactly 0 in 1" in page
    assert "from 1.0e-35 to 5.0e-02; above 1e-7 in 1 of 10 repetitions, below 1e-31 in 1" in page
    # 1e-20 is below 1e-3 * 1e-15 too; nothing is below 1e-3 * 0.
    assert "MSE < 1e-3 min |w . x|: in 7 of 10 repetitions" in page
    assert "Not drawn, non-finite: 1 of 10 repetitions" in page


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


@pytest.mark.parametrize("bias", [False, True])
def test_older_results_lack_columns(tmp_path, bias):
    """Parameters are then those of the network that config.json describes."""
    columns = ["study", "cell", "d0", "d1", "N", "hidden_layers", "rho", "seed", "mse", "mce", "min_abs_neural_input"]
    study = Study("old", GAUSSIAN, Network(hidden_layers=(2,), bias=bias), figure="fig5_1")
    path = make_workdir(tmp_path / "w", study, [make_row("old", 4, 10, 0, hidden_layers=2, d0=3)], columns)
    page = text_of(write_report([path]))
    (line,) = read_csv(path / "report" / "old.csv")
    # W1 is 4 x 3, W2 is 4 x 4, z has 4 numbers; biases 4, 4 and 1.
    assert int(line["parameters"]) == 12 + 16 + 4 + (9 if bias else 0)
    assert line["std_mce"] == "nan"
    assert "Verdicts of 1 repetition: not recorded 1." in page


def test_verdicts_are_counted_for_each_cell(tmp_path):
    study = Study("dots", GAUSSIAN, figure="fig5_2")
    given = ["global_minimum", "global_minimum", "suboptimal_dlm", "non_differentiable"]
    rows = [make_row("dots", 4, 10, k, verdict=verdict) for k, verdict in enumerate(given)]
    write_report([make_workdir(tmp_path / "w", study, rows)])
    (line,) = read_csv(tmp_path / "w" / "report" / "dots_verdicts.csv")
    counts = {name: int(line[name]) for name in given}
    assert counts == {"global_minimum": 2, "suboptimal_dlm": 1, "non_differentiable": 1}


def test_several_workdirs_share_a_page_without_sharing_files(tmp_path):
    study, rows = figure_5_1(as_claimed)
    first = make_workdir(tmp_path / "one", study, rows)
    second = make_workdir(tmp_path / "two", study, rows[:15])
    third = make_workdir(tmp_path / "x" / "two", Study("alone", GAUSSIAN), [make_row("alone", 4, 10, 0)])
    page = write_report([first, second, third, second])
    names = {p.name for p in (first / "report").glob("*.csv")}
    kinds = ("", "_criterion", "_verdicts")
    assert names == {f"{folder}_curves{kind}.csv" for folder in ("one", "two") for kind in kinds} | {
        "alone.csv",
        "alone_verdicts.csv",
    }
    assert len(read_csv(first / "report" / "one_curves.csv")) == 10
    assert len(read_csv(first / "report" / "two_curves.csv")) == 5
    assert not (second / "report").exists()
    assert len(Page(page.read_text()).references) == 4


def test_file_names_that_would_meet_are_kept_apart(tmp_path):
    study, rows = figure_5_1(as_claimed)
    study = dataclasses.replace(study, also=(Study("curves_criterion", GAUSSIAN),))
    path = make_workdir(tmp_path / "w", study, [*rows, make_row("curves_criterion", 4, 10, 0)])
    write_report([path])
    assert "verdict" in read_csv(path / "report" / "curves_criterion.csv")[0]
    assert len(read_csv(path / "report" / "curves_criterion_2.csv")) == 1


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


def test_extreme_values_are_drawn(tmp_path):
    """All zeros, one width, one repetition, nothing finite: pictures without a warning or an error."""
    study = Study("dots", GAUSSIAN, figure="fig5_2")
    zero = make_row("dots", 5, 5, 0, mse=0.0, u=0.0)
    lost = zero | {"mse": math.inf, "mce": math.nan, "verdict": "non_finite"}
    for name, row in {"zero": zero, "lost": lost}.items():
        for figure in ("fig5_1", "fig5_2", "table1", "none"):
            report(tmp_path / f"{name}_{figure}", dataclasses.replace(study, figure=figure), [row])


def test_damaged_results_are_the_users_to_mend(tmp_path):
    path = make_workdir(tmp_path / "w", Study("plain", GAUSSIAN), [make_row("plain", 4, 10, 0, mce="oops")])
    with pytest.raises(UserError, match=r"results\.csv, line 2"):
        write_report([path])
    with pytest.raises(UserError, match="no work folder"):
        write_report([])
    with pytest.raises(UserError, match=r"no config\.json"):
        write_report([tmp_path])
