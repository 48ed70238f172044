"""Ends the process on Ctrl-C or SIGTERM where nothing is in the middle of being written."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from mnnjax.errors import EXIT_INTERRUPTED, EXIT_STOPPED

STOPS = (signal.SIGTERM, signal.SIGINT)


def end_at_once(text: str, code: int, to: int = 2) -> None:
    """End the process from a signal handler, with one line to standard error (2) or output (1). It raises no exception,
    since Python drops one that is raised in a callback of JAX, and other code may catch it. It does not print, since
    the signal may have interrupted a print."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    # A progress bar hides the cursor.
    cursor = "\x1b[?25h" if os.isatty(to) else ""
    with contextlib.suppress(OSError):
        os.write(to, f"{cursor}{text}\n".encode())
    os._exit(code)


def end_resumable(number: int, _frame) -> None:
    """The handler for a run in which no cell is in training yet: there is nothing to save."""
    end_at_once(f"{signal.Signals(number).name}: stopped; run the same command again to resume", EXIT_STOPPED, to=1)


def end_interrupted(number: int, _frame) -> None:
    """The handler for a command that writes nothing, so that there is nothing to resume."""
    end_at_once(f"mnnjax: {signal.Signals(number).name}: stopped", 128 + number)


@contextlib.contextmanager
def ending_on_ctrl_c() -> Iterator[None]:
    """Ctrl-C ends the process within the context."""
    # Python lets only the main thread set handlers.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: end_at_once("mnnjax: interrupted", EXIT_INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
