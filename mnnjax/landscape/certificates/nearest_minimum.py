"""The way from a point to the nearest minimum of its region, and the proof that it lies there."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from mnnjax.landscape.certificates.cholesky import add_gram, diagonal, factorize, new_square, solve
from mnnjax.landscape.certificates.linear_systems import ColumnsIndependent, RowsIndependent, System, make_system
from mnnjax.landscape.numerics import EPS, TINY, leaky_relu, row_norms

JOINT_STEPS = 4
IDLE = 1e-10  # neurons with |z_i| |w_i| below this fraction of the largest may be taken to have z_i = 0


class RegionProblem(NamedTuple):
    """The data, the point's pattern A, which neurons may move (kept), and whether there is an output bias."""

    X: Float[np.ndarray, "N d0"]
    y: Float[np.ndarray, " N"]
    rho: float
    A: Float[np.ndarray, "N d1"]
    kept: Bool[np.ndarray, " d1"]
    has_bias: bool

    def system(self, z: Float[np.ndarray, " d1"]) -> System:
        """The linear system for W of the neurons that may move, with z (d1,) fixed."""
        return make_system(self.A[:, self.kept], self.X, z[self.kept], self.has_bias)


class Point(NamedTuple):
    """Weights, their neural inputs U and residual e, and elementwise bounds on the rounding of these two."""

    W: Float[np.ndarray, "d1 d0"]
    z: Float[np.ndarray, " d1"]
    c: float
    U: Float[np.ndarray, "N d1"]
    U_error: Float[np.ndarray, "N d1"]
    e: Float[np.ndarray, " N"]
    e_error: Float[np.ndarray, " N"]


class Minimum(NamedTuple):
    """A point with an exact minimum of the region next to it. The residual of that is e, to the Euclidean distance
    e_distance; its neural inputs are at least margin from zero."""

    point: Point
    e: Float[np.ndarray, " N"]
    e_distance: float
    margin: float


def evaluate(
    W: Float[np.ndarray, "d1 d0"], z: Float[np.ndarray, " d1"], c: float, X: Float[np.ndarray, "N d0"],
    y: Float[np.ndarray, " N"], rho: float, sharply: bool = False,
) -> Point:  # fmt: skip
    """The point W (d1, d0), z (d1,), c on X (N, d0), y (N,). Source: N. J. Higham, Accuracy and Stability of Numerical
    Algorithms, section 3.1: a sum of products in any order is off by (number of terms + 2) eps times the sum of moduli.
    Here that is doubled, and so is half the smallest number above 0, which each product that may underflow adds.

    sharply: most of the neural inputs is summed without rounding, so that the bounds are smaller: the leading bits of X
    and W have exact products and sums. Source: K. Ozaki, T. Ogita, S. Oishi and S. M. Rump, Error-free transformations
    of matrix multiplication, 2012."""
    U, moduli, last, underflow = X @ W.T, np.abs(X) @ np.abs(W).T, 0.0, TINY
    if sharply:
        leading_X, leading_W = _leading_bits(X), _leading_bits(W)
        X_rest, W_rest = X - leading_X, W - leading_W
        U = leading_X @ leading_W.T + (X_rest @ W.T + leading_X @ W_rest.T)
        moduli = np.abs(X_rest) @ np.abs(W).T + np.abs(leading_X) @ np.abs(W_rest).T
        last, underflow = EPS, 2 * TINY  # of the last sum; of three products
    has_products = (X != 0).astype(float) @ (W != 0).T > 0
    U_error = (X.shape[1] + 2) * (2 * EPS * moduli + underflow * has_products) + last * np.abs(U)
    e = y - (leaky_relu(U, rho) @ z + c)
    largest = max(1.0, abs(rho))
    moduli = largest * ((np.abs(U) + U_error) @ np.abs(z)) + np.abs(y) + abs(c)
    e_error = largest * (U_error @ np.abs(z)) + 2 * (len(z) + 4) * (EPS * moduli + largest * TINY)
    # A sum of zeros has no rounding error.
    return Point(W, z, c, U, U_error, e, np.where((has_products @ (z != 0)) | (c != 0), e_error, 0.0))


