"""What a certificate takes of the machine: its memory, and for a large one its time, to be said before it starts."""

import time

from threadpoolctl import threadpool_limits

from mnnjax.host_memory import free_memory
from mnnjax.jax_setup import cores
from mnnjax.landscape.certificates.cholesky import BLOCK_ROWS, BLOCKS, LARGE, diagonal, factorize, new_square
from mnnjax.landscape.certificates.linear_systems import factor_fits
from mnnjax.wording import duration, integer, size

# Square arrays that are alive at once, and how many times the least time it takes, if z has to move too.
SQUARES, LONGER = 2, 4
COPIES = 4  # of A, X and arrays of their sizes
TIMED_SIZE, TIMED_SECONDS = 1_500, 0.5


def is_large(N: int, d0: int, d1: int) -> bool:
    """Whether a certificate of this size is computed alone, with all cores, if its memory is free."""
    return factor_fits(N, d0 * d1) and min(N, d0 * d1) > LARGE


def certificate_bytes(N: int, d0: int, d1: int, squares: int = SQUARES) -> int:
    """Bytes of one certificate at most, but where its rank is in doubt; the square has the smaller side of A o X."""
    side = min(N, d0 * d1)
    return 8 * (squares * side**2 + BLOCKS * min(BLOCK_ROWS, N) * side + COPIES * N * (d0 + d1))


def omission(N: int, d0: int, d1: int) -> str | None:
    """Why a certificate is omitted, in one line: its size, or its bytes and those that are free."""
    if not factor_fits(N, d0 * d1):
        return "N and d0 d1 are both beyond what a certificate takes"
    if not is_large(N, d0, d1):
        return None
    needed, free = certificate_bytes(N, d0, d1, 1), free_memory()
    if free is None or needed <= free:
        return None
    return f"a certificate takes {size(needed)} of memory, and {size(free)} are free"


def announcement(N: int, d0: int, d1: int) -> str:
    """One line before a large certificate: its memory and about its time, by a factorization that is timed now."""
    least = certificate_work(N, d0, d1) * seconds_per_multiplication() / cores()
    memory = [size(certificate_bytes(N, d0, d1, squares)) for squares in (1, SQUARES)]
    free = "" if (known := free_memory()) is None else f" ({size(known)} are free)"
    longer = f"{memory[1]} and {duration(LONGER * least)} if z has to move too"
    sizes = f"N = {integer(N)}, d0 d1 = {integer(d0 * d1)}"
    return f"certificate: {sizes}: {memory[0]} of memory{free} and about {duration(least)}; {longer}"


def seconds_per_multiplication() -> float:
    """Of one core, in a factorization of TIMED_SIZE: the least of several, since other processes make some longer, and
    so small a one by many threads most of all."""
    square, times = new_square(TIMED_SIZE), list[float]()
    with threadpool_limits(limits=1, user_api="blas"):
        while len(times) < 3 or sum(times) < TIMED_SECONDS:
            square[:] = 1.0
            diagonal(square)[:] = 2.0
            began = time.monotonic()
            factorize(square)
            times.append(time.monotonic() - began)
    return min(times) / (TIMED_SIZE**3 / 6)


def certificate_work(N: int, d0: int, d1: int) -> float:
    """Multiplications of a certificate whose rank is not in doubt: two factorizations, and what fills the square."""
    side = min(N, d0 * d1)
    filling = N**2 * (d0 + d1) if d0 * d1 >= N else N * side**2 / 2
    return side**3 / 3 + filling
