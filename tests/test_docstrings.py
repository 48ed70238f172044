"""Every public name says what it is: shapes, units, errors raised, and the source of the mathematics."""

import ast
import functools
import re
from pathlib import Path

import pytest

from mnnjax import landscape, network, objective, theory
from tests.project import ROOT

PACKAGE = ROOT / "mnnjax"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name == "__init__.py" or path.name[0] != "_")
# What people call from notebooks of their own; of these, where the paper's mathematics are.
LIBRARY = ("landscape", "training", "problems", "data", "theory", "objective.py", "network.py", "config")
SUBJECT = (landscape, network, objective, theory)


def each(paths: list[Path]):
    return pytest.mark.parametrize("path", paths, ids=lambda p: str(p.relative_to(PACKAGE)))


modules = each(MODULES)
library_modules = each([path for path in MODULES if path.relative_to(PACKAGE).parts[0] in LIBRARY])

Definition = ast.FunctionDef | ast.ClassDef
ARRAY = re.compile(r"\b(?:Array|ndarray|ArrayLike)\b")
SHAPED = re.compile(r"\[(?:[\w.]*(?:Array|ndarray|ArrayLike)), '")
ERRORS = re.compile(r"Raises|raises|raised|refused|\w+Error\b")
SOURCE = re.compile(
    r"eq \d|Definitions? \d|Lemma \d|Theorems? \d|Corollary \d|Assumptions? \d|[Ss]ections? \d|Figure \d|Table \d|"
    r"Source: |arXiv"
)
# Quantities that have a unit, by their names, and what names it.
UNITS = {
    r"seconds?$|_time$": r"second",
    r"_bytes$|^memory|_memory$": r"[Bb]yte",
    r"^log_[vc]": r"natural log",
    r"mce$": r"fraction|\[0, 1\]",
}


def is_public(node: ast.stmt) -> bool:
    return isinstance(node, Definition) and not node.name.startswith("_")


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def public(path: Path) -> dict[str, Definition]:
    """Functions and classes of a module, and the methods of its classes, by dotted name."""
    top = {node.name: node for node in parsed(path).body if is_public(node)}
    classes = {name: node for name, node in top.items() if isinstance(node, ast.ClassDef)}
    # A method that a base in the package has too is described there.
    methods = {
        f"{name}.{node.name}": node
        for name, owner in classes.items()
        for node in owner.body
        if is_public(node) and node.name not in inherited(owner)
    }
    return top | methods


@functools.cache
def classes_of_package() -> dict[str, ast.ClassDef]:
    return {node.name: node for path in MODULES for node in parsed(path).body if isinstance(node, ast.ClassDef)}


def inherited(owner: ast.ClassDef) -> set[str]:
    """The public names that a class has from its bases in the package."""
    bases = [base for base in (classes_of_package().get(ast.unparse(b)) for b in owner.bases) if base is not None]
    own = {node.name for base in bases for node in base.body if is_public(node)}
    return own.union(*map(inherited, bases))


def functions(path: Path) -> dict[str, ast.FunctionDef]:
    return {name: node for name, node in public(path).items() if isinstance(node, ast.FunctionDef)}


def arguments(node: ast.FunctionDef) -> list[ast.arg]:
    return [*node.args.args, *node.args.kwonlyargs]


def text_of(node: Definition, path: Path) -> str:
    """What a reader of this name has in view: its docstring and that of its module."""
    return f"{ast.get_docstring(node) or ''}\n{ast.get_docstring(parsed(path)) or ''}"


def called(node: ast.AST) -> set[str]:
    return {n.func.id for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def tells_a_mistake(node: ast.AST) -> bool:
    given = [n.exc for n in ast.walk(node) if isinstance(n, ast.Raise) and n.exc is not None]
    names = {getattr(getattr(error, "func", error), "id", "") for error in given}
    return bool(names & {"UserError", "ValueError"}) or any(name.startswith("require") for name in called(node))


@functools.cache
def raising(path: Path) -> set[str]:
    """Functions of a module that tell a user's mistake, themselves or through a function beside them."""
    all_of_them = {n.name: n for n in ast.walk(parsed(path)) if isinstance(n, ast.FunctionDef)}
    found = {name for name, node in all_of_them.items() if tells_a_mistake(node)}
    while more := {name for name, node in all_of_them.items() if called(node) & found} - found:
        found |= more
    return found


@modules
def test_every_public_name_has_a_docstring(path):
    assert ast.get_docstring(parsed(path))
    assert not [name for name, node in public(path).items() if not ast.get_docstring(node)]


@modules
def test_arrays_of_public_functions_have_shapes(path):
    """In the annotation, or in the docstring as `name (N, d0)`."""
    shapeless = []
    for name, node in functions(path).items():
        hints = {a.arg: ast.unparse(a.annotation) for a in arguments(node) if a.annotation}
        hints |= {"returns": ast.unparse(node.returns)} if node.returns else {}
        for argument, hint in hints.items():
            if len(ARRAY.findall(hint)) <= len(SHAPED.findall(hint)):
                continue
            if not re.search(rf"\b{argument}\b[^\n]*\([^)\n]*\)", text_of(node, path), re.IGNORECASE):
                shapeless.append(f"{name}: {argument}: {hint}")
    assert not shapeless


@library_modules
def test_arguments_of_library_functions_are_annotated(path):
    bare = [
        f"{name}: {argument.arg}"
        for name, node in functions(path).items()
        for argument in arguments(node)
        if argument.annotation is None and argument.arg not in ("self", "cls")
    ]
    assert not bare


@library_modules
def test_library_functions_say_what_they_raise(path):
    some = {name: node for name, node in functions(path).items() if node.name in raising(path)}
    assert not [name for name, node in some.items() if not ERRORS.search(text_of(node, path))]


@modules
def test_quantities_have_units(path):
    silent = []
    for name, node in public(path).items():
        if isinstance(node, ast.FunctionDef):
            quantities = [node.name, *(argument.arg for argument in arguments(node))]
            text = text_of(node, path)
        else:
            quantities = [n.target.id for n in node.body if isinstance(n, ast.AnnAssign)]
            text = ast.unparse(node)  # fields are described in the class
        silent += [
            f"{name}: {quantity}: {unit}"
            for quantity in quantities
            for pattern, unit in UNITS.items()
            if re.search(pattern, quantity) and not re.search(unit, text)
        ]
    assert not silent


def test_mathematics_name_their_source():
    """The paper's equation or theorem, or `Source: ...` where they are another's or our own."""
    silent = [
        f"{module.__name__}.{name}"
        for module in SUBJECT
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and (value.__module__ or "").startswith(module.__name__)
        if not SOURCE.search(value.__doc__ or "")
    ]
    assert not silent
