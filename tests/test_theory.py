"""Every formula a second way: exact rationals and decimals of 60 digits, volumes exponentiated, signs on both sides."""

import inspect
import itertools
import json
import math
import sys
from decimal import Decimal, getcontext

import numpy as np
import pytest

from mnnjax import theory
from mnnjax.config import UserError

getcontext().prec = 60
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
SIZES = [(2, 2, 1), (100, 10, 7), (10_000, 100, 200), (70_000, 784, 89), (10**12, 10**9, 10**5), (5, 40, 3)]
SLOPES = [(0.1, 0.0), (0.1, 0.1), (0.01, -1.0), (0.9, 2.0)]


def close(found, wanted):
    assert found == pytest.approx(float(wanted), rel=1e-12, abs=0)


def exact_gamma(eps, ratio, rho):
    """Definition 5 in decimals."""
    larger = Decimal(eps) if rho == 0 else max(Decimal(eps), Decimal(ratio))
    return Decimal("0.23") * larger.sqrt() * larger.sqrt().sqrt()


def exact_suboptimal(N, d0, d1, eps, rho):
    """Theorem 6 in decimals, with roots in place of powers."""
    roots = (Decimal(N) ** 3).sqrt().sqrt() * (Decimal(d0) * Decimal(d1)).sqrt().sqrt()
    return -exact_gamma(eps, Decimal(d0) / Decimal(N), rho) * roots


@pytest.mark.parametrize(("eps", "ratio"), [(0.1, 0.0), (0.1, 0.5), (0.9, 0.5), (0.5, 1.0), (1e-300, 1e-200)])
@pytest.mark.parametrize("rho", [0, 0.0, 0.1, -1, 2])
def test_gamma(eps, ratio, rho):
    close(theory.gamma(eps, ratio, rho), exact_gamma(eps, ratio, rho))


def test_gamma_by_hand():
    close(theory.gamma(1 / 16, 1.0, 0), Decimal("0.23") / 8)
    assert theory.gamma(1 / 16, 1.0, 0.1) == theory.gamma(1 / 16, 1.0, -1) == 0.23
    assert theory.gamma(0.3, 0.1, 0.1) == theory.gamma(0.3, 0.3, 0.1) == theory.gamma(0.3, 0.1, 0)


@pytest.mark.parametrize(("eps", "rho"), SLOPES)
@pytest.mark.parametrize(("N", "d0", "d1"), SIZES)
def test_volumes(N, d0, d1, eps, rho):
    suboptimal, log_N = exact_suboptimal(N, d0, d1, eps, rho), Decimal(N).ln()
    close(theory.log_volume_suboptimal(N, d0, d1, eps, rho), suboptimal)
    close(theory.log_volume_ratio_theorem10(N, d0, d1, eps, rho), suboptimal)
    close(theory.log_volume_suboptimal_corollary7(N, d0, d1, eps, rho, 0.05), suboptimal - Decimal("0.05").ln())
    close(theory.log_volume_global(N, d0), -2 * N * log_N)
    close(theory.log_volume_global(N, d0, d1_star=3), -3 * d0 * log_N)
    close(theory.log_volume_ratio(N, d0, d1, eps, rho), suboptimal + 2 * N * log_N)
    close(theory.log_volume_ratio(N, d0, d1, eps, rho, 3), suboptimal + 3 * d0 * log_N)
    last = -exact_gamma(eps, Decimal(d0) / Decimal(N), rho) * N * log_N
    close(theory.log_volume_ratio_theorem10_last(N, d0, eps, rho), last)


