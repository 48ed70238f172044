"""What the theorems of section 4 say, in natural logarithms and to leading order only.

g <. h means lim log g / log h < 1 as N grows (<=. allows 1), so every expression here holds to leading order in the
logarithm only: constants and slower terms are dropped, and none is a bound at finite N. `gamma`, `delta` and the
log_volume functions evaluate those expressions at one size; `assumptions` reads the assumptions there, and
`bounds_table` and `format_bounds` put all of it into one table. Only `d1_star` (Theorem 8) is exact at every N.

Arguments throughout, each refused with UserError (a ValueError) where it makes no sense: N points (a whole number
from 1), d0 inputs (from 2), d1 hidden units (from 1), eps in (0, 1) the misclassified fraction, rho a finite slope
other than 1, d1_star (a number from 1, else None) the hidden units of a known global minimum, such as a teacher's.

Example:
  theory.log_volume_suboptimal(N=10_000, d0=1000, d1=200, eps=0.1, rho=0.0)  # Theorem 6
  print(theory.format_bounds(theory.bounds_table(10_000, 1000, 200, 0.1, 0.0)))
"""

from mnnjax.theory.bounds import Assumption, assumptions, bounds_table, format_bounds
from mnnjax.theory.expressions import (
    d1_star,
    delta,
    gamma,
    log_crossover,
    log_volume_global,
    log_volume_ratio,
    log_volume_ratio_theorem10_last,
    log_volume_suboptimal,
    log_volume_suboptimal_corollary7,
    product_from_which_ratio_is_negative,
)

__all__ = [
    "Assumption", "assumptions", "bounds_table", "d1_star", "delta", "format_bounds", "gamma", "log_crossover",
    "log_volume_global", "log_volume_ratio", "log_volume_ratio_theorem10_last", "log_volume_suboptimal",
    "log_volume_suboptimal_corollary7", "product_from_which_ratio_is_negative",
]  # fmt: skip
