"""Numbers as people read them: percentages, counts of points, powers of ten."""

import math
import re
from collections.abc import Mapping

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


# Ten years, in seconds.
NEVER = 10 * 365 * 86400


def duration(seconds: float) -> str:
    """A span of so many seconds, for people: '45 s', '12 min', '3.4 h', '5.0 days', 'never'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 48 * 3600:
        return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days" if seconds < NEVER else "never"


def counted(count: int, name: str) -> str:
    """A number of things, for people: '1 cell', '2 cells'."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def aligned(parts: Mapping[str, object]) -> str:
    """A line a part: its name, and in a column what it is."""
    width = max(map(len, parts))
    return "\n".join(f"{name:<{width}}  {part}" for name, part in parts.items())


def size(count: int) -> str:
    """A number of bytes for people, in powers of 1000.

    >>> size(54_950_256)
    '55.0 MB'
    """
    if count < 1000:
        return f"{count} bytes"
    power = min(int(math.log10(count)) // 3, 4)
    return f"{count / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
