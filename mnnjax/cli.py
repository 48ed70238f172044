"""The command line: mnnjax run | status | report | data | bounds | construct."""

import atexit
import contextlib
import dataclasses
import importlib.util
import io
import json
import logging
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from mnnjax import __version__
from mnnjax.checks import OneLineParser
from mnnjax.config import Study, UserError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STOPPED = 75  # EX_TEMPFAIL: saved, run again to go on
STOPS = (signal.SIGTERM, signal.SIGINT)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How to run it, and, below, the fields of the study with the values of the config."""

    small: bool = False
    """Run the config's small variant, which takes seconds."""
    workdir: Path | None = None
    """Where everything is kept; default runs/NAME, or runs/NAME-small."""
    data_dir: Path | None = None
    """Where `mnnjax data` keeps image data; default $MNNJAX_DATA_DIR, or mnnjax in the user's data folder."""
    dry_run: bool = False
    """Print cells, programs and memory, and run nothing."""


def load_config(path: str, small: bool = False) -> Study:
    """The `study`, or `small`, that a Python file defines.

    Raises:
      UserError: there is no such file, it fails, or it defines no study.
    """
    file = Path(path)
    if not file.is_file():
        known = ", ".join(sorted(str(p) for p in Path("configs").glob("*.py")))
        raise UserError(f"config {path}: no such file; give a Python file" + (f" such as {known}" if known else ""))
    spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"config {path}: not a Python file; give one whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"config {path}: {error}") from error
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise UserError(f"config {path}, line {line}: {type(error).__name__}: {error}; mend the file") from error
    name = "small" if small else "study"
    study = getattr(module, name, None)
    if not isinstance(study, Study):
        raise UserError(f"config {path}: defines no `{name}`; write `{name} = Study(...)` in it")
    return study


def parse_run(arguments: Sequence[str]) -> tuple[RunOptions, Study]:
    """Options and the study, with the overrides of the command line.

    Raises:
      UserError: an unknown option, or a value that cannot be.
      SystemExit: after --help.
    """
    import tyro

    if not arguments or arguments[0].startswith("-"):
        if set(arguments) & {"-h", "--help"}:
            print("usage: mnnjax run CONFIG [options]\n\nCONFIG --help lists the options and all fields of the study.")
            raise SystemExit(0)
        raise UserError("run: the first argument must be a config file, such as configs/quickstart.py")
    config, *rest = arguments
    default = load_config(config, small="--small" in rest)

    @dataclasses.dataclass(frozen=True)
    class Run:
        options: Annotated[RunOptions, tyro.conf.arg(name="")]
        study: Annotated[Study, tyro.conf.arg(name="")]

    default = Run(RunOptions(), default)
    parsed = _parse(f"run {config}", Run, rest, default=default, description=RunOptions.__doc__)
    return parsed.options, parsed.study


def _parse(verb: str, options: type, arguments: Sequence[str], **more):
    """tyro.cli for a verb; its boxed error becomes a UserError of one line."""
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
        rule = next((i for i, line in enumerate(content) if set(line) == {"─"}), len(content))
        text = re.sub(r"\s+", " ", " ".join(content[:rule]))
        raise UserError(f"{text}; --help lists the options") from stop


def _run(arguments: Sequence[str]) -> int:
    for number in STOPS:
        signal.signal(number, _stop_at_once)
    try:
        return _run_study(arguments)
    finally:
        # While Python shuts down it gives these signals back to the system: a late one would end a run that is done, or
        # saved, as if it had failed.
        atexit.register(lambda: [signal.signal(number, signal.SIG_IGN) for number in STOPS])


def _run_study(arguments: Sequence[str]) -> int:
    options, study = parse_run(arguments)
    # Imported here: JAX takes seconds to import, and wrong options should be told at once.
    from mnnjax import jax_setup
    from mnnjax.study import plan
    from mnnjax.study.runner import Stopped, StudyError, run_study

    if options.dry_run:
        print(plan.describe(plan.cells(study)))
        return 0
    path = options.workdir or Path("runs") / (f"{study.name}-small" if options.small else study.name)

    # What Orbax logs as an error it also raises, and that is told in one line.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    jax_setup.use_compilation_cache()
    try:
        run_study(study, path, options.data_dir)
    except Stopped as stopped:
        print(f"{stopped}; run the same command again to go on", flush=True)
        return EXIT_STOPPED
    except StudyError as error:
        print(f"mnnjax: {error}", file=sys.stderr)
        return EXIT_FAILED
    return _report([str(path)])