@pytest.mark.parametrize(
    ("N", "d0", "d1", "eps", "rho"), [(20, 5, 8, 0.1, 0.0), (30, 4, 3, 0.2, 0.1), (9, 6, 50, 0.5, -1)]
)
def test_volumes_without_logarithms(N, d0, d1, eps, rho):
    """At small sizes nothing underflows: volumes, their ratio and Corollary 7's 1/delta as they are."""
    suboptimal = math.exp(theory.log_volume_suboptimal(N, d0, d1, eps, rho))
    global_minima = math.exp(theory.log_volume_global(N, d0, 1.5))
    close(global_minima, float(N) ** (-1.5 * d0))
    close(math.exp(theory.log_volume_ratio(N, d0, d1, eps, rho, 1.5)), suboptimal / global_minima)
    close(math.exp(theory.log_volume_suboptimal_corollary7(N, d0, d1, eps, rho, 0.25)), 4 * suboptimal)


@pytest.mark.parametrize(("eps", "rho"), SLOPES)
@pytest.mark.parametrize(("N", "d0", "d1"), SIZES)
def test_ratio_is_suboptimal_minus_global(N, d0, d1, eps, rho):
    for units in (None, 1, 2.5):
        parts = theory.log_volume_suboptimal(N, d0, d1, eps, rho) - theory.log_volume_global(N, d0, units)
        assert theory.log_volume_ratio(N, d0, d1, eps, rho, units) == parts


@pytest.mark.parametrize(("N", "d0", "d1"), SIZES)
def test_delta(N, d0, d1):
    root = Decimal(d0).sqrt()
    close(theory.delta(N, d0), (8 / PI).sqrt() / root + 2 * root * Decimal(d0).ln().sqrt() / N)


