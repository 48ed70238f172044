"""What a descent takes of the machine: its memory, and for a large one its time, to be said before it starts."""

from mnnjax.host_memory import free_memory
from mnnjax.landscape.certificates.cost import seconds_per_multiplication
from mnnjax.wording import duration, integer, size

# Arrays of (d0 d1, d0 d1), of (N, d0 d1) and of (N, d1) that are alive at once.
SQUARES, TABLES, KINKS = 3, 3, 48
# Descents took as long as so many of Newton's steps. Few: where the residual goes to zero. Measured: N = 80 to 900,
# d0 d1 = 100 to 900, random weights.
FEWEST, MOST = 20, 400
LARGE = 8e10  # multiplications of MOST steps from which on it is announced: some ten seconds


def descent_bytes(N: int, d0: int, d1: int) -> int:
    """Bytes of one descent at most."""
    return 8 * d1 * (SQUARES * d0**2 * d1 + TABLES * N * d0 + KINKS * N)


def step_work(N: int, d0: int, d1: int) -> float:
    """Multiplications of one of Newton's steps: a symmetric product, and a factorization."""
    return N * (d0 * d1) ** 2 / 2 + (d0 * d1) ** 3 / 6


def announcement(N: int, d0: int, d1: int) -> str:
    """One line before a large descent: its memory, and between which times it ends, by a factorization that is timed
    now. Empty for a small one."""
    work = step_work(N, d0, d1)
    if MOST * work < LARGE:
        return ""
    each = work * seconds_per_multiplication()
    free = "" if (known := free_memory()) is None else f" ({size(known)} are free)"
    sizes = f"N = {integer(N)}, d0 d1 = {integer(d0 * d1)}"
    times = f"{duration(FEWEST * each)} to {duration(MOST * each)}"
    return f"descent: {sizes}: {size(descent_bytes(N, d0, d1))} of memory{free} and {times} on one core, by its steps"


def omission(N: int, d0: int, d1: int) -> str | None:
    """Why descents are omitted, in one line: the bytes of one, and those that are free."""
    needed, free = descent_bytes(N, d0, d1), free_memory()
    if free is None or needed <= free:
        return None
    return f"a descent takes {size(needed)} of memory, and {size(free)} are free"
