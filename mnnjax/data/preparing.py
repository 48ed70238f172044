"""Data sets from the network, or from the user's files, for machines without one. TFDS downloads in a process of its
own, which can be ended at once, where TFDS would go on; and what TFDS and TensorFlow print stays there."""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mnnjax.config.problem import OWN_NAME, is_own_name
from mnnjax.data import cifar, idx, imagenet, own, tfds_folder
from mnnjax.data.sets import DATA_SETS, DataSet, by_hand, default_folder, find, published
from mnnjax.data.source import Source, one_line
from mnnjax.data.store import Stored
from mnnjax.data.writing import exists_already, keep, part_folder, require_room
from mnnjax.errors import UserError, did_you_mean, require
from mnnjax.wording import size

# Of each data set, the files that are looked for, and the readers of its formats.
FORMATS = {
    "mnist": (idx.LOOKED_FOR, [idx.find]),
    "fashion_mnist": (idx.LOOKED_FOR, [idx.find]),
    "cifar10": (cifar.LOOKED_FOR, [cifar.find_binary, cifar.find_python]),
    "imagenet64": (imagenet.LOOKED_FOR, [imagenet.find]),
}
# TFDS imports the last without asking for it to be installed.
NEEDED = ("tensorflow_datasets", "tensorflow", "importlib_resources")
# Without a new byte: TFDS has stalled.
STALLED_SECONDS = 600


def import_data(
    name: str, source: Path | str, data_dir: Path | str | None = None, *,
    force: bool = False, say: Callable[[str], None] = print,
) -> Stored:  # fmt: skip
    """Write a published data set from its files, or from what TFDS prepared, in the folder `source`; or a user's own,
    from an .npz or a folder of .npy files (own.read_own), under a new name.

    name: mnist, fashion_mnist, cifar10 or imagenet64, or a new one. data_dir: where data sets are kept;
    `default_folder()` where None. force: replace a valid copy as well. say: called with one line per step.

    UserError where files are missing, damaged or wrong; for too little disk space; where another process writes the
    same set; and where a user's set of that name exists. Nothing is left then, and an older copy stays.

    Example:
        import_data("mnist", "downloads/mnist")
        import_data("mine", "mine.npz")
    """
    source, data_dir, data_set = Path(source), Path(data_dir or default_folder()), published(name)
    if data_set is None and (own.holds_own(source) or not source.exists()):
        return _import_own(name, source, data_dir, force, say)
    data_set = data_set or find(name, f"; for data of your own give --from {own.LOOKED_FOR}")
    require(source.is_dir(), f"--from {source}: no such folder; give the one with the files of {data_set.name}")
    return keep(data_set, data_dir, lambda: contextlib.nullcontext(detect(data_set, source)), force, say)


def _import_own(name: str, path: Path, data_dir: Path, force: bool, say: Callable[[str], None]) -> Stored:
    require(is_own_name(name), f"{name!r} is not known{did_you_mean(name, DATA_SETS)}; {OWN_NAME}")
    # Before the file is read, which may take long; `keep` looks again.
    require(force or not (data_dir / name).exists(), exists_already(data_dir / name))
    data = own.read_own(path, say)
    dtype = data.rows["train"].dtype.name
    data_set = DataSet(name, "", data.shape, data.classes, data.counts, 0, dtype=dtype)
    source = Source("a folder of .npy files" if path.is_dir() else "an .npz", data.counts, data.blocks)
    return keep(data_set, data_dir, lambda: contextlib.nullcontext(source), force, say)


def detect(data_set: DataSet, folder: Path) -> Source:
    """The data set in the first format of which the folder has files; UserError where it has none, or bad ones."""
    looked_for, finders = FORMATS[data_set.name]
    for finder in (*finders, tfds_folder.find):
        if source := finder(data_set, folder):
            return source
    raise UserError(f"no files of {data_set.name} in {folder}; looked for {looked_for}, or {tfds_folder.LOOKED_FOR}")


def prepare(
    name: str, data_dir: Path | str | None = None, *, force: bool = False, say: Callable[[str], None] = print
) -> Stored:
    """Download a data set with TFDS and write it; the arguments are those of import_data. UserError where TFDS is not
    installed, or another process writes the same set; for no network, a wrong checksum or too little disk space.
    Nothing is left then, and an older copy stays."""
    data_set, data_dir = find(name), Path(data_dir or default_folder())
    return keep(data_set, data_dir, lambda: _downloaded(data_set, data_dir, say), force, say)


@contextlib.contextmanager
def _downloaded(data_set: DataSet, data_dir: Path, say: Callable[[str], None]) -> Iterator[Source]:
    tfds_folder.require_installed(*NEEDED)
    # TFDS writes the images twice, once to shuffle them; its download is gone before the arrays are written.
    require_room(data_set, data_dir, data_set.download_bytes + 2 * data_set.bytes(data_set.published))
    with part_folder(data_set, data_dir, "tfds") as folder:
        say(f"{data_set.name}: TFDS downloads and prepares it, {size(data_set.download_bytes)} with what it unpacks")
        _fetch(data_set, folder)
        source = tfds_folder.find(data_set, folder)
        if source is None:
            raise UserError(f"TFDS has left no {data_set.tfds_name}; {by_hand(data_set)}")
        yield source


def _fetch(data_set: DataSet, folder: Path) -> None:
    """Let TFDS prepare the set in a folder."""
    command = [sys.executable, "-m", "mnnjax.data.fetch", data_set.name, str(folder)]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as child,
    ):
        try:
            _watch(data_set, child, folder)
            assert child.stdout is not None
            problem = child.stdout.read().decode().strip()
        finally:
            child.kill()
        if child.wait() and not problem:
            log.seek(0)
            why = one_line(*log.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"])
            problem = f"TFDS ended with code {child.returncode} ({why}); {by_hand(data_set)}"
    require(not problem, f"{data_set.name}: {problem}")


def _watch(data_set: DataSet, child: subprocess.Popen, folder: Path) -> None:
    """Wait for the process; on a terminal, show the bytes so far."""
    seen, since = -1, time.monotonic()
    try:
        while child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(1)
            done = _bytes_below(folder)
            if done != seen:
                seen, since = done, time.monotonic()
            stalled = time.monotonic() - since > STALLED_SECONDS
            require(not stalled, f"{data_set.name}: nothing came for {STALLED_SECONDS} s; {by_hand(data_set)}")
            if sys.stderr.isatty():
                print(f"\r{data_set.name}: {size(done)} so far \x1b[K", end="", file=sys.stderr, flush=True)
    finally:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # TFDS moves and deletes files meanwhile
            total += path.stat().st_size
    return total
