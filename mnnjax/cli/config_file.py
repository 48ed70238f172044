"""A study as a Python file defines it."""

import importlib.util
import re
import traceback
from pathlib import Path
from types import ModuleType

from mnnjax import config
from mnnjax.config import Study, UserError
from mnnjax.errors import did_you_mean, nearest


def load_config(path: str, small: bool = False) -> Study:
    """The `study`, or `small`, that a Python file defines.

    Raises:
      UserError: there is no such file, it fails, or it defines no study.
    """
    file = Path(path)
    if not file.is_file():
        there = sorted(str(p) for p in Path("configs").glob("*.py") if p.stem != "tour")
        beside = {p.stem: p for p in file.parent.glob("*.py")} if file.parent.is_dir() else {}
        meant = nearest(file.stem, beside)
        mend = f" (did you mean {beside[meant]}?)" if meant else "; give a Python file"
        mend += f" such as {', '.join(there)}" if there and not meant else ""
        raise UserError(f"config {path}: {'is a folder' if file.is_dir() else 'no such file'}{mend}")
    spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"config {path}: not a Python file; give one whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        where = f", line {line}" if (line := _line_in(file, error)) else ""
        raise UserError(f"config {path}{where}: {_in_words(error, module)}") from error
    name = "small" if small else "study"
    study = getattr(module, name, None)
    if not isinstance(study, Study):
        raise UserError(f"config {path}: defines no `{name}`; {_mend(module, name)}")
    return study


def _mend(module: ModuleType, name: str) -> str:
    """How a file comes to define a study of that name."""
    others = [other for other, value in vars(module).items() if isinstance(value, Study)]
    if name == "small" and "study" in others:
        return "leave --small out, or write `small = Study(...)` in it, the same in seconds"
    if name == "study" and len(others) == 1:
        return f"`{others[0]}` is one, call it so"
    return f"write `{name} = Study(...)` in it"


def _in_words(error: BaseException, module: ModuleType) -> str:
    """What is wrong, and how to mend it; of a name that does not exist, which one was probably meant."""
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
    return f"{type(error).__name__}: {text}{meant}; mend the file"


def _line_in(file: Path, error: BaseException) -> int | None:
    """The line of the file at which the error arose, or from where the code that raised it was called."""
    if isinstance(error, SyntaxError):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno for f in reversed(frames) if Path(f.filename).resolve() == file.resolve()), None)
