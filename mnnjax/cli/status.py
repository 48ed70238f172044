"""`mnnjax status`: the progress of a study, or of all studies below a folder."""

from collections.abc import Sequence

from mnnjax.cli.parser import OneLineParser, nonempty
from mnnjax.terminal import show

DESCRIPTION = """Show the progress of a study: finished cells, the share of the work that is done, what is left, the
last event, and warnings. Of a folder of studies: one line for each study below it, with its cells, repetitions,
verdicts, and when it last changed. Studies may be running, stopped or finished; nothing is written."""
EPILOG = """exit codes: 0 status printed; 2 the folder holds no study

examples:
  mnnjax status runs                               all studies below it
  mnnjax status runs/fig5_1
  mnnjax status gs://BUCKET/fig5_1                 a study, and its shards
  mnnjax status gs://BUCKET/fig5_1/shard-0-of-4    one shard"""


def make_parser() -> OneLineParser:
    """The parser of the command's arguments."""
    parser = OneLineParser("mnnjax status", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument(
        "dir", metavar="DIR", type=nonempty, help="a work folder, a folder of some, or gs://BUCKET/NAME"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """`mnnjax status ARGUMENTS`; returns the exit code."""
    folder = make_parser().parse_args(arguments).dir
    # After the arguments are checked, as in every command: JAX takes seconds to import.
    from mnnjax.study import status
    from mnnjax.study.overview import columns, find_studies, overview
    from mnnjax.study.workdir import storage

    base = storage.open_path(folder)
    found = find_studies(base)
    if found == [base]:
        show(status(folder))
        return 0
    show(table([columns(overview(path), base) for path in found]))
    return 0


def table(rows: Sequence[dict[str, str]]) -> str:
    """One line per row, of columns that are aligned."""
    titles = max(rows, key=len)
    lines = [list(titles), *([row.get(title, "") for title in titles] for row in rows if "what" not in row)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([*shown, *(": ".join(row.values()) for row in rows if "what" in row)])
