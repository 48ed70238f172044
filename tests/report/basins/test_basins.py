"""The page on basins against hand-made results with known answers."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
import scipy.stats

from mnnjax.config import Volume
from mnnjax.report.basins import analysis, claims
from mnnjax.report.basins.figures import basin_panels
from mnnjax.report.basins.tables import data_sets
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


def test_how_many_runs_end_at_the_true_global_minimum(tmp_path):
    """Six data sets with 10 runs each; in three the global minimum is 0.2, which verdicts call sub-optimal."""
    rows = basin_rows(lambda V: 0.3, VOLUMES)
    for row in rows:
        least = 0.2 * (row["data_seed"] < 3)
        if row["study"] == "exact":
            row["global_minimum_mse"] = least
            continue
        # Three of the runs are sub-optimal; in the first three data sets two of these are at the global minimum.
        if row["verdict"] == "suboptimal_dlm":
            row["mse"] = least + (0.5 if row["seed"] >= 12 or not least else 5e-8)
        else:
            row["mse"] = 1e-9 if not least else 0.7
        row |= {"minimum_verdict": "suboptimal_kink", "minimum_mse": least + 0.1 * (row["seed"] >= 30)}
    outcomes, _ = joined(tmp_path / "w", BASINS, rows)
    assert [o.is_positive for o in outcomes] == [True] * 3 + [False] * 3
    assert [o.training.there for o in outcomes] == [{"suboptimal_dlm": 2}] * 3 + [{"global_minimum": 7}] * 3
    assert outcomes[0].training.elsewhere == {"suboptimal_dlm": 1, "global_minimum": 7}
    assert [o.descents.share for o in outcomes] == [0.5] * 6
    low, high = outcomes[0].training.interval
    exact = scipy.stats.binomtest(2, 10).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((exact.low, exact.high))

    measured = claims.finding(outcomes, 0).measured
    assert any("above zero in 3 of 6 data sets" in sentence for sentence in measured)
    (training,) = (s for s in measured if s.startswith("Training ends at the true global minimum"))
    assert "27 of 60 runs; mean over data sets 45 %" in training
    (descents,) = (s for s in measured if s.startswith("The descent after training ends"))
    assert "30 of 60 runs; mean over data sets 50 % (95 %, by bootstrap over data sets: 50 % to 50 %)" in descents
    assert "Training, where it is above zero: 6 of 30 runs, as suboptimal_dlm 6." in measured
    assert "Training, above the global minimum: global_minimum 21, suboptimal_dlm 12." in measured

    table = data_sets(outcomes)
    values = dict(zip((column.key for column in table.columns), table.rows[0], strict=True))
    assert (values["global_minimum_mse"], values["training_at_global"], values["descent_at_global"]) == (0.2, 0.2, 0.5)


def test_the_mean_share_has_the_interval_of_independent_data_sets():
    rng = np.random.default_rng(0)
    shares = rng.integers(0, 11, 300)
    ends = [analysis.Ends(Counter(global_minimum=int(k)), Counter(saddle=int(10 - k))) for k in shares]
    mean, low, high = analysis.mean_share(ends)
    assert mean == pytest.approx(shares.mean() / 10)
    error = 1.96 * shares.std(ddof=1) / 10 / np.sqrt(300)
    assert (mean - low, high - mean) == pytest.approx((error, error), rel=0.1)
    assert analysis.mean_share(ends[:4]) is None


def test_without_global_minima_nothing_is_said_of_them(tmp_path):
    outcomes, _ = joined(tmp_path / "w", BASINS, basin_rows(lambda V: V, VOLUMES))
    assert all(o.training is None and o.descents is None for o in outcomes)
    assert not any("true global minimum" in sentence for sentence in claims.finding(outcomes, 0).measured)
    assert "global_minimum_mse" not in {column.key for column in data_sets(outcomes).columns}


def test_rank_correlation_of_few_data_sets_has_an_exact_p_value(tmp_path):
    outcomes, _ = joined(tmp_path / "w", BASINS, basin_rows(lambda V: V, VOLUMES[:4], runs=100))
    assert analysis.rank_correlation(outcomes) == pytest.approx((1, 2 / math.factorial(4)))
    assert analysis.rank_correlation(outcomes[:2]) is None
