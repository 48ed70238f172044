"""Points at kinks: whether one is a local minimum, by the multipliers of the pairs (neuron, point) held at zero.

With r = f(X W^T) z + c - y, L = |r|^2 / 2 and B_k the points at which neuron k is zero, let

    psi_k(v) = g_k . v + sum_{n in B_k} r_n f(v . x(n)),    g_k = sum_{n not in B_k} r_n a_nk x(n).

For moves (dW, dz) = (v, u) so small that no other neural input changes sign

    Delta L = sum_k u_k (h_k . r) + sum_k (z_k + u_k) psi_k(v_k) + |Delta F|^2 / 2,    h_k = f(X w_k),

without further terms. So (W, z) is a local minimum iff for every k h_k . r = 0, and z_k psi_k >= 0 (z_k not 0) or
psi_k = 0 (z_k = 0); with an output bias also sum(r) = 0. At the face's minimum g_k = -sum_{n in B_k} lambda_n x(n), and
for independent points of B_k z_k psi_k >= 0 iff z_k (r_n - lambda_n) >= 0 and z_k (lambda_n - rho r_n) >= 0 for all of
them. Points of B_k on one line, x(n) = c_n x, share a multiplier: r_n and rho r_n become sums over them.

Such a slack may be zero at every minimum of the face, since it is a linear functional c . r of the residual: exactly
where c is in the span of the face's columns. The rank modulo a prime decides that. What is neither positive by more
than its error bound nor proven zero is undecided.

Source: ours; the theorem agrees with Wu, Simsek and Ged (arXiv 2402.05626)."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mnnjax.landscape.certificates.faces import EXACT_ENTRIES, Face, FaceSystem, lines, make_face
from mnnjax.landscape.certificates.nearest_minimum import Point, RegionProblem, evaluate, margin_of
from mnnjax.landscape.numerics import EPS, TINY, leaky_relu, row_norms
from mnnjax.landscape.regions.exact_rank import PRIME, rank_modulo_prime, residues
from mnnjax.landscape.regions.minima import ZERO_TO_ROUNDING

STEPS = 3  # of moves to the face's minimum, each of which corrects the rounding of the one before
HALF = pow(2, -1, PRIME)
TRIED = [2.0**-k for k in range(1, 60)]  # steps along a direction of descent


class KinkFinding(NamedTuple):
    """kind: "minimum", "saddle", "not_converged" or "undecided". minimum: of the face, where it was proven; e its
    residual to the Euclidean distance e_distance; zero: whether that is zero. margin: of the neural inputs that are not
    held. descent: (dW, dz), where the loss is below the point's. kinks: the number of pairs held."""

    kind: Literal["minimum", "saddle", "not_converged", "undecided"]
    reason: str
    minimum: Point | None = None
    e: Float[np.ndarray, " N"] | None = None
    e_distance: float = np.nan
    zero: bool = False
    margin: float = np.nan
    descent: tuple[Float[np.ndarray, "d1 d0"], Float[np.ndarray, " d1"]] | None = None
    kinks: int = 0


class _Slack(NamedTuple):
    """How steeply the loss rises along a ray of neuron k on which its other held points stay at zero, over |z_k|: to an
    error bound; ray: the change of w_k. It is zero at all minima of the face if (top, -1 at a row of C) is in the span
    of Face.exact's columns; top: residues modulo the prime."""

    value: float
    error: float
    neuron: int
    ray: Float[np.ndarray, " d0"]
    top: Int[np.ndarray, " N"]
    row: int


@np.errstate(all="ignore")  # what is nan proves nothing
def at_kinks(problem: RegionProblem, point: Point, B: Bool[np.ndarray, "N d1"]) -> KinkFinding:
    """What the point is, with the pairs B held at zero."""
    X, z = problem.X, point.z
    moving = (z != 0) & point.W.any(axis=1)
    kinks, resting_B, B = int(B.sum()), B & ~moving, B & moving
    # Neurons with z_k = 0, or w_k = 0, stay as they are: they contribute nothing.
    A = np.where(moving, problem.A, 0.0)
    face = make_face(X, A, B, problem.has_bias)
    if isinstance(face, str):
        return KinkFinding("undecided", face, kinks=kinks)
    system = FaceSystem(face, z)
    if system.doubt:
        return KinkFinding("undecided", system.doubt, kinks=kinks)
    moved, off = _to_minimum(problem, point, face, system)
    missing, e_distance = system.still_missing(moved.e, moved.e_error + _output_error(problem, moved, off))
    missing = missing + off
    margin, reason = margin_of(problem, moved, missing, ~(B | resting_B), "face")
    if reason:
        return KinkFinding("not_converged", reason, kinks=kinks)
    e = system.region_residual(moved.e)
    size, at_most = float(np.linalg.norm(e)), ZERO_TO_ROUNDING * float(np.linalg.norm(problem.y))
    zero = not (e.any() or e_distance) or not problem.y.any() or (size <= e_distance <= at_most)
    found = KinkFinding("minimum", "", moved, e, e_distance, zero, margin, kinks=kinks)
    if zero:
        return found
    return _decide(problem, point, face, found, e, moving, resting_B)


