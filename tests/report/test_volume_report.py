"""The report on volume studies against hand-made results with known answers."""

import csv
import dataclasses
import html
import json
import math
import re

import numpy as np
import pytest
import scipy.stats

from mnnjax import theory
from mnnjax.config import Network, Problem, Study, Train, UserError, Volume, to_dict
from mnnjax.report import basins, full_rank, full_rank_figures, volume_claims, volume_figures, write_report
from mnnjax.report.basins_figures import basin_panels
from mnnjax.report.rows import Row, read_rows
from mnnjax.report.volume_rows import VolumeRow, volume_cells, volume_curves
from mnnjax.study.results import COLUMNS, VOLUME_COLUMNS, read_csv

SIZES = (8, 12, 16, 20)
LINEAR = Study(
    "linear",
    Problem(label_values="zero_one", N=SIZES, d0_over_N=0.5),
    Network(d0_d1_over_N=(1.0, 2.0)),
    volume=Volume(method="splitting", eps=0.1),
    repeats=2,
    figure="volumes",
)
RANKS = Study(
    "ranks",
    Problem(label_values="zero_one", d0=(4,), N=(10, 20)),
    Network(d1=(2, 5, 40)),
    volume=Volume(redraw=True, output_signs="random"),
    repeats=1,
    figure="full_rank",
)
POINTS = Problem(label_values="zero_one", d0=(2,), N=(4,), data_sets=6)
BASINS = Study(
    "basins",
    POINTS,
    Network(d1=(2,), init="gaussian"),
    Train(precision="float64"),
    repeats=60,
    figure="basins",
    also=(Study("exact", POINTS, Network(d1=(2,)), volume=Volume(method="exact"), repeats=6),),
)


def volume_row(part, d0, d1, N, seed=0, **measured):
    """A row of a volume study; a measure is (estimate, low, high) or (estimate, low, high, hits, draws)."""
    row = {
        "study": part.name, "cell": f"{part.name}.h1.d{d0}x{d1}.N{N}", "hidden_layers": 1, "d0": d0, "d1": d1, "N": N,
        "rho": part.network.rho, "bias": part.problem.constant_input, "seed": seed, "data_seed": seed,
        "method": part.volume.method, "eps": part.volume.eps,
    }  # fmt: skip
    for quantity, values in measured.items():
        ends = ("", "_low", "_high", "_hits", "_draws")
        row |= {quantity + end: value for end, value in zip(ends, values, strict=False)}
    return row


def run_row(part, d1, N, seed, data_seed, verdict):
    return {
        "study": part.name, "cell": f"{part.name}.h1.d2x{d1}.N{N}", "hidden_layers": 1, "d0": 2, "d1": d1, "N": N,
        "rho": 0.0, "parameters": 3 * d1, "seed": seed, "data_seed": data_seed, "mse": 0.1, "mce": 0.0,
        "min_abs_neural_input": 0.1, "verdict": verdict,
    }  # fmt: skip


def exactly(value):
    return (value, value, value)


