"""Checks of what a user wrote: a false one ends in one line that says what, where and how to mend it."""

import argparse
import ast
import contextlib
import errno
import inspect
import io
import itertools
import json
import math
import re
import types
import typing
from collections.abc import Sequence
from typing import Literal


class UserError(ValueError):
    """The user's input is wrong: one line that says what, where and how to mend it (exit code 2)."""


EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STOPPED = 75  # EX_TEMPFAIL: saved, run again to go on

# What the system calls a full disk, or a used-up quota.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class OneLineParser(argparse.ArgumentParser):
    """argparse, with its errors in one line."""

    def error(self, message: str):
        """Raise UserError, where argparse would print and exit."""
        raise UserError(f"{self.prog.removeprefix('mnnjax ')}: {message}; --help says how to call it")


def first_line(error: Exception) -> str:
    """What an error says, without the lines that other libraries add; '' where it says nothing."""
    return (str(error).strip().splitlines() or [""])[0]


def require(condition: bool, message: str) -> None:
    """Raise UserError(message) unless the condition holds."""
    if not condition:
        raise UserError(message)


def require_grid(name: str, values: tuple[int, ...], minimum: int, mend: str) -> None:
    """Raise UserError unless all values are at least `minimum`, and different; `mend` ends the line about the first."""
    for value in values:
        require(value >= minimum, f"{name}: {value} is too small; {mend}")
    _require_different(name, values)


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
    for name, hint in typing.get_type_hints(type(config)).items():
        value = getattr(config, name)
        if typing.get_origin(hint) is Literal:
            expected = "one of " + ", ".join(map(repr, typing.get_args(hint)))
        else:
            expected = f"of type {getattr(hint, '__name__', hint)}" if isinstance(hint, type) else f"of type {hint}"
        mend = f"; give {_as_tuple(value)!r}" if _fits(_as_tuple(value), hint) else ""
        require(_fits(value, hint), f"{prefix}{name}: {value!r} is not {expected}{mend}")


def _as_tuple(value) -> tuple:
    if isinstance(value, dict):
        return tuple(value.items())
    return tuple(value) if isinstance(value, list) else (value,)


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


def document_fields(cls: type) -> type:
    """A decorator of classes: help(cls) shows the strings below the fields too, which otherwise only tyro reads."""
    doc = cls.__doc__

    class WithFields:
        # Looked up where somebody asks: parsing the source would be paid by every import.
        def __get__(self, instance, owner) -> str:
            body = ast.parse(inspect.getsource(cls)).body[0].body
            texts = {
                field.target.id: inspect.cleandoc(below.value.value)
                for field, below in itertools.pairwise(body)
                if isinstance(field, ast.AnnAssign)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            }
            lines = [f"{name}: {text}".replace("\n", "\n    ") for name, text in texts.items()]
            return "\n  ".join([f"{doc}\n\nAttributes:", *lines])

    cls.__doc__ = WithFields()
    return cls


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


def _is_rule(line: str) -> bool:
    return len(line) > 2 and set(line) <= {"─", "-"}


def parse_options(verb: str, options: type, arguments: Sequence[str], **more):
    """tyro.cli for a verb of the command line, whose fields are those of the dataclass `options`.

    Raises:
      UserError: tyro's boxed error, in one line.
      SystemExit: after --help.
    """
    import tyro

    captured = io.StringIO()
    try:
        with contextlib.redirect_stderr(captured):
            flags = (tyro.conf.FlagCreatePairsOff, tyro.conf.AvoidSubcommands)
            return tyro.cli(options, prog=f"mnnjax {verb}", args=arguments, config=flags, **more)
    except SystemExit as stop:
        if stop.code == 0:
            raise
        lines = [line.strip("│ ").strip() for line in captured.getvalue().splitlines()]
        content = [line for line in lines if line and line[0] not in "╭╰"]
        # Where there is no box, its title is a line of its own above a rule.
        boxed = any(line.startswith("╭") for line in captured.getvalue().splitlines())
        between = [list(some) for is_rule, some in itertools.groupby(content, _is_rule) if not is_rule]
        text = re.sub(r"\s+", " ", " ".join(between[0 if boxed or len(between) < 2 else 1]))
        if own := re.fullmatch(r"Error parsing study(?:\.(also[.\d]*\d))?[.\w]*: (.*)", text):
            # What a field's own check said.
            raise UserError(": ".join(part for part in own.groups() if part)) from stop
        raise UserError(f"{text}; --help lists the options") from stop
