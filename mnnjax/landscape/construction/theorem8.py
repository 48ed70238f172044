"""Theorem 8: a global minimum (W*, z*) written down, not trained, with at most d1* = 4 ceil(N / (2 d0 - 2)) units.

The construction is by pairs of units, for any real labels. (The other known one, four units for each d0 - 1 ones, keeps
to d1* only for labels in {0, 1} with at most N / 2 ones.) For s so large that v_k / 2 changes no sign,

    f((s w_k + v_k / 2) . x) - f((s w_k - v_k / 2) . x) = a(w_k . x) v_k . x,

so pairs with directions w_k and pattern A = a(X W^T) are exact on the data when (A o X) vec(v) = y: N linear equations
with K d0 unknowns. K = 2 ceil(N / (2 d0 - 2)) pairs are the theorem's 2 K = d1* units. The rest keeps rounding small,
which is about 1e-16 * sum_i |z_i w_i . x|:

- The points are whitened first: X -> X T, W -> W T^-T does not change the problem.
- In many dimensions w_k is Gaussian. In few, some random cells hold too many points (an arc of the plane can be fitted
  in 2 points only), so each w_k cuts d0 - 1 edges of the minimum spanning tree of the directions near their middles.
- Each w_k moves to the analytic centre of its cell: same pattern A, larger margin.
- v is the solution with the least sum_k v_k^T H_k v_k, H_k the Hessian of the centre's barrier, which bounds s_k:
  max_n (v_k . x(n) / w_k . x(n))^2 <= v_k^T H_k v_k, as H_k >= sum_n x(n) x(n)^T / (w_k . x(n))^2.
- v is corrected by the residual of the finished network, evaluated as anyone would: f(X W^T) z."""

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float, Real
from scipy import linalg
from scipy.sparse.csgraph import minimum_spanning_tree

from mnnjax.arrays import AnyArray, check_network, check_points, check_rho, on_host
from mnnjax.errors import UserError, require
from mnnjax.landscape._check import check_not_zero
from mnnjax.landscape.construction.double_double import largest_error
from mnnjax.landscape.construction.rays import NAMED, Rays, antipodes_are_free, distinct_rays, label_scale
from mnnjax.landscape.numerics import EPS, leaky_relu, row_norms

TOLERANCE, ENOUGH = 1e-9, 1e-11  # relative errors: promised, and low enough to try no other draw
UNEVEN = 1e3  # a larger ratio of norms of rows is given as the cause of an error
RANK = 1e-12  # singular values below this fraction of the largest are zero
FEW_DIMENSIONS = 8  # up to this many the directions w_k cut the spanning tree


class ConstructionError(NamedTuple):
    """relative_error: max_n |f(W x(n))^T z - y_n| / max(1, max|y|), the larger of that in exact arithmetic, with a
    proven bound on its rounding, and that in float64 here: whether units cancel can depend on the order of summation.
    margin: the smallest neural input, min_{i, n} |w_i . x(n)| / (|w_i| |x(n)|), 0 where w_i or x(n) is 0. units: d1."""

    relative_error: float
    margin: float
    units: int


def construction_error(
    W: Real[AnyArray, "d1 d0"], z: Real[AnyArray, " d1"], X: Real[AnyArray, "N d0"],
    y: Real[AnyArray, " N"], rho: float,
) -> ConstructionError:  # fmt: skip
    """How far the network W (d1, d0), z (d1,) is from exact on points X (N, d0) with labels y (N,): see
    ConstructionError (eq 2.2). relative_error is inf where exact arithmetic is out of reach, from entries of 1e300 on.
    Raises ValueError for shapes that do not match, NaN or infinite entries, and rho = 1."""
    W, z, X, y = check_network(W, z, X, y, rho)
    seen = _error(W, z, X, y, rho)
    exact = np.max(largest_error(W, z, X, y, rho)) / label_scale(y)
    return seen._replace(relative_error=float(np.maximum(seen.relative_error, exact)))


