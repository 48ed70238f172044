"""What repetitions are gathered to: cells of one problem shape, curves of one network, and whatever else they share."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """key -> the items that have it, both in the order in which they come."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


class OfOneShape:
    """Repetitions (`rows`, at least one) of one problem shape, whose sizes are those of any of them."""

    rows: tuple

    @property
    def d0(self) -> int:
        """Input width."""
        return self.rows[0].d0

    @property
    def d1(self) -> int:
        """Hidden width."""
        return self.rows[0].d1

    @property
    def N(self) -> int:
        """Training points."""
        return self.rows[0].N
