"""The page on basins against hand-made results with known answers."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats

from mnnjax.config import Volume
from mnnjax.report.basins import analysis, claims
from mnnjax.report.basins.figures import basin_panels
from tests.report.volumes_by_hand import BASINS, POINTS, VOLUMES, basin_rows, drawn, parsed, run_row


def joined(path, study, rows):
    return analysis.join(study, study, parsed(path, study, rows))


def test_minima_without_an_error_count_for_neither_volume(tmp_path):
    """Definition 4: L_0 has MCE > 0, G has residual zero."""
    rows = basin_rows(lambda V: 0.5, (0.3,), runs=10)
    bad = [row for row in rows if row.get("verdict") == "suboptimal_dlm"]
    for row, mce in zip(bad, (0.0, 0.0, 0.25, 0.5, ""), strict=True):
        row["region_mce"] = mce
    (outcome,), _ = joined(tmp_path / "w", BASINS, rows)
    assert outcome.frequency("suboptimal_dlm") == 0.3
    assert outcome.frequency(analysis.NO_ERROR) == 0.2
    assert outcome.unresolved == 0
    assert any("2 of 10 runs" in sentence for sentence in claims.finding([outcome], 0).measured)


def test_basins_join_runs_with_the_exact_volumes_of_their_data_set(tmp_path):
    rows = basin_rows(lambda V: 0.3, VOLUMES, unresolved=2)
    rows[1]["verdict"], rows[2]["verdict"] = "non_finite", "suboptimal_kink"
    rows = [row for row in rows if not (row["study"] == "exact" and row["data_seed"] == 5)]
    rows += [run_row(BASINS, 3, 4, 0, 0, "global_minimum")]  # of a shape without volumes
    outcomes, without_volume = joined(tmp_path / "w", BASINS, rows)
    assert ([o.data_seed for o in outcomes], without_volume) == ([0, 1, 2, 3, 4], 2)
    assert [o.suboptimal for o in outcomes] == list(VOLUMES[:5])
    first, second = outcomes[:2]
    assert (first.runs, first.unresolved, first.verdicts["suboptimal_dlm"]) == (10, 3, 1)
    assert second.frequency("suboptimal_dlm") == 0.3
    assert second.open_interval("suboptimal_dlm") == (0.3, 0.5)
    exact = scipy.stats.binomtest(3, 10).proportion_ci(0.95, method="exact")
    assert second.interval("suboptimal_dlm") == pytest.approx((exact.low, exact.high))

    left, middle, _ = basin_panels(outcomes).axes
    assert drawn(left, "point") == [(o.suboptimal, o.frequency("suboptimal_dlm")) for o in outcomes]
    assert drawn(middle, "point") == [(o.global_minima, o.frequency("global_minimum")) for o in outcomes]
    opened = next(bars for bars in left.collections if bars.get_gid() == "open").get_segments()
    assert np.array(opened)[1, :, 1] == pytest.approx([0.3, 0.5])


@pytest.mark.slow
def test_how_many_times_the_volume_the_frequency_is(tmp_path):
    """Beside the interval of linear propagation of errors, which for so many data sets is the same."""
    volumes = np.random.default_rng(0).uniform(0.05, 0.45, 300).tolist()
    rows = basin_rows(lambda V: 2 * V, volumes, runs=100)
    outcomes, _ = joined(tmp_path / "w", BASINS, rows)
    frequencies = np.array([o.frequency("suboptimal_dlm") for o in outcomes])
    ratio, low, high = analysis.mean_ratio(outcomes)
    assert ratio == pytest.approx(frequencies.mean() / np.mean(volumes))
    error = (frequencies - ratio * np.array(volumes)).std(ddof=1) / np.sqrt(300) / np.mean(volumes)
    # The percentiles of 9999 resamples have a standard error of 2.4 % of it.
    assert (ratio - low, high - ratio) == pytest.approx((1.96 * error, 1.96 * error), rel=0.1)
    (told,) = (s for s in claims.finding(outcomes, 0).measured if s.startswith("The mean frequency is "))
    assert float(told.split()[4]) == pytest.approx(ratio, rel=1e-2)
    assert analysis.mean_ratio(outcomes[:4]) is None


def test_volumes_of_other_points_are_not_joined(tmp_path):
    """The same data seed gives other points where the inputs or labels are drawn otherwise, or eps is another."""
    rows = basin_rows(lambda V: V, VOLUMES)
    for name, also in {
        "inputs": dataclasses.replace(BASINS.also[0], problem=dataclasses.replace(POINTS, inputs="sphere")),
        "eps": dataclasses.replace(BASINS.also[0], volume=Volume(method="exact", eps=0.2)),
    }.items():
        study = dataclasses.replace(BASINS, also=(also,))
        outcomes, without_volume = joined(
            tmp_path / name, study, [r | ({"eps": also.volume.eps} if "eps" in r else {}) for r in rows]
        )
        assert (outcomes, without_volume) == ([], 6)


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
    outcomes, without_volume = joined(tmp_path / "w", BASINS, rows)
    assert claims.finding(outcomes, without_volume).status == status


def test_rank_correlation_of_few_data_sets_has_an_exact_p_value(tmp_path):
    outcomes, _ = joined(tmp_path / "w", BASINS, basin_rows(lambda V: V, VOLUMES[:4], runs=100))
    assert analysis.rank_correlation(outcomes) == pytest.approx((1, 2 / math.factorial(4)))
    assert analysis.rank_correlation(outcomes[:2]) is None
