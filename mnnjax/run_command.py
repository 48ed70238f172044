"""`mnnjax run`: from a config file and the command line to a study that is run."""

import atexit
import dataclasses
import importlib.util
import logging
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from mnnjax.checks import EXIT_FAILED, EXIT_STOPPED, parse_options
from mnnjax.config import Study, UserError

STOPS = (signal.SIGTERM, signal.SIGINT)
# Options that change no result.
WHERE = ("--workdir", "--data-dir", "--coordinator", "--num-processes", "--process-id")


HELP = {"-h", "--help"}
USAGE = """usage: mnnjax run CONFIG [options]

  CONFIG              a Python file that defines `study`, such as configs/quickstart.py; it comes first
  --small             run the config's small variant, which takes seconds
  --workdir DIR       where everything is kept, a folder or gs://BUCKET/NAME; default runs/NAME
  --data-dir DIR      where `mnnjax data` keeps image data
  --shard I/N         run every N-th cell, from cell I on: the share of one of N machines
  --dry-run           print cells, memory and an estimate of the time, and run nothing
  --FIELD.SUBFIELD VALUE ...
                      another value of a field of the study, such as --train.epochs 100

mnnjax run CONFIG --help lists all options, and the fields with their values in that config."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How to run it, and, below, the fields of the study with the values of the config."""

    small: bool = False
    """Run the config's small variant, which takes seconds."""
    workdir: str | None = None
    """Where everything is kept, a folder or gs://BUCKET/NAME; default runs/NAME, or runs/NAME-small."""
    shard: str | None = None
    """I/N: run every N-th cell, from cell I on (0 to N - 1), in a folder of its own inside the work folder."""
    data_dir: Path | None = None
    """Where `mnnjax data` keeps image data; default $MNNJAX_DATA_DIR, or mnnjax in the user's data folder."""
    coordinator: str | None = None
    """HOST:PORT of process 0, where several processes, on as many machines, run the study together. Not needed on a
    Cloud TPU slice or under srun."""
    num_processes: int | None = None
    """How many processes there are."""
    process_id: int | None = None
    """Which of them this one is, from 0 on."""
    dry_run: bool = False
    """Print cells, programs, memory and an estimate of the time, and run nothing."""


def load_config(path: str, small: bool = False) -> Study:
    """The `study`, or `small`, that a Python file defines.

    Raises:
      UserError: there is no such file, it fails, or it defines no study.
    """
    file = Path(path)
    if not file.is_file():
        known = ", ".join(sorted(str(p) for p in Path("configs").glob("*.py") if p.stem != "tour"))
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
        text = error.msg if isinstance(error, SyntaxError) else error
        where = f", line {line}" if (line := _line_in(file, error)) else ""
        raise UserError(f"config {path}{where}: {type(error).__name__}: {text}; mend the file") from error
    name = "small" if small else "study"
    study = getattr(module, name, None)
    if not isinstance(study, Study):
        raise UserError(f"config {path}: defines no `{name}`; write `{name} = Study(...)` in it")
    return study


def _line_in(file: Path, error: Exception) -> int | None:
    """The line of the file at which the error arose, or from where the code that raised it was called."""
    if isinstance(error, SyntaxError):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno for f in reversed(frames) if Path(f.filename).resolve() == file.resolve()), None)


def parse_run(arguments: Sequence[str]) -> tuple[RunOptions, Study]:
    """Options and the study, with the overrides of the command line.

    Raises:
      UserError: an unknown option, or a value that cannot be.
      SystemExit: after --help.
    """
    import tyro

    asks_help = bool(set(arguments) & HELP)
    if not arguments or arguments[0].startswith("-"):
        if asks_help:
            print(USAGE)
            raise SystemExit(0)
        raise UserError("run: put the config file first: mnnjax run configs/quickstart.py [--small ...]")
    config, *rest = arguments
    default = load_config(config, small="--small" in rest)
    description = RunOptions.__doc__
    if asks_help and default.also:
        # Some configs would list hundreds of options.
        others = ", ".join(f"--also.{k}.FIELD ({part.name})" for k, part in enumerate(default.also))
        description += f" Those of the studies in `also` have the same names after a prefix: {others}."
        default = dataclasses.replace(default, also=())

    @dataclasses.dataclass(frozen=True)
    class Run:
        options: Annotated[RunOptions, tyro.conf.arg(name="")]
        study: Annotated[Study, tyro.conf.arg(name="")]

    default = Run(RunOptions(), default)
    parsed = parse_options(f"run {config}", Run, rest, default=default, description=description)
    return parsed.options, parsed.study


