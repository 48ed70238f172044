"""A function of the user's that a study names as "module:function": found, and its source known by a digest."""

import ast
import collections
import hashlib
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mnnjax.errors import UserError, did_you_mean, first_line, require


def is_own(name: str) -> bool:
    """Whether this is the name of a user's function, "module:function", and not one of ours."""
    return ":" in name


def check_name(where: str, name: str) -> None:
    """Raise UserError, beginning with `where`, unless an own name has the form "module:function"."""
    fits = re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", name)
    require(not is_own(name) or bool(fits), f"{where}: {name!r} is not of the form 'module:function'")


def find(where: str, name: str) -> Callable[..., Any]:
    """The function of that name, "module:function". Raises UserError, beginning with `where`, where its module cannot
    be imported or has no such function."""
    check_name(where, name)
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        hint = "put its folder on PYTHONPATH, or beside the config"
        raise UserError(f"{where}: {name} cannot be imported ({first_line(error)}); {hint}") from error
    except Exception as error:  # whatever the user's module raises
        why = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{where}: {name} cannot be imported ({why}); correct {module_name}") from error
    meant = did_you_mean(attribute, vars(module))
    require(hasattr(module, attribute), f"{where}: {module_name} has no {attribute}{meant}; define it there")
    value = getattr(module, attribute)
    require(callable(value), f"{where}: {name} is {value!r:.40}, and no function; name one")
    return value


def source_digest(where: str, name: str) -> str:
    """The SHA-256 of a function's source and of what it uses in its module: not of what that imports, nor of a `study`
    beside it. Raises UserError as find, and where there is no source."""
    value = find(where, name)
    module_name, _, attribute = name.partition(":")
    try:
        file = inspect.getsourcefile(importlib.import_module(module_name))
        source = Path(file or "").read_text(encoding="utf-8")
        text = "\n".join(_used(source, attribute))
    except (OSError, TypeError):  # a notebook, say, whose cells Python keeps
        text = _source_of(where, name, value)
    return hashlib.sha256(text.encode()).hexdigest()


def _source_of(where: str, name: str, value: Any) -> str:
    try:
        return inspect.getsource(value)
    except (OSError, TypeError) as error:
        raise UserError(f"{where}: {name} has no source that can be read; define it in a file") from error


def _used(source: str, name: str) -> list[str]:
    """The statements of a module that bind a name, and the names which these use, in their order."""
    lines, body = source.splitlines(), ast.parse(source).body
    binding = collections.defaultdict(set)
    for number, statement in enumerate(body):
        for bound in _bound(statement):
            binding[bound].add(number)
    chosen, left = set[int](), [name]
    while left:
        new = binding[left.pop()] - chosen
        chosen |= new
        left += [node.id for number in new for node in ast.walk(body[number]) if isinstance(node, ast.Name)]
    return ["\n".join(lines[_first_line(body[n]) - 1 : body[n].end_lineno]) for n in sorted(chosen)]


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a module's statement binds there."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
    else:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif node is not statement and isinstance(node, ast.stmt):
                yield from _bound(node)


def _first_line(statement: ast.stmt) -> int:
    """The number of its first line, that of a decorator included."""
    return min(node.lineno for node in (statement, *getattr(statement, "decorator_list", ())))