def _error(W, z, X, y, rho: float) -> ConstructionError:
    """As float64 gives it here."""
    inputs, norms = X @ W.T, row_norms(X)[:, None] * row_norms(W)
    margin = np.divide(np.abs(inputs), norms, out=np.zeros_like(inputs), where=norms > 0)
    error = np.max(np.abs(leaky_relu(inputs, rho) @ z - y)) / label_scale(y)
    return ConstructionError(float(error), float(np.min(margin)), len(z))


def global_minimum(
    X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"], rho: float
) -> tuple[Float[np.ndarray, "d1 d0"], Float[np.ndarray, " d1"]]:
    """Theorem 8: (W, z) with f(X W^T) z = y up to 1e-9 max(1, max|y|) and no neural input zero: proven in exact
    arithmetic, and in float64 as NumPy evaluates it.

    X (N, d0), one row per point, d0 >= 2; y (N,) real (the theorem: 0 or 1); rho any finite slope but 1.
    W (d1, d0), z (d1,), d1 <= d1* = 4 ceil(N / (2 d0 - 2)), by pairs of units: the module's docstring says how and why.
    The same arguments give the same answer on one machine. Time grows as N^3: seconds at N = 2000.

    Raises:
      ValueError: arguments of wrong shape, type or value, with their shape; points not in general position, with rows:
        a row of zeros, whose neural inputs can only be zero; rows of the same direction, x' = c x with c > 0
        (rho = -1: c != 0), unless labels are y' = |c| y; more pairs of rows x, -x than dimensions, with y(x) - y(-x)
        not linear in x; too many points in a subspace of few dimensions: rank(A o X) stays below the number of distinct
        directions; directions so close, with labels so different, that float64 cannot tell them apart to 1e-9; norms of
        rows so different that weights in float64 cannot be right for all to 1e-9.

    Example:
      W, z = global_minimum(X, y, rho=0.0)
      construction_error(W, z, X, y, rho=0.0).relative_error  # below 1e-9
    """
    X, y = check_points(X, y)
    require(X.shape[1] >= 2, f"X: has shape {X.shape}; Theorem 8 needs points of at least d0 = 2 numbers")
    rho = float(on_host("rho", rho, (), "give one number"))
    check_rho(rho)
    check_not_zero(X)
    rays = distinct_rays(X, y, rho)
    # Points (M, r) of unit length and nearly white, r = rank(X); w @ to_weights are the weights for X itself.
    U, S, Vt = np.linalg.svd(rays.unit, full_matrices=False)
    r = int(np.count_nonzero(S / S[0] > max(rays.unit.shape) * EPS))
    points, to_weights = U[:, :r] / np.linalg.norm(U[:, :r], axis=1, keepdims=True), Vt[:r] / S[:r, None]
    M, pairs = len(points), 2 * -(-len(X) // (2 * X.shape[1] - 2))
    can_be_full = antipodes_are_free(rays, label_scale(y)) and pairs * r >= M
    draws = (4 if M * pairs * r > 1e6 else 16) if can_be_full else 1
    best, best_error, rank, rng = None, np.inf, 0, np.random.default_rng(0)
    for draw in range(draws):
        w = _directions(points, rays.line, pairs, rho, draw, rng)
        w, roots = (np.array(part) for part in zip(*(_centre(w_k, points) for w_k in w), strict=True))
        solve, found = _least_norm(w, roots, points, rho, full_rank_only=draw < draws - 1 or best is not None)
        rank = max(rank, found)
        for network in _networks(solve, w, roots, points, to_weights, rays, X, y, rho) if solve else ():
            error, margin, _ = _error(*network, X, y, rho)
            if best is None or (error < best_error and margin > 0):
                best, best_error = network, error if margin > 0 else np.inf
        if best_error <= ENOUGH or (best_error <= TOLERANCE and draw >= 2):
            break
    assert best is not None  # the last draw takes any rank
    missed = largest_error(*best, X, y, rho) / label_scale(y)
    if not max(best_error, np.max(missed)) <= TOLERANCE:  # or NaN
        missed = np.maximum(missed, np.abs(leaky_relu(X @ best[0].T, rho) @ best[1] - y) / label_scale(y))
        raise UserError(_why_not(X, rays, missed, r, 2 * pairs, rank))
    return best


def _directions(points: np.ndarray, line: np.ndarray, pairs: int, rho: float, draw: int, rng) -> np.ndarray:
    """w (K, r), new ones at each draw, at which every point is active for some k unless K is small."""
    r = points.shape[1]
    if r == 1:
        return np.array([[1.0], [-1.0]])
    if r > FEW_DIMENSIONS:
        w = rng.standard_normal((pairs, r))
    else:
        anchors = _anchors(points[np.unique(line, return_index=True)[1]], pairs * (r - 1), rng)
        w = np.linalg.svd(anchors.reshape(pairs, r - 1, r))[2][:, -1]  # orthogonal to its r - 1 anchors
    for _ in range(100):
        w = w * rng.choice([-1.0, 1.0], size=(len(w), 1))
        if np.all(np.any(points @ w.T > 0, axis=1)):
            break
    # A pair w, -w makes every point active (rho = 0). Near rho = -1 it would be the same unit twice. With K = 2 each
    # side of w, or at rho = -1 of both (w_0 . x)(w_1 . x) > 0 and < 0, fits r points: divide the points evenly.
    if r > 2 and (r > FEW_DIMENSIONS or (pairs <= 8 and draw % 2)):
        many = rng.standard_normal((300, r))
        sides = np.sign(points @ many.T) * (1.0 if rho > -0.5 else np.sign(points @ w[:1].T))
        w[1] = many[np.argmin(np.abs(np.sum(sides, axis=0)))]
        w[0] = -w[1] if rho > -0.5 else w[0]
    return w


def _anchors(points: np.ndarray, count: int, rng) -> np.ndarray:
    """Near-middles (count, r) of edges of the minimum spanning tree of the points' lines; Gaussian beyond its size."""
    product = points @ points.T
    i, j = minimum_spanning_tree(2 - np.abs(product)).tocoo().coords
    other = points[j] * np.sign(product[i, j])[:, None]
    # Not the exact middles: on a lattice a plane through these also meets points.
    gaps = np.linalg.norm(points[i] - other, axis=1, keepdims=True)
    middles = rng.permutation(points[i] + other + 0.1 * gaps * rng.standard_normal(other.shape))[:count]
    return np.concatenate([middles, rng.standard_normal((count - len(middles), points.shape[1]))])


def _centre(w: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The minimum of M |w|^2 / 2 - sum_n log |w . x(n)| in w's cell, and the Cholesky factor of the Hessian there."""
    M, r = points.shape
    w = w / np.linalg.norm(w)
    for _ in range(40):
        scaled = points / (points @ w)[:, None]
        hessian = scaled.T @ scaled
        root = linalg.cholesky(hessian + (M + 4 * r * EPS * np.trace(hessian)) * np.eye(r), lower=True)
        downhill = scaled.sum(axis=0) - M * w
        step = linalg.cho_solve((root, True), downhill)
        if downhill @ step < 0.1:  # near enough
            break
        # Line search by bisection on the derivative, from here to the wall of the cell.
        rate, along, square = scaled @ step, M * (w @ step), M * (step @ step)
        low, high = 0.0, min(1e3, 1 / max(1e-3, -np.min(rate)))
        for _ in range(30):
            middle = (low + high) / 2
            uphill = along + middle * square > np.sum(rate / (1 + middle * rate))
            low, high = (low, middle) if uphill else (middle, high)
        w = w + low * step
    return w, root


def _least_norm(w, roots, points: np.ndarray, rho: float, full_rank_only: bool) -> tuple[Callable | None, int]:
    """The map from b (M,) to the phi of least norm with (A o X) vec(v) = b, v_k = root_k^-T phi_k, and rank(A o X).
    |phi|^2 is sum_k v_k^T H_k v_k. Below full rank, least squares; with full_rank_only None instead, and 0."""
    slopes = np.where(points @ w.T > 0, 1.0, rho)
    system = [a * linalg.solve_triangular(L, points.T, lower=True) for a, L in zip(slopes.T, roots, strict=True)]
    system = np.concatenate(system)  # (K r, M), the transpose
    if len(system) >= len(points):
        Q, R = cast(tuple[np.ndarray, np.ndarray], linalg.qr(system, mode="economic", check_finite=False))
        if np.min(np.abs(np.diag(R))) > RANK * np.max(np.abs(np.diag(R))):
            return lambda b: Q @ linalg.solve_triangular(R, b, trans=1), len(points)
    if full_rank_only:
        return None, 0
    U, S, Vt = linalg.svd(system, full_matrices=False, check_finite=False)
    rank = int(np.count_nonzero(S / S[0] > RANK))
    return lambda b: U[:, :rank] @ (Vt[:rank] @ b / S[:rank]), rank


def _networks(solve: Callable, w, roots, points, to_weights, rays: Rays, X, y, rho):
    """Yields three networks (W, z), each corrected by the residual of the one before; z_i = 0 where v_k = 0."""
    length = rays.length * np.linalg.norm(rays.unit @ to_weights.T, axis=1)  # of the points before they had length 1
    scale = np.max(np.abs(rays.y / length)) or 1.0
    # The units of a pair are near each other, so that sums over units, in order or by 32 lanes, never grow large.
    order = np.argsort(np.tile(np.arange(len(w)) // 32, 2), kind="stable")
    phi, residual = 0.0, rays.y
    for _ in range(3):
        phi = phi + solve(residual / length / scale)
        v = np.linalg.solve(np.swapaxes(roots, 1, 2), phi.reshape(*w.shape, 1))[:, :, 0]
        largest = np.max(np.abs(points @ v.T) / np.abs(points @ w.T), axis=0)
        s = np.where(largest > 0, largest, 1.0)[:, None]  # neural inputs keep at least half of s_k |w_k . x(n)|
        product = (np.concatenate([s * w + v / 2, s * w - v / 2]) @ to_weights * scale)[order]  # |z_i| w_i
        norms = row_norms(product)
        # Rows of W get similar lengths, by powers of 2: dividing by them is exact.
        z = 2.0 ** np.round(np.log2(norms / np.sqrt(np.max(norms))))
        W, z = product / z[:, None], z * np.concatenate([largest > 0, -1.0 * (largest > 0)])[order]
        yield W, z
        residual = (y - leaky_relu(X @ W.T, rho) @ z)[rays.row]


def _why_not(X: np.ndarray, rays: Rays, missed: np.ndarray, r: int, units: int, rank: int) -> str:
    if rank < (M := len(rays.row)):
        rows = np.argsort(-missed, kind="stable")[: np.count_nonzero(missed > TOLERANCE)]
        worst = f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows[:NAMED]))}"
        worst += f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
        why = f"its {M} directions in {r} dimensions need rank(A o X) = {M}, {units} units reach {rank}: {worst}"
    elif np.max(rays.length) > UNEVEN * np.min(rays.length):
        return (
            f"X: of shape {X.shape} has rows of norm {np.min(rays.length):.1e} to {np.max(rays.length):.1e}, too "
            f"different for weights in float64 (relative error {np.max(missed):.1e}): divide each row, and its label, "
            "by the row's norm; the same networks fit that"
        )
    else:
        value, apart = rays.y / rays.length, np.sqrt(np.maximum(2 - 2 * rays.unit @ rays.unit.T, EPS))
        i, j = np.unravel_index(np.argmax(np.abs(value[:, None] - value) / apart), (M, M))
        angle = np.linalg.norm(rays.unit[i] - rays.unit[j])
        why = f"too steep for float64, most from row {rays.row[i]} to {rays.row[j]}, {angle:.1e} apart in direction"
    return f"X: of shape {X.shape} is not in general position: {why} (relative error {np.max(missed):.1e})"
