"""The expressions of Theorems 6 to 10 at one size, and where their ratio changes its sign.

Arguments that make no sense are refused with UserError (a ValueError); the package's docstring says what they are.
"""

import math

from mnnjax.config import UserError
from mnnjax.theory._arguments import finite_number, fraction, global_units, whole_numbers


def gamma(eps: float, d0_over_N: float, rho: float) -> float:
    """gamma_eps of Definition 5: 0.23 max(lim d0/N, eps)^(3/4), and 0.23 eps^(3/4) if rho = 0.

    d0_over_N, 0 or more, is that limit; the functions below put in d0/N at their own size.
    """
    eps, ratio, rho = fraction("eps", eps), finite_number("d0_over_N", d0_over_N), finite_number("rho", rho)
    if rho == 1:
        raise UserError("rho: 1 makes the network linear; use another slope, such as 0 for the ReLU")
    if ratio < 0:
        raise UserError(f"d0_over_N: {ratio} is negative; give the limit of d0/N, 0 or more")
    return 0.23 * (eps if rho == 0 else max(ratio, eps)) ** 0.75


def log_volume_suboptimal(N: int, d0: int, d1: int, eps: float, rho: float) -> float:
    """log E_X V(L_eps) <=. -gamma_eps N^(3/4) (d1 d0)^(1/4), Theorem 6.

    A natural logarithm, of a mean over the data; leading order in the logarithm only: not a bound at finite N.
    """
    N, d0, d1 = whole_numbers(N=N, d0=d0, d1=d1)
    return -gamma(eps, d0 / N, rho) * float(N) ** 0.75 * (float(d0) * float(d1)) ** 0.25


def log_volume_suboptimal_corollary7(N: int, d0: int, d1: int, eps: float, rho: float, delta: float) -> float:
    """log V(L_eps) <=. -gamma_eps N^(3/4) (d1 d0)^(1/4) - log delta with probability 1 - delta, Corollary 7.

    Theorem 6 times 1/delta; delta is any probability strictly between 0 and 1, not necessarily Theorem 9's.
    A natural logarithm; leading order in the logarithm only: not a bound at finite N.
    """
    return log_volume_suboptimal(N, d0, d1, eps, rho) - math.log(fraction("delta", delta))


def d1_star(N: int, d0: int) -> int:
    """4 ceil(N / (2 d0 - 2)), the hidden units with which Theorem 8 builds a global minimum.

    Exact at every N, unlike the rest of this module. Not the d1* that `log_volume_global` takes when none is given:
    that is Theorem 9's 2N/d0, which is smaller and not rounded.
    """
    N, d0 = whole_numbers(N=N, d0=d0)
    return 4 * -(-N // (2 * d0 - 2))


def log_volume_global(N: int, d0: int, d1_star: float | None = None) -> float:
    """log V(G) >=. -d1* d0 log N, Theorem 9, with probability 1 - `delta(N, d0)`.

    d1_star: hidden units of a global minimum, such as the teacher's (Assumption 5). None is Theorem 9's own 2N/d0
    (not Theorem 8's, the function `d1_star`), which makes this Theorem 9's last expression, -2 N log N.
    A natural logarithm; leading order in the logarithm only: not a bound at finite N. 0 at N = 1, where it is empty.
    """
    N, d0 = whole_numbers(N=N, d0=d0)
    return 0.0 - global_units(N, d0, d1_star) * d0 * math.log(N)


def log_volume_ratio(N: int, d0: int, d1: int, eps: float, rho: float, d1_star: float | None = None) -> float:
    """-gamma_eps N^(3/4) (d1 d0)^(1/4) + d1* d0 log N: Theorem 6 minus Theorem 9, the ratio's exponent at this size.

    It says nothing unless it is negative. Theorem 10, the limit's statement, drops the second term, which is usually
    by far the larger at trainable sizes; what is left is `log_volume_suboptimal`, with probability 1 - `delta(N, d0)`.
    A natural logarithm; leading order in the logarithm only: not a bound at finite N. d1_star: see `log_volume_global`.
    """
    return log_volume_suboptimal(N, d0, d1, eps, rho) - log_volume_global(N, d0, d1_star)


def log_volume_ratio_theorem10_last(N: int, d0: int, eps: float, rho: float) -> float:
    """log V(L_eps) / V(G) <=. -gamma_eps N log N, the last expression of Theorem 10.

    Weaker than Theorem 10's first expression where d0 d1 >= N log^4 N (Assumption 4). 0 at N = 1, where it is empty.
    A natural logarithm; leading order in the logarithm only: not a bound at finite N.
    """
    N, d0 = whole_numbers(N=N, d0=d0)
    return 0.0 - gamma(eps, d0 / N, rho) * N * math.log(N)


def delta(N: int, d0: int) -> float:
    """sqrt(8/pi) d0^(-1/2) + 2 d0^(1/2) sqrt(log d0) / N, the probability with which Theorem 9 may fail.

    Leading order only; 1 or more at small sizes, where it says nothing.
    """
    N, d0 = whole_numbers(N=N, d0=d0)
    return math.sqrt(8 / (math.pi * d0)) + 2 * math.sqrt(d0 * math.log(d0)) / N


def log_crossover(N: int, d0: int, eps: float, rho: float, d1_star: float | None = None) -> float:
    """The natural logarithm of `product_from_which_ratio_is_negative` (section 4), for where that overflows; -inf at
    N = 1."""
    N, d0 = whole_numbers(N=N, d0=d0)
    needed = math.log(global_units(N, d0, d1_star) * d0) - math.log(gamma(eps, d0 / N, rho))
    return 4 * (needed + math.log(math.log(N))) - 3 * math.log(N) if N > 1 else -math.inf


def product_from_which_ratio_is_negative(
    N: int, d0: int, eps: float, rho: float, d1_star: float | None = None
) -> float:
    """The d0 d1 above which `log_volume_ratio` is negative: (d1* d0 log N / gamma_eps)^4 / N^3, at this d0.

    From gamma_eps N^(3/4) (d0 d1)^(1/4) > d1* d0 log N (section 4). With d1* = 2N/d0, taken when d1_star is None, it
    is N (2 log N / gamma_eps)^4. Leading order only: no threshold for what happens at finite N.
    inf where floats overflow; 0 at N = 1, where log N = 0 and the expression is empty.
    """
    log = log_crossover(N, d0, eps, rho, d1_star)
    return math.exp(log) if log < 709 else math.inf
