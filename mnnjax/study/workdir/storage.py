"""Where a work folder lies: on a disk, or in a bucket (gs://...). All that differs between the two is here.

Both are paths with pathlib's methods (etils.epath where it is a bucket). A disk has renames, file locks and appending.
A bucket has none of them, but an object is there as a whole or not at all, and can be written on the condition that it
is still the one that was read; it has no folders either, only names with slashes.
"""

import concurrent.futures
import contextlib
import importlib.util
import logging
import math
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mnnjax.errors import UserError, first_line, os_error_line
from mnnjax.study.workdir import lock

# etils would else open gs:// with TensorFlow wherever that is installed. It reads this once, for all of a process.
os.environ.setdefault("EPATH_USE_TF", "false")
from etils import epath

AnyPath = Path | epath.Path
T = TypeVar("T")

# Seconds between two writes of a log that cannot be appended to.
LOG_SECONDS = 15.0
# Seconds between two renewals of a lease, and without one until it is anybody's.
RENEW_SECONDS, EXPIRE_SECONDS = 15.0, 60.0
_THREADS = 16


def open_path(where: str | os.PathLike) -> AnyPath:
    """The path that a user, or a caller, names: a local one, or gs://BUCKET/NAME.

    Raises:
      UserError: another kind of address, or the extra that reads gs:// is not installed.
    """
    text = os.fspath(where)
    if not text:
        raise UserError("a work folder with an empty name; give a folder or gs://BUCKET/NAME")
    if text.startswith("gs:/") and not text.startswith("gs://"):
        raise UserError(f"{text}: a slash was lost on the way (pathlib.Path does that); give gs://BUCKET/NAME as text")
    if "://" not in text:
        return Path(text).expanduser()
    if not text.startswith("gs://"):
        raise UserError(f"{text}: cannot be used; give a local folder or gs://BUCKET/NAME")
    if importlib.util.find_spec("gcsfs") is None:
        raise UserError(f"{text}: gs:// needs the extra gcs; pip install -e '.[gcs]'")
    import fsspec.config

    # What it logs as an error it also raises.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    # Listings are kept for ever otherwise, and other machines write here too.
    fsspec.config.conf.setdefault("gcs", {})["use_listings_cache"] = False
    return epath.Path(text)


def is_remote(path: AnyPath) -> bool:
    """Whether it lies in a bucket."""
    return not isinstance(path, Path)


def absolute(path: AnyPath) -> AnyPath:
    """The path from the root, whatever folder the process goes to; a bucket's is."""
    return path if is_remote(path) else path.absolute()


def resolve(path: AnyPath) -> AnyPath:
    """The one name of a folder that has several."""
    return path if is_remote(path) else path.resolve()


@contextlib.contextmanager
def clear_errors(path: AnyPath) -> Iterator[None]:
    """A folder that may not be read, or a bucket that does not answer, or not to us, is the user's to mend.

    Raises:
      UserError: in place of what the system raises, or gcsfs, or what it uses.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (UserError, FileNotFoundError, NotADirectoryError)):
            raise
        if not is_remote(path):
            told = os_error_line(error) if isinstance(error, OSError) else None
            if told is None:
                raise
            raise UserError(told) from error
        reason = first_line(error)[:200]
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {reason}); check its name, the network, your credentials"
        ) from error


def make_folder(path: AnyPath) -> None:
    """Make a folder, and those above it, where it is missing; a bucket needs none."""
    if not is_remote(path):
        path.mkdir(parents=True, exist_ok=True)


def write_atomically(path: AnyPath, content: str | bytes, shared: bool = False) -> None:
    """Write a file so that a reader, or a run after a crash, sees the old content or the new one, never a part.

    shared: other processes may write the same file at the same time.
    """
    data = content.encode() if isinstance(content, str) else content
    if is_remote(path):
        path.write_bytes(data)
        return
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part" if shared else f"{path.name}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def names(folder: AnyPath) -> list[str]:
    """What lies in a folder, in order; nothing where there is none."""
    try:
        # A folder that was made in a bucket by hand is an object in itself.
        return sorted(path.name for path in folder.iterdir() if path != folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def each(function: Callable[[AnyPath], T], paths: Sequence[AnyPath]) -> list[T]:
    """function(path) of every path; in a bucket several at a time, since it takes a while to answer."""
    if not paths or not is_remote(paths[0]):
        return [function(path) for path in paths]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(function, paths))


def move(source: AnyPath, target: AnyPath) -> None:
    """Move a file or folder to a place that is free, in a folder that is made."""
    make_folder(target.parent)
    if not is_remote(source):
        shutil.move(source, target)
        return
    if not source.is_dir():
        target.write_bytes(source.read_bytes())
        source.unlink()
        return
    for file in _files(source):
        target.joinpath(file.relative_to(source)).write_bytes(file.read_bytes())
    remove_tree(source)


def free_name(path: AnyPath) -> AnyPath:
    """A path that nothing lies at: with the first number at its end for which that is so."""
    numbered: Iterator[AnyPath] = (path.with_name(f"{path.name}.{k}") for k in range(10**6))
    return next(one for one in numbered if not one.exists())


def remove_tree(path: AnyPath) -> None:
    """Remove a folder with all that is in it; as good as it goes."""
    if isinstance(path, Path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.rmtree(missing_ok=True)


def _files(path: AnyPath) -> Iterator[AnyPath]:
    if path.is_dir():
        for inner in path.iterdir():
            yield from _files(inner)
    else:
        yield path


class LineLog:
    """A file that lines are added to. On a disk each is written at once; in a bucket, where the whole object is written
    anew, at most every LOG_SECONDS: a killed process may lose the last of them."""

    def __init__(self, path: AnyPath):
        self._path = path
        self._content: bytes | None = None  # of a bucket's
        self._written = -math.inf
        self._changed = False
        self._writing = threading.Lock()

    def add(self, line: str) -> None:
        """Add a line, given without its end."""
        if is_remote(self._path):
            self._content = _whole(self.read() if self._content is None else self._content) + line.encode() + b"\n"
            self._changed = True
            if time.monotonic() - self._written >= LOG_SECONDS:
                self.flush()
            return
        with open(self._path, "a+b") as file:
            # A killed process may have left half a line.
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                file.write(b"\n")
            file.write(line.encode() + b"\n")

    def read(self) -> bytes:
        """All that is on the disk, or in the bucket."""
        return self._path.read_bytes() if self._path.exists() else b""

    def flush(self) -> None:
        """Write what is not written yet; any thread may."""
        with self._writing:
            if not self._changed or self._content is None:
                return
            # Before the content is taken: a line that another thread adds meanwhile then counts as a change.
            self._changed, self._written = False, time.monotonic()
            try:
                self._path.write_bytes(self._content)
            except Exception:
                self._changed = True
                raise


def _whole(content: bytes) -> bytes:
    return content if not content or content.endswith(b"\n") else content + b"\n"


@contextlib.contextmanager
def sole_user(folder: AnyPath, log: LineLog, tell: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Hold the folder's lock, and write out its log at the end.

    Yields:
      A function that raises StudyError when another process has taken the folder over.

    Raises:
      UserError: another process is at work in the folder, or it cannot be used.
    """
    if isinstance(folder, Path):
        with lock.hold_file(folder):
            yield lambda: None
        return
    store = lock.open_store(f"{folder}/")
    with lock.hold_lease(store, str(folder), tell, log.flush, RENEW_SECONDS, EXPIRE_SECONDS) as check:
        try:
            yield check
        finally:
            # Where another process is at work now, the log is its own.
            with contextlib.suppress(lock.StudyError):
                check()
                log.flush()
