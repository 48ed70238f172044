"""Every formula a second way: exact rationals and decimals of 60 digits, volumes exponentiated, signs on both sides."""

import itertools
import math
from decimal import Decimal, getcontext

import pytest

from mnnjax import theory

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
        shares.append(theory.log_volume_ratio(*size) / theory.log_volume_suboptimal(*size))
    assert shares == sorted(shares)
    assert 1 - 1e-9 < shares[-1] <= 1


@pytest.mark.parametrize(("factor", "weaker"), [(0.9, False), (1.1, True)])
def test_theorem_10s_last_expression_is_weaker_under_assumption_4(factor, weaker):
    N, d0 = 10**6, 10**5
    d1 = round(factor * N * math.log(N) ** 4 / d0)
    last = theory.log_volume_ratio_theorem10_last(N, d0, 0.1, 0)
    assert (theory.log_volume_suboptimal(N, d0, d1, 0.1, 0) < last) is weaker


def test_a_single_point_leaves_nothing():
    assert theory.log_volume_global(1, 5) == 0
    assert theory.product_from_which_ratio_is_negative(1, 5, 0.1, 0) == 0
    assert theory.log_crossover(1, 5, 0.1, 0) == -math.inf
    assert theory.product_from_which_ratio_is_negative(100, 10, 1e-300, 0) == math.inf
