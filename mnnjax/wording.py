"""Numbers as text: counts and plurals, shares, bytes, durations."""

import math
import re
from collections.abc import Mapping

# A value that is missing or not finite.
EMPTY = "-"
# Ten years, in seconds.
NEVER = 10 * 365 * 86400

# Spaces at which a line may not end: within a number, before %, around a relation or a product, behind a slash.
_UNBROKEN = re.compile(r"(?<=\d) (?=\d{3}(?!\d))| (?=%)| (?=(?:[<>]?=|[<>.]) )|(?<= [=<>./]) |(?<= [<>]=) ")


def integer(value: int) -> str:
    """70000 as '70 000'."""
    return f"{value:,}".replace(",", " ")


def plural(count: int, noun: str) -> str:
    """'1 repetition', '2 repetitions'."""
    return f"{integer(count)} {noun}" + ("" if count == 1 else "s")


def of(count: int, total: int, noun: str) -> str:
    """'3 of 30 repetitions'."""
    return f"{integer(count)} of {plural(total, noun)}"


def ratio(value: float) -> str:
    """Three decimals; a dash if it is not finite."""
    return f"{value:.3f}" if math.isfinite(value) else EMPTY


def percent(fraction: float) -> str:
    """A fraction in [0, 1] in %, three significant digits; a dash if it is not finite."""
    return f"{100 * fraction:.3g} %" if math.isfinite(fraction) else EMPTY


def significant(value: float) -> str:
    """Three significant digits; nan as a dash."""
    return EMPTY if math.isnan(value) else f"{value:.3g}"


def scientific(value: float) -> str:
    """'1.0e-07', or '0'; a dash if it is not finite."""
    return "0" if value == 0 else f"{value:.1e}" if math.isfinite(value) else EMPTY


def points(mce: float, N: int) -> int | None:
    """How many of N points an MCE, a fraction, stands for; None if that is not a whole number, as for a mean."""
    if not math.isfinite(mce):
        return None
    # An MCE that was computed in float32 has a relative error of 6e-8.
    return round(mce * N) if math.isclose(mce * N, round(mce * N), rel_tol=1e-6, abs_tol=1e-6) else None


def size(count: int) -> str:
    """A number of bytes, in powers of 1000: '999 bytes', '55.0 MB'."""
    if count < 1000:
        return f"{count} bytes"
    power = min(int(math.log10(count)) // 3, 4)
    return f"{count / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def duration(seconds: float) -> str:
    """A number of seconds as '45 s', '12 min', '3.4 h', '5.0 days' or 'never'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 48 * 3600:
        return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days" if seconds < NEVER else "never"


def aligned(parts: Mapping[str, object]) -> str:
    """One line per part: its name, then its value in a column."""
    width = max(map(len, parts))
    return "\n".join(f"{name:<{width}}  {part}" for name, part in parts.items())


def unbroken(text: str) -> str:
    """The text with no-break spaces, so that no line of the page ends within '1 280 000' or 'N = 20'."""
    return _UNBROKEN.sub("\N{NO-BREAK SPACE}", text)
