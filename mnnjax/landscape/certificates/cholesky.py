"""Cholesky factorizations in place and in blocks, and a proven bound on a smallest eigenvalue, in one n x n array.

The diagonal and one triangle of a symmetric matrix are factorized where they are; the other triangle is left alone. The
array holds the factor L of S below the diagonal, and the factorization that proves the bound above. LAPACK sees single
blocks: the one of OpenBLAS 0.3.30 crashes on arrays of more than 2^31 bytes in several threads.

If a floating-point Cholesky factorization of S - tau I runs to its end, then lambda_min(S) > tau - (n + 2) eps trace(S)
(S. M. Rump, Verification of positive definiteness, 2006; N. J. Higham, Accuracy and Stability of Numerical Algorithms,
2002, Theorem 10.3, whatever the order of the sums, so in blocks too)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float

from mnnjax.host_memory import free_memory
from mnnjax.landscape.numerics import EPS
from mnnjax.wording import size

Square = Float[np.ndarray, "n n"]
BLOCK_ROWS = 256  # of a matrix that is filled block by block
LARGE = 6_000  # a larger n takes minutes, all cores, and gigabytes, which have to be free
BLOCKS = 5  # temporary arrays of BLOCK_ROWS x n while it is filled


def new_square(n: int) -> Square:
    """An n x n array for `factorize`. MemoryError, in one line, where it is large and the memory is not free."""
    needed, free = 8 * (n + BLOCKS * BLOCK_ROWS) * n, free_memory() if n > LARGE else None
    if free is not None and needed > free:
        raise MemoryError(f"a matrix of {n} x {n} takes {size(needed)} of memory, and {size(free)} are free")
    return np.empty((n, n), order="F")


def blocks(n: int) -> Iterator[slice]:
    """Rows 0 to n - 1, a block at a time."""
    return (slice(start, min(start + BLOCK_ROWS, n)) for start in range(0, n, BLOCK_ROWS))


def diagonal(S: Square) -> Float[np.ndarray, " n"]:
    """The diagonal of S, to be read and written."""
    return np.einsum("ii->i", S)


def add_gram(S: Square, M: Float[np.ndarray, "rows n"]) -> None:
    """S + M^T M, in place, on and below the diagonal."""
    for part in blocks(len(S)):
        S[part.start :, part] += M[:, part.start :].T @ M[:, part]


def factorize(S: Square, lower: bool = True) -> bool:
    """Overwrite one triangle and the diagonal of S (from new_square) with its Cholesky factor; whether there is one."""
    T = S if lower else S.T
    for part in blocks(len(T)):
        on_diagonal, below = T[part, part], T[part.stop :, part]
        above = np.triu(on_diagonal, 1)
        if part.start:
            T[part.start :, part] -= T[part.start :, : part.start] @ T[part, : part.start].T
        try:
            L = scipy.linalg.cholesky(on_diagonal, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return False
        on_diagonal[:] = L + above
        if below.size:
            below[:] = scipy.linalg.solve_triangular(L, below.T, lower=True, check_finite=False).T
    return True


def solve(factor: Square, b: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """S^-1 b, by what `factorize` left below the diagonal."""
    x, parts = b.copy(), list(blocks(len(b)))
    for part in parts:
        known = x[part] - factor[part, : part.start] @ x[: part.start]
        x[part] = scipy.linalg.solve_triangular(factor[part, part], known, lower=True, check_finite=False)
    for part in reversed(parts):
        known = x[part] - factor[part.stop :, part].T @ x[part.stop :]
        x[part] = scipy.linalg.solve_triangular(factor[part, part], known, lower=True, trans=1, check_finite=False)
    return x


def factor_with_bound(n: int, fill: Callable[[Square], float]) -> tuple[Any, float]:
    """The Cholesky factor of a symmetric S (n, n), for `solve`, and a proven positive lower bound on the smallest
    eigenvalue of every symmetric matrix within an error (spectral norm) of S; None and 0 where there is none.

    fill: writes S, both triangles, and returns the error; each triangle with its mirror image is within it.
    Raises MemoryError as new_square."""
    S, estimate = new_square(n), None
    for fraction in (0.5, 0.1):
        error = fill(S)
        on_diagonal = diagonal(S).copy()
        trace = float(on_diagonal.sum())
        if not factorize(S):
            break
        # Inverse iteration says where the bound may lie; the second factorization proves it.
        estimate = estimate or _smallest_eigenvalue(S)
        if estimate is None:
            break
        of_factor = diagonal(S).copy()
        diagonal(S)[:] = on_diagonal - fraction * estimate
        positive = factorize(S, lower=False)
        diagonal(S)[:] = of_factor
        if positive:
            bound = fraction * estimate - (n + 2) * EPS * trace - error
            return (S, bound) if bound > 0 else (None, 0.0)
    return None, 0.0


def _smallest_eigenvalue(factor: Square) -> float | None:
    """About the smallest eigenvalue; None below 1e-150 or above 1e150, whose squares under- or overflow."""
    v = np.random.default_rng(0).standard_normal(len(factor))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(8):
            v = solve(factor, v / np.linalg.norm(v))
            if not 0 < np.linalg.norm(v) < np.inf:
                return None
    return float(1 / np.linalg.norm(v))