def _to_minimum(problem: RegionProblem, point: Point, face: Face, system: FaceSystem):
    """The computed minimum of the face with z fixed, and how far its w_k (d1,) are from exact weights of the face."""
    for _ in range(STEPS):
        dW, dc = system.change(point.e)
        W = point.W + dW
        for k, h in enumerate(face.held):
            if len(h.firsts):
                rows = face.X[h.firsts]
                W[k] -= np.linalg.lstsq(rows, rows @ W[k], rcond=None)[0]
        point = evaluate(W, point.z, point.c + dc, problem.X, problem.y, problem.rho, sharply=True)
    off = np.zeros(len(point.z))
    for k, h in enumerate(face.held):
        if len(h.firsts):
            off[k] = np.linalg.norm(np.abs(point.U[h.firsts, k]) + point.U_error[h.firsts, k]) / h.sigma
    return point, off


def _output_error(problem: RegionProblem, point: Point, off: Float[np.ndarray, " d1"]) -> Float[np.ndarray, " N"]:
    """By how much outputs (N,) may change when each w_k moves by at most off_k."""
    largest = max(1.0, abs(problem.rho))
    return largest * row_norms(problem.X) * float(np.abs(point.z) @ off) * (1 + 1e-10) + TINY


def _decide(problem: RegionProblem, start: Point, face: Face, found: KinkFinding, e, moving, B) -> KinkFinding:
    """The finding for a residual e that is not zero: by multipliers, and by neurons that do not move."""
    r, error = -e, found.e_distance + (len(e) + 2) * EPS * float(np.linalg.norm(e))
    slacks = _slacks(problem, face, start.z, r, error)
    falling = [s for s in slacks if s.value < -s.error]
    if falling:
        worst = min(falling, key=lambda s: s.value / np.linalg.norm(s.ray))
        dW = np.zeros_like(start.W)
        dW[worst.neuron] = worst.ray
        reason = f"the loss falls where neuron {worst.neuron} leaves a point at which its neural input is zero"
        return _saddle(problem, start, found, [(dW, np.zeros_like(start.z))], reason)
    resting = _of_resting(problem, start, r, error, moving, B)
    if isinstance(resting, KinkFinding):
        return found._replace(kind=resting.kind, reason=resting.reason)
    if isinstance(resting, tuple):
        return _saddle(problem, start, found, *resting)
    tight = [(s.top, s.row) for s in slacks if not s.value > s.error] + [(top, -1) for top in resting]
    if not tight:
        return found
    if not _in_span(face, tight):
        what = f"{len(tight)} multipliers or gradients cannot be told from where the loss begins to fall"
        return found._replace(kind="undecided", reason=what)
    return found


def _slacks(problem: RegionProblem, face: Face, z, r, error: float) -> list[_Slack]:
    """Both slacks of every line at which a neuron is held, for the face's residual -r to the distance `error`."""
    X, rho, slacks, row = problem.X, problem.rho, list[_Slack](), 0
    lengths = row_norms(X)
    for k, h in enumerate(face.held):
        if not len(h.firsts):
            continue
        rows, a = X[h.firsts], face.A[:, k]
        g = (a * r) @ X
        multipliers = -np.linalg.lstsq(rows.T, g, rcond=None)[0]
        size = float(np.abs(a * r) @ lengths) + float(np.abs(multipliers) @ lengths[h.firsts])
        left = float(np.linalg.norm(g + multipliers @ rows)) + (len(r) + len(rows) + 4) * EPS * size
        off = (left + error * float(np.linalg.norm(a * lengths))) / h.sigma
        # w_k . first changes by 1 at one line and by 0 at the others.
        rays = np.linalg.lstsq(rows, np.eye(len(rows)), rcond=None)[0].T
        for j, multiplier in enumerate(multipliers):
            points, factors = h.points[h.line == j], h.factors[h.line == j]
            for side in (1, -1):
                active = np.where(factors * side > 0, 1.0, rho)
                slopes = active * factors
                sizes = float(np.abs(slopes) @ np.abs(r[points])) + abs(float(multiplier))
                top = np.zeros(len(X), np.int64)
                top[points] = residues(active) * residues(factors) % PRIME
                value = np.sign(z[k]) * side * float(slopes @ r[points] - multiplier)
                bound = off + float(np.linalg.norm(slopes)) * error + (len(points) + 4) * EPS * sizes
                slacks.append(_Slack(value, bound, k, side * rays[j], top, row + j))
        row += len(rows)
    return slacks


