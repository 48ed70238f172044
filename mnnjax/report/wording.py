"""Numbers as people read them: percentages, counts of points, powers of ten."""

import math
import re

EMPTY = "-"

# Spaces at which a line may not end: within a number, before %, around a relation or a product, behind a slash.
_UNBROKEN = re.compile(r"(?<=\d) (?=\d{3}(?!\d))| (?=%)| (?=(?:[<>]?=|[<>.]) )|(?<= [=<>./]) |(?<= [<>]=) ")


def integer(value: int) -> str:
    """70000 as '70 000'."""
    return f"{value:,}".replace(",", " ")


def ratio(value: float) -> str:
    """Three decimals; a dash where it is not a finite number."""
    return f"{value:.3f}" if math.isfinite(value) else EMPTY


def percent(fraction: float) -> str:
    """A fraction in [0, 1] in %, three significant digits; nan as a dash."""
    return f"{100 * fraction:.3g} %" if math.isfinite(fraction) else EMPTY


def scientific(value: float) -> str:
    """'1.0e-07', or '0'; a dash where it is not a finite number."""
    if not math.isfinite(value):
        return EMPTY
    return "0" if value == 0 else f"{value:.1e}"


def points(mce: float, N: int) -> int | None:
    """The number of points that an MCE, a fraction of N, stands for; None where it is not whole (a mean), or nan."""
    if not math.isfinite(mce):
        return None
    # An MCE that was computed in float32 is off by 6e-8 of itself.
    return round(mce * N) if math.isclose(mce * N, round(mce * N), rel_tol=1e-6, abs_tol=1e-6) else None


def of(count: int, total: int, noun: str) -> str:
    """'3 of 30 repetitions'."""
    return f"{integer(count)} of {plural(total, noun)}"


def plural(count: int, noun: str) -> str:
    """'1 repetition', '2 repetitions'."""
    return f"{integer(count)} {noun}" + ("" if count == 1 else "s")


def significant(value: float) -> str:
    """Three significant digits; nan as a dash."""
    return EMPTY if math.isnan(value) else f"{value:.3g}"


def unbroken(text: str) -> str:
    """The text with no-break spaces, so that no line of the page ends within '1 280 000' or 'N = 20'."""
    return _UNBROKEN.sub("\N{NO-BREAK SPACE}", text)
