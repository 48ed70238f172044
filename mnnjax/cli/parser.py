"""What the commands share: argparse with errors in one line, types of arguments, JSON."""

import argparse
import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from mnnjax.errors import UserError, did_you_mean

RHO_HELP = "slope for negative neural inputs; default 0, the ReLU"


class Paragraphs(argparse.HelpFormatter):
    """Fills the paragraphs of help texts to the width of the terminal, except those with an indented line."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(p if "\n " in p else textwrap.fill(p, width) for p in text.split("\n\n"))


class OneLineParser(argparse.ArgumentParser):
    """argparse with errors in one line, and with - or _ between the words of an option."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **{"formatter_class": Paragraphs} | more)

    def parse_args(self, args: Sequence[str], namespace: argparse.Namespace | None = None) -> argparse.Namespace:
        """As argparse does, but report an unknown option before a missing one: it may be that one, misspelt."""
        known = self.known()
        for word in args[: args.index("--") if "--" in args else len(args)]:
            name = word.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(_hyphened(name)) for option in known):
                self.error(f"there is no option {name}{did_you_mean(name, known)}")
        return super().parse_args(self.spelt(args), argparse.Namespace() if namespace is None else namespace)

    def spelt(self, args: Sequence[str]) -> list[str]:
        """The arguments with hyphens in the names of this parser's options."""
        known = self.known()
        return [_hyphened(word) if _hyphened(word).partition("=")[0] in known else word for word in args]

    def error(self, message: str):
        """Raise UserError; argparse would print and exit."""
        if choice := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            message += did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2]))
        raise UserError(f"{self.prog.removeprefix('mnnjax ')}: {message}; see --help")

    def known(self) -> list[str]:
        """The long options, including those of subcommands."""
        inner = [action.choices.values() for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        options = [option for option in self._option_string_actions if option.startswith("--")]
        return options + [option for parsers in inner for parser in parsers for option in parser.known()]


def _hyphened(word: str) -> str:
    name, equals, value = word.partition("=")
    return (name.replace("_", "-") if word.startswith("--") else name) + equals + value


def nonempty(text: str) -> str:
    """A text that is not empty, for argparse's `type`."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; give one")
    return text


def local_path(text: str) -> Path:
    """A file or folder on this machine, for argparse's `type`; `~` is the user's home."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is not a file or folder on this machine")
    return Path(nonempty(text)).expanduser()


def nearest_existing(path: Path) -> Path:
    """The path itself or its nearest parent that exists."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())


def json_text(value) -> str:
    """A value as JSON, with null for NaN and infinity."""
    return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))
