"""The verb `mnnjax data`: prepare, import, list."""

import argparse
import contextlib
import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnnjax.checks import EXIT_STOPPED, OneLineParser
from mnnjax.data.imports import import_data
from mnnjax.data.preparing import prepare
from mnnjax.data.sets import DATA_SETS, SPLITS, default_folder, size
from mnnjax.data.store import list_stored

STOPS = (signal.SIGTERM, signal.SIGINT)


def main(arguments: Sequence[str]) -> int:
    """`mnnjax data ARGUMENTS`; returns the exit code: 0, or 75 after a stop request.

    Raises:
      UserError: wrong arguments, or what `prepare` and `import_data` raise.
      SystemExit: after --help.
    """
    options = _parser().parse_args(arguments)
    if options.verb == "list":
        rows = list_stored(options.data_dir, verify=not options.no_verify)
        print(json.dumps(rows, indent=1) if options.json else table(rows))
        return 0
    try:
        with _stoppable():
            if options.verb == "prepare":
                prepare(options.name, options.data_dir, force=options.force)
            else:
                import_data(options.name, options.source, options.data_dir, force=options.force)
    except _Stopped as stopped:
        print(f"{stopped}: stopped, nothing half-written is left; run the same command again", flush=True)
        return EXIT_STOPPED
    return 0


def table(rows: list[dict]) -> str:
    """The rows of `list_stored` for people."""
    lines = [("data set", *SPLITS, "size", "path", "state")]
    for row in rows:
        there = row["bytes"] is not None
        numbers = (row["train"], row["test"], size(row["bytes"])) if there else "---"
        lines.append((row["name"], *map(str, numbers), row["path"], row["state"]))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = "<>>><<"
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, aligned, widths, strict=True)).rstrip()
        for line in lines
    )


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        "mnnjax data", description="Real images, kept as uint8 arrays with a manifest of their sha256."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    names = ", ".join(d.tfds_name for d in DATA_SETS.values())
    for verb, text in (
        ("prepare", "Download a data set with TFDS (pip install -e '.[data]') and write it."),
        ("import", "Write a data set from its published files, or a folder of TFDS's, that are here already."),
    ):
        one = verbs.add_parser(verb, description=text, help=text)
        one.add_argument("name", help=names)
        if verb == "import":
            one.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR", help="the files' folder")
        one.add_argument("--force", action="store_true", help="write it again where a sound copy is kept")
        _add_data_dir(one)
    text = "Show what is there, where, how big, and whether its sha256 are right."
    listing = verbs.add_parser("list", description=text, help=text)
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.add_argument("--no-verify", action="store_true", help="do not read the arrays to compare their sha256")
    _add_data_dir(listing)
    return parser


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    text = f"where data sets are kept; default $MNNJAX_DATA_DIR, or {default_folder()}"
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help=text.replace("%", "%%"))


class _Stopped(BaseException):
    """A stop request; no Exception, so that nothing on the way takes it for a damaged file."""


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM and SIGINT unwind what is being written; once asked, a second request changes nothing."""

    def stop(number: int, _frame) -> None:
        for other in STOPS:
            signal.signal(other, signal.SIG_IGN)
        raise _Stopped(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