def main(arguments: Sequence[str]) -> int:
    """`mnnjax run ARGUMENTS`; returns the exit code.

    Raises:
      UserError: wrong arguments or config, or what `run_study` raises.
      SystemExit: after --help.
    """
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
    from mnnjax.study import process_group, processes
    from mnnjax.study.shard import Shard

    shard = None if options.shard is None else Shard.parse(options.shard)
    if options.dry_run:
        return _dry_run(study, shard)
    path = options.workdir or f"runs/{study.name}" + ("-small" if options.small else "")

    # What Orbax logs as an error it also raises, and that is told in one line.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    jax_setup.use_compilation_cache()
    given = options.coordinator, options.num_processes, options.process_id
    group = process_group.find_group(*given, os.environ, process_group.has_tpu())
    command = _command(arguments)
    code = processes.run_in_group(group, lambda: _train(study, path, options.data_dir, shard, command))
    if code == 0 and shard is None and processes.is_writer():
        print(f"report: {report([path])}")
    return code


def _command(arguments: Sequence[str]) -> str:
    """The command line less what says only where things lie and who runs it, which changes no result."""
    kept, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word.split("=")[0].replace("_", "-") not in WHERE:
            kept.append(word)
        elif "=" not in word:
            rest = rest[1:]
    return shlex.join(["mnnjax", "run", *kept])


def _train(study: Study, path: str, data_dir: Path | None, shard, command: str) -> int:
    """What every process of a run does; its exit code."""
    from mnnjax.study import processes
    from mnnjax.study.runner import Stopped, StudyError, run_study

    try:
        count = run_study(study, path, data_dir, shard, command)
    except Stopped as stopped:
        if processes.is_writer():
            print(f"{stopped}; run the same command again to go on", flush=True)
        return EXIT_STOPPED
    except StudyError as error:
        print(f"mnnjax: {error}", file=sys.stderr)
        return EXIT_FAILED
    if shard is not None and processes.is_writer():
        done = f"{count} of {count} cells finished" if count else "has no cells, there are more shards than cells"
        print(f"shard {shard} of {study.name}: {done}; mnnjax report {path} shows all shards")
    return 0


def _dry_run(study: Study, shard) -> int:
    """Print what the study, or a shard of it (study.shard), takes; nothing is written."""
    from mnnjax import jax_setup
    from mnnjax.study import plan
    from mnnjax.study.estimate import describe, estimate

    jax_setup.use_all_cores()
    cells = plan.check(study)
    print("timing the costliest programs (about half a minute) ...", flush=True)
    print(describe(estimate(cells), shard.of(cells) if shard else None))
    return 0


def report(folders: Sequence[str]) -> str:
    """Write the report of some work folders into the first, and results.csv where a study's shards have their own; the
    address of its page.

    Raises:
      UserError: a folder holds no study.
    """
    from mnnjax.report import write_report
    from mnnjax.study import storage
    from mnnjax.study.results import Workdir
    from mnnjax.study.sources import recorded_cells

    planned = {}
    for path in folders:
        workdir = Workdir(path)
        cells = recorded_cells(workdir, workdir.study())
        planned[path] = sum(cell.part.repeats for cell in cells)
        # A run that was killed, or goes on, may not have collected its last cells yet.
        if any(workdir.is_finished(cell.id) for cell in cells):
            workdir.collect(cell.id for cell in cells)
    return str(storage.resolve(write_report(folders, planned)))


def _stop_at_once(number: int, _frame) -> None:
    """While no cell is in training there is nothing to save."""
    print(f"{signal.Signals(number).name}: stopped; run the same command again to go on", flush=True)
    # No exception: Python drops one that is raised in a callback of JAX, and others are taken for errors on their way.
    os._exit(EXIT_STOPPED)
