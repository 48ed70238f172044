"""The page on thresholds against hand-made results with known answers."""

import dataclasses
import math

import pytest
import scipy.stats

from mnnjax.config import Network, Problem, Study, Train, UserError, Volume
from mnnjax.report import write_report
from mnnjax.report.capacity import analysis as capacity
from mnnjax.report.capacity import claims as capacity_claims
from mnnjax.report.capacity import figures as capacity_figures
from mnnjax.report.capacity.logistic_fit import fit_rise
from mnnjax.report.capacity.tables import cell_table
from mnnjax.report.common.rows import read_rows
from mnnjax.study.workdir.results_table import read_csv
from tests.report.by_hand import common_columns, make_workdir, p_of, report, report_files, text_of
from tests.report.minima_by_hand import cell

RATIOS = (0.8, 1.0, 1.1, 1.2, 1.3, 1.5, 2.0)


def part(name, optimizer, repeats=20, **options):
    problem = options.pop("problem", Problem(d0=(10, 20), d0_d1_over_N=RATIOS))
    train = Train(optimizer=optimizer, precision=options.pop("precision", "float64"))
    return Study(name, problem, train=train, repeats=repeats, figure="capacity", **options)


STUDY = part("capacity", "adam", also=(part("capacity_sgd", "sgd"),))


def rows_of(name, d, ratio, solved, repeats=20, other="not_converged", mse=0.01, mce=0.02):
    """A cell whose first `solved` seeds end in a global minimum."""
    N = math.floor(d * d / ratio)
    return [
        common_columns(name, 1, d, d, N, k) | {
            "mse": 1e-30 if k < solved else mse, "mce": 0.0 if k < solved else mce,
            "verdict": "global_minimum" if k < solved else other, "precision": "float64",
        }
        for k in range(repeats)
    ]  # fmt: skip


def curve_rows(name, d, hits, **options):
    return [row for ratio, k in zip(RATIOS, hits, strict=True) for row in rows_of(name, d, ratio, k, **options)]


def usual_rows():
    rows = curve_rows("capacity", 10, (0, 3, 7, 12, 16, 19, 20)) + curve_rows("capacity", 20, (0, 1, 6, 15, 19, 20, 20))
    return rows + curve_rows("capacity_sgd", 10, (0,) * 7) + curve_rows("capacity_sgd", 20, (0, 0, 0, 0, 20, 20, 20))


def groups_of(path, study, rows):
    return capacity.gather(study, read_rows(make_workdir(path, study, rows) / "results.csv"))


def test_groups_are_fitted_to_their_counts(tmp_path, few_resamples):
    groups = groups_of(tmp_path / "w", STUDY, usual_rows())
    assert [(g.name, g.curve.label, g.rise.kind) for g in groups] == [
        ("adam", "d = 10", "fitted"), ("adam", "d = 20", "fitted"), ("sgd", "d = 10", "never"),
        ("sgd", "d = 20", "separated"),
    ]  # fmt: skip
    x = [100 / math.floor(100 / ratio) for ratio in RATIOS]
    again = fit_rise(x, (0, 3, 7, 12, 16, 19, 20), [20] * 7)
    assert groups[0].rise == again
    assert groups[0].parameters_per_weight == pytest.approx(1.1)


def test_table_counts_every_seed(tmp_path, few_resamples):
    rows = rows_of("capacity", 10, 1.0, 5, other="suboptimal_dlm")
    rows[5] |= {"mse": 1e-29, "mce": 0.0, "verdict": "not_converged"}
    rows[6] |= {"mse": 1e-9, "mce": 0.0, "verdict": "suboptimal_kink"}
    rows[7] |= {"mse": math.inf, "mce": math.nan, "verdict": "non_finite"}
    study = part("capacity", "adam")
    write_report([make_workdir(tmp_path / "w", study, rows)])
    (line,) = read_csv(tmp_path / "w" / "report" / "capacity.csv")
    exact = scipy.stats.binomtest(5, 20).proportion_ci(0.95, method="exact")
    assert [float(line[key]) for key in ("fraction", "low", "high")] == pytest.approx([0.25, exact.low, exact.high])
    assert (line["optimizer"], line["N"], line["seeds"], line["global_minimum"]) == ("adam", "100", "20", "5")
    assert (line["uncertified_mse_at_rounding"], line["uncertified_mce_0"]) == ("1", "2")
    verdicts = ("suboptimal_dlm", "not_converged", "suboptimal_kink", "non_finite")
    assert [line[verdict] for verdict in verdicts] == ["12", "1", "1", "1"]
    assert (float(line["d0_d1_per_point"]), float(line["parameters_per_point"])) == (1.0, 1.1)
    assert float(line["median_mse"]) == 0.01


