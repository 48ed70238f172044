"""The linear systems of certificates: which change of W makes a point stationary in its region, and its error bound.

With the pattern A and the second layer z fixed, output = B vec(W) with B = [z_1 diag(A_1) X, ..., z_d1 diag(A_d1) X]. A
point of the region is stationary, and then a minimum (Lemma 2), when its residual e = y - output has P e = 0, with P
the projection on the column space of A o X. The smallest change of W to one is B^+ P e. For A o X without zero rows:

- rows independent: P = I, and the change is B^T K^-1 e with K = B B^T = (A diag(z^2) A^T) * (X X^T).
- columns independent (after neurons with equal patterns are merged): the change of theta = z w is G^-1 M^T e with
  G = M^T M, spread over merged neurons in proportion to z.
- neither: a singular value decomposition, believed only if its rank is also the exact one.

No N x (d0 d1) matrix is formed but in the last case, and one square matrix per system (cholesky.py).
"""

import numpy as np
from jaxtyping import Float

from mnnjax.landscape.certificates.cholesky import Square, add_gram, blocks, factor_with_bound, solve
from mnnjax.landscape.numerics import EPS
from mnnjax.landscape.regions.exact_rank import exact_rank
from mnnjax.landscape.regions.khatri_rao import above_rounding, gram, product, without_projection

Change = tuple[Float[np.ndarray, "d1 d0"], float]  # of W (d1, d0) and of the free constant
EXACT_RANK_ENTRIES = 2_000_000  # of A o X: elimination modulo a prime takes N^3 integer steps, here seconds
LARGEST_FACTOR = 20_000  # beyond, and where A o X has more than its square of entries: an hour; the rank is in doubt


def factor_fits(rows: int, columns: int) -> bool:
    """Whether an A o X of this size is factorized."""
    return min(rows, columns) <= LARGEST_FACTOR and (columns >= rows or rows * columns <= LARGEST_FACTOR**2)


class Region:
    """A pattern A (N, d1) on points X (N, d0), reduced to what matters for rank.

    live (N,): which rows of A o X are not zero; live_X (live rows, d0): those of X. columns (live rows, g): the
    distinct columns of A that are not zero. groups: g; neurons with the same pattern are a group. merged (d1,): each
    neuron's group, or -1. constant: whether every output has a free constant (bias). shape: of the product."""

    def __init__(self, A: Float[np.ndarray, "N d1"], X: Float[np.ndarray, "N d0"], constant: bool):
        self.A, self.X, self.constant = A, X, constant
        self.live = np.asarray(A.any(axis=1) & X.any(axis=1) | constant)
        self.live_X = X if self.live.all() else X[self.live]
        columns, index = np.unique(A[self.live], axis=1, return_inverse=True)
        used = columns.any(axis=0)
        self.columns, self.groups = columns[:, used], int(used.sum())
        self.merged = np.where(used, np.cumsum(used) - 1, -1)[index.reshape(-1)]
        self.shape = int(self.live.sum()), self.groups * X.shape[1] + constant

    def product(self, rows: slice = slice(None)) -> Float[np.ndarray, "some p"]:
        """A o X on some of the live rows and distinct columns, with a column of ones where a constant is free."""
        M = product(self.columns[rows], self.live_X[rows])
        return np.hstack([M, np.ones((len(M), 1))]) if self.constant else M

    def apply(self, theta: Float[np.ndarray, " p"]) -> Float[np.ndarray, " live"]:
        """`product() @ theta` without the product."""
        c, theta = (theta[-1], theta[:-1]) if self.constant else (0.0, theta)
        return np.sum(self.columns * (self.live_X @ theta.reshape(self.groups, self.X.shape[1]).T), axis=1) + c

    def adjoint(self, e: Float[np.ndarray, " live"]) -> Float[np.ndarray, " p"]:
        """`product().T @ e` without the product."""
        theta = ((self.columns * e[:, None]).T @ self.live_X).reshape(-1)
        return np.append(theta, e.sum()) if self.constant else theta

    def fill_row_gram(self, K: Square, weights: Float[np.ndarray, " g"]) -> float:
        """Fill K (live, live) with (A diag(weights) A^T) * (X X^T) on live rows; a bound on its rounding error
        (spectral norm)."""
        X, A, squares = self.live_X, self.columns, 0.0
        with np.errstate(over="ignore"):  # an infinite error leaves nothing proven
            for rows in blocks(len(K)):
                block = gram(A[rows], X[rows], weights, (A[: rows.stop], X[: rows.stop])) + float(self.constant)
                K[: rows.stop, rows] = block.T
                K[rows, : rows.stop] = block
                others = np.abs(A[: rows.stop]), np.abs(X[: rows.stop])
                sizes = gram(np.abs(A[rows]), np.abs(X[rows]), weights, others)
                squares += 2 * np.linalg.norm(sizes[:, : rows.start]) ** 2 + np.linalg.norm(sizes[:, rows]) ** 2
            error = (X.shape[1] + A.shape[1] + 4) * EPS * float(np.sqrt(squares))
        return error + EPS * len(K) * self.constant  # adding 1 rounds too

    def fill_column_gram(self, G: Square) -> float:
        """Fill G (p, p) with M^T M of the product M (live, p); a bound on its rounding error (spectral norm)."""
        G[:] = 0.0
        for rows in blocks(self.shape[0]):
            add_gram(G, self.product(rows))
        for rows in blocks(len(G)):
            G[rows, rows.stop :] = G[rows.stop :, rows].T
            G[rows, rows] = np.tril(G[rows, rows]) + np.tril(G[rows, rows], -1).T
        return (self.shape[0] + 2) * EPS * float(np.trace(G))

    def group_sums(self, values: Float[np.ndarray, " d1"]) -> Float[np.ndarray, " g"]:
        """Sums over the neurons that share a column."""
        used = self.merged >= 0
        # NumPy counts nothing in integers, whatever the weights.
        return np.bincount(self.merged[used], weights=values[used], minlength=self.groups).astype(np.float64)

    def spread(self, z: Float[np.ndarray, " d1"], multiplier: Float[np.ndarray, " live"]) -> Change:
        """B^T multiplier: the change for one number per live row."""
        dW = z[:, None] * ((self.A[self.live] * multiplier[:, None]).T @ self.live_X)
        return dW, float(multiplier.sum()) if self.constant else 0.0


