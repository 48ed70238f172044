"""Assumptions read at one size, and the table of all expressions."""

import json
import math

import numpy as np
import pytest

from mnnjax import theory


def verdicts(*size, **options):
    return {found.name[0]: found.met for found in theory.assumptions(*size, **options)}


@pytest.mark.parametrize(
    ("N", "d0", "d1", "third", "fourth"),
    [
        (10_000, 1000, 200, True, False),
        (10_000, 100, 9999, False, False),  # d0 = sqrt(N) is not enough; nor d1, as log^4 N = 7196.2
        (10_000, 101, 9999, True, False),
        (10_000, 10_000, 9999, True, True),  # d0 = N is allowed
        (10_000, 10_000, 7196, True, False),
        (10_000, 10_000, 7197, True, True),
        (10_000, 10_000, 10_000, True, False),  # d1 = N is not
        (10_000, 10_001, 9999, False, True),
        (10_000, 10_000, 1, True, False),  # log d1 = 0
        (2, 2, 1, True, True),  # log^4 N < 1
    ],
)
def test_assumptions_are_read_as_inequalities_at_this_size(N, d0, d1, third, fourth):
    assert third is (d0 * d0 > N and d0 <= N)
    assert fourth is (N * math.log(N) ** 4 / d0 < d1 < N)
    assert verdicts(N, d0, d1, 0.1, 0) == {"1": None, "2": None, "3": third, "4": fourth, "5": None}


def test_assumption_ratios_are_logarithms():
    third, fourth = theory.assumptions(10_000, 1000, 200, 0.1, 0)[2:4]
    assert "= 0.6667, < 1" in third.detail  # log 100 / log 1000
    assert "= 0.75, <= 1" in third.detail
    assert f"= {math.log(10 * math.log(10_000) ** 4) / math.log(200):.4g}, not < 1" in fourth.detail
    assert "at this size" in third.detail


def test_assumption_5_wants_a_small_teacher():
    assert verdicts(10_000, 100, 200, 0.1, 0, d1_star=99)["5"] is True
    assert verdicts(10_000, 100, 200, 0.1, 0, d1_star=100)["5"] is False
    assert verdicts(10_000, 20_000, 200, 0.1, 0, d1_star=1)["5"] is False


def test_a_single_point():
    """log N = 0: the table says that nothing can be compared, in place of a verdict."""
    assert set(verdicts(1, 5, 3, 0.1, 0, d1_star=2).values()) == {None}
    table = theory.bounds_table(1, 5, 3, 0.1, 0)
    assert table["crossover"]["is_negative_here"] is table["crossover"]["log_d0_d1"] is None
    assert "nothing to compare" in theory.format_bounds(table)


TABLES = [
    (10_000, 100, 200, 0.1, 0),
    (10**12, 10**12, 10**6, 0.1, 0.1),
    (1, 2, 1, 0.5, 0.1),
    (2, 2, 1, 1e-300, 0),
    (10**100, 10**100, 10**100, 0.5, -1),
    (10**100, 2, 1, 1e-300, 0),
    (np.int64(10_000), np.float64(100), 200.0, np.float32(0.5), np.array(0.1), np.array(3)),
    (1000, 2, 5, 0.1, 0, 1),
]


@pytest.mark.parametrize("size", TABLES, ids=str)
def test_bounds_table_is_json_and_marks_leading_order(size):
    table = theory.bounds_table(*size)
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert all(row["leading_order"] is True for row in (*table["expressions"], table["crossover"]))
    assert table["construction"]["value"] == theory.d1_star(*size[:2])
    assert len(table["assumptions"]) == 5
    text = theory.format_bounds(table)
    lines = text.splitlines()
    assert sum("leading order  " in line for line in lines) == len(table["expressions"]) == 9
    assert all("leading order" in line for line in lines if "gamma_eps" in line or "> 10^" in line or "d0 d1 >" in line)
    assert "guarantee at finite N" in lines[-1]
    assert "nan" not in text
    for state in table["assumptions"]:
        assert state["statement"] in text
        assert {True: "  met ", False: "  not met ", None: "  not judged "}[state["met"]] in text


def test_bounds_table_values():
    size = 10_000, 1000, 200, 0.1, 0.1
    table = theory.bounds_table(*size, 4)
    found = {(row["name"], row["source"]): row["value"] for row in table["expressions"]}
    ratio, product = "log V(L_eps)/V(G)", theory.product_from_which_ratio_is_negative(10_000, 1000, 0.1, 0.1, 4)
    delta = theory.delta(10_000, 1000)
    assert found == {
        ("gamma_eps", "Definition 5"): theory.gamma(0.1, 0.1, 0.1),
        ("log E V(L_eps)", "Theorem 6"): theory.log_volume_suboptimal(*size),
        ("log V(L_eps)", "Corollary 7"): theory.log_volume_suboptimal_corollary7(*size, delta),
        ("log V(G)", "Theorem 9"): theory.log_volume_global(10_000, 1000, 4),
        ("log V(G)", "Theorem 9, last"): theory.log_volume_global(10_000, 1000),
        (ratio, "Theorems 6 and 9"): theory.log_volume_ratio(*size, 4),
        (ratio, "Theorem 10"): theory.log_volume_suboptimal(*size),
        (ratio, "Theorem 10, last"): theory.log_volume_ratio_theorem10_last(10_000, 1000, 0.1, 0.1),
        ("delta", "Theorem 9"): delta,
    }
    crossover = table["crossover"]
    assert crossover["d0_d1"] == pytest.approx(product, rel=1e-12)
    assert crossover["d0_d1_over_N"] == pytest.approx(product / 10_000, rel=1e-12)
    assert crossover["d1"] == pytest.approx(product / 1000, rel=1e-12)
    assert crossover["d1_is_below_N"] is (product / 1000 < 10_000)


def test_corollary_7_is_left_out_where_delta_says_nothing():
    table = theory.bounds_table(3, 2, 2, 0.1, 0)
    assert theory.delta(3, 2) > 1
    row = table["expressions"][2]
    assert (row["source"], row["value"], row["remark"]) == ("Corollary 7", None, "says nothing at this size")


def test_an_overflowing_crossover_is_given_as_a_power():
    table = theory.bounds_table(100, 10, 10, 1e-300, 0)
    assert table["crossover"]["d0_d1"] is None
    wanted = 2 + 4 * (math.log10(2 * math.log(100) / 0.23) + 225)
    assert f"d0 d1 > 10^{wanted:.6g}" in theory.format_bounds(table)