def test_rounding_is_that_of_the_training(tmp_path, few_resamples):
    """An MSE of 1e-10 is a residual of 1e-5: 84 units of float32's rounding, and far above float64's."""
    for precision, count in (("float32", 20), ("float64", 0)):
        study = part("capacity", "adam", precision=precision)
        groups = groups_of(tmp_path / precision, study, rows_of("capacity", 10, 1.0, 0, mse=1e-10))
        table = cell_table(groups)
        keys = [column.key for column in table.columns]
        assert table.rows[0][keys.index("uncertified_mse_at_rounding")] == count


def test_optimizers_are_compared_on_the_same_problems(tmp_path, few_resamples):
    rows = rows_of("capacity", 10, 1.2, 12) + rows_of("capacity_sgd", 10, 1.2, 20)
    for row in rows[20:]:
        if row["seed"] not in (0, 1, 2, 15):
            row["verdict"] = "not_converged"
    # Seeds and cells that one of them lacks are left out.
    rows = [row for row in rows if (row["study"], row["seed"]) != ("capacity_sgd", 19)]
    rows += rows_of("capacity", 10, 2.0, 20)
    groups = groups_of(tmp_path / "w", STUDY, rows)
    (pairing,) = capacity.pairings(groups)
    assert (pairing.first, pairing.second, pairing.N, pairing.counts) == ("adam", "sgd", 83, (3, 9, 1, 6))
    # 9 or more, or 1 or fewer, heads of 10.
    assert capacity.mcnemar(9, 1) == pytest.approx(2 * 11 / 2**10)
    (sentence,) = (s for s in capacity_claims.finding(groups).measured if s.startswith("The same problems"))
    assert "19 pairs: solved by both 3, only by adam 9, only by sgd 1, by neither 6" in sentence
    assert "p = 0.0215" in sentence


@pytest.mark.parametrize(
    "other",
    [
        part("capacity_sgd", "sgd", precision="float32"),
        part("capacity_sgd", "sgd", network=Network(init="gaussian")),
        part("capacity_sgd", "sgd", problem=Problem("sphere", d0=(10,), d0_d1_over_N=RATIOS)),
    ],
)
def test_other_points_or_starts_are_not_paired(tmp_path, few_resamples, other):
    study = part("capacity", "adam", also=(other,))
    groups = groups_of(tmp_path / "w", study, rows_of("capacity", 10, 1.2, 5) + rows_of("capacity_sgd", 10, 1.2, 5))
    assert capacity.pairings(groups) == []
    assert any("cannot be compared in pairs" in sentence for sentence in capacity_claims.finding(groups).measured)


@pytest.mark.slow
def test_page(tmp_path, few_resamples):
    path = make_workdir(tmp_path / "w", STUDY, usual_rows())
    page = text_of(write_report([path]))
    names = {f"capacity{s}.{kind}" for s in ("", "_threshold") for kind in ("png", "svg")}
    tables = ("", "_thresholds", "_paired", "_verdicts", "_sgd", "_sgd_verdicts")
    names |= {"runs.csv", *(f"capacity{suffix}.csv" for suffix in tables)}
    names |= {f"capacity{part}_shares.{kind}" for part in ("", "_sgd") for kind in ("png", "svg")}
    assert report_files(path) == names
    first, second, never, separated = read_csv(path / "report" / "capacity_thresholds.csv")
    assert float(first["parameters_low"]) == pytest.approx(1.1 * float(first["threshold_low"]))
    assert (never["fit"], never["threshold_low"], never["threshold_high"]) == ("never", "2.0", "inf")
    place = f"{float(second['threshold']):.3g} [{float(second['threshold_low']):.3g}, "
    assert f"{place}{float(second['threshold_high']):.3g}] for d = 20" in page
    assert "is above 2 for d = 10; between 1.2 and 1.3 for d = 20." in page
    assert separated["threshold"] == "nan"
    assert "With d0 d1 < N, where Lemma 2's equations" in page
    assert "0 of 80 seeds end in a certified global minimum (none is expected)" in page
    assert "Of 4 curves, 3 meet the criterion, 1 do not, 0 cannot be judged." in page
    assert "Compared with the others in the section capacity." in page