class System:
    """The linear system of a region with a fixed second layer z (d1,). rank: of A o X, None where in doubt. proven:
    whether it is; if not, call no method, and doubt says why. solvable: whether `change` has a bound; if not, call only
    region_residual."""

    region: Region
    z: Float[np.ndarray, " d1"]
    rank: int | None
    proven: bool
    solvable: bool
    doubt: str = ""

    def change(self, e: Float[np.ndarray, " N"]) -> Change:
        """The smallest change after which a point of residual e (N,) has P e = 0."""
        raise NotImplementedError

    def still_missing(
        self, e: Float[np.ndarray, " N"], error: Float[np.ndarray, " N"]
    ) -> tuple[Float[np.ndarray, " d1"], float]:
        """Bounds on the norm of the exact further change of each w_i (d1,), for a residual e (N,) with its rounding
        error (N,), and on the Euclidean distance from e to the region's residual on live rows."""
        raise NotImplementedError

    def region_residual(self, e: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """e - P e (N,): what Lemma 2 leaves of the residual e (N,) of any point of the region."""
        raise NotImplementedError


class RowsIndependent(System):
    """The live rows are independent: every label vector on them is reached."""

    def __init__(self, region: Region, z):
        self.region, self.z = region, z
        self.rank = rows = region.shape[0]
        weights, ones = region.group_sums(z**2), np.ones(region.groups)
        self._factor, bound = factor_with_bound(rows, lambda K: region.fill_row_gram(K, weights))
        self.solvable = bound > 0  # neurons with z = 0 count for the rank, but cannot be used while z is fixed
        self.proven = self.solvable or factor_with_bound(rows, lambda K: region.fill_row_gram(K, ones))[1] > 0
        self._sigma = np.sqrt(bound)

    def change(self, e):
        return self.region.spread(self.z, solve(self._factor, e[self.region.live]))

    def still_missing(self, e, error):
        live = self.region.live
        missing = float(np.linalg.norm(e[live]) + np.linalg.norm(error[live])) / self._sigma
        return np.full(len(self.z), missing), 0.0  # the region's residual is exact: zero on live rows, else the label

    def region_residual(self, e):
        return np.where(self.region.live, 0.0, e)


class ColumnsIndependent(System):
    """The distinct columns are independent, so theta is unique in the region."""

    def __init__(self, region: Region, z):
        self.region, self.z = region, z
        self.rank = columns = region.shape[1]
        self._factor, self._bound = factor_with_bound(columns, region.fill_column_gram)
        self.proven = self._bound > 0
        weights = region.group_sums(z**2)
        self.solvable = self.proven and bool((weights > 0).all())
        weights = np.append(np.where(weights > 0, weights, 1.0), 1.0)  # the last is for neurons that see no point
        self._shares = np.where(region.merged >= 0, z / weights[region.merged], 0.0)

    def _fit(self, residual: Float[np.ndarray, " live"]) -> Float[np.ndarray, " p"]:
        """Least-squares theta and constant. Normal equations square the condition number: repeat on what it leaves."""
        return solve(self._factor, self.region.adjoint(residual))

    def theta_change(self, e: Float[np.ndarray, " N"]) -> tuple[Float[np.ndarray, "g d0"], float]:
        """The change of each group's theta (groups, d0), and of the constant, for a residual e (N,)."""
        residual = e[self.region.live]
        solution = self._fit(residual)
        solution += self._fit(residual - self.region.apply(solution))
        theta, c = (solution[:-1], float(solution[-1])) if self.region.constant else (solution, 0.0)
        return theta.reshape(self.region.groups, self.region.X.shape[1]), c

    def change(self, e):
        theta, c = self.theta_change(e)
        theta = np.vstack([theta, np.zeros(theta.shape[1])])  # the last row is for neurons that see no point
        return self._shares[:, None] * theta[self.region.merged], c

    def still_missing(self, e, error):
        region, live, sigma = self.region, self.region.live, np.sqrt(self._bound)
        moduli = (np.abs(region.columns) * np.abs(e[live])[:, None]).T @ np.abs(region.live_X)
        constant = np.abs(e[live]).sum() if region.constant else 0.0
        rounding = (region.shape[0] + 2) * EPS * np.hypot(np.linalg.norm(moduli), constant)
        # |P e| = |M G^-1 M^T e| <= |M^T e| / sigma, and P does not lengthen the rounding error of e.
        distance = float((np.linalg.norm(region.adjoint(e[live])) + rounding) / sigma + np.linalg.norm(error[live]))
        return np.abs(self._shares) * (distance / sigma), distance

    def region_residual(self, e):
        result, live = e.copy(), self.region.live
        for _ in range(3):
            result[live] -= self.region.apply(self._fit(result[live]))
        return result


class RankDeficient(System):
    """Neither rows nor columns are independent: a singular value decomposition and the exact rank."""

    def __init__(self, region: Region, z, doubt: str):
        self.region, self.z = region, z
        self.rank, self.proven, self.solvable, self.doubt = None, False, False, doubt
        if region.shape[0] * region.shape[1] > EXACT_RANK_ENTRIES:
            return
        M = region.product()
        self._basis, values, _ = np.linalg.svd(M, full_matrices=False)
        exact = exact_rank(region.columns, region.live_X, region.constant)
        if exact != np.sum(above_rounding(values, M.shape)):
            return
        self.rank, self.proven, self._basis = exact, True, self._basis[:, :exact]
        weights = np.repeat(np.sqrt(region.group_sums(z**2)), region.X.shape[1])
        weights = np.append(weights, 1.0) if region.constant else weights
        left, singular, _ = np.linalg.svd(M * weights, full_matrices=False)
        self._left, self._singular = left[:, :exact], singular[:exact]
        # The angle between the computed and the exact singular subspace is at most rounding over the relative gap.
        rounding = 10 * max(1, *M.shape) * EPS
        gap = min(values[exact - 1] / values[0], singular[exact - 1] / max(singular[0], EPS)) if exact else 1.0
        self.solvable = gap > 1e3 * rounding
        self._turn = rounding / gap if self.solvable else np.inf

    def change(self, e):
        return self.region.spread(self.z, self._left @ ((self._left.T @ e[self.region.live]) / self._singular**2))

    def still_missing(self, e, error):
        live = self.region.live
        seen = np.linalg.norm(self._basis.T @ e[live]) + self._turn * np.linalg.norm(e[live])
        distance = float(seen + np.linalg.norm(error[live]))
        smallest = self._singular[-1] if self.rank else np.inf
        return np.full(len(self.z), distance / smallest), distance

    def region_residual(self, e):
        result, live = e.copy(), self.region.live
        result[live] = without_projection(e[live], self._basis)
        return result


def make_system(
    A: Float[np.ndarray, "N d1"], X: Float[np.ndarray, "N d0"], z: Float[np.ndarray, " d1"], constant: bool = False
) -> System:
    """The system of the region of A (N, d1) on X (N, d0) with a fixed second layer z (d1,); constant: as Region's."""
    region = Region(A, X, constant)
    rows, columns = region.shape
    doubt = "singular values near rounding, or too large to decide exactly"
    if rows and columns and factor_fits(rows, columns):
        try:
            system = (RowsIndependent if columns >= rows else ColumnsIndependent)(region, z)
            if system.proven:
                return system
        except MemoryError as error:
            doubt = str(error)
    return RankDeficient(region, z, doubt)
