"""What a descent takes of the machine: its memory."""

from mnnjax.host_memory import free_memory
from mnnjax.wording import size

# Arrays with a row and a column per weight, and of the sizes of A and X, that are alive at once.
SQUARES, COPIES = 3, 8


def descent_bytes(N: int, d0: int, d1: int) -> int:
    """Bytes of one descent, about, at its peak."""
    return 8 * (SQUARES * (d0 * d1) ** 2 + COPIES * N * (d0 + d1))


def omission(N: int, d0: int, d1: int) -> str | None:
    """Why descents are omitted, in one line: the bytes of one, and those that are free."""
    needed, free = descent_bytes(N, d0, d1), free_memory()
    if free is None or needed <= free:
        return None
    return f"a descent takes {size(needed)} of memory, and {size(free)} are free"
