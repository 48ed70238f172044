"""Checks of what a user wrote: a false one ends in one line that says what, where and how to mend it."""

import argparse
import ast
import contextlib
import dataclasses
import difflib
import errno
import inspect
import itertools
import json
import math
import os
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

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

# What a number in a config is, in words.
WORDS = {int: "a whole number", float: "a number", bool: "True or False"}

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


def end_at_once(text: str, code: int, to: int = 2) -> None:
    """End the process from the handler of a signal, with a line to standard error (2) or output (1).

    Not by an exception: Python drops one that is raised in a callback of JAX, and others are taken for errors on their
    way. Nor by print: the signal may have come in the midst of one.
    """
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    # A bar has hidden it.
    cursor = "\x1b[?25h" if os.isatty(to) else ""
    with contextlib.suppress(OSError):
        os.write(to, f"{cursor}{text}\n".encode())
    os._exit(code)


class Paragraphs(argparse.HelpFormatter):
    """Paragraphs of help texts, filled to the width of the terminal; those with an indented line stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = text.split("\n\n")
        return "\n\n".join(part if "\n " in part else textwrap.fill(part, width) for part in parts)


class OneLineParser(argparse.ArgumentParser):
    """argparse, with its errors in one line, and with options whose names may have - or _ between their words."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **{"formatter_class": Paragraphs} | more)

    def parse_args(self, args: Sequence[str], namespace: argparse.Namespace | None = None) -> argparse.Namespace:
        """As argparse does; an unknown option is told before what is missing, which may be that option misspelt.

        Raises:
          UserError: wrong arguments.
        """
        known = self._known()
        for word in args[: args.index("--") if "--" in args else len(args)]:
            name = word.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(_hyphened(name)) for option in known):
                self.error(f"there is no option {name}{did_you_mean(name, known)}")
        return super().parse_args(self.spelt(args), argparse.Namespace() if namespace is None else namespace)

    def spelt(self, args: Sequence[str]) -> list[str]:
        """The arguments with the names of this parser's options as they are here, with hyphens."""
        known = self._known()
        return [_hyphened(word) if _hyphened(word).partition("=")[0] in known else word for word in args]

    def error(self, message: str):
        """Raise UserError, where argparse would print and exit."""
        if choice := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            message += did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2]))
        raise UserError(f"{self.prog.removeprefix('mnnjax ')}: {message}; --help says how to call it")

    def _known(self) -> list[str]:
        """The long options, those of its verbs included."""
        verbs = [action.choices.values() for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        own = [option for option in self._option_string_actions if option.startswith("--")]
        return own + [option for parser in itertools.chain(*verbs) for option in parser._known()]


def _hyphened(word: str) -> str:
    name, equals, value = word.partition("=")
    return (name.replace("_", "-") if word.startswith("--") else name) + equals + value


def nonempty(text: str) -> str:
    """The value of an option that must not be empty; argparse's `type`."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name; give one")
    return text


def local_path(text: str) -> Path:
    """A file or folder of this machine, likewise; `~` is the user's home."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is no file or folder of this machine")
    return Path(nonempty(text)).expanduser()


def nearest_existing(path: Path) -> Path:
    """A file or folder, or the nearest one above it that is there."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())


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


def require_grid(name: str, values: tuple[int, ...], minimum: int, mend: str) -> None:
    """Raise UserError unless all values are at least `minimum`, and different; `mend` ends the line about the first."""
    for value in values:
        require(value >= minimum, f"{name}: {value} is too small; {mend}")
    _require_different(name, values)


def require_seed(seed: int) -> None:
    """Raise UserError unless what is drawn can be drawn from it."""
    require(0 <= seed < 2**31, f"seed: {seed} must lie between 0 and 2^31 - 1")


def require_ratios(name: str, values: tuple[float, ...]) -> None:
    """Raise UserError unless all values are finite, positive and different."""
    for value in values:
        require(0 < value < math.inf, f"{name}: {value} is not a positive number; give values such as 0.5")
    _require_different(name, values)


def _require_different(name: str, values: tuple) -> None:
    require(len(set(values)) == len(values), f"{name}: {values} names a value twice; give each value once")


def require_types(prefix: str, config) -> None:
    """Raise UserError unless every field of a dataclass instance holds a value of its annotated type; dataclasses do
    not check that themselves."""
    hints = typing.get_type_hints(type(config))
    for name, hint in hints.items():
        value = getattr(config, name)
        if _fits(value, hint):
            continue
        shown, mend = repr(value), ""
        if typing.get_origin(hint) is Literal:
            expected = "one of " + ", ".join(map(repr, typing.get_args(hint)))
            mend = did_you_mean(value, typing.get_args(hint)) if isinstance(value, str) else ""
        else:
            expected = f"of type {getattr(hint, '__name__', hint)}" if isinstance(hint, type) else f"of type {hint}"
        if dataclasses.is_dataclass(value):
            # Given by its place, and so to another field.
            shown = f"{type(value).__name__}(...)"
            own = [other for other, own_hint in hints.items() if _fits(value, own_hint)]
            mend = f"; name the field: {own[0]}={shown}" if own else ""
        else:
            own = _plain_values(value)
            fitting = [way for way in (own, (own,)) if _fits(way, hint)]
            mend = f"; give {fitting[0]!r}" if fitting else mend
        raise UserError(f"{prefix}{name}: {shown} is not {expected}{mend}")


def _plain_values(value):
    """Lists, ranges, dictionaries and NumPy's arrays as tuples, and NumPy's numbers as Python's."""
    if isinstance(value, dict):
        value = tuple(value.items())
    elif not isinstance(value, type) and hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(map(_plain_values, value)) if isinstance(value, (list, tuple, range)) else value


def _fits(value, hint) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, h) for h in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        hints = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return len(hints) == len(value) and all(map(_fits, value, hints))
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


def document_fields(cls: type[T]) -> type[T]:
    """A decorator of classes: help(cls) shows the strings below the fields too, which otherwise only tyro reads."""
    doc = cls.__doc__

    class WithFields:
        # Looked up where somebody asks: parsing the source would be paid by every import.
        def __get__(self, instance, owner) -> str:
            definition = ast.parse(inspect.getsource(cls)).body[0]
            assert isinstance(definition, ast.ClassDef)
            texts = {
                field.target.id: inspect.cleandoc(below.value.value)
                for field, below in itertools.pairwise(definition.body)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            }
            lines = [f"{name}: {text}".replace("\n", "\n    ") for name, text in texts.items()]
            return "\n  ".join([f"{doc}\n\nAttributes:", *lines])

    cls.__doc__ = WithFields()  # pyright: ignore[reportAttributeAccessIssue]  # a property of the class, not a str
    return cls


def json_text(value) -> str:
    """A value as JSON, which has neither NaN nor infinity: they become null."""

    def plain(part):
        if isinstance(part, dict):
            return {name: plain(own) for name, own in part.items()}
        if isinstance(part, (list, tuple)):
            return [plain(own) for own in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(plain(value))


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