def _leading_bits(V: Float[np.ndarray, "n d0"]) -> Float[np.ndarray, "n d0"]:
    """Rows of V, rounded to so few bits below their largest entry that sums of products of two such rows are exact."""
    bits = (52 - V.shape[1].bit_length()) // 2
    _, exponent = np.frexp(np.abs(V).max(axis=1, keepdims=True))
    return np.ldexp(np.rint(np.ldexp(V, bits - exponent)), exponent - bits)


def nearest_minimum(problem: RegionProblem, point: Point, system: System) -> tuple[Minimum | None, str]:
    """A proven minimum next to the point, or None and the reason."""
    if not (point.e.any() or point.e_error.any()):
        # The residual is zero without rounding: the point is a minimum whatever the rank.
        return _in_region(problem, point, np.zeros(len(point.z)), point.e, 0.0)
    if not system.proven:
        return None, f"the rank of A o X is in doubt: {system.doubt}"
    minimum, reason = _move(problem, point, system)
    try:
        minimum = minimum or _after_joint_steps(problem, point, system) or _without_idle_neurons(problem, point)
    except MemoryError as error:
        reason += f"; to look for another, {error}"
    return minimum, reason


def _after_joint_steps(problem: RegionProblem, point: Point, system: System) -> Minimum | None:
    """A proven minimum next to where _joint_steps lead."""
    if (moved := _joint_steps(problem, point, system)) is None:
        return None
    other = problem.system(moved.z)
    return _move(problem, moved, other)[0] if other.proven else None


def _without_idle_neurons(problem: RegionProblem, point: Point) -> Minimum | None:
    """A global minimum with z_i = 0 for the neurons that hardly contribute, where the others fit all points that they
    see and all other labels are zero. A label 0 needs this where only one neuron sees the point. A residual of zero is
    a minimum whatever the rank."""
    weight = np.abs(point.z) * np.linalg.norm(point.W, axis=1)
    used = problem.kept & (weight > IDLE * weight.max())
    if (used == problem.kept).all() or not used.any():
        return None
    z = np.where(used | ~problem.kept, point.z, 0.0)
    without_idle = problem._replace(kept=used)
    system = without_idle.system(z)
    start = evaluate(point.W, z, point.c, problem.X, problem.y, problem.rho)
    if not (isinstance(system, RowsIndependent) and system.solvable) or start.e[~system.region.live].any():
        return None
    if (minimum := _move(without_idle, start, system)[0]) is None:
        return None
    missing = np.zeros(len(z))  # once more, for the margin of the idle neurons, which did not move
    missing[used] = system.still_missing(minimum.point.e, minimum.point.e_error)[0]
    return _in_region(problem, minimum.point, missing, minimum.e, 0.0)[0]


def _move(problem: RegionProblem, start: Point, system: System) -> tuple[Minimum | None, str]:
    """Change W alone until P e = 0."""
    if not system.solvable:
        return None, "the system for W with z fixed is singular or too badly conditioned to bound its solution"
    point = start
    for _ in range(2):  # the second pass corrects the rounding of the first
        dW, dc = system.change(point.e)
        W = point.W.copy()
        W[problem.kept] += dW
        point = evaluate(W, point.z, point.c + dc, problem.X, problem.y, problem.rho)
    minimum, reason = _proven(problem, point, system)
    if minimum is None:
        sharp = evaluate(point.W, point.z, point.c, problem.X, problem.y, problem.rho, sharply=True)
        minimum, reason = _proven(problem, sharp, system)
    return minimum, reason


def _proven(problem: RegionProblem, point: Point, system: System) -> tuple[Minimum | None, str]:
    """The minimum next to a point with P e = 0 but for rounding, or the reason why it cannot be proven."""
    missing = np.zeros(len(point.z))
    missing[problem.kept], e_distance = system.still_missing(point.e, point.e_error)
    return _in_region(problem, point, missing, system.region_residual(point.e), e_distance)