@pytest.mark.slow
def test_missing_and_unfinished_parts(tmp_path, few_resamples):
    """The first part has no rows yet, or the study stopped within a cell, or nothing is there at all."""
    late = make_workdir(tmp_path / "late", STUDY, [r for r in usual_rows() if r["study"] == "capacity_sgd"])
    page = text_of(write_report([late]))
    assert "No results yet: capacity." in page
    assert len(read_csv(late / "report" / "capacity_sgd_thresholds.csv")) == 2
    assert not (late / "report" / "capacity_sgd_paired.csv").exists()

    begun = make_workdir(tmp_path / "begun", STUDY, usual_rows()[:30])
    page = text_of(write_report([begun], planned_rows={begun: 560}))
    assert "30 of 560 repetitions so far" in page
    assert "Fewer than the 20 repetitions asked for: 1 cell." in page
    (line,) = read_csv(begun / "report" / "capacity_thresholds.csv")
    assert line["cells"] == "2"

    assert "No results yet: capacity, capacity_sgd." in report(tmp_path / "empty", STUDY, [])


def test_parts_of_one_optimizer_are_told_apart_by_name():
    study = part("a", "adam", also=(part("b", "adam"), part("c", "sgd"), Study("d", Problem(d0=(4,), N=(4,)))))
    assert capacity.names(study) == {"a": "a", "b": "b", "c": "sgd"}


def test_shared_data_sets_are_mentioned(tmp_path, few_resamples):
    study = part("capacity", "adam", problem=Problem(d0=(10,), d0_d1_over_N=RATIOS, data_sets=5))
    groups = groups_of(tmp_path / "w", study, rows_of("capacity", 10, 1.2, 5))
    assert any("too narrow" in sentence for sentence in capacity_claims.finding(groups).measured)


def test_pictures_show_the_numbers(tmp_path, few_resamples):
    groups = groups_of(tmp_path / "w", STUDY, usual_rows())
    adam, sgd = capacity_figures.fraction_panels(groups).axes
    (points, _), (fit, _) = ([line for line in adam.lines if line.get_gid() == gid] for gid in ("fractions", "fit"))
    assert sorted(points.get_ydata()) == pytest.approx([0, 0.15, 0.35, 0.6, 0.8, 0.95, 1])
    rise = groups[0].rise
    p = p_of(fit.get_xdata(), rise.threshold.estimate, math.log(9) / rise.slope)
    assert fit.get_ydata() == pytest.approx(p, abs=1e-9)
    assert not [line for line in sgd.lines if line.get_gid() == "fit"]
    # Where parameters = N, in d0 d1 / N.
    dashed = [line.get_xdata()[0] for line in adam.lines if line.get_gid() is None and len(line.get_xdata()) == 2]
    assert sorted(dashed) == pytest.approx([10 / 11, 20 / 21, 1])

    (panel,) = capacity_figures.threshold_panel(groups).axes
    kinds = [line.get_gid() for line in panel.lines if line.get_gid()]
    # adam: two estimates with intervals; sgd: a bound for d = 10, an interval for d = 20.
    assert kinds == ["estimate", "interval"] * 2 + ["bound", "interval"]


def test_config():
    for change in ({"network": Network(hidden_layers=(2,))}, {"network": Network(hidden_layers=(1, 2))}):
        with pytest.raises(UserError, match=r"network\.hidden_layers: capacity needs one"):
            part("capacity", "adam", **change)
    with pytest.raises(UserError, match=r"figure: 'capacity' is drawn from trained networks"):
        dataclasses.replace(part("capacity", "adam"), train=None, volume=Volume())


@pytest.mark.slow
def test_descents_are_counted(tmp_path, few_resamples):
    study = part("capacity", "adam")
    rows = cell(
        "capacity", 10, 80, ["global_minimum", "suboptimal_kink", "suboptimal_kink", "suboptimal_dlm", "saddle"]
    )
    path = make_workdir(tmp_path / "w", study, rows)
    page = text_of(write_report([path]))
    assert (
        "adam, descents from where training ended. Of 5 descents, 1 end at a global minimum, 2 at a sub-optimal" in page
    )
    (line,) = read_csv(path / "report/capacity.csv")
    assert [line[f"below_{name}"] for name in ("global", "kink", "dlm", "unproven")] == ["1", "2", "1", "1"]
    # No descent followed in this cell, and in no cell of the second study.
    plain = rows_of("capacity", 10, 1.2, 5)
    write_report([make_workdir(tmp_path / "both", study, rows[:5] + rows_of("capacity", 10, 2.0, 5))])
    assert [line["below_kink"] for line in read_csv(tmp_path / "both/report/capacity.csv")] == ["", "2"]
    write_report([make_workdir(tmp_path / "plain", study, plain)])
    (line,) = read_csv(tmp_path / "plain/report/capacity.csv")
    assert "below_kink" not in line
