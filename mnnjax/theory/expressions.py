"""The expressions of Theorems 6 to 10 at one size, and where their ratio changes its sign.

Each log is a natural logarithm. All but `d1_star` hold to leading order in it only: none is a bound at finite N.
Arguments that make no sense are refused with UserError (a ValueError); the package's docstring says what they are."""

import math
from typing import Any

from mnnjax.errors import UserError, require

LARGEST = 1e100  # beyond it floats overflow
SMALLEST = {
    "N": (1, "give at least N = 1 point"),
    "d0": (2, "an input needs at least d0 = 2 numbers"),
    "d1": (1, "a hidden layer needs at least d1 = 1 unit"),
    "d1_star": (1, "a global minimum needs at least 1 hidden unit; leave it out for 2N/d0"),
}


def finite_number(name: str, value: Any) -> float:
    """The argument of that name as a float."""
    if getattr(value, "shape", ()) != ():
        raise UserError(f"{name}: has shape {tuple(value.shape)}; give a single number")
    kind = type(value).__name__
    require(not isinstance(value, (bool, str, bytes)), f"{name}: {value!r} is a {kind}; give a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise UserError(f"{name}: is too large; give at most {LARGEST:g}") from error
    except (TypeError, ValueError) as error:
        length = f" of length {len(value)}" if hasattr(value, "__len__") else ""
        raise UserError(f"{name}: is a {kind}{length}; give a single number") from error
    require(math.isfinite(number), f"{name}: {number} is not finite; give a finite number")
    return number


def in_range(name: str, value: Any) -> float:
    """A number from SMALLEST[name] to LARGEST."""
    number, (minimum, hint) = finite_number(name, value), SMALLEST[name]
    require(number >= minimum, f"{name}: {number:.15g} is too small; {hint}")
    require(number <= LARGEST, f"{name}: {number:.15g} is too large; give at most {LARGEST:g}")
    return number


def whole_numbers(**named: Any) -> list[int]:
    """in_range of each, as whole numbers."""
    for name, value in named.items():
        number = in_range(name, value)
        require(number.is_integer(), f"{name}: {number} is not a whole number; give one, such as {math.ceil(number)}")
    return [int(value) for value in named.values()]


def fraction(name: str, value: Any) -> float:
    """A number strictly between 0 and 1."""
    number = finite_number(name, value)
    require(0 < number < 1, f"{name}: {number} is not strictly between 0 and 1; give a fraction such as 0.1")
    return number


def global_units(N: int, d0: int, d1_star: object) -> float:
    """The d1* of Theorem 9: the one that is given, else 2N/d0."""
    return 2 * N / d0 if d1_star is None else in_range("d1_star", d1_star)


def gamma(eps: float, d0_over_N: float, rho: float) -> float:
    """gamma_eps of Definition 5: 0.23 max(lim d0/N, eps)^(3/4), and 0.23 eps^(3/4) if rho = 0. d0_over_N, 0 or more, is
    that limit; the functions below put in d0/N at their own size."""
    eps, ratio, rho = fraction("eps", eps), finite_number("d0_over_N", d0_over_N), finite_number("rho", rho)
    require(rho != 1, "rho: 1 makes the network linear; use another slope, such as 0 for the ReLU")
    require(ratio >= 0, f"d0_over_N: {ratio} is negative; give the limit of d0/N, 0 or more")
    return 0.23 * (eps if rho == 0 else max(ratio, eps)) ** 0.75


def log_volume_suboptimal(N: int, d0: int, d1: int, eps: float, rho: float) -> float:
    """log E_X V(L_eps) <=. -gamma_eps N^(3/4) (d1 d0)^(1/4), Theorem 6, of a mean over the data."""
    N, d0, d1 = whole_numbers(N=N, d0=d0, d1=d1)
    return -gamma(eps, d0 / N, rho) * float(N) ** 0.75 * (float(d0) * float(d1)) ** 0.25


def log_volume_suboptimal_corollary7(N: int, d0: int, d1: int, eps: float, rho: float, delta: float) -> float:
    """log V(L_eps) <=. -gamma_eps N^(3/4) (d1 d0)^(1/4) - log delta with probability 1 - delta, Corollary 7. Theorem 6
    times 1/delta; delta is any probability strictly between 0 and 1, not necessarily Theorem 9's."""
    return log_volume_suboptimal(N, d0, d1, eps, rho) - math.log(fraction("delta", delta))


def d1_star(N: int, d0: int) -> int:
    """4 ceil(N / (2 d0 - 2)), the hidden units with which Theorem 8 builds a global minimum. Exact at every N, unlike
    the rest here. Not the d1* that `log_volume_global` takes for None: Theorem 9's 2N/d0, smaller and not rounded."""
    N, d0 = whole_numbers(N=N, d0=d0)
    return 4 * -(-N // (2 * d0 - 2))


def log_volume_global(N: int, d0: int, d1_star: float | None = None) -> float:
    """log V(G) >=. -d1* d0 log N, Theorem 9, with probability 1 - `delta(N, d0)`.

    d1_star: hidden units of a global minimum, such as the teacher's (Assumption 5). None is Theorem 9's own 2N/d0 (not
    Theorem 8's, the function `d1_star`), which makes this Theorem 9's last expression, -2 N log N. 0 at N = 1."""
    N, d0 = whole_numbers(N=N, d0=d0)
    return 0.0 - global_units(N, d0, d1_star) * d0 * math.log(N)


def log_volume_ratio(N: int, d0: int, d1: int, eps: float, rho: float, d1_star: float | None = None) -> float:
    """-gamma_eps N^(3/4) (d1 d0)^(1/4) + d1* d0 log N: Theorem 6 minus Theorem 9, the ratio's exponent at this size.

    It says nothing unless it is negative. Theorem 10, the limit's statement, drops the second term, which is usually
    by far the larger at trainable sizes; what is left is `log_volume_suboptimal`, with probability 1 - `delta(N, d0)`.
    d1_star: see `log_volume_global`."""
    return log_volume_suboptimal(N, d0, d1, eps, rho) - log_volume_global(N, d0, d1_star)


def log_volume_ratio_theorem10_last(N: int, d0: int, eps: float, rho: float) -> float:
    """log V(L_eps) / V(G) <=. -gamma_eps N log N, the last expression of Theorem 10. Weaker than Theorem 10's first
    expression where d0 d1 >= N log^4 N (Assumption 4). 0 at N = 1, where it is empty."""
    N, d0 = whole_numbers(N=N, d0=d0)
    return 0.0 - gamma(eps, d0 / N, rho) * N * math.log(N)


def delta(N: int, d0: int) -> float:
    """sqrt(8/pi) d0^(-1/2) + 2 d0^(1/2) sqrt(log d0) / N, the probability with which Theorem 9 may fail. Leading order
    only; 1 or more at small sizes, where it says nothing."""
    N, d0 = whole_numbers(N=N, d0=d0)
    return math.sqrt(8 / (math.pi * d0)) + 2 * math.sqrt(d0 * math.log(d0)) / N


def log_crossover(N: int, d0: int, eps: float, rho: float, d1_star: float | None = None) -> float:
    """The natural log of `product_from_which_ratio_is_negative` (section 4), which may overflow; -inf at N = 1."""
    N, d0 = whole_numbers(N=N, d0=d0)
    needed = math.log(global_units(N, d0, d1_star) * d0) - math.log(gamma(eps, d0 / N, rho))
    return 4 * (needed + math.log(math.log(N))) - 3 * math.log(N) if N > 1 else -math.inf


def product_from_which_ratio_is_negative(
    N: int, d0: int, eps: float, rho: float, d1_star: float | None = None
) -> float:
    """The d0 d1 above which `log_volume_ratio` is negative: (d1* d0 log N / gamma_eps)^4 / N^3, at this d0. From
    gamma_eps N^(3/4) (d0 d1)^(1/4) > d1* d0 log N (section 4). With d1* = 2N/d0 (None) it is N (2 log N / gamma_eps)^4.
    Leading order only: no threshold at finite N. inf where floats overflow; 0 at N = 1, where it is empty."""
    log = log_crossover(N, d0, eps, rho, d1_star)
    return math.exp(log) if log < 709 else math.inf