def _stop_at_once(number: int, _frame) -> None:
    """While no cell is in training there is nothing to save."""
    print(f"{signal.Signals(number).name}: stopped; run the same command again to go on", flush=True)
    raise SystemExit(EXIT_STOPPED)


def _status(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax status", description="How far the study in a work folder has come.")
    parser.add_argument("dir", type=Path)
    from mnnjax.study.status import status

    print(status(parser.parse_args(arguments).dir))
    return 0


def _report(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax report", description="Write report.html with its pictures and tables.")
    parser.add_argument("dir", type=Path, nargs="+", help="work folders; the report lies in the first")
    from mnnjax.report import write_report
    from mnnjax.study import plan
    from mnnjax.study.results import Workdir
    from mnnjax.study.sources import recorded_shape

    folders = parser.parse_args(arguments).dir
    planned = {}
    for path in folders:
        workdir = Workdir(path)
        planned[path] = sum(cell.part.repeats for cell in plan.cells(workdir.study(), recorded_shape(workdir)))
    print(f"report: {write_report(folders, planned).resolve()}")
    return 0


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The paper's expressions and assumptions at one size: leading order in the logarithm, no bound at finite N."""

    N: int
    """Number of training points."""
    d0: int
    """Input width."""
    d1: int
    """Hidden width."""
    eps: float
    """MCE above which a local minimum counts as bad."""
    rho: float = 0.0
    """Slope for negative neural inputs."""
    d1_star: float | None = None
    """Hidden units of a teacher (Assumption 5); without one, Theorem 9 takes 2N/d0."""
    json: bool = False
    """Print JSON."""


def _bounds(arguments: Sequence[str]) -> int:
    options = _parse("bounds", Bounds, arguments)
    from mnnjax import theory

    sizes = (options.N, options.d0, options.d1, options.eps, options.rho, options.d1_star)
    table = theory.bounds_table(*sizes)
    print(json.dumps(table) if options.json else theory.format_bounds(table))
    return 0


@dataclasses.dataclass(frozen=True)
class Construct:
    """A global minimum by Theorem 8: for a Gaussian problem with random labels, or for your own points."""

    output: Path
    """The .npz to write: W (d1, d0), z (d1,), X (N, d0), y (N,), rho."""
    input: Path | None = None
    """An .npz with X (N, d0), one row a point, and y (N,)."""
    N: int = 100
    """Points of the Gaussian problem; without --input."""
    d0: int = 10
    """Its input width."""
    seed: int = 0
    """Its seed."""
    rho: float = 0.0
    """Slope for negative neural inputs."""
    json: bool = False
    """Print JSON."""


def _construct(arguments: Sequence[str]) -> int:
    options = _parse("construct", Construct, arguments)
    from mnnjax.study import construct

    result = construct.construct(**{k: v for k, v in dataclasses.asdict(options).items() if k != "json"})
    print(json.dumps(result) if options.json else construct.describe(result))
    return 0


def _data(arguments: Sequence[str]) -> int:
    from mnnjax.data.command import main

    return main(arguments)


VERBS = {
    "run": _run,
    "status": _status,
    "report": _report,
    "data": _data,
    "bounds": _bounds,
    "construct": _construct,
}
USAGE = f"""usage: mnnjax VERB ...

  mnnjax run CONFIG [--small] [--workdir DIR] [--data-dir DIR] [--dry-run] [--FIELD.SUBFIELD VALUE ...]
      train a study's cells, or go on from where it stopped, and write its report
  mnnjax status DIR
      how far it has come
  mnnjax report DIR [DIR ...]
      write report.html with its pictures and tables
  mnnjax data prepare|import|list
      real images: download them, or take files that are here, and see what there is
  mnnjax bounds --N N --d0 D0 --d1 D1 --eps EPS [--rho RHO] [--json]
      the paper's expressions at one size, leading order
  mnnjax construct --output FILE.npz [--input FILE.npz | --N N --d0 D0 --seed S] [--rho RHO] [--json]
      a global minimum by Theorem 8

Exit codes: 0 done; 75 saved after a stop request, run again to go on; 2 wrong input; 1 anything else.
mnnjax {__version__}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    verb, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if verb in ("-h", "--help", "--version"):
        print(f"mnnjax {__version__}" if verb == "--version" else USAGE)
        return 0
    try:
        if verb not in VERBS:
            raise UserError(f"{verb!r} is no verb; take one of {', '.join(VERBS)}")
        return VERBS[verb](rest)
    except UserError as error:
        print(f"mnnjax: {error}", file=sys.stderr)
        return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
