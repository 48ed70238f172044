"""The true global minimum of the squared loss, by enumeration of all networks of a small size.

A neuron w_k with output weight z_k acts on the points as s_k f(X theta_k), s_k the sign of z_k and theta_k = |z_k| w_k.
On a closed cell of the arrangement (volumes/arrangement.py) f(X theta) is linear in theta, and a closed cell is the set
of non-negative combinations of its extreme rays r. So the networks with given cells and signs make the non-negative
combinations of the vectors s_k f(X r), and the best of them is a non-negative least squares problem. Two neurons with
the same cell and sign do as one. So sets of d1 different signed cells are all there is (section 7).

Few of the sets are solved. Let v be the residual of one that was. By duality |y - M x| >= v . y / |v| for all x >= 0
where no column of M has a positive product with v, and v . y / |v| = |v|. So v rules out all sets of signed cells whose
rays have no such product: they are no better than the one that was solved. The search ends when no set is left. It thus
proves each solution too, whose own set must be ruled out."""

import dataclasses
import itertools
import math

import numpy as np
from jaxtyping import Float, Real
from threadpoolctl import threadpool_limits

from mnnjax.arrays import AnyArray, check_count, check_points, check_rho, refuse_traced
from mnnjax.errors import UserError, require
from mnnjax.landscape._check import check_lengths, check_scale
from mnnjax.landscape.numerics import EPS, TINY, leaky_relu
from mnnjax.landscape.regions.minima import ZERO_TO_ROUNDING
from mnnjax.landscape.volumes.arrangement import closed_cells
from mnnjax.wording import aligned

MOST_SETS = 2_000_000  # a minute or two
FLAT = 1e-8  # singular values of the points, made of norm 1, below this fraction of the largest count as zero
HELD = 1e-8  # neural inputs below this fraction of |w_k| |x(n)| at an extreme ray count as zero
CLOSE = 1e-8  # the network's MSE, evaluated, agrees with the search to this fraction of mean(y^2)
PRICE = 1e-11  # products of a column and a residual, both made of norm 1, that count as zero


@dataclasses.dataclass(frozen=True, eq=False)
class GlobalMinimum:
    """The smallest loss that a network of d1 hidden units can have on (X, y), and a network that has it.

    mse: |y - f(X W^T) z|^2 / N, evaluated at W (d1, d0) and z (d1,), where |w_k| = |z_k|; neurons that are not needed
    are zero. cells: of one neuron. sets: of d1 signed cells. solved: least squares problems that rule out all sets.
    Source: ours (section 7)."""

    mse: float
    W: Float[np.ndarray, "d1 d0"]
    z: Float[np.ndarray, " d1"]
    cells: int
    sets: int
    solved: int

    def __str__(self) -> str:
        parts = {
            "mse": f"{self.mse:.6g}",
            "neurons": f"{np.count_nonzero(self.z)} of {len(self.z)} that are not zero",
            "searched": f"{self.solved} of {self.sets} sets of signed cells",
        }
        return aligned(parts)


