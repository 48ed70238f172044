"""Assumptions 1 to 5 as far as one size can tell, and the table that `mnnjax bounds` prints."""

import dataclasses
import math

from mnnjax.theory import expressions
from mnnjax.theory.expressions import gamma, global_units, whole_numbers

ROW = "name", "source", "expression", "value", "remark", "leading_order"
ANSWERS = {True: "met", False: "not met", None: "not judged"}
NO_GUARANTEE = """None of the leading-order expressions is a bound or a guarantee at finite N: \
each holds to leading order in its logarithm as N grows, and is only evaluated at this size."""


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
    """Assumptions 1-5 of section 4 as far as one size can tell. g <. h speaks of a limit. Read at one size it is log g
    / log h < 1 (<= 1 for <=.), just g < h: nothing follows about the limit. d1_star: the teacher's, of Assumption 5."""
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


def bounds_table(N: int, d0: int, d1: int, eps: float, rho: float, d1_star: float | None = None) -> dict:
    """Every expression of section 4, every assumption and the ratio's crossover at one size, with no NaN or infinity. A
    value is None where there is none: Corollary 7 where delta is not below 1, the crossover at N = 1 and where floats
    overflow (its logarithm stays). "construction" is Theorem 8's, exact; "leading_order" marks all that is not."""
    N, d0, d1 = whole_numbers(N=N, d0=d0, d1=d1)
    size = N, d0, d1, eps, rho
    volume, fails = expressions.log_volume_suboptimal(*size), expressions.delta(N, d0)
    ratio = expressions.log_volume_ratio(*size, d1_star)
    corollary = expressions.log_volume_suboptimal_corollary7(*size, fails) if fails < 1 else None
    suboptimal, last = "-gamma_eps N^(3/4) (d0 d1)^(1/4)", expressions.log_volume_ratio_theorem10_last(N, d0, eps, rho)
    teacher = None if d1_star is None else float(d1_star)
    units = "d1* = 2N/d0" if teacher is None else f"d1* = {teacher:g}"
    dropped, empty = "the limit's statement, V(G) has dropped out: not about this size", "says nothing at this size"
    no_corollary, no_ratio = corollary is None or corollary >= 0, N == 1 or ratio >= 0
    gamma_is = "0.23 eps^(3/4)" if rho == 0 else "0.23 max(d0/N, eps)^(3/4)"
    gamma_remark = "" if rho == 0 else "d0/N at this size for its limit"
    rows = [
        ("gamma_eps", "Definition 5", gamma_is, gamma(eps, d0 / N, rho), gamma_remark),
        ("log E V(L_eps)", "Theorem 6", suboptimal, volume, ""),
        ("log V(L_eps)", "Corollary 7", f"{suboptimal} - log delta", corollary, empty * no_corollary),
        ("log V(G)", "Theorem 9", f"-d1* d0 log N, {units}", expressions.log_volume_global(N, d0, d1_star), ""),
        ("log V(G)", "Theorem 9, last", "-2 N log N", expressions.log_volume_global(N, d0), ""),
        ("log V(L_eps)/V(G)", "Theorems 6 and 9", f"{suboptimal} + d1* d0 log N", ratio, empty * no_ratio),
        ("log V(L_eps)/V(G)", "Theorem 10", suboptimal, volume, dropped),
        ("log V(L_eps)/V(G)", "Theorem 10, last", "-gamma_eps N log N", last, dropped),
        ("delta", "Theorem 9", "sqrt(8/pi) d0^(-1/2) + 2 d0^(1/2) sqrt(log d0) / N", fails, empty * (fails >= 1)),
    ]
    construction = ("d1*", "Theorem 8", "4 ceil(N / (2 d0 - 2))", expressions.d1_star(N, d0), "exact", False)
    log = expressions.log_crossover(N, d0, eps, rho, d1_star)
    is_finite, log_N, log_d0 = N > 1 and log < 700, math.log(N), math.log(d0)
    return {
        "sizes": {"N": N, "d0": d0, "d1": d1, "eps": float(eps), "rho": float(rho), "d1_star": teacher},
        "note": NO_GUARANTEE,
        "expressions": [dict(zip(ROW, (*row, True), strict=True)) for row in rows],
        "construction": dict(zip(ROW, construction, strict=True)),
        "assumptions": [dataclasses.asdict(assumption) for assumption in assumptions(*size, d1_star)],
        "crossover": {
            "condition": f"gamma_eps N^(3/4) (d0 d1)^(1/4) > d1* d0 log N, {units}",
            "leading_order": True,
            "log_d0_d1": log if N > 1 else None,
            "d0_d1": math.exp(log) if is_finite else None,
            "d0_d1_over_N": math.exp(log - log_N) if is_finite else None,
            "d1": math.exp(log - log_d0) if is_finite else None,
            "d1_is_below_N": log - log_d0 < log_N if N > 1 else None,
            "is_negative_here": ratio < 0 if N > 1 else None,
        },
    }


def format_bounds(table: dict) -> str:
    """A table of `bounds_table` (section 4) as text; lines with asymptotic expressions are marked 'leading order'."""
    lines = [", ".join(f"{key} = {value:.15g}" for key, value in table["sizes"].items() if value is not None)]
    lines += ["", "Expressions of section 4 (log: natural logarithm)"]
    for row in table["expressions"]:
        value = "none" if row["value"] is None else f"{row['value']:.6g}"
        lines.append(f"  leading order  {row['name']:<18}{row['source']:<17}{value:>13}  {row['expression']}")
        lines += [f"{'':65}({row['remark']})"] if row["remark"] else []
    lines += ["", "Assumptions of section 4, read at this size (g <. h: lim log g / log h < 1; <=. allows 1)"]
    for row in table["assumptions"]:
        lines += [f"  {ANSWERS[row['met']]:<11}{row['name']}: {row['statement']}", f"{'':13}{row['detail']}"]
    lines += ["", "From which d0 d1 on the ratio's exponent (Theorems 6 and 9) is negative"]
    crossover = table["crossover"]
    if crossover["log_d0_d1"] is None:
        lines.append("  leading order: nothing to compare at N = 1, where log N = 0")
    else:
        found = f"d0 d1 > 10^{crossover['log_d0_d1'] / math.log(10):.6g}"
        if crossover["d0_d1"] is not None:
            found = "d0 d1 > {d0_d1:.6g} = {d0_d1_over_N:.6g} N, d1 > {d1:.6g} at this d0".format(**crossover)
        negative, below = ("" if crossover[key] else "not " for key in ("is_negative_here", "d1_is_below_N"))
        lines += [
            f"  leading order: {crossover['condition']}",
            f"  leading order: {found}",
            f"  leading order: at this size the exponent is {negative}negative",
            f"  Assumption 4 asks for d1 <. N: the d1 from which it is negative is {below}below N",
        ]
    built = "Theorem 8's construction, exact: d1* = {expression} = {value} hidden units"
    return "\n".join([*lines, "", built.format(**table["construction"]), "", table["note"]])
