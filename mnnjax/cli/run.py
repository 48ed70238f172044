"""`mnnjax run`: runs the study of a config file and writes its report. Its command line becomes one Request."""

import argparse
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
from typing import TYPE_CHECKING, NoReturn

from mnnjax.cli.config_file import load_config
from mnnjax.cli.parser import OneLineParser, local_path, nonempty
from mnnjax.cli.report import report
from mnnjax.cli.stops import STOPS, end_interrupted, end_resumable
from mnnjax.config import Study, UserError
from mnnjax.errors import EXIT_FAILED, EXIT_STOPPED
from mnnjax.terminal import show

if TYPE_CHECKING:
    from mnnjax.study.mirrors import Logger
    from mnnjax.study.plan.shard import Shard

DESCRIPTION = """Train what is missing of a study, cell by cell, and write its report. CONFIG is a Python file that
defines `study`, such as configs/quickstart.py; it comes first. The same command again resumes from the latest valid
checkpoint. configs/README.md describes the work folder."""
EPILOG = """{fields}

exit codes:
  0    done
  75   saved after Ctrl-C or SIGTERM, or after another machine of the run was
       lost: run the same command again to resume
  2    wrong input: one line says what is wrong, and what to do
  130  interrupted by Ctrl-C, with nothing to save (--dry-run); 143 by SIGTERM
  1    any other error, such as a full disk

examples:
  mnnjax run configs/quickstart.py
  mnnjax run configs/fig5_1.py --small --workdir runs/try
  mnnjax run configs/fig5_1.py --problem.d0 20 30 --train.optimizer sgd \\
      --train.optimizer_options momentum 0.9 --workdir runs/sgd
  mnnjax run configs/fig5_1.py --shard 0/4 --workdir gs://BUCKET/fig5_1
  mnnjax run configs/fig5_1.py --dry-run"""

