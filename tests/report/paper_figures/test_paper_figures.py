"""Figures 5.1 and 5.2 on the page, against numbers computed here from the same rows."""

import csv
import dataclasses
import io
import math
import statistics

import pytest

from mnnjax.config import Study
from mnnjax.report import write_report
from mnnjax.report.common.rows import cells, network_curves, row_of
from mnnjax.report.paper_figures import claims
from mnnjax.study.workdir.results_table import _to_csv, read_csv, typed
from tests.report.by_hand import (
    GAUSSIAN,
    as_claimed,
    figure_5_1,
    figure_5_2,
    make_row,
    make_workdir,
    report,
    status_of,
    text_of,
)
from tests.report.minima_by_hand import cell


@pytest.mark.slow
def test_figure_5_1_table_counts_every_repetition(tmp_path):
    study, rows = figure_5_1(as_claimed, layers=(1, 2))
    rows[0] |= {"mse": math.inf, "mce": math.nan, "verdict": "non_finite"}
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
    assert len(table) == len({row["cell"] for row in rows})
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
    assert "Of 4 curves, 4 meet the criterion, 0 do not" in page
    assert "12 of 12 repetitions have MCE exactly 0" in page  # 2 depths, 2 widths, one cell above 1.5, 3 repetitions
    criterion = read_csv(tmp_path / "w" / "report" / "curves_criterion.csv")
    for line in criterion:
        parameters = int(line["d0"]) ** 2 * int(line["hidden_layers"]) + int(line["d0"])
        assert float(line["zero_from_parameters_per_point"]) == parameters / math.ceil(parameters / 1.2)
        largest_below = max(q for r in (0.25, 0.5) if (q := parameters / math.ceil(parameters / r)) <= 0.7)
        smallest = statistics.mean(as_claimed(largest_below, k) for k in range(3))
        assert float(line["smallest_mean_mce_below"]) == pytest.approx(smallest)
        assert line["verdict"] == "holds"


@pytest.mark.slow
def test_figure_5_1_names_the_widths_that_fail_and_by_how_much(tmp_path):
    study, rows = figure_5_1(as_claimed)
    for row in rows:
        if row["d1"] == 20 and row["parameters"] / row["N"] > 1.5:
            row["mce"] = 0.012
    page = report(tmp_path / "w", study, rows)
    assert status_of(page) == "agrees in part"
    narrow, wide = read_csv(tmp_path / "w" / "report" / "curves_criterion.csv")
    assert (narrow["verdict"], wide["verdict"]) == ("holds", "fails")
    assert float(wide["worst_mean_mce_above"]) == pytest.approx(0.012)


@pytest.mark.slow
@pytest.mark.parametrize("mce", [0.2, 0.0])
def test_figure_5_1_does_not_agree(tmp_path, mce):
    """An error that stays large above parameters = N fails, and so does one that is small far below."""
    page = report(tmp_path / "w", *figure_5_1(lambda ratio, k: mce))
    assert status_of(page) == "does not agree"
    assert "Of 2 curves, 0 meet the criterion, 2 do not, 0 cannot be judged." in page


def test_figure_5_1_without_cells_on_a_side_is_no_agreement(tmp_path):
    page = report(tmp_path / "w", *figure_5_1(as_claimed, ratios=(0.8, 1.2, 2.0)))
    assert status_of(page) == "cannot be judged"
    narrow, wide = read_csv(tmp_path / "w" / "report" / "curves_criterion.csv")
    assert narrow["verdict"] == wide["verdict"] == "undecided"
    assert narrow["smallest_mean_mce_below"] == "nan"


@pytest.mark.slow
def test_figure_5_1_cell_without_a_finite_repetition_fails(tmp_path):
    study, rows = figure_5_1(as_claimed, widths=(10,))
    for row in rows:
        if row["parameters"] / row["N"] > 1.5:
            row |= {"mse": math.inf, "mce": math.nan, "verdict": "non_finite"}
    page = report(tmp_path / "w", study, rows)
    assert status_of(page) == "does not agree"
    assert "Not drawn: 1 cell without a finite repetition" in page
    assert "3 of 15 repetitions ended non-finite" in page
    assert "Verdicts of 15 repetitions: non_finite 3, not_certified 12." in page


