"""The verb `mnnjax data`: prepare, import, list."""

import argparse
import contextlib
import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnnjax.cli.parser import OneLineParser, local_path, nearest_existing
from mnnjax.data.imports import import_data
from mnnjax.data.preparing import prepare
from mnnjax.data.sets import SPLITS, default_folder, known_names
from mnnjax.data.store import list_stored
from mnnjax.errors import EXIT_STOPPED
from mnnjax.wording import size

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
    lines: list[tuple[str, ...]] = [("data set", *SPLITS, "size", "path", "state")]
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


DESCRIPTION = """Real images, kept as uint8 arrays with a manifest of their sha256; runs memory-map
them. A study takes them by problem.inputs, such as mnist."""
VERBS = {
    "prepare": "download a data set with TFDS, and write it",
    "import": "write a data set from files that are here already",
    "list": "show what is there, where, how big, and whether its sha256 are right",
}
PREPARE = """Download a data set with TFDS, and write it. Needs the extra `data`:
pip install -e '.[data]'. Nothing half-written is left when it is stopped."""
IMPORT = """Write a data set from its published files, which are here already: IDX files (MNIST,
Fashion-MNIST; plain or .gz), CIFAR-10's binary or Python batches, ImageNet's 64x64
.npz batches, or a folder that TFDS prepared elsewhere. Needs no network."""
LIST = """Show which data sets are there, where, how big, and whether their sha256 are right."""
EXITS = "exit codes: 0 done; 75 stopped, run the same command again; 2 wrong input, files or network"


def _parser() -> argparse.ArgumentParser:
    epilog = "`mnnjax data VERB --help` has the options of each, and examples"
    parser = OneLineParser("mnnjax data", description=DESCRIPTION, epilog=epilog)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")

    def add(verb: str, description: str, epilog: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(verb, description=description, help=VERBS[verb], epilog=epilog)
        folder = "where data sets are kept; default $MNNJAX_DATA_DIR, or mnnjax in the user's data folder, now "
        text = f"{folder}{default_folder()}".replace("%", "%%")
        one.add_argument("--data-dir", type=data_folder, metavar="DIR", help=text)
        return one

    prepare = add("prepare", PREPARE, f"{EXITS}\n\nexample:\n  mnnjax data prepare mnist")
    imports = add("import", IMPORT, f"{EXITS}\n\nexample:\n  mnnjax data import mnist --from ~/Downloads/mnist")
    for one in (prepare, imports):
        one.add_argument("name", metavar="NAME", help=known_names())
        one.add_argument("--force", action="store_true", help="write it again where a sound copy is kept")
    imports.add_argument(
        "--from", dest="source", type=local_path, required=True, metavar="DIR", help="the files' folder"
    )
    listing = add(
        "list", LIST, "exit codes: 0 listed, whatever the state; 2 wrong input\n\nexample:\n  mnnjax data list"
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.add_argument("--no-verify", action="store_true", help="do not read the arrays to compare their sha256")
    return parser


def data_folder(text: str) -> Path:
    """Where data sets are kept, as a user names it: a folder, or where one can be made; argparse's `type`."""
    folder = local_path(text)
    there = nearest_existing(folder)
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{there} is a file; give a folder")
    return folder


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
