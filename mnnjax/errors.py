"""Errors of users: one line that says what is wrong, where, and what to do. Exit codes, and helpers for such lines."""

import difflib
import errno
import itertools
import json
from collections.abc import Iterable


class UserError(ValueError):
    """The user's input is wrong (exit code 2)."""


EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STOPPED = 75  # EX_TEMPFAIL: saved, run again to resume
EXIT_INTERRUPTED = 130  # as shells report Ctrl-C: 128 + SIGINT

# The system's codes for a full disk or a used-up quota.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# Its codes for a file or folder that cannot be used, where another one can.
NOT_USABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR)
# The least similarity, from 0 to 1, of a misspelt name and a suggestion.
ALIKE = 0.6


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name most similar to a misspelt word, or None if none is similar. The last part of a dotted name counts most:
    `lerning_rate` means `train.learning_rate`, and so does `lr`, by its initials."""

    def likeness(name: str) -> tuple[float, float]:
        given, other = (text.strip("-").lower().replace("-", "_") for text in (word, name))
        last, other_last = (text.rpartition(".")[2] if "." in other else text for text in (given, other))
        alike = difflib.SequenceMatcher(None, last, other_last).ratio()
        if last == "".join(part[:1] for part in other_last.split("_")) or (len(last) > 2 and last in other_last):
            alike = max(alike, ALIKE)
        return alike, difflib.SequenceMatcher(None, given, other).ratio()

    best = max(names, key=likeness, default=None)
    return best if best is not None and likeness(best)[0] >= ALIKE else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """' (did you mean NAME?)' for a name that does not exist, or '' if none is similar."""
    name = nearest(word, names)
    return f" (did you mean {name}?)" if name else ""


def first_line(error: Exception) -> str:
    """The first line of an error's message, without those that libraries add; '' if it has none."""
    return (str(error).strip().splitlines() or [""])[0]


def os_error_line(error: OSError) -> str | None:
    """One line about a file that the user can replace or make room for; None for any other error of the system."""
    if error.errno in DISK_FULL:
        return f"the disk of {error.filename or 'the output'} is full; free some space and run the same command again"
    if error.errno in NOT_USABLE and error.filename is not None:
        return f"{error.filename}: cannot be used ({error.strerror}); choose another, or change its permissions"
    return None


def require(condition: bool, message: str) -> None:
    """Raise UserError(message) unless the condition holds."""
    if not condition:
        raise UserError(message)


def first_difference(stored, wanted, path: str = "") -> str | None:
    """The first field in which two JSON values differ, as 'field: there X, here Y'; None if they are equal."""
    if isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        stored, wanted = dict(enumerate(stored)), dict(enumerate(wanted))
    if isinstance(stored, dict) and isinstance(wanted, dict):
        names = dict.fromkeys((*wanted, *stored))
        pairs = ((stored.get(n), wanted.get(n), f"{path}.{n}" if path else str(n)) for n in names)
        return next(filter(None, itertools.starmap(first_difference, pairs)), None)
    return None if stored == wanted else f"{path}: there {json.dumps(stored)}, here {json.dumps(wanted)}"
