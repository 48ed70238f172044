"""The report on volume studies against hand-made results with known answers."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats

from mnnjax import theory
from mnnjax.config import Network, Problem, UserError, Volume
from mnnjax.report import write_report
from mnnjax.report.common.rows import cells
from mnnjax.report.volumes import analysis, claims
from mnnjax.report.volumes import figures as volume_figures
from mnnjax.study.workdir.results_table import read_csv
from tests.report.by_hand import make_workdir, report_files, text_of, written
from tests.report.volumes_by_hand import (
    BASINS,
    LINEAR,
    RANKS,
    SIZES,
    VOLUMES,
    basin_rows,
    drawn,
    exactly,
    linear_rows,
    linear_shapes,
    parsed,
    rank_rows,
    run_row,
    volume_row,
)


def curves_of(tmp_path, part, rows):
    return analysis.volume_curves(part, cells(parsed(tmp_path / "parsed", part, rows)))


def test_the_fit_recovers_a_planted_exponent(tmp_path):
    curves = curves_of(tmp_path, LINEAR, linear_rows(0.3))
    one, two = analysis.fits(curves)
    assert [curve.label for curve in curves] == ["d0 d1 = N", "d0 d1 = 2 N"]
    for fit, k in ((one, 1.0), (two, 2.0)):
        scale = [N**0.75 * (d0 * d1) ** 0.25 for d0, d1, N in linear_shapes(k) for _ in range(2)]
        values = [m.estimate for cell in fit.curve.cells for m in cell.measures("suboptimal")]
        line = scipy.stats.linregress(scale, np.log(values))
        half = scipy.stats.t.ppf(0.975, 6) * line.stderr
        assert fit.exponent == pytest.approx(0.3, abs=0.01)
        assert (fit.low, fit.high) == pytest.approx((-line.slope - half, -line.slope + half))
        assert fit.gammas == pytest.approx([theory.gamma(0.1, 0.5, 0.0)] * 4)
        assert (len(fit.cells), fit.verdict) == (4, "holds")
    assert claims.finding([one, two]).status == "agrees"


@pytest.mark.parametrize(
    ("exponent", "noise", "ks", "status"),
    [
        (0.01, 0.0, (1.0, 2.0), "does not agree"),
        (0.06, 0.8, (1.0, 2.0), "cannot be judged"),
        (0.3, 0.0, (0.5,), "cannot be judged"),
    ],
)
def test_slow_noisy_and_narrow_networks_do_not_confirm_the_theorem(tmp_path, exponent, noise, ks, status):
    part = dataclasses.replace(LINEAR, network=Network(d0_d1_over_N=ks))
    curves = curves_of(tmp_path, part, linear_rows(exponent, ks, part, noise))
    fits = analysis.fits(curves)
    assert claims.finding(fits).status == status
    assert {fit.verdict for fit in fits} == {
        "does not agree": {"fails"},
        "cannot be judged": {"not judged"} if ks == (0.5,) else {"undecided"},
    }[status]


def test_gamma_takes_d0_over_N_unless_rho_is_zero(tmp_path):
    part = dataclasses.replace(
        LINEAR,
        problem=Problem(label_values="zero_one", N=SIZES, d0_over_sqrt_N_log_N=0.9),
        network=Network(d0_d1_over_N=(2.0,), rho=0.1),
    )
    widths = [math.ceil(0.9 * math.sqrt(N) * math.log(N)) for N in SIZES]
    rows = [
        volume_row(part, d0, math.ceil(2 * N / d0), N, suboptimal=exactly(math.exp(-N)))
        for d0, N in zip(widths, SIZES, strict=True)
    ]
    (fit,) = analysis.fits(curves_of(tmp_path, part, rows))
    assert fit.gammas == pytest.approx([0.23 * (d0 / N) ** 0.75 for d0, N in zip(widths, SIZES, strict=True)])
    assert min(fit.gammas) < max(fit.gammas)


@pytest.mark.slow
def test_zero_hits_are_arrows_and_enter_no_fit(tmp_path):
    rows = linear_rows(0.3, (1.0,))
    rows[-1] |= {"suboptimal": 0.0, "suboptimal_low": 0.0, "suboptimal_high": 0.125}
    for row in rows[:2]:
        row |= {"global_minima": 0.0, "global_minima_low": 0.0, "global_minima_high": 0.25}
    rows[0] |= {"ratio_low": 0.0625, "ratio_high": math.inf}
    curves = curves_of(tmp_path, dataclasses.replace(LINEAR, network=Network(d0_d1_over_N=(1.0,))), rows)
    fit, _ = analysis.fits(curves)
    assert [cell.N for cell in fit.left_out] == [20]
    assert fit.exponent == pytest.approx(0.3, abs=0.02)

    suboptimal, global_minima, ratio, _ = volume_figures.volume_panels(curves).axes
    assert [y for _, y in drawn(suboptimal, "down")] == [0.125]
    assert len(drawn(suboptimal, "point")) == 7
    assert [y for _, y in drawn(global_minima, "down")] == [0.25, 0.25]
    assert [y for _, y in drawn(ratio, "up")] == [0.0625]
    assert len({x for x, _ in drawn(suboptimal, "point")}) == 7  # none hides another


def test_intervals_and_means_are_drawn(tmp_path):
    rows = linear_rows(0.3, (1.0,))
    curves = curves_of(tmp_path, dataclasses.replace(LINEAR, network=Network(d0_d1_over_N=(1.0,))), rows)
    (panel,) = volume_figures.volume_panels(curves).axes
    ends = [segment[:, 1] for bars in panel.collections for segment in bars.get_segments()]
    assert np.ravel(ends) == pytest.approx(np.ravel([[r["suboptimal_low"], r["suboptimal_high"]] for r in rows]))
    means = [(a["suboptimal"] + b["suboptimal"]) / 2 for a, b in zip(rows[::2], rows[1::2], strict=True)]
    assert [y for _, y in drawn(panel, "means")] == pytest.approx(means)


def test_the_theorems_line_is_marked_as_leading_order(tmp_path):
    rows = [row | {f"global_minima{end}": 0.5 for end in ("", "_low", "_high")} for row in linear_rows(0.3)]
    curves = curves_of(tmp_path, LINEAR, rows)
    figure = volume_figures.volume_panels(curves)
    expected = [
        (N, math.exp(theory.log_volume_suboptimal(N, d0, d1, 0.1, 0.0)))
        for k in (1.0, 2.0)
        for d0, d1, N in linear_shapes(k)
    ]
    assert np.array(drawn(figure.axes[0], "theorem")) == pytest.approx(np.array(expected))
    assert "leading order, no bound at finite N" in [text.get_text() for text in figure.legends[0].get_texts()]
    (picture,) = volume_figures.volumes(curves, redrawn=False)
    assert "leading order in the logarithm, no bound at finite N" in picture.caption
    assert f"e^({-2 * 20 * math.log(20):.3g}) at N = 20" in picture.caption


def test_no_line_at_eps_0_and_exact_zeros_are_counted(tmp_path):
    part = dataclasses.replace(LINEAR, volume=Volume(method="exact"), network=Network(d1=(2,)), repeats=1)
    rows = [
        volume_row(part, 4, 2, 8, suboptimal=exactly(0.0), global_minima=exactly(0.5), ratio=exactly(0.0)),
        volume_row(part, 6, 2, 12, suboptimal=exactly(0.5), global_minima=exactly(0.0), ratio=exactly(math.inf)),
    ]
    curves = curves_of(tmp_path, part, rows)
    (picture,) = volume_figures.volumes(curves, redrawn=False)
    assert "Theorems 6 and 10 have no line here: they need a fixed eps > 0, and d0 > 1." in picture.caption
    assert "Values that are 0, infinite or unknown are not drawn." in picture.caption
    assert not any(drawn(panel, "theorem") for panel in volume_figures.volume_panels(curves).axes)
    finding = claims.finding(analysis.fits(curves))
    assert finding.status == "cannot be judged"


def test_curves_are_what_the_study_holds_fixed(tmp_path):
    several = dataclasses.replace(LINEAR, problem=Problem(d0=(4, 6), N=(8, 12)), network=Network(d1=(2, 3)))
    rows = [volume_row(several, d0, d1, N, suboptimal=exactly(0.5)) for d0 in (4, 6) for d1 in (2, 3) for N in (12, 8)]
    curves = curves_of(tmp_path / "several", several, rows)
    assert [curve.label for curve in curves] == [f"d0 = {d0}, d1 = {d1}" for d0 in (4, 6) for d1 in (2, 3)]
    assert all([cell.N for cell in curve.cells] == [8, 12] for curve in curves)


def test_means_table(tmp_path):
    rows = linear_rows(0.3, (1.0,))
    rows[0] |= {"global_minima": 0.25, "global_minima_low": 0.1, "global_minima_high": 0.5}
    rows[0] |= {"global_minima_hits": 1, "global_minima_draws": 4}
    rows[1] |= {"global_minima": 0.75, "global_minima_low": 0.2, "global_minima_high": 0.9}
    rows[1] |= {"global_minima_hits": 3, "global_minima_draws": 4}
    rows[2] |= {"global_minima": 0.75, "global_minima_low": 0.2, "global_minima_high": 0.9}
    path = make_workdir(tmp_path / "w", dataclasses.replace(LINEAR, network=Network(d0_d1_over_N=(1.0,))), rows)
    write_report([path])
    first, second, *_ = read_csv(path / "report" / "linear.csv")
    assert (first["curve"], first["d0"], first["d1"], first["N"], first["data_sets"]) == (
        "d0 d1 = N",
        "4",
        "2",
        "8",
        "2",
    )
    assert [float(first[f"global_minima{end}"]) for end in ("", "_low", "_high")] == [0.5, 0.1, 0.9]
    assert (first["global_minima_hits"], first["global_minima_draws"]) == ("4", "8")
    assert float(first["suboptimal"]) == pytest.approx((rows[0]["suboptimal"] + rows[1]["suboptimal"]) / 2)
    assert second["global_minima"] == "nan"  # one of the two data sets has none
    assert "rank_deficient" not in first
    (fit,) = read_csv(path / "report" / "linear_exponents.csv")
    assert float(fit["exponent"]) == pytest.approx(0.3, abs=0.01)
    assert (fit["N_from"], fit["N_to"], fit["cells"], fit["data_sets"]) == ("8", "20", "4", "8")


def test_splitting_may_exceed_one(tmp_path):
    """Unbiased estimates are not cut at 1, so they may lie outside their interval, which is."""
    rows = [volume_row(LINEAR, d0, d1, N, rank_deficient=(1.04, 0.99, 1.0)) for d0, d1, N in linear_shapes(1.0)]
    (panel,) = volume_figures.volume_panels(curves_of(tmp_path, LINEAR, rows)).axes
    assert [y for _, y in drawn(panel, "point")] == [1.04] * 4


@pytest.fixture
def mixed():
    """A work folder with every kind of volume section and a training study."""
    plain = dataclasses.replace(LINEAR, name="plain", figure="none")
    study = dataclasses.replace(BASINS, also=(*BASINS.also, LINEAR, RANKS, plain))
    shape = linear_shapes(1.0)[0]
    rows = basin_rows(lambda V: V, VOLUMES) + linear_rows(0.3) + rank_rows()
    return study, [*rows, volume_row(plain, *shape, 7, suboptimal=(0.0, 0.0, 0.25), ratio=(0.0, 0.0, 0.5))]


@pytest.mark.slow
def test_every_section_of_a_mixed_folder(tmp_path, mixed):
    study, rows = mixed
    path = make_workdir(tmp_path / "w", study, rows)
    page = text_of(write_report([path], {path: len(rows) + 1}))
    assert f"{len(rows)} of {len(rows) + 1} repetitions so far: the study is unfinished" in page
    for title in (
        "basins: Basins. Where training ends, beside the volumes",
        "linear: Angular volumes against the number of points",
        "ranks: How often a random region has rank N",
        "exact: Results",
    ):
        assert title in page
    for setting in ("points drawn anew for every draw", "z frozen at random signs", "exact: all regions enumerated"):
        assert setting in page
    assert "Verdicts of 60 repetitions: global_minimum" in page
    assert "Question Does volume predict basins" in page
    assert "Later work's claim" in page
    assert "16 repetitions in 8 cells, each of one data set (X, y)." in page
    assert "Fewer than the 2 repetitions asked for: 1 cell." in page
    tables = {"basins", "basins_verdicts", "exact", "linear", "linear_exponents", "plain", "ranks", "ranks_criterion"}
    names = {"runs.csv", *(f"{name}.csv" for name in tables)}
    names |= {f"{name}.{kind}" for name in ("basins", "linear", "ranks") for kind in ("png", "svg")}
    names |= {f"basins_shares.{kind}" for kind in ("png", "svg")}
    assert report_files(path) == names

    (line,) = read_csv(path / "report" / "plain.csv")
    assert (line["data_seed"], line["method"], line["suboptimal_high"], line["ratio_high"]) == (
        "7",
        "splitting",
        "0.25",
        "0.5",
    )
    counts = read_csv(path / "report" / "basins.csv")
    assert [(c["data_seed"], c["runs"]) for c in counts] == [(str(k), "10") for k in range(6)]
    assert [float(c["suboptimal_volume"]) for c in counts] == list(VOLUMES)
    assert len(read_csv(path / "report" / "exact.csv")) == 6


@pytest.mark.slow
def test_same_results_give_the_same_bytes(tmp_path, mixed):
    first, second = (make_workdir(tmp_path / side / "w", *mixed) for side in "ab")
    write_report([first])
    write_report([second])
    assert written(first) == written(second)


def test_studies_with_little_or_nothing_yet(tmp_path, mixed):
    """One row of each, with next to nothing measured: no picture perhaps, but a page."""
    study, _ = mixed
    bare = [
        volume_row(LINEAR, 4, 2, 8, suboptimal=exactly(0.0)),
        volume_row(RANKS, 2, 10, 4),
        run_row(BASINS, 2, 4, 0, 0, "not_converged"),
    ]
    page = text_of(write_report([make_workdir(tmp_path / "w", study, bare)]))
    assert "No results yet: exact, plain." in page
    assert "Left out: 1 data set without an exact volume." in page
    assert page.count("Agreement cannot be judged") == 2


def test_file_names_of_volume_sections_are_kept_apart(tmp_path):
    other = dataclasses.replace(LINEAR, name="linear_exponents", figure="none")
    rows = [*linear_rows(0.3), volume_row(other, 4, 2, 8, suboptimal=exactly(0.5))]
    path = make_workdir(tmp_path / "w", dataclasses.replace(LINEAR, also=(other,)), rows)
    write_report([path])
    assert "exponent" in read_csv(path / "report" / "linear_exponents.csv")[0]
    assert len(read_csv(path / "report" / "linear_exponents_2.csv")) == 1


@pytest.mark.parametrize(
    "damage",
    [{"suboptimal": "np.float64(0.1)"}, {"suboptimal_high": ""}, {"suboptimal_low": "-1.0"}, {"N": 0}, {"eps": ""}],
)
def test_damaged_results_are_the_users_to_mend(tmp_path, damage):
    rows = linear_rows(0.3)
    rows[1] |= damage
    with pytest.raises(UserError, match=r"results\.csv, line 3: cannot be read"):
        write_report([make_workdir(tmp_path / "w", LINEAR, rows)])
