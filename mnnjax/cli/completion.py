"""Tab completion: the commands, their options, and the fields of a study, as a script for a shell.

tyro makes the scripts for bash and zsh, from dataclasses that are made of the commands' parsers. Lines of ours below it
add the names of files. tyro has none for tcsh without another package, and there a line of ours is enough.
"""

import argparse
import contextlib
import dataclasses
import functools
import importlib
import io
import itertools
import operator
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from mnnjax.cli.overrides import fields_of, in_words
from mnnjax.cli.parser import OneLineParser
from mnnjax.config import Network, Problem, Study, Train, Volume
from mnnjax.errors import UserError, did_you_mean

# Values that are names of files, by the word for them in the help.
FILES = re.compile(r"DIR|\w+\.npz")
# Options are shown where one is begun, and names of files where none is. FUNCTION is tyro's.
BASH = """
_mnnjax() {
  FUNCTION "$@"
  local word="${COMP_WORDS[COMP_CWORD]}" found=("${COMPREPLY[@]}") each
  COMPREPLY=()
  for each in "${found[@]}"; do
    if [[ -n "$each" && ( "$word" == -* || "$each" != -* ) ]]; then COMPREPLY+=("$each"); fi
  done
}
complete -o default -F _mnnjax mnnjax"""
# Below tyro's last line, which calls its function.
ZSH = """
if [[ $CURRENT -gt 2 && "${words[CURRENT]}" != -* ]]; then _files; fi"""


def script(shell: str, commands: Iterable[str]) -> str:
    """The lines that the shell is to read, for these commands. UserError for another shell than bash, zsh and tcsh."""
    parsers = {name: importlib.import_module(f"mnnjax.cli.{name}").make_parser() for name in commands}
    if shell == "tcsh":
        return _tcsh(parsers)
    if shell not in ("bash", "zsh"):
        meant = did_you_mean(shell, ["bash", "zsh", "tcsh"])
        raise UserError(f"--tyro-print-completion: {shell!r} is no shell that it knows{meant}; give bash, zsh or tcsh")
    types = {name: _dataclass(name, parser, _fields() if name == "run" else []) for name, parser in parsers.items()}
    told = io.StringIO()
    flags = (tyro.conf.AvoidSubcommands, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff)
    arguments: dict[str, Any] = {"args": ["--tyro-print-completion", shell], "config": flags, "use_underscores": True}
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        tyro.extras.subcommand_cli_from_dict(types, prog="mnnjax", **arguments)
    lines = told.getvalue().rstrip()
    for option in {option for parser in parsers.values() for option in parser.known()}:
        # Options have hyphens, and fields have underscores, as in --help; tyro has one or the other.
        lines = lines.replace(repr(f"--{option[2:].replace('-', '_')}"), repr(option))
    function = re.findall(r"(?m)^(_\w+)\(\) {$", lines)[-1]
    return lines + (BASH.replace("FUNCTION", function) if shell == "bash" else ZSH)


def _fields() -> list[tuple[str, str, Any, Any]]:
    """The name of every field of a study as an option, what it takes in words, its type and a value."""
    study = Study("any", Problem(d0=2, N=1), Network(), Train())
    found = [*fields_of(study), *fields_of(Volume(), "volume.")]
    return [(name, in_words(hint), hint, value) for name, hint, value in found]


def _dataclass(name: str, parser: argparse.ArgumentParser, more: Iterable[tuple[str, str, Any, Any]]) -> type:
    """The options of a parser and its subcommands, and more as from `_fields`, as a dataclass for tyro."""
    fields: list[Any] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            parts = (Annotated[_dataclass(n, p, []), tyro.conf.subcommand(n)] for n, p in action.choices.items())
            fields.append((action.dest, functools.reduce(operator.or_, parts)))
        elif action.option_strings and action.dest != "help":
            option = action.option_strings[-1].removeprefix("--")
            fields.append(_field(option, str(action.help), *_type(action)))
    return dataclasses.make_dataclass(name, [*fields, *itertools.starmap(_field, more)], kw_only=True)


def _field(option: str, text: str, kind: Any, value: Any) -> tuple[str, Any, Any]:
    told = tyro.conf.arg(name=option, help=text, help_behavior_hint="")
    return re.sub(r"\W", "_", f"option_{option}"), Annotated[kind, told], dataclasses.field(default=value)


def _type(action: argparse.Action) -> tuple[Any, Any]:
    """Of which type an option's value is, and such a value."""
    if action.nargs == 0:
        return bool, False
    if action.choices:
        return Literal[tuple(action.choices)], next(iter(action.choices))
    kind = Path if FILES.fullmatch(str(action.metavar)) else action.type if action.type in (int, float) else str
    return kind, kind()


def _tcsh(parsers: dict[str, OneLineParser]) -> str:
    """The command first, then options where one is begun, else names of files."""
    options = {name.removeprefix("--") for parser in parsers.values() for name in parser.known()}
    options |= {name for name, *_ in _fields()}
    return f"complete mnnjax 'p/1/({' '.join(parsers)})/' 'c/--/({' '.join(sorted(options))})/' 'p/*/f/'"
