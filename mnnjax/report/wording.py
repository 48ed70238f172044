"""Numbers as people read them: percentages, counts of points, powers of ten."""

import math

EMPTY = "-"


def integer(value: int) -> str:
    """70000 as '70 000'."""
    return f"{value:,}".replace(",", " ")


def ratio(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else EMPTY


def percent(fraction: float) -> str:
    """A fraction in [0, 1] in %, three significant digits; nan as a dash."""
    return f"{100 * fraction:.3g} %" if math.isfinite(fraction) else EMPTY


def scientific(value: float) -> str:
    if not math.isfinite(value):
        return EMPTY
    return "0" if value == 0 else f"{value:.1e}"


def points(mce: float, N: int) -> int | None:
    """The number of misclassified points, None where mce N is not whole (a mean) or not a number."""
    if not math.isfinite(mce):
        return None
    # An MCE that was computed in float32 is off by 6e-8 of itself.
    return round(mce * N) if math.isclose(mce * N, round(mce * N), rel_tol=1e-6, abs_tol=1e-6) else None


def of(count: int, total: int, noun: str) -> str:
    """'3 of 30 repetitions'."""
    return f"{integer(count)} of {plural(total, noun)}"


def plural(count: int, noun: str) -> str:
    return f"{integer(count)} {noun}" + ("" if count == 1 else "s")


def significant(value: float) -> str:
    """Three significant digits; nan as a dash."""
    return EMPTY if math.isnan(value) else f"{value:.3g}"
