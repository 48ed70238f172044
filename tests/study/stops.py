"""A stop request at a known moment, for tests of studies that are stopped and go on."""

import os
import signal

from mnnjax.study.execution import progress


def stop_after(monkeypatch, chunks: int, number: int = signal.SIGTERM) -> None:
    """Send this process a signal when it has trained that many chunks, or measured that many steps."""
    seen = []
    plain = progress.LineProgress.chunk

    def chunk(self, *arguments):
        plain(self, *arguments)
        seen.append(1)
        if len(seen) == chunks:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(progress.LineProgress, "chunk", chunk)