SWITCH = {"action": "store_true"}
# The settings of each option, and its help.
OPTIONS = {
    "--small": (SWITCH, "run the config's small variant, which takes seconds"),
    "--workdir": ({"type": nonempty, "metavar": "DIR"}, "the work folder: a folder or gs://BUCKET/NAME; default "
                  "runs/NAME, where NAME is the study's, with -small for the small variant"),
    "--data-dir": ({"type": local_path, "metavar": "DIR"}, "where `mnnjax data` stores images; default "
                   "$MNNJAX_DATA_DIR, or mnnjax in the user's data folder"),
    "--shard": ({"metavar": "I/N"}, "run every N-th cell from cell I on (0 to N - 1), the share of one of N machines, "
                "in a folder of its own inside the work folder"),
    "--dry-run": (SWITCH, "print the cells, the programs to compile, the memory and an estimate of the time; "
                  "run nothing"),
    "--tensorboard": (SWITCH, "mirror the log in DIR/tensorboard, which `tensorboard --logdir` shows; needs the extra "
                      "tensorboard"),
    "--wandb": (SWITCH, "mirror the log in Weights & Biases, with files in DIR/wandb; offline where you are not "
                "logged in, or with WANDB_MODE=offline; needs the extra wandb"),
    "--coordinator": ({"metavar": "HOST:PORT"}, "the address of process 0, if several processes, one per machine, run "
                      "the study together; not needed on a Cloud TPU slice or under srun"),
    "--num-processes": ({"type": int, "metavar": "P"}, "the number of processes"),
    "--process-id": ({"type": int, "metavar": "K"}, "the number of this process, from 0"),
    "--help": (SWITCH, "show this help message and exit"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Request:
    """What to run, where, and by which processes."""

    study: Study
    workdir: str
    shard: "Shard | None"
    command: str
    """The command line for the log, without the options that change no result."""
    data_dir: Path | None
    dry_run: bool
    coordinator: str | None
    num_processes: int | None
    process_id: int | None
    loggers: "tuple[Logger, ...]"
    """What mirrors the log."""


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The values of OPTIONS, `config`, and as `fields` the words left over, which set fields of the study."""
    config = arguments[0] if arguments and not arguments[0].startswith("-") else None
    parser = make_parser("CONFIG" if config is None else config)
    options, fields = parser.parse_known_args(parser.spelt(arguments[config is not None :]))
    if config is None and not options.help:
        raise UserError("run: put the config file first: mnnjax run configs/quickstart.py [--small ...]")
    return argparse.Namespace(config=config, fields=fields, **vars(options))


def make_request(options: argparse.Namespace) -> Request:
    """The request of parsed options: loads the config and sets the fields of its study. SystemExit after --help."""
    if options.config is None:
        _exit_with_help("CONFIG", "`mnnjax run CONFIG --help` lists the fields of the study too, with their values.")
    # Here, since tyro takes a while to import.
    from mnnjax.cli.overrides import fields_help, parse_fields

    program = f"mnnjax run {options.config}"
    study = load_config(options.config, options.small)
    if options.help:
        _exit_with_help(options.config, fields_help(program, study, shutil.get_terminal_size().columns - 2))
    study = parse_fields(program, study, options.fields, list(OPTIONS))
    shard, command = None, ["mnnjax", "run", options.config, *["--small"] * options.small]
    if options.shard is not None:
        from mnnjax.study.plan.shard import Shard

        shard = Shard.parse(options.shard)
        command += ["--shard", options.shard]
    workdir = options.workdir or f"runs/{study.name}" + "-small" * options.small
    processes = options.coordinator, options.num_processes, options.process_id
    line = shlex.join([*command, *options.fields])
    from mnnjax.study.mirrors import PACKAGES

    loggers: tuple[Logger, ...] = tuple(name for name in PACKAGES if getattr(options, name))
    return Request(study, workdir, shard, line, options.data_dir, options.dry_run, *processes, loggers)


def make_parser(config: str = "CONFIG", fields: str = "") -> OneLineParser:
    """The parser of the options that are no fields of a study; `fields`: the help of those."""
    # Without argparse's --help: the help needs the study, and so comes later.
    parser = OneLineParser(
        f"mnnjax run {config}", usage="mnnjax run CONFIG [OPTION ...] [--FIELD.SUBFIELD VALUE ...]",
        description=DESCRIPTION, epilog=EPILOG.format(fields=fields), allow_abbrev=False, add_help=False,
    )  # fmt: skip
    for name, (settings, text) in OPTIONS.items():
        parser.add_argument(*(["-h"] if name == "--help" else []), name, help=text, **settings)
    return parser


def _exit_with_help(config: str, fields: str) -> NoReturn:
    print(make_parser(config, fields).format_help(), end="")
    raise SystemExit(0)


def main(arguments: Sequence[str]) -> int:
    """`mnnjax run ARGUMENTS`; returns the exit code, or raises SystemExit after --help."""
    options = parse_options(arguments)
    # Before the config is loaded, which may take long.
    for number in STOPS:
        signal.signal(number, end_interrupted if options.dry_run or options.help else end_resumable)
    try:
        request = make_request(options)
        return _dry_run(request) if request.dry_run else _run(request)
    finally:
        # While Python shuts down it resets these handlers to the system's: a late signal would make a run that is done,
        # or saved, look failed.
        atexit.register(lambda: [signal.signal(number, signal.SIG_IGN) for number in STOPS])


def _run(request: Request) -> int:
    # Imported here: JAX takes seconds to import, and a wrong option should be reported at once.
    from mnnjax import jax_setup
    from mnnjax.study.distributed import process_group, processes

    # Errors that Orbax logs it also raises, and they are reported in one line.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    jax_setup.use_compilation_cache()
    given = request.coordinator, request.num_processes, request.process_id
    group = process_group.find_group(*given, os.environ, process_group.has_tpu())
    code = processes.run_in_group(group, lambda: _run_process(request))
    if code == 0 and request.shard is None and processes.is_writer():
        show(f"report: {report([request.workdir])}")
    return code


def _run_process(request: Request) -> int:
    """What every process of a run does; its exit code."""
    from mnnjax.study.distributed import processes
    from mnnjax.study.runner import Stopped, StudyError, run_study

    study, shard, path = request.study, request.shard, request.workdir
    try:
        result = run_study(study, path, request.data_dir, shard, request.command, loggers=request.loggers)
    except Stopped as stopped:
        if processes.is_writer():
            show(f"{stopped}; run the same command again to resume")
        return EXIT_STOPPED
    except StudyError as error:
        show(f"mnnjax: {error}", sys.stderr)
        return EXIT_FAILED
    if shard is not None and processes.is_writer():
        count = len(result.cells)
        done = f"{count} of {count} cells finished" if count else "has no cells, since there are more shards than cells"
        show(f"shard {shard} of {study.name}: {done}; mnnjax report {path} shows all shards")
    return 0


def _dry_run(request: Request) -> int:
    """Print the estimates for the study, or for the shard, of what its folder does not hold yet; nothing is written."""
    from mnnjax import jax_setup
    from mnnjax.study.execution.continuing import remaining
    from mnnjax.study.execution.images import Sources
    from mnnjax.study.execution.progress import say_nothing
    from mnnjax.study.plan import grid as plan
    from mnnjax.study.plan.growth import describe_growth
    from mnnjax.study.resources.estimate import describe, estimate
    from mnnjax.study.workdir.workdir import Workdir

    jax_setup.use_all_cores()
    study, workdir = request.study, Workdir(request.workdir, request.shard)
    if begun := workdir.has_study():
        workdir.check(study)
    cells = plan.check(study, Sources(workdir, request.data_dir, say_nothing).shape)
    left = remaining(workdir, cells) if begun else cells
    if begun and (before := workdir.before_growth(study, cells)) is not None:
        show(f"{study.name} grows: {describe_growth(before, cells)}")
    if len(left) < len(cells):
        show(f"{len(cells) - len(left)} of {len(cells)} cells are finished in {workdir.path}, and not counted")
    if not left:
        return 0
    show("timing the costliest programs (about half a minute) ...")
    own = {cell.id for cell in workdir.own_cells(cells)}
    show(describe(estimate(left), [cell for cell in left if cell.id in own] if request.shard else None))
    return 0