def _of_resting(problem: RegionProblem, start: Point, r, error: float, moving, B):
    """Of neurons with z_k = 0 or w_k = 0: the vectors (N,) that must be in the span of the face's columns for psi_k to
    be zero; or directions along which the loss falls, and a reason; or a finding, where it is open or no minimum."""
    X, rho, needed, lengths = problem.X, problem.rho, list[np.ndarray](), row_norms(problem.X)
    for k in np.flatnonzero(~moving):
        z, at_zero = start.z[k], B[:, k] | ~start.W[k].any()
        a = np.where(at_zero, 0.0, problem.A[:, k])
        candidates = np.vstack([(a * r) @ X, r @ X, X[at_zero & (lengths > 0)]])
        candidates = candidates[candidates.any(axis=1)]
        candidates = np.vstack([candidates, -candidates]) / np.tile(row_norms(candidates), 2)[:, None]
        slopes = np.where(at_zero[:, None], leaky_relu(X @ candidates.T, rho), a[:, None] * (X @ candidates.T))
        psi = r @ slopes
        largest = max(1.0, abs(rho))
        rounding = (len(r) + X.shape[1] + 4) * EPS * float(np.abs(r) @ lengths)
        bound = largest * (error * float(np.linalg.norm(lengths)) + rounding)
        if abs(float(a * r @ (X @ start.W[k]))) > bound * float(np.linalg.norm(start.W[k])):
            return KinkFinding("not_converged", f"the gradient in z of neuron {k}, whose z is zero, is not zero")
        sure = np.abs(psi) > bound
        falls = sure if z == 0 else sure & (z * psi < 0)
        if falls.any():
            best = int(np.argmax(np.where(falls, np.abs(psi), 0.0)))
            directions = []
            for share in (1.0, 0.1, 0.01, 1e-3) if z == 0 else (0.0,):
                dW, dz = np.zeros_like(start.W), np.zeros_like(start.z)
                dW[k], dz[k] = candidates[best], -share * np.sign(psi[best])
                directions.append((dW, dz))
            what = "z is zero" if z == 0 else "its weights are zero"
            return directions, f"the loss falls where neuron {k} turns, of which {what}"
        if z != 0:
            what = f"the weights of neuron {k} are zero, and whether the loss falls along some others is open"
            return KinkFinding("undecided", what)
        # f(t) = (1 + rho) / 2 t + (1 - rho) / 2 |t|, and the moduli of different lines are independent functions.
        slope = np.where(at_zero, (residues(np.ones(1)) + residues(np.array([rho]))) * HALF % PRIME, residues(a))
        needed += list((slope[:, None] * residues(X) % PRIME).T)
        points = np.flatnonzero(at_zero & (lengths > 0))
        firsts, line, factors = lines(X, points)
        for j in range(len(firsts)):
            top = np.zeros(len(X), np.int64)
            top[points[line == j]] = residues(np.abs(factors[line == j]))
            needed.append(top)
    return needed


def _saddle(problem: RegionProblem, start: Point, found: KinkFinding, directions, reason: str) -> KinkFinding:
    """A saddle, if the loss at some step along one of the directions is below the start's by more than rounding."""
    here, here_error = _loss(start)
    for dW, dz in directions:
        size = max(float(np.linalg.norm(dW)), float(np.linalg.norm(dz)))
        scale = (max(float(np.linalg.norm(start.W)), float(np.linalg.norm(start.z))) or 1.0) / size
        for step in TRIED:
            t = step * scale
            there, error = _loss(
                evaluate(start.W + t * dW, start.z + t * dz, start.c, problem.X, problem.y, problem.rho)
            )
            if there + error < here - here_error:
                return found._replace(kind="saddle", reason=reason, descent=(t * dW, t * dz))
    return found._replace(kind="undecided", reason=f"{reason}, but by less than rounding")


def _loss(point: Point) -> tuple[float, float]:
    """|e|^2 and a bound on its error."""
    e, off = np.abs(point.e), point.e_error
    return float(e @ e), float((2 * e + off) @ off) + (len(e) + 2) * EPS * float(e @ e)


def _in_span(face: Face, vectors) -> bool:
    """Whether all (top, row of C) are in the span of face.exact()'s columns."""
    rows, columns = face.exact_shape
    if rows * (columns + len(vectors)) > EXACT_ENTRIES:
        return False
    S = face.exact()
    V = np.zeros((len(S), len(vectors)), np.int64)
    for j, (top, row) in enumerate(vectors):
        V[: len(top), j] = top
        if row >= 0:
            V[len(top) + row, j] = PRIME - 1
    return rank_modulo_prime(np.hstack([S, V])) == rank_modulo_prime(S)
