"""`mnnjax run`: from a config file and the command line to a study that is run."""

import atexit
import dataclasses
import logging
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from mnnjax.cli.config_file import load_config
from mnnjax.cli.parser import OneLineParser, end_at_once, local_path, nonempty
from mnnjax.config import Study, UserError
from mnnjax.errors import EXIT_FAILED, EXIT_STOPPED

STOPS = (signal.SIGTERM, signal.SIGINT)
# Options that change no result.
WHERE = ("--workdir", "--data-dir", "--coordinator", "--num-processes", "--process-id")

HELP = {"-h", "--help"}
DESCRIPTION = """Train what is missing of a study, cell by cell, and write its report. CONFIG is a Python file that
defines `study`, such as configs/quickstart.py; it comes first. The same command again goes on from where it stopped;
README.md says what lies in the work folder."""
EPILOG = """{fields}

exit codes:
  0    done
  75   saved after Ctrl-C or SIGTERM, or another machine of the run is gone:
       run the same command again to go on
  2    wrong input: one line says what, and how to mend it
  130  interrupted by Ctrl-C, with nothing to save (--dry-run); 143 by SIGTERM
  1    anything else, such as a full disk

examples:
  mnnjax run configs/quickstart.py
  mnnjax run configs/fig5_1.py --small --workdir runs/try
  mnnjax run configs/fig5_1.py --problem.d0 20 30 --train.optimizer sgd \\
      --train.optimizer_options momentum 0.9 --workdir runs/sgd
  mnnjax run configs/fig5_1.py --shard 0/4 --workdir gs://BUCKET/fig5_1
  mnnjax run configs/fig5_1.py --dry-run"""


OPTIONS = {
    "--small": {"action": "store_true", "help": "run the config's small variant, which takes seconds"},
    "--workdir": {
        "type": nonempty, "metavar": "DIR",
        "help": "where everything is kept: a folder or gs://BUCKET/NAME; default runs/ and the study's name, and "
        "-small of the small variant",
    },
    "--data-dir": {
        "type": local_path, "metavar": "DIR",
        "help": "where `mnnjax data` keeps image data; default $MNNJAX_DATA_DIR, or mnnjax in the user's data folder",
    },
    "--shard": {
        "metavar": "I/N",
        "help": "run every N-th cell, from cell I on (0 to N - 1), in a folder of its own inside the work folder: the "
        "share of one of N machines",
    },
    "--dry-run": {
        "action": "store_true",
        "help": "print cells, programs to compile, memory and an estimate of the time, and run nothing",
    },
    "--coordinator": {
        "metavar": "HOST:PORT",
        "help": "of process 0, where several processes, on as many machines, run the study together; not needed on a "
        "Cloud TPU slice or under srun",
    },
    "--num-processes": {"type": int, "metavar": "P", "help": "how many processes there are"},
    "--process-id": {"type": int, "metavar": "K", "help": "which of them this one is, from 0 on"},
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How to run a study: OPTIONS."""

    small: bool = False
    workdir: str | None = None
    data_dir: Path | None = None
    shard: str | None = None
    dry_run: bool = False
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


def _parser(config: str, fields: str) -> OneLineParser:
    """Of RunOptions; the fields of the study are options too, which it leaves over."""
    parser = OneLineParser(
        f"mnnjax run {config}",
        usage="mnnjax run CONFIG [OPTION ...] [--FIELD.SUBFIELD VALUE ...]",
        description=DESCRIPTION,
        epilog=EPILOG.format(fields=fields),
        allow_abbrev=False,
    )
    for flags, values in OPTIONS.items():
        parser.add_argument(flags, **values)
    return parser


def parse_run(arguments: Sequence[str]) -> tuple[RunOptions, Study]:
    """Options and the study, with the overrides of the command line.

    Raises:
      UserError: an unknown option, or a value that cannot be.
      SystemExit: after --help.
    """
    asks_help = bool(set(arguments) & HELP)
    if not arguments or arguments[0].startswith("-"):
        if asks_help:
            fields = "`mnnjax run CONFIG --help` lists the fields of the study too, with their values in that config."
            print(_parser("CONFIG", fields).format_help(), end="")
            raise SystemExit(0)
        raise UserError("run: put the config file first: mnnjax run configs/quickstart.py [--small ...]")
    config, *rest = arguments
    # Here, since tyro takes a while to import.
    from mnnjax.cli.overrides import fields_help, parse_fields

    parser = _parser(config, "")
    study = load_config(config, small="--small" in rest)
    if asks_help:
        text = fields_help(f"mnnjax run {config}", study, shutil.get_terminal_size().columns - 2)
        print(_parser(config, text).format_help(), end="")
        raise SystemExit(0)
    own, others = parser.parse_known_args(parser.spelt(rest))
    return RunOptions(**vars(own)), parse_fields(f"mnnjax run {config}", study, others, list(OPTIONS))


def main(arguments: Sequence[str]) -> int:
    """`mnnjax run ARGUMENTS`; returns the exit code.

    Raises:
      UserError: wrong arguments or config, or what `run_study` raises.
      SystemExit: after --help.
    """
    dry = bool({"--dry-run", "--dry_run", *HELP} & set(arguments))
    for number in STOPS:
        signal.signal(number, _end_at_once if dry else _stop_at_once)
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
    from mnnjax.study.distributed import process_group, processes
    from mnnjax.study.plan.shard import Shard

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
    from mnnjax.study.distributed import processes
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
    from mnnjax.study.plan import grid as plan
    from mnnjax.study.resources.estimate import describe, estimate

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
    from mnnjax.study.execution.images import recorded_cells
    from mnnjax.study.workdir import storage
    from mnnjax.study.workdir.workdir import Workdir

    planned = {}
    for path in folders:
        workdir = Workdir(path)
        cells = recorded_cells(workdir, workdir.study())
        planned[path] = sum(cell.part.repeats for cell in cells)
        # A run that was killed, or goes on, may not have collected its last cells yet.
        if workdir.finished(cells):
            workdir.collect(cells)
        for file, why in workdir.damaged(cells).items():
            print(f"warning: {file} is damaged ({why}), and left out; run the study again to train its cell")
    return str(storage.resolve(write_report(folders, planned)))


def _stop_at_once(number: int, _frame) -> None:
    """While no cell is in training there is nothing to save."""
    text = f"{signal.Signals(number).name}: stopped; run the same command again to go on"
    end_at_once(text, EXIT_STOPPED, to=1)


def _end_at_once(number: int, _frame) -> None:
    """Where nothing is written, there is nothing to go on with either."""
    end_at_once(f"mnnjax: {signal.Signals(number).name}: stopped", 128 + number)
