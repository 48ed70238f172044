"""What the theorems of section 4 say, in natural logarithms and to leading order only.

g <. h means lim log g / log h < 1 as N grows (<=. allows 1), so every expression here holds to leading order in the
logarithm only: constants and slower terms are dropped, and none is a bound at finite N. `gamma`, `delta` and the
log_volume functions evaluate those expressions at one size; `assumptions` reads the assumptions there, and
`bounds_table` and `format_bounds` put all of it into one table. Only `d1_star` (Theorem 8) is exact at every N.

Arguments throughout, each refused with UserError (a ValueError) where it makes no sense: N points (a whole number
from 1), d0 inputs (from 2), d1 hidden units (from 1), eps in (0, 1) the misclassified fraction, rho a finite slope
other than 1, d1_star (a number from 1, else None) the hidden units of a known global minimum, such as a teacher's.
"""

import dataclasses
import math

from mnnjax.config import UserError

LARGEST = 1e100  # beyond it floats overflow
SMALLEST = {
    "N": (1, "give at least N = 1 point"),
    "d0": (2, "an input needs at least d0 = 2 numbers"),
    "d1": (1, "a hidden layer needs at least d1 = 1 unit"),
    "d1_star": (1, "a global minimum needs at least 1 hidden unit; leave it out for 2N/d0"),
}
ROW = "name", "source", "expression", "value", "remark", "leading_order"
ANSWERS = {True: "met", False: "not met", None: "not judged"}
NO_GUARANTEE = (
    "None of the leading-order expressions is a bound or a guarantee at finite N: "
    "each holds to leading order in its logarithm as N grows, and is only evaluated at this size."
)


@dataclasses.dataclass(frozen=True)
class Assumption:
    """One assumption of section 4 read at one size; met is None where one size cannot tell, detail has the numbers."""

    name: str
    statement: str
    met: bool | None
    detail: str


