"""Checks of what a user wrote: a false one ends in one line that says what, where and how to mend it."""

import difflib
import errno
import json
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """The user's input is wrong: one line that says what, where and how to mend it (exit code 2)."""


EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STOPPED = 75  # EX_TEMPFAIL: saved, run again to go on
EXIT_INTERRUPTED = 130  # what shells say of Ctrl-C: 128 + SIGINT

# What the system calls a full disk, or a used-up quota.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# What it says of a file or folder that the user can give another of.
NOT_USABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR)


# How alike two names must be for one to have been meant by the other, from 0 to 1.
ALIKE = 0.6


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Which of the names was probably meant by a misspelt word; None where none is like it.

    Of dotted names the last part counts most: `lerning_rate` means `train.learning_rate`; and `lr` does, by initials.
    """

    def likeness(name: str) -> tuple[float, float]:
        whole, own = _plain(word), _plain(name)
        last, own_last = (whole.rpartition(".")[2], own.rpartition(".")[2]) if "." in own else (whole, own)
        alike = difflib.SequenceMatcher(None, last, own_last).ratio()
        if last == "".join(part[:1] for part in own_last.split("_")) or (len(last) > 2 and last in own_last):
            alike = max(alike, ALIKE)
        return alike, difflib.SequenceMatcher(None, whole, own).ratio()

    best = max(names, key=likeness, default=None)
    return best if best is not None and likeness(best)[0] >= ALIKE else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """What follows a name that does not exist, in brackets; '' where none is like it."""
    name = nearest(word, names)
    return f" (did you mean {name}?)" if name else ""


def _plain(name: str) -> str:
    return name.strip("-").lower().replace("-", "_")


def first_line(error: Exception) -> str:
    """What an error says, without the lines that other libraries add; '' where it says nothing."""
    return (str(error).strip().splitlines() or [""])[0]


def told_error(error: OSError) -> str | None:
    """A line about a file that cannot be read or written; None where the user has nothing to do with it."""
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
    """The first field in which two JSON values differ, as 'field: there X, here Y'; None when equal."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for name in dict.fromkeys((*wanted, *stored)):
            found = first_difference(stored.get(name), wanted.get(name), f"{path}.{name}" if path else name)
            if found:
                return found
        return None
    if isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        for i, (a, b) in enumerate(zip(stored, wanted, strict=True)):
            found = first_difference(a, b, f"{path}.{i}")
            if found:
                return found
        return None
    return None if stored == wanted else f"{path}: there {json.dumps(stored)}, here {json.dumps(wanted)}"