def test_figure_5_2_table(tmp_path):
    write_report([make_workdir(tmp_path / "w", *figure_5_2())])
    narrow, wide = read_csv(tmp_path / "w" / "report" / "dots.csv")
    kept = [0.1, 0.0, 0.025]  # 0.1 / (k + 1) for k = 0, 2, 3; the second is set to 0
    assert [narrow[k] for k in ("d0", "N", "repetitions", "non_finite")] == ["5", "5", "4", "1"]
    assert float(narrow["min_min_abs_neural_input"]) == 0
    assert float(narrow["median_min_abs_neural_input"]) == statistics.median(kept)
    assert float(narrow["max_min_abs_neural_input"]) == 0.1
    assert float(narrow["median_mse"]) == 1e-22
    assert (narrow["min_abs_neural_input_below_1e-3"], narrow["min_abs_neural_input_zero"]) == ("1", "1")
    assert narrow["suboptimal_kink"] == "1"
    assert (wide["non_finite"], wide["min_abs_neural_input_below_1e-3"], wide["mse_above_1e-7"]) == ("0", "0", "0")


def sampled(means, above=0.0, below=0.2):
    """A curve: repetitions of the cell with twice as many parameters as points have these MCE, others as claimed."""
    _, rows = figure_5_1(lambda ratio, k: above if ratio > 1 else below, widths=(10,), repeats=len(means))
    for row in rows:
        if row["parameters"] / row["N"] > 1.9:
            row["mce"] = means[row["seed"]]
    return claims.judge(network_curves(cells(parsed_rows(rows)))[0])


def parsed_rows(rows):
    return [row_of(typed(text)) for text in csv.DictReader(io.StringIO(_to_csv(rows)))]


def test_figure_5_1_takes_sampling_error_into_account():
    """One cell at 0.9 standard errors above 0.5 % does not decide; one at more than two does."""
    noisy = [0.0, 0.0, 0.0, 0.0, 0.05]
    mean, error = statistics.fmean(noisy), statistics.stdev(noisy) / math.sqrt(5)
    assert 0.005 < mean <= 0.005 + 0.9 * error
    found = sampled(noisy)
    assert (found.verdict, found.within_error) == ("holds", 1)
    assert found.zero_from_parameters_per_point < 1.5
    finding = claims.figure_5_1([found])
    assert finding.status == "agrees"
    assert "On the wrong side of 0.5 % by less than two standard errors: 1 cell." in finding.because

    sure = [0.03, 0.031, 0.029, 0.03, 0.03]
    assert (sampled(sure).verdict, sampled(sure).within_error) == ("fails", 0)
    # Below, where the claim expects errors, zeros that are no chance contradict it, and few repetitions do not.
    assert sampled([0.0] * 5, below=0.0).verdict == "fails"


def test_figure_5_1_tells_one_number_of_curves():
    """What the badge counts is what the sentences count."""
    found = [sampled([0.0] * 5), sampled([0.0] * 5), sampled([0.0] * 5), sampled([0.03] * 5)]
    finding = claims.figure_5_1(found)
    assert finding.status == "agrees in part"
    assert finding.because[0] == "Of 4 curves, 3 meet the criterion, 1 do not, 0 cannot be judged."
    assert finding.answer.startswith("In 3 of 4 curves (depth and width) it is as claimed")
    assert not any("of 4 curves" in sentence for sentence in finding.measured)


def dots(**verdicts):
    """The status of Figure 5.2 with so many repetitions of each verdict."""
    listed = [verdict for verdict, count in verdicts.items() for _ in range(count)]
    rows = [make_row("dots", 5, 5, k, mse=1e-20, verdict=verdict) for k, verdict in enumerate(listed)]
    return claims.figure_5_2(cells(parsed_rows(rows)))


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ({"global_minimum": 80, "suboptimal_dlm": 9, "not_converged": 1}, "agrees"),
        ({"global_minimum": 4}, "agrees"),
        ({"global_minimum": 4, "suboptimal_kink": 1}, "agrees in part"),
        ({"global_minimum": 60, "suboptimal_kink": 30}, "agrees in part"),
        ({"global_minimum": 10, "suboptimal_kink": 80}, "does not agree"),
        ({"suboptimal_kink": 3}, "does not agree"),
        ({"non_finite": 3}, "does not agree"),
        ({"not_converged": 60}, "cannot be judged"),
        ({"global_minimum": 20, "not_converged": 40}, "cannot be judged"),
        ({"not_certified": 5}, "cannot be judged"),
    ],
)
def test_figure_5_2_is_judged_by_its_certificates(verdicts, status):
    finding = dots(**verdicts)
    assert finding.status == status
    certified = verdicts.get("global_minimum", 0) + verdicts.get("suboptimal_dlm", 0)
    assert f"Certificates prove it of {certified} of {sum(verdicts.values())} repetitions" in finding.answer