def _number(name: str, value: object) -> float:
    if getattr(value, "shape", ()) != ():
        raise UserError(f"{name}: has shape {tuple(value.shape)}; give a single number")
    if isinstance(value, (bool, str, bytes)):
        raise UserError(f"{name}: {value!r} is a {type(value).__name__}; give a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise UserError(f"{name}: is too large; give at most {LARGEST:g}") from error
    except (TypeError, ValueError) as error:
        length = f" of length {len(value)}" if hasattr(value, "__len__") else ""
        raise UserError(f"{name}: is a {type(value).__name__}{length}; give a single number") from error
    if not math.isfinite(number):
        raise UserError(f"{name}: {number} is not finite; give a finite number")
    return number


def _in_range(name: str, value: object) -> float:
    number, (minimum, mend) = _number(name, value), SMALLEST[name]
    if number < minimum:
        raise UserError(f"{name}: {number:.15g} is too small; {mend}")
    if number > LARGEST:
        raise UserError(f"{name}: {number:.15g} is too large; give at most {LARGEST:g}")
    return number


def _sizes(**named: object) -> list[int]:
    for name, value in named.items():
        number = _in_range(name, value)
        if not number.is_integer():
            raise UserError(f"{name}: {number} is not a whole number; give one, such as {math.ceil(number)}")
    return [int(value) for value in named.values()]


def _fraction(name: str, value: object) -> float:
    number = _number(name, value)
    if not 0 < number < 1:
        raise UserError(f"{name}: {number} is not strictly between 0 and 1; give a fraction such as 0.1")
    return number


def _global_units(N: int, d0: int, d1_star: object) -> float:
    return 2 * N / d0 if d1_star is None else _in_range("d1_star", d1_star)


def gamma(eps: float, d0_over_N: float, rho: float) -> float:
    """gamma_eps of Definition 5: 0.23 max(lim d0/N, eps)^(3/4), and 0.23 eps^(3/4) if rho = 0.

    d0_over_N, 0 or more, is that limit; the functions below put in d0/N at their own size.
    """
    eps, ratio, rho = _fraction("eps", eps), _number("d0_over_N", d0_over_N), _number("rho", rho)
    if rho == 1:
        raise UserError("rho: 1 makes the network linear; use another slope, such as 0 for the ReLU")
    if ratio < 0:
        raise UserError(f"d0_over_N: {ratio} is negative; give the limit of d0/N, 0 or more")
    return 0.23 * (eps if rho == 0 else max(ratio, eps)) ** 0.75


def log_volume_suboptimal(N: int, d0: int, d1: int, eps: float, rho: float) -> float:
    """log E_X V(L_eps) <=. -gamma_eps N^(3/4) (d1 d0)^(1/4), Theorem 6.

    A natural logarithm, of a mean over the data; leading order in the logarithm only: not a bound at finite N.
    """
    N, d0, d1 = _sizes(N=N, d0=d0, d1=d1)
    return -gamma(eps, d0 / N, rho) * float(N) ** 0.75 * (float(d0) * float(d1)) ** 0.25


def log_volume_suboptimal_corollary7(N: int, d0: int, d1: int, eps: float, rho: float, delta: float) -> float:
    """log V(L_eps) <=. -gamma_eps N^(3/4) (d1 d0)^(1/4) - log delta with probability 1 - delta, Corollary 7.

    Theorem 6 times 1/delta; delta is any probability strictly between 0 and 1, not necessarily Theorem 9's.
    A natural logarithm; leading order in the logarithm only: not a bound at finite N.
    """
    return log_volume_suboptimal(N, d0, d1, eps, rho) - math.log(_fraction("delta", delta))


def d1_star(N: int, d0: int) -> int:
    """4 ceil(N / (2 d0 - 2)), the hidden units with which Theorem 8 builds a global minimum.

    Exact at every N, unlike the rest of this module. Not the d1* that `log_volume_global` takes when none is given:
    that is Theorem 9's 2N/d0, which is smaller and not rounded.
    """
    N, d0 = _sizes(N=N, d0=d0)
    return 4 * -(-N // (2 * d0 - 2))


def log_volume_global(N: int, d0: int, d1_star: float | None = None) -> float:
    """log V(G) >=. -d1* d0 log N, Theorem 9, with probability 1 - `delta(N, d0)`.

    d1_star: hidden units of a global minimum, such as the teacher's (Assumption 5). None is Theorem 9's own 2N/d0
    (not Theorem 8's, the function `d1_star`), which makes this Theorem 9's last expression, -2 N log N.
    A natural logarithm; leading order in the logarithm only: not a bound at finite N. 0 at N = 1, where it is empty.
    """
    N, d0 = _sizes(N=N, d0=d0)
    return 0.0 - _global_units(N, d0, d1_star) * d0 * math.log(N)


def log_volume_ratio(N: int, d0: int, d1: int, eps: float, rho: float, d1_star: float | None = None) -> float:
    """-gamma_eps N^(3/4) (d1 d0)^(1/4) + d1* d0 log N: Theorem 6 minus Theorem 9, the ratio's exponent at this size.

    Theorem 10 drops the second term, at trainable sizes usually the larger by far: it says nothing unless negative.
    A natural logarithm; leading order in the logarithm only: not a bound at finite N. d1_star: see `log_volume_global`.
    """
    return log_volume_suboptimal(N, d0, d1, eps, rho) - log_volume_global(N, d0, d1_star)


def log_volume_ratio_theorem10(N: int, d0: int, d1: int, eps: float, rho: float) -> float:
    """log V(L_eps) / V(G) <=. -gamma_eps N^(3/4) (d1 d0)^(1/4), Theorem 10, with probability 1 - `delta(N, d0)`.

    The limit's statement: V(G) has dropped out, so it is negative at every size; `log_volume_ratio` keeps V(G).
    A natural logarithm; leading order in the logarithm only: not a bound at finite N.
    """
    return log_volume_suboptimal(N, d0, d1, eps, rho)


def log_volume_ratio_theorem10_last(N: int, d0: int, eps: float, rho: float) -> float:
    """log V(L_eps) / V(G) <=. -gamma_eps N log N, the last expression of Theorem 10.

    Weaker than the one before it where d0 d1 >= N log^4 N (Assumption 4). 0 at N = 1, where it is empty.
    A natural logarithm; leading order in the logarithm only: not a bound at finite N.
    """
    N, d0 = _sizes(N=N, d0=d0)
    return 0.0 - gamma(eps, d0 / N, rho) * N * math.log(N)


def delta(N: int, d0: int) -> float:
    """sqrt(8/pi) d0^(-1/2) + 2 d0^(1/2) sqrt(log d0) / N, the probability with which Theorem 9 may fail.

    Leading order only; 1 or more at small sizes, where it says nothing.
    """
    N, d0 = _sizes(N=N, d0=d0)
    return math.sqrt(8 / (math.pi * d0)) + 2 * math.sqrt(d0 * math.log(d0)) / N


def log_crossover(N: int, d0: int, eps: float, rho: float, d1_star: float | None = None) -> float:
    """The natural logarithm of `product_from_which_ratio_is_negative`, for where that overflows; -inf at N = 1."""
    N, d0 = _sizes(N=N, d0=d0)
    needed = math.log(_global_units(N, d0, d1_star) * d0) - math.log(gamma(eps, d0 / N, rho))
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
    N, d0, d1 = _sizes(N=N, d0=d0, d1=d1)
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
    few = _reading("d1*", math.log(_global_units(N, d0, d1_star)), "N/d0", log_N - log_d0)
    no_teacher = Assumption(*teacher, None, "no teacher's d1* is given; Theorem 9 then takes d1* = 2N/d0")
    return [
        Assumption("1", "x(n) i.i.d. standard normal", None, "about the data, not the size"),
        Assumption("2", "N -> inf with d0(N), d1(N) growing, eps in (0, 1) fixed", None, limit),
        judged("3", "sqrt(N) <. d0 <=. N", above_root, up_to_N),
        judged("4", "N log^4 N / d0 <. d1 <. N", wide, below_N),
        no_teacher if d1_star is None else judged(*teacher, few),
    ]


def _construction(N: int, d0: int) -> dict:
    return dict(zip(ROW, ("d1*", "Theorem 8", "4 ceil(N / (2 d0 - 2))", d1_star(N, d0), "exact", False), strict=True))


def bounds_table(N: int, d0: int, d1: int, eps: float, rho: float, d1_star: float | None = None) -> dict:
    """Every expression, every assumption and the ratio's crossover at one size, ready for JSON (no NaN or infinity).

    A value is None where there is none: Corollary 7 where delta is not below 1, the crossover at N = 1 and where floats
    overflow (its logarithm stays). "construction" is Theorem 8's, exact; "leading_order" marks all that is not.
    """
    N, d0, d1 = _sizes(N=N, d0=d0, d1=d1)
    size = N, d0, d1, eps, rho
    slope, ratio, fails = gamma(eps, d0 / N, rho), log_volume_ratio(*size, d1_star), delta(N, d0)
    corollary = log_volume_suboptimal_corollary7(*size, fails) if fails < 1 else None
    suboptimal, last = "-gamma_eps N^(3/4) (d0 d1)^(1/4)", log_volume_ratio_theorem10_last(N, d0, eps, rho)
    teacher = None if d1_star is None else float(d1_star)
    units = "d1* = 2N/d0" if teacher is None else f"d1* = {teacher:g}"
    dropped, empty = "the limit's statement, V(G) has dropped out: not about this size", "says nothing at this size"
    no_corollary, no_ratio = fails >= 1 or corollary >= 0, N == 1 or ratio >= 0
    gamma_is = "0.23 eps^(3/4)" if rho == 0 else "0.23 max(d0/N, eps)^(3/4)"
    rows = [
        ("gamma_eps", "Definition 5", gamma_is, slope, "" if rho == 0 else "d0/N at this size for its limit"),
        ("log E V(L_eps)", "Theorem 6", suboptimal, log_volume_suboptimal(*size), ""),
        ("log V(L_eps)", "Corollary 7", f"{suboptimal} - log delta", corollary, empty * no_corollary),
        ("log V(G)", "Theorem 9", f"-d1* d0 log N, {units}", log_volume_global(N, d0, d1_star), ""),
        ("log V(G)", "Theorem 9, last", "-2 N log N", log_volume_global(N, d0), ""),
        ("log V(L_eps)/V(G)", "Theorems 6 and 9", f"{suboptimal} + d1* d0 log N", ratio, empty * no_ratio),
        ("log V(L_eps)/V(G)", "Theorem 10", suboptimal, log_volume_ratio_theorem10(*size), dropped),
        ("log V(L_eps)/V(G)", "Theorem 10, last", "-gamma_eps N log N", last, dropped),
        ("delta", "Theorem 9", "sqrt(8/pi) d0^(-1/2) + 2 d0^(1/2) sqrt(log d0) / N", fails, empty * (fails >= 1)),
    ]
    log = log_crossover(N, d0, eps, rho, d1_star)
    product, log_N, log_d0 = N > 1 and log < 700, math.log(N), math.log(d0)
    return {
        "sizes": {"N": N, "d0": d0, "d1": d1, "eps": float(eps), "rho": float(rho), "d1_star": teacher},
        "note": NO_GUARANTEE,
        "expressions": [dict(zip(ROW, (*row, True), strict=True)) for row in rows],
        "construction": _construction(N, d0),
        "assumptions": [dataclasses.asdict(assumption) for assumption in assumptions(*size, d1_star)],
        "crossover": {
            "condition": f"gamma_eps N^(3/4) (d0 d1)^(1/4) > d1* d0 log N, {units}",
            "leading_order": True,
            "log_d0_d1": log if N > 1 else None,
            "d0_d1": math.exp(log) if product else None,
            "d0_d1_over_N": math.exp(log - log_N) if product else None,
            "d1": math.exp(log - log_d0) if product else None,
            "d1_is_below_N": log - log_d0 < log_N if N > 1 else None,
            "is_negative_here": ratio < 0 if N > 1 else None,
        },
    }


def _crossover_lines(crossover: dict) -> list[str]:
    if crossover["log_d0_d1"] is None:
        return ["  leading order: nothing to compare at N = 1, where log N = 0"]
    if crossover["d0_d1"] is None:
        found = f"d0 d1 > 10^{crossover['log_d0_d1'] / math.log(10):.6g}"
    else:
        found = "d0 d1 > {d0_d1:.6g} = {d0_d1_over_N:.6g} N, d1 > {d1:.6g} at this d0".format(**crossover)
    negative, below = ("" if crossover[key] else "not " for key in ("is_negative_here", "d1_is_below_N"))
    return [
        f"  leading order: {crossover['condition']}",
        f"  leading order: {found}",
        f"  leading order: at this size the exponent is {negative}negative",
        f"  Assumption 4 asks for d1 <. N: the d1 from which it is negative is {below}below N",
    ]


def format_bounds(table: dict) -> str:
    """`bounds_table` as plain text, each line with an asymptotic expression marked 'leading order'."""
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
    lines += _crossover_lines(table["crossover"])
    built = "Theorem 8's construction, exact: d1* = {expression} = {value} hidden units"
    return "\n".join([*lines, "", built.format(**table["construction"]), "", table["note"]])
