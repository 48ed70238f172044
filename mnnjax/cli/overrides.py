"""The fields of a study as options of the command line: --train.epochs 100."""

import contextlib
import dataclasses
import io
import itertools
import re
import textwrap
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import tyro

from mnnjax.config import Study
from mnnjax.config.validation import WORDS
from mnnjax.errors import UserError, did_you_mean

ALL_WORDS = WORDS | {str: "a word", type(None): "None"}
# How tyro begins an error about the value of an option.
VALUE_ERROR = re.compile(r"(?:Error parsing|Missing value for argument|invalid choice '.*' for argument) '?--([\w.-]+)")
PAIRS = "pairs of a name and a number, True or False, such as momentum 0.9 nesterov True"


def parse_fields(prog: str, study: Study, arguments: Sequence[str], others: Sequence[str] = ()) -> Study:
    """The study with the fields that the options set; UserError for an unknown option or an invalid value, which may
    suggest one of the others, options that are not fields."""
    captured, arguments = io.StringIO(), list(_flags_spelt_out(study, arguments))
    try:
        with contextlib.redirect_stderr(captured):
            return _tyro(prog, study, arguments)
    except SystemExit as stop:
        raise UserError(_explained(_message(captured.getvalue()), study, arguments, others)) from stop


def fields_help(prog: str, study: Study, width: int) -> str:
    """All fields as options, with their meaning and the study's values; those of `also`, hundreds, in one line."""
    text = "Each field of the study is an option (with - or _ between words); the defaults are those of this config."
    if study.also:
        others = ", ".join(f"--also.{k}.FIELD ({part.name})" for k, part in enumerate(study.also))
        text += f" The fields of the studies in `also` have a prefix: {others}."
    captured = io.StringIO()
    with contextlib.redirect_stdout(captured), contextlib.suppress(SystemExit):
        _tyro(prog, dataclasses.replace(study, also=()), ["--help"])
    lines = (line.rstrip() for line in captured.getvalue().splitlines())
    # The lines above the fields are tyro's usage and its --help.
    shown = "\n".join(itertools.dropwhile(lambda line: "--name" not in line, lines)).replace("{None}|", "")
    shown = re.sub(r"\s*\(default:\s*\)", "\n        (default: empty)", shown)
    return f"{textwrap.fill(text, width)}\n\n{shown}"


def fields_of(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name (problem.N, also.0.train.epochs, ...), type and value of every field that a command line can set."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, hint = getattr(config, field.name), hints[field.name]
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from fields_of(value, f"{name}.")
        elif field.name == "also":
            for k, part in enumerate(value):
                yield from fields_of(part, f"{name}.{k}.")
        elif not any(dataclasses.is_dataclass(option) for option in typing.get_args(hint)):
            yield name, hint, value


def _flags_spelt_out(study: Study, arguments: Sequence[str]) -> Iterator[str]:
    """The arguments with --network.bias True in place of a bare --network.bias, and False for --network.no_bias."""
    flags = {name for name, hint, _ in fields_of(study) if hint is bool}
    for word, following in itertools.pairwise([*arguments, "--"]):
        name = word.removeprefix("--").replace("-", "_")
        positive = re.sub(r"(^|\.)no_(\w+)$", r"\1\2", name)
        if word.startswith("--") and following.startswith("--") and positive in flags:
            yield f"--{positive}"
            yield str(positive == name)
        else:
            yield word


def in_words(hint: Any) -> str:
    """The values that a field's type takes, in words."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if typing.get_origin(hint) is tuple:
        return PAIRS if typing.get_origin(arguments[0]) is tuple else f"{ALL_WORDS[arguments[0]].removeprefix('a ')}s"
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        # "A number or numbers" is "numbers".
        return " or ".join(in_words(option) for option in arguments if tuple[option, ...] not in arguments)
    return ALL_WORDS[hint]


def _tyro(prog: str, study: Study, arguments: Sequence[str]) -> Study:
    flags = (tyro.conf.FlagConversionOff, tyro.conf.AvoidSubcommands)
    return tyro.cli(Study, prog=prog, args=arguments, default=study, config=flags, use_underscores=True)


def _message(box: str) -> str:
    """tyro's error without its box and the help below it."""
    lines = [line.strip("│ ").strip() for line in box.splitlines()]
    content = [line for line in lines if line and line[0] not in "╭╰"]
    # Without a box the title is a line of its own above a rule.
    boxed = any(line.startswith("╭") for line in box.splitlines())
    between = [part for part in re.split(r"(?m)^[─-]{3,}$", "\n".join(content)) if part.strip()]
    return re.sub(r"\s+", " ", between[0 if boxed or len(between) < 2 else 1]).strip()


def _explained(text: str, study: Study, arguments: Sequence[str], others: Sequence[str]) -> str:
    """tyro's error in one plain line, with a hint."""
    fields = {name: (hint, value) for name, hint, value in fields_of(study)}
    given = {}
    for option, name, values in _given(arguments):
        if name not in fields:
            return _no_option(option, name, list(fields), others)
        given[name] = values
    if option := VALUE_ERROR.match(text):
        name = option[1].replace("-", "_")
        values, hint = given[name], fields[name][0]
        shown = " ".join(values)
        tail = did_you_mean(shown, typing.get_args(hint)) if typing.get_origin(hint) is Literal else ""
        if name.endswith("train.optimizer_options"):
            from mnnjax.training.optimizer import describe_options

            field = name.removesuffix("_options")
            tail = f"; {describe_options((given.get(field) or [fields[field][1]])[0])}"
        return f"--{name}: takes {in_words(hint)}, {f'not {shown!r}' if values else 'and none is given'}{tail}"
    if surplus := re.fullmatch(r"Unrecognized options: (.*)", text):
        return f"{surplus[1]}: not a value of an option; --help lists the options and how many values each takes"
    if checked := re.match(r"Error parsing (?:study)?\.?(also[.\d]*\d)?[.\w]*: (.*)", text):
        # The message of a field's own check.
        return ": ".join(part for part in checked.groups() if part)
    return f"{text}; --help lists the options"


def _no_option(option: str, name: str, fields: Sequence[str], others: Sequence[str]) -> str:
    part = name.rpartition(".")[0]
    if part.rpartition(".")[2] in ("train", "volume") and not any(field.startswith(f"{part}.") for field in fields):
        other = {"train": "volume", "volume": "train"}[part.rpartition(".")[2]]
        return f"{option}: the config has {other}, and so no {part}; use a config that has {part}"
    meant = did_you_mean(name, [*(f"--{field}" for field in fields), *others])
    return f"there is no option {option}{meant}; --help lists the options"


def _given(arguments: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Each option as written, its name, and its values."""
    starts = [k for k, word in enumerate(arguments) if word.startswith("--")]
    for start, end in itertools.pairwise([*starts, len(arguments)]):
        option, equals, value = arguments[start].partition("=")
        yield option, option[2:].replace("-", "_"), ([value] if equals else []) + list(arguments[start + 1 : end])