def test_delta_limits():
    """Both terms of delta, each where the other vanishes; it goes to 0 with d0 = N / 2."""
    close(theory.delta(10**60, 10**6), math.sqrt(8 / math.pi) / 1000)
    close(theory.delta(1, 10**40), 2e20 * math.sqrt(40 * math.log(10)))
    values = [theory.delta(N, N // 2) for N in (10, 100, 10**4, 10**8, 10**16)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1e-6


@pytest.mark.parametrize("d0", [2, 3, 10, 101])
def test_d1_star_covers_the_points_with_groups(d0):
    """Theorem 8: counted group by group, 4 units for each 2 d0 - 2 points; never below Theorem 9's 2N/d0."""
    for N in (1, 2, 3, 20, 199, 200, 201, 1000):
        groups = len(range(0, N, 2 * d0 - 2))
        found = theory.d1_star(N, d0)
        assert type(found) is int
        assert found == 4 * groups > 2 * N / d0
    assert theory.d1_star(10**30 + 1, 2) == 2 * 10**30 + 4  # exact where floats are not


@pytest.mark.parametrize("units", [None, 1, 7])
@pytest.mark.parametrize(("eps", "rho"), SLOPES)
@pytest.mark.parametrize(("N", "d0"), [(2, 2), (100, 10), (10_000, 100), (10_000, 10_000), (10**12, 10**8)])
def test_crossover_from_both_sides(N, d0, eps, rho, units):
    """The exponent written out for a real-valued d0 d1 changes its sign at the crossover."""
    product = theory.product_from_which_ratio_is_negative(N, d0, eps, rho, units)
    close(math.log(product), theory.log_crossover(N, d0, eps, rho, units))
    slope, global_units = theory.gamma(eps, d0 / N, rho), 2 * N / d0 if units is None else units

    def exponent(d0_d1):
        return -slope * N**0.75 * d0_d1**0.25 + global_units * d0 * math.log(N)

    assert exponent(product * (1 - 1e-9)) > 0 > exponent(product * (1 + 1e-9))
    if units is None:
        close(product, N * (2 * math.log(N) / slope) ** 4)


@pytest.mark.parametrize(("N", "d0", "eps", "rho"), [(100, 10, 0.1, 0.0), (10_000, 5000, 0.9, 0.1)])
def test_crossover_in_whole_units(N, d0, eps, rho):
    d1 = math.ceil(theory.product_from_which_ratio_is_negative(N, d0, eps, rho) / d0)
    assert theory.log_volume_ratio(N, d0, d1 - 1, eps, rho) > 0 > theory.log_volume_ratio(N, d0, d1 + 1, eps, rho)
    for width, negative in ((d1 - 1, False), (d1 + 1, True)):
        assert theory.bounds_table(N, d0, width, eps, rho)["crossover"]["is_negative_here"] is negative


def test_crossover_at_ten_thousand_points_is_tens_of_millions_times_N():
    """Section 4's remark: whatever eps and d0/N (up to 1), whatever rho."""
    least = min(
        theory.product_from_which_ratio_is_negative(10_000, d0, eps, rho) / 10_000
        for d0 in (2, 10, 100, 1000, 5000, 9999, 10_000)
        for eps in (1e-6, 0.01, 0.1, 0.5, 0.9, 1 - 1e-12)
        for rho in (0, 0.1, -1)
    )
    close(least, (2 * math.log(10_000) / 0.23) ** 4)
    assert 4e7 < least < 5e7


def test_monotonicity():
    """More weights, more points and a larger eps or d0/N make sub-optimal regions rarer; N weights the global ones."""

    def decreasing(values):
        return all(a > b for a, b in itertools.pairwise(values))

    assert decreasing([theory.log_volume_suboptimal(1000, 50, d1, 0.1, 0) for d1 in (1, 2, 10, 10**6)])
    assert decreasing([theory.log_volume_suboptimal(N, 50, 10, 0.1, 0) for N in (1, 2, 100, 10**9)])
    assert decreasing([theory.log_volume_suboptimal(1000, d0, 10, 0.1, 0.1) for d0 in (2, 50, 200, 1000)])
    assert decreasing([-theory.gamma(eps, 0.0, 0.1) for eps in (1e-9, 0.1, 0.5, 0.99)])
    assert decreasing([theory.log_volume_global(N, 50) for N in (1, 2, 100, 10**9)])
    assert decreasing([theory.product_from_which_ratio_is_negative(1000, 50, eps, 0) for eps in (1e-9, 0.1, 0.5)])


def test_the_ratio_tends_to_theorem_10():
    """With d0 = N/2 and d1 = N^0.9 the ratio of the two exponents tends to 1: V(G) drops out in the limit."""
    shares = []
    for power in (20, 30, 40, 60):
        size = 10**power, 10**power // 2, round(10 ** (0.9 * power)), 0.5, 0.1
        shares.append(theory.log_volume_ratio(*size) / theory.log_volume_ratio_theorem10(*size))
    assert shares == sorted(shares)
    assert 1 - 1e-9 < shares[-1] <= 1


@pytest.mark.parametrize(("factor", "weaker"), [(0.9, False), (1.1, True)])
def test_theorem_10s_last_expression_is_weaker_under_assumption_4(factor, weaker):
    N, d0 = 10**6, 10**5
    d1 = round(factor * N * math.log(N) ** 4 / d0)
    last = theory.log_volume_ratio_theorem10_last(N, d0, 0.1, 0)
    assert (theory.log_volume_ratio_theorem10(N, d0, d1, 0.1, 0) < last) is weaker


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
    """log N = 0: the expressions are empty, and the table says so in place of a verdict."""
    assert theory.log_volume_global(1, 5) == 0
    assert theory.product_from_which_ratio_is_negative(1, 5, 0.1, 0) == 0
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
        (ratio, "Theorem 10"): theory.log_volume_ratio_theorem10(*size),
        (ratio, "Theorem 10, last"): theory.log_volume_ratio_theorem10_last(10_000, 1000, 0.1, 0.1),
        ("delta", "Theorem 9"): delta,
    }
    crossover = table["crossover"]
    close(crossover["d0_d1"], product)
    close(crossover["d0_d1_over_N"], product / 10_000)
    close(crossover["d1"], product / 1000)
    assert crossover["d1_is_below_N"] is (product / 1000 < 10_000)


def test_corollary_7_is_left_out_where_delta_says_nothing():
    table = theory.bounds_table(3, 2, 2, 0.1, 0)
    assert theory.delta(3, 2) > 1
    row = table["expressions"][2]
    assert (row["source"], row["value"], row["remark"]) == ("Corollary 7", None, "says nothing at this size")


def test_an_overflowing_crossover_is_given_as_a_power():
    table = theory.bounds_table(100, 10, 10, 1e-300, 0)
    assert theory.product_from_which_ratio_is_negative(100, 10, 1e-300, 0) == math.inf
    assert table["crossover"]["d0_d1"] is None
    wanted = 2 + 4 * (math.log10(2 * math.log(100) / 0.23) + 225)
    assert f"d0 d1 > 10^{wanted:.6g}" in theory.format_bounds(table)


GOOD = {"N": 100, "d0": 10, "d1": 20, "eps": 0.1, "rho": 0.0, "d1_star": 3, "d0_over_N": 0.1, "delta": 0.05}
FUNCTIONS = [
    theory.gamma,
    theory.log_volume_suboptimal,
    theory.log_volume_suboptimal_corollary7,
    theory.d1_star,
    theory.log_volume_global,
    theory.log_volume_ratio,
    theory.log_volume_ratio_theorem10,
    theory.log_volume_ratio_theorem10_last,
    theory.delta,
    theory.log_crossover,
    theory.product_from_which_ratio_is_negative,
    theory.assumptions,
    theory.bounds_table,
]
NOT_NUMBERS = (math.nan, math.inf, -math.inf, "3", True, [1, 2], np.ones(3), np.ones((1, 1)), 1j)
BAD = {
    "N": (0, -5, 2.5, 10**400, 1e101, None, *NOT_NUMBERS),
    "d0": (1, 0, -3, 2.5, 10**400, None, *NOT_NUMBERS),
    "d1": (0, -1, 1.5, 10**400, None, *NOT_NUMBERS),
    "eps": (0, 1, -0.1, 1.5, None, *NOT_NUMBERS),
    "rho": (1, 1.0, None, *NOT_NUMBERS),
    "d1_star": (0, 0.5, -2, 10**400, *NOT_NUMBERS),
    "d0_over_N": (-0.1, None, *NOT_NUMBERS),
    "delta": (0, 1, -0.1, 1.5, None, *NOT_NUMBERS),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_in_one_line(function, name):
    arguments = {key: GOOD[key] for key in inspect.signature(function).parameters}
    function(**arguments)
    for bad in BAD[name] if name in arguments else ():
        with pytest.raises(UserError, match=rf"^{name}: ") as caught:
            function(**{**arguments, name: bad})
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 120
        assert "give" in message or "needs" in message or "use" in message


def test_messages():
    with pytest.raises(ValueError, match=r"^N: has shape \(3,\); give a single number$"):
        theory.delta(np.ones(3), 5)
    with pytest.raises(ValueError, match=r"^N: is a list of length 2; give a single number$"):
        theory.delta([1, 2], 5)
    with pytest.raises(ValueError, match=r"^d0: 1 is too small; an input needs at least d0 = 2 numbers$"):
        theory.d1_star(10, 1)
    with pytest.raises(ValueError, match=r"^eps: 1\.5 is not strictly between 0 and 1; give a fraction such as 0\.1$"):
        theory.gamma(1.5, 0, 0)
    with pytest.raises(ValueError, match=r"^rho: 1 makes the network linear"):
        theory.gamma(0.5, 0, 1)


def test_all_is_plain_python():
    modules = {name for name, value in vars(theory).items() if inspect.ismodule(value)}
    assert modules == {"dataclasses", "math"}
    assert type(theory.gamma(np.float64(0.1), 0.1, 0)) is float
    assert sys.float_info.max > abs(theory.log_volume_global(10**100, 10**100))