@threadpool_limits.wrap(limits=1, user_api="blas")
def exact_global_minimum(X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"], d1: int, rho: float) -> GlobalMinimum:
    """The true global minimum of the squared loss over all W (d1, d0) and z (d1,), for d0 up to 3 and small N and d1.

    X (N, d0), one row a point, real: a first-layer bias is a column of ones here. y (N,). rho: slope for negative
    neural inputs. To rounding: points count as in a line or plane through the origin, or as on the boundary of a cell's
    extreme ray, where the angle between them is below 1e-8.

    Time: with d0 = 2, N = 8 and d1 = 4, or d0 = 3, N = 6 and d1 = 3, below a second; it grows with the number of sets
    of signed cells, C(4 N, d1) where d0 = 2 and C(2 (N^2 - N + 2), d1) where d0 = 3.
    At the limit of 2 000 000 sets it is a minute or two.
    Raises ValueError for shapes that do not match, NaN or infinite entries, rho = 1, d1 below 1, d0 above 3, more than
    2 000 000 sets, points that differ in length by more than 1e5 (but for zeros), and traced arrays. Raises
    ArithmeticError where rounding hides the best network, whose weights are then large.
    Source: ours (section 7).

    Example:
      best = exact_global_minimum(X, y, d1=3, rho=0.0)
      print(best.mse, certify(best.W, best.z, X, y, rho=0.0).verdict)
    """
    refuse_traced(X=X, y=y, rho=rho)
    check_rho(rho)
    X, y = check_points(X, y)
    d1 = check_count("d1", d1)
    require(X.shape[1] <= 3, f"X: has d0 = {X.shape[1]}; the exact global minimum is for d0 up to 3, use descend")
    check_scale(X)
    check_lengths(X)
    lengths = np.linalg.norm(X, axis=1)
    size = np.linalg.norm(y)
    theta, signs = np.zeros((d1, X.shape[1])), np.zeros(d1)
    cells = sets = solved = 0
    expected = np.mean(y**2)
    if lengths.any() and size:
        # Zero points have the output 0. Points in a line or plane: only the parts of w in it matter.
        points, kept = X[lengths > 0] / lengths.max(), y[lengths > 0] / size
        _, values, axes = np.linalg.svd(X[lengths > 0] / lengths[lengths > 0, None], full_matrices=False)
        axes = axes[values > FLAT * values[0]]
        search = _Search(points @ axes.T, kept, d1, rho)
        cells, sets = len(search.cells) // 2, search.sets
        found, least, solved = search.best()
        expected = (size**2 * least**2 + np.sum(y[lengths == 0] ** 2)) / len(y)
        for k, (sign, part) in enumerate(found):
            theta[k], signs[k] = part @ axes * (size / lengths.max()), sign
    roots = np.sqrt(np.linalg.norm(theta, axis=1))
    W, z = theta / np.where(roots > 0, roots, 1.0)[:, None], signs * roots
    mse = float(np.mean((leaky_relu(X @ W.T, rho) @ z - y) ** 2))
    if abs(mse - expected) > CLOSE * np.mean(y**2):
        raise _unsure()
    return GlobalMinimum(mse, W, z, cells, sets, solved)


def count_sets(N: int, d0: int, d1: int) -> int:
    """The sets of d1 signed cells of N points in general position, which have the most."""
    signed = 4 * sum(math.comb(N - 1, k) for k in range(d0))
    return math.comb(signed, min(d1, signed))


def check_sets(N: int, d0: int, d1: int) -> None:
    """Raise UserError where so many points and neurons have too many sets for exact_global_minimum."""
    signed = 4 * sum(math.comb(N - 1, k) for k in range(d0))
    if (sets := count_sets(N, d0, d1)) > MOST_SETS:
        feasible = [k for k in range(1, d1) if count_sets(N, d0, k) <= MOST_SETS]
        fewer = f"d1 up to {feasible[-1]} is feasible for N = {N}" if feasible else "take fewer points"
        few = f"{sets}" if sets < 10**9 else "10^" + f"{len(str(sets)) - 1}"
        raise UserError(
            f"d1: {d1} neurons in {signed // 2} cells, with either sign, make {few} sets of signed cells, more than "
            f"{MOST_SETS}; {fewer}, and descend takes any size"
        )


class _Search:
    """Of sets of signed cells for the best; X (N, d0) spans R^d0 and has no zero row, y (N,) has norm 1. Cells are
    numbered, first with the sign 1 and then, in the same order, with -1; so are rays."""

    def __init__(self, X, y, d1: int, rho: float):
        check_sets(len(X), X.shape[1], d1)
        self.rays, cells = closed_cells(X)
        self.cells = [*cells, *(cell + len(self.rays) for cell in cells)]
        U = X @ self.rays.T
        outputs = leaky_relu(np.where(np.abs(U) > HELD * np.linalg.norm(X, axis=1)[:, None], U, 0.0), rho)
        norms = np.linalg.norm(outputs, axis=0)
        self._factors = 1 / np.where(norms > 0, norms, 1.0)  # make them of norm 1
        self._outputs = np.hstack([outputs * self._factors, -outputs * self._factors])
        self._y, size = y, min(d1, len(self.cells))
        self.sets = math.comb(len(self.cells), size)
        chosen = itertools.chain.from_iterable(itertools.combinations(range(len(self.cells)), size))
        self._left = np.fromiter(chosen, np.int16, self.sets * size).reshape(self.sets, size)

    def best(self) -> tuple[list[tuple[int, Float[np.ndarray, " d0"]]], float, int]:
        """The sign and theta of each neuron of the best network, the norm of its residual, and how many least squares
        problems were solved. Raises ArithmeticError where rounding hides it."""
        least, solved, network = 1.0, 0, []
        left = self._left
        while len(left) and least > ZERO_TO_ROUNDING:
            taken = left[0].tolist()
            rays = np.unique(np.concatenate([self.cells[cell] for cell in taken]))
            factors = _non_negative_least_squares(self._outputs[:, rays], self._y)
            solved += 1
            v = self._y - self._outputs[:, rays] @ factors
            error = float(np.linalg.norm(v))
            if error < least:
                least, network = error, self._network(taken, dict(zip(rays.tolist(), factors.tolist(), strict=True)))
            prices = self._outputs.T @ v
            ruled_out = np.array([(prices[cell] <= 2 * _zero_price(v, factors)).all() for cell in self.cells])
            if not ruled_out[taken].all():
                raise _unsure()
            left = left[~ruled_out[left].all(axis=1)]
        return network, least, solved

    def _network(self, taken: list[int], factors: dict[int, float]) -> list[tuple[int, Float[np.ndarray, " d0"]]]:
        """The sign and theta of each of the cells taken; a ray that two of them share goes to the first."""
        network, count = [], len(self.rays)
        for cell in taken:
            theta = np.zeros(self.rays.shape[1])
            for ray in self.cells[cell].tolist():
                theta += factors.pop(ray, 0.0) * self._factors[ray % count] * self.rays[ray % count]
            network.append((1 if cell < len(self.cells) // 2 else -1, theta))
        return network


def _non_negative_least_squares(M: Float[np.ndarray, "N k"], y: Float[np.ndarray, " N"]) -> Float[np.ndarray, " k"]:
    """x >= 0 that minimizes |y - M x|, for columns of norm 1 or 0, by Lawson and Hanson's active set method.

    Not scipy.optimize.nnls, which in SciPy 1.17.1 crashed (segmentation fault) on columns that depend on each other, as
    they do where k > N. Nor lsq_linear, which ended far from a minimum. The caller checks the prices of what is found.
    Raises ArithmeticError where rounding leaves it without an end."""
    x, positive, refused = np.zeros(M.shape[1]), np.zeros(M.shape[1], bool), np.zeros(M.shape[1], bool)
    for _ in range(10 * M.shape[1]):
        r = y - M @ x
        prices = np.where(positive | refused, 0.0, M.T @ r)
        enters = int(prices.argmax())
        if prices[enters] <= _zero_price(r, x):
            return x
        positive[enters] = True
        while True:
            goal = np.zeros_like(x)
            goal[positive] = np.linalg.lstsq(M[:, positive], y)[0]
            falls = positive & (goal <= 0)
            if not falls.any():
                break
            steps = x[falls] / (x[falls] - np.minimum(goal[falls], -TINY))
            x += steps.min() * (goal - x)
            positive &= ~falls | (x > 0)
            positive[np.flatnonzero(falls)[steps.argmin()]] = False
            x[~positive] = 0.0
        # A column that rounding alone let in goes at once; others may enter before it.
        refused = np.where(positive[enters], False, refused)
        refused[enters] = not positive[enters]
        x = goal
    raise _unsure()


def _zero_price(r: Float[np.ndarray, " N"], x: Float[np.ndarray, " k"]) -> float:
    """Products of columns with the residual r = y - M x up to this are zero, to rounding."""
    return PRICE * float(np.linalg.norm(r)) + 16 * EPS * (1 + float(x.sum()))


def _unsure() -> ArithmeticError:
    return ArithmeticError("X: rounding hides the best network; points may be nearly parallel, or in a plane")
