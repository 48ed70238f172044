"""Parser."""

import argparse
import contextlib
import itertools
import json
import math
import os
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from mnnjax.errors import (
    UserError,
    did_you_mean,
)


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


def json_text(value) -> str:
    """A value as JSON, which has neither NaN nor infinity: they become null."""

    def plain(part):
        if isinstance(part, dict):
            return {name: plain(own) for name, own in part.items()}
        if isinstance(part, (list, tuple)):
            return [plain(own) for own in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(plain(value))
