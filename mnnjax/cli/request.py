"""What a call of `mnnjax run` asks for: its command line as one object."""

import argparse
import dataclasses
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mnnjax.cli.config_file import load_config
from mnnjax.cli.parser import OneLineParser, local_path, nonempty
from mnnjax.config import Study, UserError

if TYPE_CHECKING:
    from mnnjax.study.plan.shard import Shard

DESCRIPTION = """Train what is missing of a study, cell by cell, and write its report. CONFIG is a Python file that
defines `study`, such as configs/quickstart.py; it comes first. The same command again resumes from the latest valid
checkpoint. README.md describes the work folder."""
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

OPTIONS = {
    "--small": {"action": "store_true", "help": "run the config's small variant, which takes seconds"},
    "--workdir": {
        "type": nonempty, "metavar": "DIR",
        "help": "the work folder: a folder or gs://BUCKET/NAME; default runs/NAME, where NAME is the study's, with "
        "-small for the small variant",
    },
    "--data-dir": {
        "type": local_path, "metavar": "DIR",
        "help": "where `mnnjax data` stores images; default $MNNJAX_DATA_DIR, or mnnjax in the user's data folder",
    },
    "--shard": {
        "metavar": "I/N",
        "help": "run every N-th cell from cell I on (0 to N - 1), the share of one of N machines, in a folder of its "
        "own inside the work folder",
    },
    "--dry-run": {
        "action": "store_true",
        "help": "print the cells, the programs to compile, the memory and an estimate of the time; run nothing",
    },
    "--coordinator": {
        "metavar": "HOST:PORT",
        "help": "the address of process 0, if several processes, one per machine, run the study together; not needed "
        "on a Cloud TPU slice or under srun",
    },
    "--num-processes": {"type": int, "metavar": "P", "help": "the number of processes"},
    "--process-id": {"type": int, "metavar": "K", "help": "the number of this process, from 0"},
    "--help": {"action": "store_true", "help": "show this help message and exit"},
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Request:
    """What to run, where, and by which processes.

    command: the command line for the log, without the options that change no result.
    """

    study: Study
    workdir: str
    shard: "Shard | None"
    command: str
    data_dir: Path | None
    dry_run: bool
    coordinator: str | None
    num_processes: int | None
    process_id: int | None


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The values of OPTIONS, `config`, and as `fields` the words left over, which set fields of the study."""
    config = arguments[0] if arguments and not arguments[0].startswith("-") else None
    parser = _parser("CONFIG" if config is None else config)
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
    same = ("data_dir", "dry_run", "coordinator", "num_processes", "process_id")
    plain = {name: getattr(options, name) for name in same}
    return Request(study, workdir, shard, shlex.join([*command, *options.fields]), **plain)


def _parser(config: str, fields: str = "") -> OneLineParser:
    parser = OneLineParser(
        f"mnnjax run {config}",
        usage="mnnjax run CONFIG [OPTION ...] [--FIELD.SUBFIELD VALUE ...]",
        description=DESCRIPTION,
        epilog=EPILOG.format(fields=fields),
        allow_abbrev=False,
        # The help needs the study, and so comes later.
        add_help=False,
    )
    for name, settings in OPTIONS.items():
        parser.add_argument(*(["-h"] if name == "--help" else []), name, **settings)
    return parser


def _exit_with_help(config: str, fields: str) -> NoReturn:
    print(_parser(config, fields).format_help(), end="")
    raise SystemExit(0)