def _in_region(problem: RegionProblem, point: Point, missing, e, e_distance: float) -> tuple[Minimum | None, str]:
    """The minimum, if all weights within `missing` (d1,) of the point's rows of W are in the region, or the reason."""
    margin, reason = margin_of(problem, point, missing, problem.kept, "region")
    return (None, reason) if reason else (Minimum(point, e, e_distance, margin), "")


def margin_of(
    problem: RegionProblem,
    point: Point,
    missing: Float[np.ndarray, " d1"],
    counted: Bool[np.ndarray, "..."],
    where: str,
) -> tuple[float, str]:
    """The least distance from zero of the counted neural inputs (N, d1), or neurons (d1,), of all weights within
    `missing` (d1,) of the point's rows of W; and, where one of them may change sign, a line that says so of the region
    or face."""
    # Rounded up, also where the squares of a row underflow.
    lengths = row_norms(problem.X) * (1 + 4 * EPS * (problem.X.shape[1] + 2)) + TINY
    same = (point.U > 0) == (problem.A == 1.0)
    room = np.where(same, np.abs(point.U), -np.abs(point.U)) - point.U_error - lengths[:, None] * missing
    room = np.where(problem.X.any(axis=1, keepdims=True) & counted, room, np.inf)
    margin = float(room.min(initial=np.inf))
    if margin > 0:
        return margin, ""
    n, k = np.unravel_index(np.argmin(room), room.shape)  # or NaN
    return margin, f"the minimum that the {where} asks for lies outside it: neuron {k} would change sign at point {n}"


def _joint_steps(problem: RegionProblem, point: Point, system: System) -> Point | None:
    """A few Gauss-Newton steps of least norm in (W, z) towards P e = 0 with a fixed pattern; None where they fail."""
    kept = problem.kept
    for _ in range(JOINT_STEPS):
        try:
            if isinstance(system, ColumnsIndependent):
                dW, dz, dc = _theta_step(problem, point, system)
            else:
                dW, dz, dc = _data_step(problem, point, system)
        except np.linalg.LinAlgError:
            return None
        W, z, c = point.W.copy(), point.z.copy(), point.c + dc
        W[kept] += dW
        z[kept] += dz
        if not (np.isfinite(W).all() and np.isfinite(z).all()):
            return None
        U = problem.X @ W.T
        # By the fixed pattern, not by the signs of the new U.
        point = point._replace(W=W, z=z, c=c, U=U, e=problem.y - ((problem.A * U) @ z + point.c + dc))
    return evaluate(point.W, point.z, point.c, problem.X, problem.y, problem.rho)


def _theta_step(problem: RegionProblem, point: Point, system: ColumnsIndependent):
    """Per group of neurons, the least change of (w_j, z_j) that changes the sum of z_j w_j as wanted."""
    W, z = point.W[problem.kept], point.z[problem.kept]
    theta, c = system.theta_change(point.e)
    dW, dz = np.zeros_like(W), np.zeros_like(z)
    for group in range(system.region.groups):
        members = np.flatnonzero(system.region.merged == group)
        square = (z[members] ** 2).sum() * np.eye(W.shape[1]) + W[members].T @ W[members]
        mu = np.linalg.lstsq(square, theta[group], rcond=None)[0]
        dW[members], dz[members] = np.outer(z[members], mu), W[members] @ mu
    return dW, dz, c


def _data_step(problem: RegionProblem, point: Point, system: System):
    """One multiplier per point: (B B^T + F F^T) multiplier = P e with F = f(U)."""
    region, z = system.region, point.z[problem.kept]
    F = (problem.A * point.U)[region.live][:, problem.kept]
    wanted = (point.e - system.region_residual(point.e))[region.live]
    square = new_square(len(F))
    region.fill_row_gram(square, region.group_sums(z**2))
    add_gram(square, F.T)
    # Where A o X has dependent rows the system is singular but consistent; the ridge picks a solution near the shortest
    # one, and the next step corrects it.
    diagonal(square)[:] += 1e-13 * np.trace(square) / max(1, len(square))
    if not factorize(square):
        raise np.linalg.LinAlgError
    multiplier = solve(square, wanted)
    dW, dc = region.spread(z, multiplier)
    return dW, F.T @ multiplier, dc
