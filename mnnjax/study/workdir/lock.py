"""One process at a time works in a folder: it holds a file lock on a disk, or a lease in a bucket.

flock is used as it is: it is freed when its holder is killed, and the file names the holder for those who are refused.
"""

import contextlib
import fcntl
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mnnjax.errors import DISK_FULL, UserError, first_line

LOCK = "lock"
# How often, and after how many seconds, a file lock is asked for again: `is_held` takes it for a moment.
ATTEMPTS, SECONDS_BETWEEN_ATTEMPTS = 20, 0.03


class StudyError(RuntimeError):
    """The study cannot go on, for a reason outside of its config: one line that says why (exit code 1)."""


def _owner() -> str:
    return f"process {os.getpid()} on {os.uname().nodename}"


def _refuse(owner: str, where: object) -> UserError:
    busy = f"another process ({owner.strip() or 'unknown'}) is at work in {where}"
    return UserError(f"{busy}; wait for it, stop it, or choose another --workdir")


@contextlib.contextmanager
def hold_file(folder: Path) -> Iterator[None]:
    """Hold a local folder's lock; the system frees it when the process ends, also by kill -9. Raises UserError where
    another process holds it, or the folder cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / LOCK, "a+")  # noqa: SIM115
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise UserError(f"{folder} cannot be used as a work folder ({error.strerror}); choose another") from error
    with file:
        for attempt in range(ATTEMPTS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if attempt == ATTEMPTS - 1:
                    file.seek(0)
                    raise _refuse(file.read(), folder) from error
                time.sleep(SECONDS_BETWEEN_ATTEMPTS)
        file.truncate(0)
        file.write(_owner() + "\n")
        file.flush()
        yield


def is_held(folder: Path) -> bool:
    """Whether a process holds a local folder's lock; nothing is written."""
    try:
        with open(folder / LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:  # no run has begun here, or the file cannot be read
        return False


@contextlib.contextmanager
def hold_lease(
    open_store: Callable[[], Any],
    where: str,
    tell: Callable[[str], None],
    also: Callable[[], None],
    renew: float,
    expire: float,
) -> Iterator[Callable[[], None]]:
    """Hold the lease of a folder: an object that its owner renews; another process takes it when it is not renewed.

    No two clocks are compared: a waiting process measures by its own clock how long the object stays the same. A write
    has the condition that nobody wrote in between, so of two processes at the same moment one is refused.

    Args:
      open_store: opens the folder as a TensorStore key-value store, which has conditional writes.
      where: its name in messages.
      tell: called with a line before a wait.
      also: called after every renewal, in another thread.
      renew, expire: seconds between renewals, and without a renewal until another process may take the lease.

    Yields:
      A function that raises StudyError when another process has taken the lease after all.

    Raises:
      UserError: another process is at work there, or the bucket cannot be used.
    """
    try:
        lease = _Lease(open_store(), where)
        lease.take(tell, renew, expire)
    except UserError:
        raise
    except (ValueError, RuntimeError) as error:  # TensorStore raises these for whatever the store answers
        reason = first_line(error)[:300] or type(error).__name__
        raise UserError(f"{where}: cannot be used as a work folder ({reason}); choose another") from error
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(renew) and not lease.lost:
            # A renewal that fails is tried again. If it fails for too long, another process may take over.
            with contextlib.suppress(Exception):
                lease.renew()
                also()

    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield lease.check
    finally:
        ended.set()
        thread.join()
        # If this fails, the lease expires.
        with contextlib.suppress(Exception):
            lease.give_back()


class _Lease:
    """The object: its owner's name, a token (names may be equal), and the number of renewals."""

    def __init__(self, store: Any, where: str):
        self._store, self._where = store, where
        self._token = uuid.uuid4().hex
        self._renewals = 0
        self.lost = False

    def take(self, tell: Callable[[str], None], renew: float, expire: float) -> None:
        first = seen = self._read()
        if seen.state == "value":
            wait = f"waiting up to {expire:.0f} s to see whether that is at work"
            tell(f"{self._where} is held by {_named(seen)}; {wait}")
        began = time.monotonic()
        while seen.state == "value" and time.monotonic() - began < expire:
            time.sleep(min(renew, expire) / 10)
            seen = self._read()
            if seen.state == "value" and seen.value != first.value:
                raise _refuse(_named(seen), self._where)
        if not self._write(seen):
            raise _refuse(_named(self._read()), self._where)

    def renew(self) -> None:
        seen = self._read()
        foreign = seen.state == "value" and self._token not in seen.value.decode(errors="replace")
        self.lost = foreign or not self._write(seen)

    def check(self) -> None:
        if self.lost:
            lost = f"another process took over {self._where} while this one was disconnected"
            raise StudyError(f"{lost}; nothing is lost: see mnnjax status")

    def give_back(self) -> None:
        seen = self._read()
        if self._token in seen.value.decode(errors="replace"):
            self._store.write(LOCK, None, if_equal=seen.stamp.generation).result()

    def _read(self) -> Any:
        return self._store.read(LOCK).result()

    def _write(self, seen: Any) -> bool:
        """Write the lease; False where it has changed since it was seen."""
        content = f"{_owner()}\n{self._token}\n{self._renewals}\n".encode()
        self._renewals += 1
        return self._store.write(LOCK, content, if_equal=seen.stamp.generation).result().generation != b""


def _named(seen: Any) -> str:
    return seen.value.decode(errors="replace").partition("\n")[0] or "unknown"
