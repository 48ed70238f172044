"""The page on minima below, against hand-made results with known answers."""

import dataclasses
import math

import pytest
import scipy.stats

from mnnjax.config import Network, Problem, Study, Train, UserError
from mnnjax.report import write_report
from mnnjax.report.common import minima
from mnnjax.report.common.rows import read_rows
from mnnjax.report.kinks import claims
from mnnjax.report.kinks.starts import gather
from mnnjax.study.workdir.results_table import read_csv
from tests.report.by_hand import make_workdir, status_of, text_of, written
from tests.report.minima_by_hand import UNPROVEN, cell

SIZES = Problem(d0=(10, 20), d0_d1_over_N=(0.5, 2.0))
AT_ONCE = Train(epochs=0, decay_epochs=0, finish="minimum")
ADAM = Train(finish="minimum")


def part(name, train=AT_ONCE, init="he", repeats=20, problem=SIZES, **options):
    return Study(name, problem, Network(init=init), train, repeats=repeats, figure="kinks", **options)


STUDY = part("kinks", init="gaussian", also=(part("kinks_he"), part("kinks_adam", ADAM)))
KINKS, GLOBAL = ["suboptimal_kink"] * 20, ["global_minimum"] * 20


def usual_rows(names=("kinks", "kinks_he", "kinks_adam")):
    """At kinks with d0 d1 / N = 0.5, global with 2."""
    return [
        row for name in names for d in (10, 20) for ratio, ends in ((0.5, KINKS), (2, GLOBAL))
        for row in cell(name, d, int(d * d / ratio), ends)
    ]  # fmt: skip


def starts_of(path, study, rows):
    return gather(study, read_rows(make_workdir(path, study, rows) / "results.csv"))


def cases_of(path, study, rows):
    return {(case.claim.key, case.start.name): case for case in claims.cases(starts_of(path, study, rows))}


@pytest.mark.slow
def test_page(tmp_path):
    path = make_workdir(tmp_path / "w", STUDY, usual_rows())
    page = text_of(write_report([path]))
    assert "Of 240 descents, 120 end at a global minimum, 120 at a sub-optimal minimum at kinks, 0 at" in page
    assert status_of(page) == "agrees in part"
    # (a) of one start, (b) to (d) of three; those after training at kinks contradict (a).
    assert "Of 10 cases, 9 meet the criterion, 1 do not, 0 cannot be judged." in page
    assert "not trained · then an exact descent to a minimum" in page
    assert page.count("Compared with the others in the section kinks.") == 2
    pictures = {f"kinks{suffix}.{kind}" for suffix in ("", "_kinks") for kind in ("png", "svg")}
    assert pictures <= {file.name for file in (path / "report").iterdir()}
    again = make_workdir(tmp_path / "v", STUDY, usual_rows())
    write_report([again])
    assert written(path / "report") == written(again / "report")


def test_table_counts_every_descent(tmp_path):
    ends = ["global_minimum", "suboptimal_kink", "suboptimal_dlm", *UNPROVEN, "suboptimal_kink", "suboptimal_kink"]
    rows = cell("kinks", 10, 80, ends)
    rows[0] |= {"minimum_kinks": 7}
    rows[6] |= {"minimum_mse": 0.01, "minimum_kinks": 40}
    # A repetition that overflowed has no descent.
    rows += cell("kinks", 10, 80, ["non_finite"], mse=math.inf, minimum_kinks="", minimum_mse="")
    rows[-1] |= {"seed": 8, "verdict": "non_finite"}
    write_report([make_workdir(tmp_path / "w", STUDY, rows)])
    (line,) = read_csv(tmp_path / "w" / "report" / "kinks.csv")
    assert (line["start"], line["N"], line["descents"], line["d0_d1_per_point"]) == (
        "Gaussian weights", "80", "8", "1.25"
    )  # fmt: skip
    assert [int(line[f"below_{name}"]) for name in ("global", "kink", "dlm", "unproven")] == [1, 3, 1, 3]
    exact = scipy.stats.binomtest(1, 8).proportion_ci(0.95, method="exact")
    found = [float(line[f"global_{end}"]) for end in ("share", "low", "high")]
    assert found == pytest.approx([1 / 8, exact.low, exact.high])
    # Of the five proven ones: 7, 25, 0, 40, 25 kinks, and 1e-30, 0.05, 0.05, 0.01, 0.05.
    assert (float(line["kinks_per_weight"]), float(line["minimum_mse"])) == (0.25, 0.05)
    assert (float(line["start_mse"]), float(line["descent_steps"])) == (0.1, 43.5)


def test_the_interval_of_a_median_covers_it():
    """Against the coverage that the binomial distribution gives: ends are order statistics, at least 95 %."""
    for n in (6, 9, 30):
        measure = minima.median([*map(float, range(n)), math.nan])
        below, above = int(measure.low), n - 1 - int(measure.high)
        covered = 1 - scipy.stats.binom.cdf(below, n, 0.5) - scipy.stats.binom.cdf(above, n, 0.5)
        narrower = 1 - 2 * scipy.stats.binom.cdf(below + 1, n, 0.5)
        assert covered >= 0.95 > narrower
        assert below == above
    few = minima.median([1.0] * 5)
    assert few.estimate == 1
    assert math.isnan(few.low)
    assert math.isnan(minima.median([math.nan]).estimate)


