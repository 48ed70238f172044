"""Statuses from counts."""

import pytest
import scipy.stats

from mnnjax.report.common.findings import of_share, overall


def test_a_few_exceptions_leave_a_claim_about_nearly_all_standing():
    """As the interval of the share says, computed here by another library function."""
    for holds in range(80, 91):
        low = scipy.stats.binomtest(holds, 90).proportion_ci(0.95, method="exact").low
        status, sentence = of_share(holds, 90 - holds, 0, "run")
        assert status == ("agrees" if low > 0.9 or holds == 90 else "agrees in part")
        assert sentence.startswith(f"Of 90 runs, {holds} meet the criterion, {90 - holds} do not")


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ((0, 0, 0), "cannot be judged"),
        ((1, 0, 0), "agrees"),
        ((0, 0, 60), "cannot be judged"),
        ((29, 0, 31), "cannot be judged"),
        ((31, 0, 29), "agrees in part"),
        ((0, 1, 0), "does not agree"),
        ((30, 60, 0), "does not agree"),
        ((30, 40, 20), "agrees in part"),  # with the undecided ones it may be half
    ],
)
def test_statuses_of_shares(counts, status):
    assert of_share(*counts, "run")[0] == status


def test_every_case_counts_where_all_are_claimed():
    assert overall(["holds"] * 89 + ["fails"], "curve")[0] == "agrees in part"
    assert overall([], "curve")[0] == "cannot be judged"
