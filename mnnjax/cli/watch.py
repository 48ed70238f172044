"""`mnnjax watch`: a live table of a study, or of all studies below a folder."""

import argparse
import contextlib
import math
import time
from collections.abc import Sequence

from mnnjax.cli.parser import OneLineParser, nonempty

DESCRIPTION = """Show how far a study has come, or each study below a folder, in a table that is drawn anew until all
are done, or until Ctrl-C. The studies run in other processes, also on other machines; nothing is written. Where the
output is no terminal, the table is printed again whenever it has changed."""
EPILOG = """exit codes: 0 all studies are done; 2 the folder holds no study; 130 ended by Ctrl-C

examples:
  mnnjax watch runs/fig5_1
  mnnjax watch runs                          all studies below it
  mnnjax watch gs://BUCKET/fig5_1 --seconds 30"""
# The most of its time that it may spend on reading: others use the machine.
LARGEST_SHARE = 0.1


def make_parser() -> OneLineParser:
    """The parser of the command's arguments."""
    parser = OneLineParser("mnnjax watch", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument(
        "dir", metavar="DIR", type=nonempty, help="a work folder, a folder of some, or gs://BUCKET/NAME"
    )
    parser.add_argument("--seconds", type=_positive, default=2.0, help="seconds between two looks, or more; default 2")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not positive; give a number of seconds, such as 2")
    return value


def main(arguments: Sequence[str]) -> int:
    """`mnnjax watch ARGUMENTS`; returns the exit code."""
    options = make_parser().parse_args(arguments)
    from rich.console import Console, Group
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from mnnjax.study.overview import DONE, RUNNING, UNREADABLE, Overview, columns, find_studies, overview
    from mnnjax.study.workdir import storage

    base = storage.open_path(options.dir)

    def drawn(found: Sequence[Overview]) -> Group:
        rows = [columns(each, base) for each in found]
        table = Table(box=None, pad_edge=False)
        # Verdicts need more room than a column has, beside the others in 80 characters.
        titles = [title for title in max(rows, key=len) if title != "verdicts"]
        for title in titles:
            table.add_column(title, overflow="fold")
        lines = []
        for each, row in zip(found, rows, strict=True):
            table.add_row(*(Text(row.get(title, "")) for title in titles))
            told = row.get("what") or row["verdicts"]
            lines += [f"{row['study']}: {told}", *(f"  {line}" for line in each.training)]
        return Group(table, "", *map(Text, lines))

    console, before = Console(highlight=False), None
    with Live(console=console, auto_refresh=False) if console.is_terminal else contextlib.nullcontext() as live:
        while True:
            began = time.monotonic()
            # Where the table is higher than the screen, its end is not seen until the last drawing.
            found = sorted(map(overview, find_studies(base)), key=lambda each: each.state != RUNNING)
            if live is not None:
                live.update(drawn(found), refresh=True)
            elif found != before:
                console.print(drawn(found))
            before = found
            if all(each.state in (DONE, UNREADABLE) for each in found):
                return 0
            time.sleep(max(options.seconds, (time.monotonic() - began) / LARGEST_SHARE))
