"""How far a long search has come, in lines for people."""

import time
from collections.abc import Callable

from mnnjax.wording import duration, integer, percent

SECONDS_BETWEEN_LINES = 10.0

Tell = Callable[[str], object]


class Told:
    """Counts what is decided of `total` things, and tells it in a line, at most once per SECONDS_BETWEEN_LINES: how
    many they are, which share is decided, and how long the others take at the rate so far."""

    def __init__(self, tell: Tell | None, total: int, things: str):
        self._tell, self._total, self._things = tell, total, things
        self._decided, self._began = 0, time.monotonic()
        self._last = self._began

    def decided(self, count: int = 1) -> None:
        """So many more are decided; 0 for work that decides none yet."""
        self._decided += count
        now = time.monotonic()
        if self._tell is None or now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        share, spent = self._decided / self._total, now - self._began
        left = f"at most {duration(spent * (1 - share) / share)} left at this rate" if share else "none decided yet"
        of_all = f"{percent(share)} of {integer(self._total)} {self._things}"
        self._tell(f"{of_all} decided in {duration(spent)}; {left}")
