"""`mnnjax data`: prepare, import or list data sets of real images."""

import argparse
import contextlib
import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnnjax.cli.parser import OneLineParser, local_path, nearest_existing
from mnnjax.cli.stops import STOPS
from mnnjax.data.preparing import import_data, prepare
from mnnjax.data.sets import SPLITS, default_folder, known_names
from mnnjax.data.store import list_stored
from mnnjax.errors import EXIT_STOPPED
from mnnjax.terminal import show
from mnnjax.wording import size


def main(arguments: Sequence[str]) -> int:
    """`mnnjax data ARGUMENTS`; returns the exit code: 0, or 75 after a stop request."""
    options = make_parser().parse_args(arguments)
    if options.action == "list":
        rows = list_stored(options.data_dir, verify=not options.no_verify)
        print(json.dumps(rows, indent=1)) if options.json else show(table(rows))
        return 0
    try:
        with _stoppable():
            if options.action == "prepare":
                prepare(options.name, options.data_dir, force=options.force)
            else:
                import_data(options.name, options.source, options.data_dir, force=options.force)
    except _Stopped as stopped:
        print(f"{stopped}: stopped, no incomplete files are left; run the same command again", flush=True)
        return EXIT_STOPPED
    return 0


def table(rows: list[dict]) -> str:
    """The rows of `list_stored` as text."""
    lines: list[tuple[str, ...]] = [("data set", *SPLITS, "size", "path", "state")]
    for row in rows:
        numbers = "---" if row["bytes"] is None else (row["train"], row["test"] or "-", size(row["bytes"]))
        lines.append((row["name"], *map(str, numbers), row["path"], row["state"]))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shape = "  ".join(f"{{:{side}{width}}}" for side, width in zip("<>>><<", widths, strict=True))
    return "\n".join(shape.format(*line).rstrip() for line in lines)


DESCRIPTION = """Real images, and data of your own, stored as arrays with a manifest of their SHA-256; runs
memory-map them. A study uses them by problem.inputs, such as mnist."""
PREPARE = """Download a data set with TFDS, and store it. Needs the extra `data`:
pip install -e '.[data]'. If it is stopped, no incomplete files are left."""
IMPORT = """Store a data set from its published files on this machine: IDX files (MNIST, Fashion-MNIST; plain or .gz),
CIFAR-10's binary or Python batches, ImageNet's 64x64 .npz batches, or a folder that TFDS prepared elsewhere. Needs no
network.

Under any other NAME: store data of your own, from an .npz or a folder of .npy files. It holds X (N, d0) of real
numbers, or images (N, height, width[, channels]) of type uint8; and y or labels (N,), two values or classes 0, 1, ...,
K - 1. For points held out it also holds X_test or test_images, and y_test or test_labels. Other arrays are not used.
Give problem.inputs this NAME."""
LIST = """List the data sets: which are stored, where, their sizes, and whether their SHA-256 match."""
EXITS = "exit codes: 0 done; 75 stopped, run the same command again; 2 wrong input, files or network"


def make_parser() -> OneLineParser:
    """The parser of the command's arguments, with one for each action."""
    epilog = "`mnnjax data ACTION --help` lists the options of each, and has examples"
    parser = OneLineParser("mnnjax data", description=DESCRIPTION, epilog=epilog)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", title="actions")
    folder = "where data sets are stored; default $MNNJAX_DATA_DIR, or mnnjax in the user's data folder, now "
    folder = f"{folder}{default_folder()}".replace("%", "%%")

    def add(action: str, short: str, description: str, exits: str, example: str) -> argparse.ArgumentParser:
        epilog = f"{exits}\n\nexample:\n  mnnjax data {action} {example}".rstrip()
        added = actions.add_parser(action, description=description, help=short, epilog=epilog)
        added.add_argument("--data-dir", type=data_folder, metavar="DIR", help=folder)
        return added

    prepare = add("prepare", "download a data set with TFDS", PREPARE, EXITS, "mnist")
    examples = "mnist --from ~/Downloads/mnist\n  mnnjax data import mine --from mine.npz"
    imports = add("import", "import files that are on this machine", IMPORT, EXITS, examples)
    for either, others in ((prepare, ""), (imports, "; or a name for data of your own")):
        either.add_argument("name", metavar="NAME", help=known_names() + others)
        either.add_argument("--force", action="store_true", help="write it again even if a valid copy is stored")
    files = "the folder of the files; or FILE.npz, for data of your own"
    imports.add_argument("--from", dest="source", type=local_path, required=True, metavar="DIR", help=files)
    short = "list what is stored, where, and whether the SHA-256 match"
    listing = add("list", short, LIST, "exit codes: 0 listed, in any state; 2 wrong input", "")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.add_argument("--no-verify", action="store_true", help="skip reading the arrays to check their SHA-256")
    return parser


def data_folder(text: str) -> Path:
    """A local folder that exists or can be made, for argparse's `type`."""
    folder = local_path(text)
    there = nearest_existing(folder)
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{there} is a file; give a folder")
    return folder


class _Stopped(BaseException):
    """A stop request; not an Exception, so that no code on the way takes it for a damaged file."""


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """The first SIGTERM or SIGINT unwinds what is being written; later ones are ignored."""

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
