"""Stop requests: after SIGTERM or SIGINT a run stops at the next place where all can be saved."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator


class Stopped(Exception):
    """A stop was requested, and all is saved."""


class Interrupted(Exception):
    """A stop was requested in the middle of a piece of work, which is given up."""


@contextlib.contextmanager
def stop_request() -> Iterator[Callable[[], str | None]]:
    """Turn the first SIGTERM or SIGINT into a request to stop at the end of a chunk, and print that; a second signal
    acts at once. The function that is yielded returns the signal's name, or None."""
    received: list[str] = []
    before = {}

    def handler(number, _frame):
        received.append(signal.Signals(number).name)
        for other, old in before.items():
            signal.signal(other, old)
        # Not by print: the signal may have come in the middle of a print.
        with contextlib.suppress(OSError):
            os.write(1, f"{received[0]}: saving at the end of this chunk; once more stops at once\n".encode())

    # Python lets only the main thread set handlers; in other threads no stop can be requested.
    in_main_thread = threading.current_thread() is threading.main_thread()
    for number in (signal.SIGTERM, signal.SIGINT) if in_main_thread else ():
        before[number] = signal.signal(number, handler)
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, old in before.items():
            signal.signal(number, old)
