"""Assumptions 1 to 5 of section 4, as far as one size can tell."""

import dataclasses
import math

from mnnjax.theory._arguments import global_units, whole_numbers
from mnnjax.theory.expressions import gamma


@dataclasses.dataclass(frozen=True)
class Assumption:
    """One assumption of section 4 read at one size; met is None where one size cannot tell, detail has the numbers."""

    name: str
    statement: str
    met: bool | None
    detail: str


def _reading(g: str, log_g: float, h: str, log_h: float, or_equal: bool = False) -> tuple[bool, str]:
    """g <. h (or <=.) at one size: log g / log h < 1, or log g < log h where the ratio has no meaning (log h <= 0)."""
    met = or_equal if math.isclose(log_g, log_h, rel_tol=1e-12) else log_g < log_h
    sign = ("" if met else "not ") + ("<=" if or_equal else "<")
    if log_h > 0:
        return met, f"log({g}) / log({h}) = {log_g / log_h:.4g}, {sign} 1"
    return met, f"log({g}) = {log_g:.4g}, {sign} log({h}) = {log_h:.4g}"


def assumptions(N: int, d0: int, d1: int, eps: float, rho: float, d1_star: float | None = None) -> list[Assumption]:
    """Assumptions 1-5 of section 4 as far as one size can tell.

    g <. h speaks of a limit. Read at one size it is log g / log h < 1 (<= 1 for <=.), which is no more than g < h: a
    reading at this size, from which nothing follows about the limit. d1_star is the teacher's, for Assumption 5.
    """
    N, d0, d1 = whole_numbers(N=N, d0=d0, d1=d1)
    gamma(eps, d0 / N, rho)  # refuses a bad eps or rho
    log_N, log_d0, log_d1 = map(math.log, (N, d0, d1))

    def judged(name: str, statement: str, *readings: tuple[bool, str]) -> Assumption:
        if N == 1:
            return Assumption(name, statement, None, "N = 1: log N = 0, nothing to compare")
        details = "; ".join(detail for _, detail in readings) + " (a reading at this size)"
        return Assumption(name, statement, all(met for met, _ in readings), details)

    limit = f"a limit: one size, N = {N}, d0 = {d0}, d1 = {d1}, cannot tell; eps = {eps:g} is in (0, 1)"
    above_root, up_to_N = _reading("sqrt(N)", log_N / 2, "d0", log_d0), _reading("d0", log_d0, "N", log_N, True)
    lower = log_N + 4 * math.log(max(log_N, 1e-300)) - log_d0
    wide, below_N = _reading("N log^4 N / d0", lower, "d1", log_d1), _reading("d1", log_d1, "N", log_N)
    teacher = "5 (optional)", "labels from a teacher with d1* <. N/d0 hidden units, independent of X"
    few = _reading("d1*", math.log(global_units(N, d0, d1_star)), "N/d0", log_N - log_d0)
    no_teacher = Assumption(*teacher, None, "no teacher's d1* is given; Theorem 9 then takes d1* = 2N/d0")
    return [
        Assumption("1", "x(n) i.i.d. standard normal", None, "about the data, not the size"),
        Assumption("2", "N -> inf with d0(N), d1(N) growing, eps in (0, 1) fixed", None, limit),
        judged("3", "sqrt(N) <. d0 <=. N", above_root, up_to_N),
        judged("4", "N log^4 N / d0 <. d1 <. N", wide, below_N),
        no_teacher if d1_star is None else judged(*teacher, few),
    ]
