"""Loads a study from a Python file."""

import importlib.util
import os
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from mnnjax import config
from mnnjax.config import Study, UserError
from mnnjax.errors import did_you_mean, nearest


def load_config(path: str, small: bool = False) -> Study:
    """The variable `study`, or `small`, of a Python file; UserError if it does not exist, fails, or defines none."""
    file = Path(path)
    if not file.is_file():
        there = sorted(str(p) for p in Path("configs").glob("*.py") if p.stem != "tour")
        beside = {p.stem: p for p in file.parent.glob("*.py")} if file.parent.is_dir() else {}
        meant = nearest(file.stem, beside)
        hint = f" (did you mean {beside[meant]}?)" if meant else "; give a Python file"
        hint += f" such as {', '.join(there)}" if there and not meant else ""
        raise UserError(f"config {path}: {'is a folder' if file.is_dir() else 'no such file'}{hint}")
    spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"config {path}: not a Python file; give one whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    # Where the config, and an own "module:function", find modules of the user's; behind all others, so that none of
    # Python's is hidden.
    sys.path += [
        folder for folder in dict.fromkeys((str(file.resolve().parent), os.getcwd())) if folder not in sys.path
    ]
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # The line that raised the error, or that called the code which raised it.
        frames = reversed(traceback.extract_tb(error.__traceback__))
        line = next((frame.lineno for frame in frames if Path(frame.filename).resolve() == file.resolve()), None)
        line = error.lineno if isinstance(error, SyntaxError) else line
        where = f", line {line}" if line else ""
        raise UserError(f"config {path}{where}: {_message(error, module)}") from error
    name = "small" if small else "study"
    study = getattr(module, name, None)
    if not isinstance(study, Study):
        others = [other for other, value in vars(module).items() if isinstance(value, Study)]
        hint = f"write `{name} = Study(...)` in it"
        if small and "study" in others:
            hint = f"leave out --small, or {hint}, a variant that takes seconds"
        elif not small and len(others) == 1:
            hint = f"`{others[0]}` is a study, rename it"
        raise UserError(f"config {path}: defines no `{name}`; {hint}")
    return study


def _message(error: BaseException, module: ModuleType) -> str:
    """What is wrong and what to do, with the name that was probably meant if one does not exist."""
    if isinstance(error, UserError):
        return str(error)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    if found := re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", text):
        if (cls := getattr(config, found[1], None)) is not None:
            names = list(cls.__dataclass_fields__)
            return f"{found[1]} has no field {found[2]}{did_you_mean(found[2], names)}; it has {', '.join(names)}"
    elif found := re.match(r"cannot import name '(\w+)' from 'mnnjax\.config'", text):
        return f"mnnjax.config has no {found[1]}{did_you_mean(found[1], config.__all__)}"
    meant = did_you_mean(error.name, vars(module)) if isinstance(error, NameError) and error.name else ""
    return f"{type(error).__name__}: {text}{meant}; correct the file"