def make_workdir(path, study, rows):
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(to_dict(study)))
    with open(path / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, (*COLUMNS, *VOLUME_COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: repr(v) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return path


def parsed(path, study, rows):
    return read_rows(make_workdir(path, study, rows) / "results.csv", study)


def text_of(page):
    body = page.read_text().partition("<body>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def linear_shapes(k):
    """(d0, d1, N) with d0 = N / 2 and d0 d1 = k N."""
    return [(N // 2, math.ceil(k * N / (N // 2)), N) for N in SIZES]


def linear_rows(exponent, ks=(1.0, 2.0), part=LINEAR, noise=0.0):
    """V(L_eps) = 0.5 exp(-exponent N^(3/4) (d0 d1)^(1/4)), up to a factor that tells data sets apart."""
    rows = []
    for k in ks:
        for d0, d1, N in linear_shapes(k):
            for seed in range(part.repeats):
                wobble = 1 + (0.1 + noise) * (2 * seed - 1) * (-1) ** (N // 4)
                V = 0.5 * math.exp(-exponent * N**0.75 * (d0 * d1) ** 0.25) * wobble
                rows.append(volume_row(part, d0, d1, N, seed, suboptimal=(V, V / 2, 2 * V)))
    return rows


def curves_of(tmp_path, part, rows):
    return volume_curves(part, volume_cells(parsed(tmp_path / "parsed", part, rows)))


def drawn(panel, gid):
    """All (x, y) of the panel's marks of one kind."""
    return [tuple(xy) for line in panel.lines if line.get_gid() == gid for xy in line.get_xydata()]


def test_the_fit_recovers_a_planted_exponent(tmp_path):
    curves = curves_of(tmp_path, LINEAR, linear_rows(0.3))
    one, two = volume_claims.fits(curves)
    assert [curve.label for curve in curves] == ["d0 d1 = N", "d0 d1 = 2 N"]
    for fit, k in ((one, 1.0), (two, 2.0)):
        scale = [N**0.75 * (d0 * d1) ** 0.25 for d0, d1, N in linear_shapes(k) for _ in range(2)]
        values = [m.estimate for cell in fit.curve.cells for m in cell.measures("suboptimal")]
        line = scipy.stats.linregress(scale, np.log(values))
        half = scipy.stats.t.ppf(0.975, 6) * line.stderr
        assert fit.exponent == pytest.approx(0.3, abs=0.01)
        assert (fit.low, fit.high) == pytest.approx((-line.slope - half, -line.slope + half))
        assert fit.gammas == pytest.approx([theory.gamma(0.1, 0.5, 0.0)] * 4)
        assert (fit.points, fit.verdict) == (8, "holds")
    assert volume_claims.volumes(curves, [one, two]).status == "agrees"


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
    fits = volume_claims.fits(curves)
    assert volume_claims.volumes(curves, fits).status == status
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
    (fit,) = volume_claims.fits(curves_of(tmp_path, part, rows))
    assert fit.gammas == pytest.approx([0.23 * (d0 / N) ** 0.75 for d0, N in zip(widths, SIZES, strict=True)])
    assert min(fit.gammas) < max(fit.gammas)


def test_zero_hits_are_arrows_and_enter_no_fit(tmp_path):
    rows = linear_rows(0.3, (1.0,))
    rows[-1] |= {"suboptimal": 0.0, "suboptimal_low": 0.0, "suboptimal_high": 0.125}
    for row in rows[:2]:
        row |= {"global_minima": 0.0, "global_minima_low": 0.0, "global_minima_high": 0.25}
    rows[0] |= {"ratio_low": 0.0625, "ratio_high": math.inf}
    curves = curves_of(tmp_path, dataclasses.replace(LINEAR, network=Network(d0_d1_over_N=(1.0,))), rows)
    fit, _ = volume_claims.fits(curves)
    assert [cell.N for cell in fit.left_out] == [20]
    assert fit.exponent == pytest.approx(0.3, abs=0.02)
    sentences = " ".join(volume_claims.volumes(curves, [fit]).measured)
    assert (
        "Left out of the fits, since a data set's estimate is 0 or missing: V(L_eps), d0 d1 = N: N = 20." in sentences
    )

    suboptimal, global_minima, ratio, _ = volume_figures.volume_panels(curves).axes
    assert [y for _, y in drawn(suboptimal, "down")] == [0.125]
    assert len(drawn(suboptimal, "point")) == 7
    assert [y for _, y in drawn(global_minima, "down")] == [0.25, 0.25]
    assert [y for _, y in drawn(ratio, "up")] == [0.0625]
    assert len({x for x, _ in drawn(suboptimal, "point")}) == 7  # none hides another
    # The second data set's ratio is known from neither side.
    (picture,) = volume_figures.volumes(curves, redrawn=False)
    assert "Not drawn: V(L_eps) / V(G) of 1 data set, neither end of it known." in picture.caption


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
    assert "Theorems 6 and 10 have no line at eps = 0 (gamma_eps = 0 there)." in picture.caption
    for counted in ("V(L_eps) of 1 data set, exactly 0", "V(G) of 1 data set, exactly 0"):
        assert counted in picture.caption
    assert "V(L_eps) / V(G) of 1 data set, infinite" in picture.caption
    assert not any(drawn(panel, "theorem") for panel in volume_figures.volume_panels(curves).axes)
    finding = volume_claims.volumes(curves, volume_claims.fits(curves))
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


def rank_row(part, d1, N, hits, draws=1000, d0=4, global_minima=None):
    """`hits` draws of rank N."""
    P = hits / draws
    half = 2 * math.sqrt(P * (1 - P) / draws) + 3 / draws
    deficient = (1 - P, max(0.0, 1 - P - half), min(1.0, 1 - P + half), draws - hits, draws)
    more = {"global_minima": (*exactly(global_minima), 5, 10)} if global_minima is not None else {}
    return volume_row(part, d0, d1, N, rank_deficient=deficient, **more)


def rank_rows(**hits):
    wanted = {"d2N10": 0, "d2N20": 0, "d5N10": 400, "d5N20": 10, "d40N10": 1000, "d40N20": 1000} | hits
    return [
        rank_row(RANKS, int(d1), int(N), count, global_minima=count / 2000)
        for name, count in wanted.items()
        for d1, N in [name[1:].split("N")]
    ]


def rank_finding(tmp_path, rows, part=RANKS):
    cells = volume_cells(parsed(tmp_path / "parsed", part, rows))
    return full_rank.finding(cells, full_rank.judge(cells))


def test_heat_maps_hold_the_probabilities(tmp_path):
    rows = rank_rows()
    del rows[-1]  # d1 = 40, N = 20
    cells = volume_cells(parsed(tmp_path / "parsed", RANKS, rows))
    figure = full_rank_figures.rank_panels(RANKS, cells)
    maps = [panel for panel in figure.axes if panel.collections and panel.get_ylabel() == "d1 (hidden units)"]
    rank, global_minima = (np.ma.filled(panel.collections[0].get_array(), math.nan) for panel in maps)
    expected = np.array([[0, 0], [0.4, 0.01], [1, math.nan]])  # lines are d1, columns N
    np.testing.assert_allclose(rank, expected, atol=1e-12)
    np.testing.assert_allclose(global_minima, expected / 2, atol=1e-12)
    norm = maps[0].collections[0].norm
    assert (norm.vmin, norm.vmax) == (0, 1)
    for panel in maps:
        for x, y in panel.lines[0].get_xydata():
            assert 4 * y == pytest.approx(x)  # columns = N
    assert "0.01" in [text.get_text() for text in maps[0].texts]
    against = next(panel for panel in figure.axes if "columns" in panel.get_xlabel())
    points = [(0.4, 0.0), (0.8, 0.0), (1.0, 0.01), (2.0, 0.4), (16.0, 1.0)]
    np.testing.assert_allclose(sorted(drawn(against, "point")), points, atol=1e-12)
    bars = [segment[:, 1] for bars in against.collections for segment in bars.get_segments()]
    assert len(bars) == 5
    assert all(low < high for low, high in bars)


def test_full_rank_agrees(tmp_path):
    finding = rank_finding(tmp_path, rank_rows(d40N10=1000, d40N20=1000))
    # 16 and 8 columns a point; 2 log(N / 0.05) is 10.6 and 12.0.
    assert finding.status == "agrees in part"
    assert any("Undecided, d0 = 4, N = 10: P = 1 at the most columns / N, 16.000" in s for s in finding.because)
    assert "P(rank = N) is at least 0.95 in all 2 cells with columns / N >= 8.000." in finding.measured
    assert "With fewer columns than points, the largest P(rank = N) of 2 cells is 0." in finding.measured
    part = dataclasses.replace(RANKS, problem=dataclasses.replace(RANKS.problem, N=(20,)))
    only = [row for row in rank_rows() if row["N"] == 20]
    assert rank_finding(tmp_path / "only", only, part).status == "agrees"


def test_full_rank_fails_or_stays_open(tmp_path):
    rows = [row for row in rank_rows(d40N10=700) if row["N"] == 10]
    finding = rank_finding(tmp_path / "fails", rows)
    assert finding.status == "does not agree"
    assert any("Fails, d0 = 4, N = 10: P = 0.7" in sentence for sentence in finding.because)
    assert rank_finding(tmp_path / "open", [row for row in rows if row["d1"] < 40]).status == "cannot be judged"
    # An interval that straddles 0.95 decides nothing.
    straddling = [rank_row(RANKS, 40, 10, 19, draws=20)]
    finding = rank_finding(tmp_path / "straddling", straddling)
    assert finding.status == "cannot be judged"
    assert any(sentence.startswith("In 1 of 1 cell with at least as many columns") for sentence in finding.measured)


def test_more_rows_than_columns_have_no_full_rank(tmp_path):
    """A single such draw would be a mistake of ours, whatever the rest says."""
    rows = [row for row in rank_rows(d2N20=1) if row["N"] == 20]
    finding = rank_finding(tmp_path, rows)
    assert finding.status == "does not agree"
    assert any("impossible" in sentence for sentence in finding.because)


def test_a_constant_input_is_one_more_column_a_unit(tmp_path):
    part = dataclasses.replace(RANKS, problem=dataclasses.replace(RANKS.problem, constant_input=True))
    (cell,) = volume_cells(parsed(tmp_path / "w", part, [rank_row(part, 5, 10, 900)]))
    assert cell.columns_per_point == 2.5


def basin_rows(frequency, volumes, runs=10, part=BASINS, unresolved=0):
    """Exact volumes of data sets, and runs of which a share ends in a sub-optimal minimum."""
    rows = []
    for seed, V in enumerate(volumes):
        measured = {"suboptimal": exactly(V), "global_minima": exactly(1 - V), "rank_deficient": exactly(1.0)}
        rows.append(volume_row(part.also[0], 2, 2, 4, seed, **measured))
        bad = round(frequency(V) * runs)
        ends = ["suboptimal_dlm"] * bad + ["not_converged"] * unresolved
        ends += ["global_minimum"] * (runs - len(ends))
        rows += [run_row(part, 2, 4, seed + 6 * k, seed, verdict) for k, verdict in enumerate(ends)]
    return rows


def joined(path, study, rows):
    both = parsed(path, study, rows)
    runs, volumes = ([row for row in both if isinstance(row, kind)] for kind in (Row, VolumeRow))
    return basins.join(study, study, [row for row in runs if row.study == study.name], volumes)


def test_minima_without_an_error_count_for_neither_volume(tmp_path):
    """Definition 4: L_0 has MCE > 0, G has residual zero."""
    rows = basin_rows(lambda V: 0.5, (0.3,), runs=10)
    bad = [row for row in rows if row.get("verdict") == "suboptimal_dlm"]
    for row, mce in zip(bad, (0.0, 0.0, 0.25, 0.5, ""), strict=True):
        row["region_mce"] = mce
    (basin,), _ = joined(tmp_path / "w", BASINS, rows)
    assert basin.frequency("suboptimal_dlm") == 0.3
    assert basin.frequency(basins.NO_ERROR) == 0.2
    assert basin.unresolved == 0
    assert any("2 of 10 runs" in sentence for sentence in basins.finding([basin], 0).measured)


VOLUMES = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55)


def test_basins_join_runs_with_the_exact_volumes_of_their_data_set(tmp_path):
    rows = basin_rows(lambda V: 0.3, VOLUMES, unresolved=2)
    rows[1]["verdict"], rows[2]["verdict"] = "non_finite", "non_differentiable"
    rows = [row for row in rows if not (row["study"] == "exact" and row["data_seed"] == 5)]
    rows += [run_row(BASINS, 3, 4, 0, 0, "global_minimum")]  # of a shape without volumes
    some, without_volume = joined(tmp_path / "w", BASINS, rows)
    assert ([b.data_seed for b in some], without_volume) == (["0", "1", "2", "3", "4"], 2)
    assert [b.suboptimal for b in some] == list(VOLUMES[:5])
    first, second = some[:2]
    assert (first.runs, first.unresolved, first.verdicts["suboptimal_dlm"]) == (10, 3, 1)
    assert second.frequency("suboptimal_dlm") == 0.3
    assert second.open_interval("suboptimal_dlm") == (0.3, 0.5)
    exact = scipy.stats.binomtest(3, 10).proportion_ci(0.95, method="exact")
    assert second.interval("suboptimal_dlm") == pytest.approx((exact.low, exact.high))

    left, middle, _ = basin_panels(some).axes
    assert drawn(left, "point") == [(b.suboptimal, b.frequency("suboptimal_dlm")) for b in some]
    assert drawn(middle, "point") == [(b.global_minima, b.frequency("global_minimum")) for b in some]
    opened = next(bars for bars in left.collections if bars.get_gid() == "open").get_segments()
    assert np.array(opened)[1, :, 1] == pytest.approx([0.3, 0.5])


def test_volumes_of_other_points_are_not_joined(tmp_path):
    """The same data seed gives other points where the inputs or labels are drawn otherwise, or eps is another."""
    rows = basin_rows(lambda V: V, VOLUMES)
    for name, also in {
        "inputs": dataclasses.replace(BASINS.also[0], problem=dataclasses.replace(POINTS, inputs="sphere")),
        "eps": dataclasses.replace(BASINS.also[0], volume=Volume(method="exact", eps=0.2)),
    }.items():
        study = dataclasses.replace(BASINS, also=(also,))
        some, without_volume = joined(
            tmp_path / name, study, [r | ({"eps": also.volume.eps} if "eps" in r else {}) for r in rows]
        )
        assert (some, without_volume) == ([], 6)


@pytest.mark.parametrize(
    ("frequency", "unresolved", "count", "status"),
    [
        (lambda V: V, 0, 6, "agrees"),
        (lambda V: min(1.0, V / 2 + 0.7), 0, 6, "agrees in part"),
        (lambda V: 0.9 - V / 2, 0, 6, "does not agree"),
        (lambda V: V, 0, 4, "cannot be judged"),
        (lambda V: V, 60, 6, "cannot be judged"),
    ],
)
def test_basins_status(tmp_path, frequency, unresolved, count, status):
    rows = basin_rows(frequency, VOLUMES[:count], runs=100, unresolved=0)
    for row in rows:
        if row["study"] == "basins" and row["seed"] // 6 >= 100 - unresolved:
            row["verdict"] = "not_converged"
    some, without_volume = joined(tmp_path / "w", BASINS, rows)
    assert basins.finding(some, without_volume).status == status


def test_rank_correlation_of_few_data_sets_has_an_exact_p_value(tmp_path):
    some, _ = joined(tmp_path / "w", BASINS, basin_rows(lambda V: V, VOLUMES[:4], runs=100))
    assert basins.rank_correlation(some) == pytest.approx((1, 2 / math.factorial(4)))
    assert basins.rank_correlation(some[:2]) is None


@pytest.fixture
def mixed():
    """A work folder with every kind of volume section and a training study."""
    plain = dataclasses.replace(LINEAR, name="plain", figure="none")
    study = dataclasses.replace(BASINS, also=(*BASINS.also, LINEAR, RANKS, plain))
    shape = linear_shapes(1.0)[0]
    rows = basin_rows(lambda V: V, VOLUMES) + linear_rows(0.3) + rank_rows()
    return study, [*rows, volume_row(plain, *shape, 7, suboptimal=(0.0, 0.0, 0.25), ratio=(0.0, 0.0, 0.5))]


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
    names = {f"{name}.csv" for name in tables}
    names |= {f"{name}.{kind}" for name in ("basins", "linear", "ranks") for kind in ("png", "svg")}
    assert {p.name for p in (path / "report").iterdir()} == names

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


def test_same_results_give_the_same_bytes(tmp_path, mixed):
    def written(path):
        return {p.relative_to(path): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}

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
    assert "No results yet: exact." in page
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