@pytest.mark.slow
def test_figure_5_2_tells_the_ranges_of_the_paper(tmp_path):
    study = Study("dots", GAUSSIAN, figure="fig5_2", repeats=5)
    good = [make_row("dots", d, d * d // 5, k, mse=1e-20, verdict="global_minimum") for d in (5, 10) for k in range(5)]
    page = report(tmp_path / "good", study, good)
    assert status_of(page) == "agrees"
    assert "far smaller, MSE < 1e-3 min |w . x|: in 10 of 10 repetitions" in page

    bad = [dict(row) for row in good]
    bad[0]["min_abs_neural_input"] = 1e-15
    bad[1]["mse"] = 0.05
    bad[2] |= {"mse": 1e-35, "min_abs_neural_input": 0.0}
    bad[3] |= {"mse": math.nan, "mce": math.nan, "min_abs_neural_input": math.nan, "verdict": "non_finite"}
    page = report(tmp_path / "bad", study, bad)
    assert status_of(page) == "agrees in part"
    assert "Of 10 repetitions, 9 meet the criterion, 1 do not, 0 cannot be judged." in page
    assert "2 have min |w . x| < 1e-3, 1 have MSE > 1e-7, 1 are non-finite" in page
    assert "MSE <= 1e-7 and min |w . x| >= 1e-3: 6 of 10 repetitions" in page
    assert "min |w . x|: from 0 to 1.0e-02; final MSE: from 1.0e-35 to 5.0e-02; far smaller" in page
    # 1e-20 is below 1e-3 * 1e-15 too; nothing is below 1e-3 * 0.
    assert "MSE < 1e-3 min |w . x|: in 7 of 10 repetitions" in page
    assert "Not drawn, non-finite: 1 of 10 repetitions" in page


def test_verdicts_are_counted_for_each_cell(tmp_path):
    study = Study("dots", GAUSSIAN, figure="fig5_2")
    given = ["global_minimum", "global_minimum", "suboptimal_dlm", "suboptimal_kink"]
    rows = [make_row("dots", 4, 10, k, verdict=verdict) for k, verdict in enumerate(given)]
    write_report([make_workdir(tmp_path / "w", study, rows)])
    (line,) = read_csv(tmp_path / "w" / "report" / "dots_verdicts.csv")
    counts = {name: int(line[name]) for name in given}
    assert counts == {"global_minimum": 2, "suboptimal_dlm": 1, "suboptimal_kink": 1}


@pytest.mark.slow
def test_extreme_values_are_drawn(tmp_path):
    """All zeros, one width, one repetition, nothing finite: pictures without a warning or an error."""
    study = Study("dots", GAUSSIAN, figure="fig5_2")
    zero = make_row("dots", 5, 5, 0, mse=0.0, u=0.0)
    lost = zero | {"mse": math.inf, "mce": math.nan, "verdict": "non_finite"}
    for name, row in {"zero": zero, "lost": lost}.items():
        for figure in ("fig5_1", "fig5_2", "table1", "none"):
            report(tmp_path / f"{name}_{figure}", dataclasses.replace(study, figure=figure), [row])


@pytest.mark.slow
def test_figure_5_1_shows_what_lies_below(tmp_path):
    """With `train.finish`: one more picture and table, a row of panels per depth."""
    study, _ = figure_5_1(as_claimed, layers=(1, 2))
    rows = cell("curves", 10, 50, ["global_minimum"] * 3) + cell("curves", 10, 200, ["suboptimal_kink"] * 3)
    rows += cell("curves", 10, 200, ["suboptimal_kink", "undecided"], hidden_layers=2)
    path = make_workdir(tmp_path / "w", study, rows)
    page = text_of(write_report([path]))
    assert "Of 8 descents, 3 end at a global minimum, 4 at a sub-optimal minimum at kinks" in page
    table = read_csv(path / "report/curves_minima.csv")
    starts = ["1 hidden layer", "1 hidden layer", "2 hidden layers"]
    assert [line["start"] for line in table] == starts
    assert [line["below_kink"] for line in table] == ["0", "3", "1"]
    assert (path / "report/curves_minima.png").exists()

    write_report([make_workdir(tmp_path / "plain", *figure_5_1(as_claimed))])
    assert not (tmp_path / "plain/report/curves_minima.csv").exists()
