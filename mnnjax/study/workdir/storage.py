"""The place of a work folder: a disk, or a bucket (gs://...). All that differs between the two is here.

Both are paths with pathlib's methods (etils.epath for a bucket). A disk has renames, file locks and appending. A bucket
has none of them, and no folders but names with slashes. Its objects are written as a whole, and can be written on the
condition that they have not changed since they were read.
"""

import concurrent.futures
import contextlib
import importlib.util
import itertools
import logging
import math
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mnnjax.errors import UserError, first_line, os_error_line, require
from mnnjax.study.workdir import lock

# Otherwise etils opens gs:// with TensorFlow where that is installed. It reads this once per process.
os.environ.setdefault("EPATH_USE_TF", "false")
from etils import epath

AnyPath = Path | epath.Path
T = TypeVar("T")

# Seconds between two writes of a log that cannot be appended to.
LOG_SECONDS = 15.0
# Seconds between two renewals of a lease, and without a renewal until it expires.
RENEW_SECONDS, EXPIRE_SECONDS = 15.0, 60.0
_THREADS = 16


def open_path(where: str | os.PathLike) -> AnyPath:
    """The path for an address: a local one, or gs://BUCKET/NAME. Raises UserError for another kind of address, or where
    the extra that reads gs:// is not installed."""
    text = os.fspath(where)
    require(text != "", "a work folder with an empty name; give a folder or gs://BUCKET/NAME")
    if text.startswith("gs:/") and not text.startswith("gs://"):
        raise UserError(f"{text}: a slash is missing (pathlib.Path drops one); give gs://BUCKET/NAME as text")
    if "://" not in text:
        return Path(text).expanduser()
    require(text.startswith("gs://"), f"{text}: cannot be used; give a local folder or gs://BUCKET/NAME")
    gcsfs = importlib.util.find_spec("gcsfs")
    require(gcsfs is not None, f"{text}: gs:// needs the extra gcs; pip install -e '.[gcs]'")
    import fsspec.config

    # gcsfs also raises what it logs as an error.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    # Otherwise listings are cached for ever, and other machines write here too.
    fsspec.config.conf.setdefault("gcs", {})["use_listings_cache"] = False
    return epath.Path(text)


def is_remote(path: AnyPath) -> bool:
    """Whether it lies in a bucket."""
    return not isinstance(path, Path)


def resolve(path: AnyPath) -> AnyPath:
    """The path, absolute and without links."""
    return path if is_remote(path) else path.resolve()


@contextlib.contextmanager
def clear_errors(path: AnyPath) -> Iterator[None]:
    """Turn the errors of a folder that cannot be read, or of a bucket that does not answer, into UserError."""
    try:
        yield
    except (UserError, FileNotFoundError, NotADirectoryError):
        raise
    except Exception as error:
        told = os_error_line(error) if isinstance(error, OSError) else None
        if is_remote(path):
            reason = f"{type(error).__name__}: {first_line(error)[:200]}"
            told = f"{path} cannot be read ({reason}); check its name, the network, your credentials"
        if told is None:
            raise
        raise UserError(told) from error


def make_folder(path: AnyPath) -> None:
    """Make a folder and those above it where they are missing; a bucket needs none."""
    if not is_remote(path):
        path.mkdir(parents=True, exist_ok=True)


def write_atomically(path: AnyPath, content: str | bytes, shared: bool = False) -> None:
    """Write a file so that a reader, or a run after a crash, sees the old content or the new one, never a part of it;
    shared: other processes may write the same file at the same time."""
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
    """The names in a folder, in order; none where there is no folder."""
    try:
        # A folder that was made in a bucket by hand is an object itself.
        return sorted(path.name for path in folder.iterdir() if path != folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def each(function: Callable[[AnyPath], T], paths: Sequence[AnyPath]) -> list[T]:
    """function(path) of every path; in a bucket several at a time, since each takes a while."""
    if not paths or not is_remote(paths[0]):
        return [function(path) for path in paths]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(function, paths))


def move(source: AnyPath, target: AnyPath) -> None:
    """Move a file or folder to a free name, in a folder that is made if it is missing."""
    make_folder(target.parent)
    if not is_remote(source):
        shutil.move(source, target)
    elif source.is_dir():
        for file in _files(source):
            target.joinpath(file.relative_to(source)).write_bytes(file.read_bytes())
        remove_tree(source)
    else:
        target.write_bytes(source.read_bytes())
        source.unlink()


def free_name(path: AnyPath) -> AnyPath:
    """The path with the first number at its end that is not taken."""
    numbered = (path.with_name(f"{path.name}.{k}") for k in itertools.count())
    return next(candidate for candidate in numbered if not candidate.exists())


def remove_tree(path: AnyPath) -> None:
    """Remove a folder with all that is in it, as far as possible."""
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


def is_in_use(folder: AnyPath) -> bool:
    """Whether a process is at work in a folder. In a bucket: its lease was renewed of late, by this machine's clock."""
    if isinstance(folder, Path):
        return lock.is_held(folder)
    try:
        renewed = (folder / lock.LOCK).stat().mtime
    except FileNotFoundError:
        return False
    return time.time() - renewed < EXPIRE_SECONDS + RENEW_SECONDS


class LineLog:
    """A file that lines are added to. On a disk each is written at once. In a bucket the whole object is written anew,
    at most every LOG_SECONDS: a killed process may lose the last lines."""

    def __init__(self, path: AnyPath):
        self._path = path
        # Of a bucket's: all lines, those that are written, and when they were.
        self._content: bytes | None = None
        self._written: bytes | None = None
        self._written_at = -math.inf
        self._writing = threading.Lock()

    def add(self, line: str) -> None:
        """Add a line, given without its end."""
        if is_remote(self._path):
            content = self.read() if self._content is None else self._content
            self._content = content + _end_of_line(content[-1:]) + line.encode() + b"\n"
            if time.monotonic() - self._written_at >= LOG_SECONDS:
                self.flush()
            return
        with open(self._path, "a+b") as file:
            last = os.pread(file.fileno(), 1, file.tell() - 1) if file.tell() else b""
            file.write(_end_of_line(last) + line.encode() + b"\n")

    def read(self) -> bytes:
        """The content on the disk or in the bucket."""
        return self._path.read_bytes() if self._path.exists() else b""

    def flush(self) -> None:
        """Write what is not written yet; any thread may call this."""
        with self._writing:
            content = self._content  # to which another thread may add a line meanwhile
            if content is not None and content is not self._written:
                self._written_at = time.monotonic()
                self._path.write_bytes(content)
                self._written = content


def _end_of_line(last: bytes) -> bytes:
    """What ends the line of a file with this last byte: a killed process may have left half a line."""
    return b"" if last in (b"", b"\n") else b"\n"


@contextlib.contextmanager
def sole_user(folder: AnyPath, log: LineLog, tell: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Hold the folder's lock, and write out its log at the end. Yields a function that raises StudyError when another
    process has taken the folder over. Raises UserError where another process is at work in it, or it cannot be used."""
    if isinstance(folder, Path):
        with lock.hold_file(folder):
            yield lambda: None
        return
    import tensorstore

    def open_store() -> Any:
        return tensorstore.KvStore.open(f"{folder}/").result()

    with lock.hold_lease(open_store, str(folder), tell, log.flush, RENEW_SECONDS, EXPIRE_SECONDS) as check:
        try:
            yield check
        finally:
            # Where another process has taken over, the log belongs to it.
            with contextlib.suppress(lock.StudyError):
                check()
                log.flush()