def test_each_claim_is_judged_for_each_start(tmp_path):
    cases = cases_of(tmp_path / "w", STUDY, usual_rows())
    counts = {key: (case.meet, case.contradict, case.unproven, case.verdict) for key, case in cases.items()}
    for start in ("Gaussian weights", "He initialization", "after adam"):
        assert counts["b", start] == (80, 0, 0, "holds")
        assert counts["c", start] == counts["d", start] == (40, 0, 0, "holds")
    assert counts["a", "after adam"] == (40, 40, 0, "fails")
    assert ("a", "He initialization") not in counts
    exact = scipy.stats.binomtest(40, 80).proportion_ci(0.95, method="exact")
    share = cases["a", "after adam"].share
    assert (share.low, share.high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize(
    ("meet", "contradict", "unproven", "verdict"),
    [
        # Intervals of Clopper and Pearson: 36 of 36 from 0.903, 34 of 34 from 0.897, 55 of 56 from 0.904.
        (36, 0, 0, "holds"),
        (34, 0, 0, "undecided"),
        (55, 1, 0, "holds"),
        (55, 0, 1, "holds"),
        (50, 0, 20, "undecided"),
        (20, 20, 0, "fails"),
        (0, 0, 5, "undecided"),
        (0, 1, 0, "undecided"),
    ],
)
def test_a_claim_is_judged_by_intervals(tmp_path, meet, contradict, unproven, verdict):
    ends = ["global_minimum"] * meet + ["suboptimal_dlm"] * contradict + ["undecided"] * unproven
    case = cases_of(tmp_path / "w", STUDY, cell("kinks", 10, 50, ends))["c", "Gaussian weights"]
    assert case.verdict == verdict


def test_as_many_weights_as_points_are_not_more(tmp_path):
    cases = cases_of(tmp_path / "w", STUDY, cell("kinks", 10, 100, KINKS))
    assert {key for key, _ in cases} == {"b", "d"}


def test_what_the_finding_tells(tmp_path):
    rows = usual_rows() + cell("kinks_he", 10, 80, ["suboptimal_dlm"], mse=0.4)
    rows += cell("kinks_he", 10, 90, ["suboptimal_dlm"], mse=0.41)
    measured = dict(
        sentence.split(" ", 1) for sentence in claims.finding(starts_of(tmp_path / "w", STUDY, rows)).measured
    )
    assert "40 of 80 descents meet it (95 %: 38.6 % to 61.4 %)" in measured["(a)"]
    assert "MSE 1.0e-01 where training ended and 5.0e-02 at the minimum" in measured["(a)"]
    # 80 * 0.2 is a whole number, and 90 * 0.205 is not.
    assert "In 1 of them N MSE is a whole number" in measured["(b)"]
    assert "2 of 242 descents end at a sub-optimal differentiable minimum" in measured["(b)"]
    assert "The largest d0 d1 / N with a sub-optimal minimum is 1.250." in measured["(c)"]
    assert "120 of 120 descents meet it" in measured["(d)"]
    assert "0.250 to 0.250 kinks per weight" in measured["(d)"]


def test_parts_of_one_start_are_shown_together(tmp_path):
    """They differ in sizes and repetitions; with another rho they are another start, which has its part's name."""
    large = part("kinks_large", init="gaussian", repeats=3, problem=Problem(d0=(50,), d0_d1_over_N=(0.5,)))
    other = dataclasses.replace(part("kinks_leaky"), network=Network(rho=0.1))
    study = part("kinks", init="gaussian", also=(part("kinks_he"), large, other))
    rows = usual_rows(("kinks", "kinks_he")) + cell("kinks_large", 50, 5000, KINKS[:3])
    rows += cell("kinks_leaky", 10, 200, KINKS)
    starts = {start.name: start for start in starts_of(tmp_path / "w", study, rows)}
    assert list(starts) == ["Gaussian weights", "He initialization, kinks_he", "He initialization, kinks_leaky"]
    assert [cell.d0 for cell in starts["Gaussian weights"].cells] == [10, 10, 20, 20, 50]


@pytest.mark.slow
def test_unfinished_study(tmp_path):
    """The first part has no rows yet; a part whose repetitions all overflowed has no descent."""
    late = make_workdir(tmp_path / "late", STUDY, usual_rows(("kinks_he",)))
    page = text_of(write_report([late]))
    assert "No results yet: kinks, kinks_adam." in page
    assert (late / "report/kinks_he_claims.csv").exists()
    rows = [row | {"minimum_verdict": "non_finite", "verdict": "non_finite"} for row in cell("kinks", 10, 50, GLOBAL)]
    page = text_of(write_report([make_workdir(tmp_path / "none", STUDY, rows)]))
    assert "No repetition has a descent." in page


def test_config():
    with pytest.raises(UserError, match=r"network\.hidden_layers: kinks needs one"):
        dataclasses.replace(STUDY, network=Network(hidden_layers=(1, 2)))
    with pytest.raises(UserError, match=r"train\.finish: kinks shows the minima"):
        dataclasses.replace(STUDY, train=Train())
