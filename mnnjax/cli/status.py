"""`mnnjax status`: the progress of a study."""

from collections.abc import Sequence

from mnnjax.cli.parser import OneLineParser, nonempty

DESCRIPTION = """Show the progress of a study: finished cells, the share of the work that is done, what is left, the
last event, and warnings. The study may be running, stopped or finished; nothing is written."""
EPILOG = """exit codes: 0 status printed; 2 the folder holds no study

examples:
  mnnjax status runs/fig5_1
  mnnjax status gs://BUCKET/fig5_1                 a study, and its shards
  mnnjax status gs://BUCKET/fig5_1/shard-0-of-4    one shard"""


def make_parser() -> OneLineParser:
    """The parser of the command's arguments."""
    parser = OneLineParser("mnnjax status", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("dir", metavar="DIR", type=nonempty, help="a work folder, or gs://BUCKET/NAME")
    return parser


def main(arguments: Sequence[str]) -> int:
    """`mnnjax status ARGUMENTS`; returns the exit code."""
    folder = make_parser().parse_args(arguments).dir
    # After the arguments are checked, as in every command: JAX takes seconds to import.
    from mnnjax.study import status

    print(status(folder))
    return 0
