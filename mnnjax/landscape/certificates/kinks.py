"""Points at kinks: whether one is a local minimum, by the multipliers of the pairs (neuron, point) held at zero.

With r = f(X W^T) z + c - y, L = |r|^2 / 2 and B_k the points at which neuron k is zero, let

    psi_k(v) = g_k . v + sum_{n in B_k} r_n f(v . x(n)),    g_k = sum_{n not in B_k} r_n a_nk x(n).

For moves (dW, dz) = (v, u) so small that no other neural input changes sign

    Delta L = sum_k u_k (h_k . r) + sum_k (z_k + u_k) psi_k(v_k) + |Delta F|^2 / 2,    h_k = f(X w_k),

without further terms. So (W, z) is a local minimum iff for every k h_k . r = 0, and z_k psi_k >= 0 (z_k not 0) or
psi_k = 0 (z_k = 0); with an output bias also sum(r) = 0. At the face's minimum g_k = -sum_{n in B_k} lambda_n x(n), and
for independent points of B_k z_k psi_k >= 0 iff z_k (r_n - lambda_n) >= 0 and z_k (lambda_n - rho r_n) >= 0 for all of
them. Points of B_k on one line, x(n) = c_n x, share a multiplier: r_n and rho r_n become sums over them. The lines may
depend on each other, as they do for w_k = 0, where B_k has all points. Then psi_k is judged along the extreme rays of
its cells, or by convexity (cones.py).

Such a slack is a linear functional c . r of the residual of the face's minima. It may be exactly zero: always where c
is in the span of the face's columns, or because the data are small integers. The normal equations modulo a prime decide
that. What is neither positive by more than its error bound nor proven zero is undecided.

Source: ours; the theorem agrees with Wu, Simsek and Ged (arXiv 2402.05626)."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mnnjax.landscape.certificates.cones import extreme_rays, has_multipliers
from mnnjax.landscape.certificates.faces import (
    EXACT_ENTRIES,
    Face,
    FaceSystem,
    Held,
    exact_multiples,
    hold,
    lines,
    make_face,
)
from mnnjax.landscape.certificates.nearest_minimum import Point, RegionProblem, evaluate, margin_of
from mnnjax.landscape.numerics import EPS, TINY, leaky_relu, row_norms
from mnnjax.landscape.regions.exact_rank import PRIME, multiply_modulo_prime, residues
from mnnjax.landscape.regions.minima import ZERO_TO_ROUNDING

STEPS = 3  # of moves to the face's minimum, each of which corrects the rounding of the one before
MOST_TURNS = 1000  # points to which an idle neuron is turned
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
    error bound; ray: the change of w_k. It is top . r - the multiplier of a row of C (-1: 0), of Face.exact_minimum, up
    to a factor; top: residues modulo the prime."""

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
    e = np.where(system.live, system.region_residual(moved.e), problem.y)
    if (np.abs(e) <= np.where(system.live, 0.0, point.e_error)).all():
        e[:] = 0.0  # of labels that no weight reaches, rounding of the outputs explains what there is
    if not system.zero:
        e_distance += float(np.linalg.norm((e - moved.e)[system.live]))
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
            if len(h.spanning):
                rows = face.X[h.spanning]
                W[k] -= np.linalg.lstsq(rows, rows @ W[k], rcond=None)[0]
        point = evaluate(W, point.z, point.c + dc, problem.X, problem.y, problem.rho, sharply=True)
    off = np.zeros(len(point.z))
    for k, h in enumerate(face.held):
        if len(h.spanning):
            off[k] = np.linalg.norm(np.abs(point.U[h.spanning, k]) + point.U_error[h.spanning, k]) / h.sigma
    return point, off


def _output_error(problem: RegionProblem, point: Point, off: Float[np.ndarray, " d1"]) -> Float[np.ndarray, " N"]:
    """By how much outputs (N,) may change when each w_k moves by at most off_k."""
    largest = max(1.0, abs(problem.rho))
    return largest * row_norms(problem.X) * float(np.abs(point.z) @ off) * (1 + 1e-10) + TINY


def _decide(problem: RegionProblem, start: Point, face: Face, found: KinkFinding, e, moving, B) -> KinkFinding:
    """The finding for a residual e that is not zero: by multipliers, rays, and neurons that do not move."""
    r, error = -e, found.e_distance + (len(e) + 2) * EPS * float(np.linalg.norm(e))
    slacks, turns, doubt = list[_Slack](), list[tuple[int, float, np.ndarray]](), ""
    for k in np.flatnonzero(start.z == 0):
        at_zero = np.asarray(B[:, k] | ~start.W[k].any())
        slopes = np.where(at_zero, 0.0, problem.A[:, k])
        if not _stationary(problem.X, start.W[k], r, error, slopes):
            return found._replace(
                kind="not_converged", reason=f"the gradient in z of neuron {k}, whose z is zero, is not zero"
            )
        if (turn := falling_turn(problem.X, r, error, problem.rho, at_zero=at_zero, slopes=slopes)) is not None:
            turns.append((int(k), turn.slope, turn.direction))
        if (needed := _of_zero_z(problem.X, problem.rho, int(k), at_zero, slopes)) is None:
            doubt = f"whether the loss falls where neuron {k} turns, of which z is zero, is open at so many points"
        slacks += needed or []
    row, at_all = 0, None
    for k, held in enumerate(face.held):
        if not moving[k] and start.z[k]:
            held = at_all = at_all or _held_at_all(problem.X)
        if not len(held.points):
            continue
        if held.independent and moving[k]:
            slacks += _of_multipliers(problem, face, k, start.z[k], held, row, r, error)
        elif (more := _of_cones(problem, face, k, start.z, moving, held, r, error)) is not None:
            slacks += more
        else:
            doubt = f"neuron {k} is zero at {len(held.points)} points, and whether the loss falls off them is open"
        row += len(held.spanning) if moving[k] else 0
    falling = [s for s in slacks if s.value < -s.error]
    if falling:
        worst = min(falling, key=lambda s: s.value / np.linalg.norm(s.ray))
        dW = np.zeros_like(start.W)
        dW[worst.neuron] = worst.ray
        what = "leaves a point at which its neural input is zero" if moving[worst.neuron] else "leaves zero weights"
        reason = f"the loss falls where neuron {worst.neuron} {what}"
        return _saddle(problem, start, found, [(dW, np.zeros_like(start.z))], reason)
    if turns:
        k, slope, v = max(turns, key=lambda turn: abs(turn[1]))
        directions = []
        for share in (1.0, 0.1, 0.01, 1e-3):
            dW, dz = np.zeros_like(start.W), np.zeros_like(start.z)
            dW[k], dz[k] = v, -share * np.sign(slope)
            directions.append((dW, dz))
        return _saddle(problem, start, found, directions, f"the loss falls where neuron {k} turns, of which z is zero")
    if doubt:
        return found._replace(kind="undecided", reason=doubt)
    tight = [s for s in slacks if not s.value > s.error]
    if tight and not _exactly_zero(face, problem.y, tight):
        what = f"{len(tight)} multipliers or gradients cannot be told from where the loss begins to fall"
        return found._replace(kind="undecided", reason=what)
    return found


def _stationary(X, w, r, error: float, slopes) -> bool:
    """Whether the gradient in z of a neuron with weights w, r . f(X w), may be zero."""
    outputs = slopes * (X @ w)
    sizes = np.abs(slopes) * row_norms(X) * float(np.linalg.norm(w))
    rounding = (len(r) + len(w) + 4) * EPS * float(np.abs(r) @ sizes)
    return not abs(float(r @ outputs)) > error * float(np.linalg.norm(sizes)) + rounding


def _of_multipliers(problem: RegionProblem, face: Face, k: int, z: float, h: Held, row: int, r, error: float):
    """Both slacks of every line at which neuron k is held, where the lines are independent, for the face's residual -r
    to the distance `error`. row: the first of C's that are of this neuron."""
    X, rho, slacks, lengths = problem.X, problem.rho, list[_Slack](), row_norms(problem.X)
    rows, a = X[h.spanning], face.A[:, k]
    g = (a * r) @ X
    multipliers = -np.linalg.lstsq(rows.T, g, rcond=None)[0]
    size = float(np.abs(a * r) @ lengths) + float(np.abs(multipliers) @ lengths[h.spanning])
    left = float(np.linalg.norm(g + multipliers @ rows)) + (len(r) + len(rows) + 4) * EPS * size
    off = (left + error * float(np.linalg.norm(a * lengths))) / h.sigma
    # w_k . x changes by 1 at one line's first point x and by 0 at the others'.
    rays = np.linalg.lstsq(rows, np.eye(len(rows)), rcond=None)[0].T
    for j, multiplier in enumerate(multipliers):
        points, factors = h.points[h.line == j], h.factors[h.line == j]
        for side in (1, -1):
            active = np.where(factors * side > 0, 1.0, rho)
            slopes = active * factors
            sizes = float(np.abs(slopes) @ np.abs(r[points])) + abs(float(multiplier))
            top = np.zeros(len(X), np.int64)
            top[points] = residues(active) * exact_multiples(X, points, np.full(len(points), h.spanning[j])) % PRIME
            value = np.sign(z) * side * float(slopes @ r[points] - multiplier)
            bound = off + float(np.linalg.norm(slopes)) * error + (len(points) + 4) * EPS * sizes
            slacks.append(_Slack(value, bound, k, side * rays[j], top, row + j))
    return slacks


def _held_at_all(X) -> Held:
    """What holds a neuron whose weights are zero: all points but those at the origin."""
    points = np.flatnonzero(X.any(axis=1))
    firsts, line, factors = lines(X, points)
    return Held(firsts, False, points, line, factors, np.zeros((X.shape[1], 0)), 0.0, 0.0)


def _of_cones(problem: RegionProblem, face: Face, k: int, z, moving, h: Held, r, error: float) -> list[_Slack] | None:
    """What z_k psi_k >= 0 needs where the points of B_k depend on each other; None where that is open."""
    X, rho, sign, points = problem.X, problem.rho, float(np.sign(z[k])), h.points
    a = np.zeros(len(X)) if not moving[k] else face.A[:, k]
    firsts = np.unique(h.line, return_index=True)[1]
    if (rays := extreme_rays(X[points], firsts)) is None:
        at_zero = np.isin(np.arange(len(X)), points)
        turn = falling_turn(X, r, error, rho, sign=sign, at_zero=at_zero, slopes=a)
        if turn is not None:
            return [_Slack(-abs(turn.slope), turn.error, k, turn.direction, np.zeros(len(X), np.int64), -1)]
        return _of_convexity(problem, face, k, z, moving, h, a, r, error)
    slacks, exact_X = list[_Slack](), residues(X)
    for ray in rays:
        along = multiply_modulo_prime(exact_X, ray.residues[:, None])[:, 0]
        U, moduli = X @ ray.direction, np.abs(X) @ np.abs(ray.direction)
        for side in (1, -1):
            slopes = a.copy()
            slopes[points] = np.where(ray.sides * side > 0, 1.0, np.where(ray.sides, rho, 0.0))
            sizes = np.abs(slopes) * moduli
            rounding = (len(r) + X.shape[1] + 6) * EPS * float(np.abs(r) @ sizes)
            value = sign * side * float(r @ (slopes * U))
            bound = error * float(np.linalg.norm(sizes)) + rounding
            top = residues(slopes) * along % PRIME
            slacks.append(_Slack(value, bound, k, side * ray.direction, top, -1))
    return slacks


def _of_convexity(problem: RegionProblem, face: Face, k: int, z, moving, h: Held, a, r, error: float):
    """The same where all terms of z_k psi_k are convex: what must be zero, if the rest is proven; None where it is
    not."""
    X, rho, points, lengths = problem.X, problem.rho, h.points, row_norms(problem.X)
    convex = np.sign(z[k]) * np.sign(1 - rho) * r[points]
    if (convex < -error).any():
        return None
    zero = points[convex <= error]
    if len(zero) * len(X) > EXACT_ENTRIES:
        return None
    slacks = [_Slack(0.0, np.inf, k, X[n], (np.arange(len(X)) == n).astype(np.int64), -1) for n in zero]
    # Another neuron's multipliers, r_n a_nj off its kinks, are ones of this neuron.
    others = [j for j in np.flatnonzero(moving) if not len(face.held[j].points) or z[j] * z[k] > 0]
    if not moving[k] and others:
        return slacks
    strict = points[convex > error]
    if not len(strict) or (spanning := hold(X, strict)) is None:
        return slacks if not len(strict) and not moving[k] else None
    if moving[k] and len(spanning.spanning) < len(h.spanning):
        return None
    g = (a * r) @ X
    g_error = error * float(np.linalg.norm(a * lengths)) + (len(r) + 4) * EPS * float(np.abs(a * r) @ lengths)
    ends = np.stack([rho * r[strict], r[strict]], axis=1)
    proven = has_multipliers(X[strict], g, g_error, ends, max(1.0, abs(rho)) * error, spanning.sigma)
    return slacks if proven else None


def _of_zero_z(X, rho: float, k: int, at_zero, slopes) -> list[_Slack] | None:
    """What must be zero for psi_k to be, for a neuron with z_k = 0; None where that is too much."""
    # f(t) = (1 + rho) / 2 t + (1 - rho) / 2 |t|, and the moduli of different lines are independent functions.
    halves = (residues(np.ones(1)) + residues(np.array([rho]))) * HALF % PRIME
    linear = np.where(at_zero, halves, residues(slopes))
    needed = list((linear[:, None] * residues(X) % PRIME).T)
    points = np.flatnonzero(at_zero & X.any(axis=1))
    if len(points) * len(X) > EXACT_ENTRIES:
        return None
    firsts, line, factors = lines(X, points)
    for j in range(len(firsts)):
        top = np.zeros(len(X), np.int64)
        some = points[line == j]
        signs = np.where(factors[line == j] > 0, 1, -1)
        top[some] = signs * exact_multiples(X, some, np.full(len(some), firsts[j])) % PRIME
        needed.append(top)
    return [_Slack(0.0, np.inf, k, X[0], top, -1) for top in needed]


class Turn(NamedTuple):
    """A direction of length 1 for the weights of a neuron that is zero, psi along it, and the bound on psi's error."""

    direction: Float[np.ndarray, " d0"]
    slope: float
    error: float


def falling_turn(
    X: Float[np.ndarray, "N d0"], r: Float[np.ndarray, " N"], error: float, rho: float, *, sign: float = 0.0,
    at_zero: Bool[np.ndarray, " N"] | None = None, slopes: Float[np.ndarray, " N"] | None = None,
) -> Turn | None:  # fmt: skip
    """The steepest of some directions v in which an idle neuron can turn so that the loss then falls: psi(v) is proven
    not to be zero (sign 0: z_k = 0, or z_k may become so), or sign psi(v) to be negative. None where none is found.

    X (N, d0). r (N,): outputs less labels, to the Euclidean distance `error`. rho: slope for negative neural inputs.
    at_zero (N,): at which points the neuron is zero; default: at all. slopes (N,): its slopes at the others. Tried are
    both sides of the first 1000 points, of r X, and of the neuron's gradient; then the extreme rays of psi's cells, if
    they are few. Source: ours."""
    at_zero = np.ones(len(X), bool) if at_zero is None else at_zero
    a = np.zeros(len(X)) if slopes is None else np.where(at_zero, 0.0, slopes)
    lengths = row_norms(X)
    rounding = (len(r) + X.shape[1] + 4) * EPS * float(np.abs(r) @ lengths)
    bound = max(1.0, abs(rho)) * (error * float(np.linalg.norm(lengths)) + rounding)

    def steepest(axes: Float[np.ndarray, "q d0"]) -> Turn | None:
        directions = np.vstack([axes, -axes]) / np.tile(row_norms(axes), 2)[:, None]
        U = X @ directions.T
        psi = r @ np.where(at_zero[:, None], leaky_relu(U, rho), a[:, None] * U)
        sizes = np.where((np.abs(psi) > bound) & (sign * psi <= 0), np.abs(psi), 0.0)
        best = int(sizes.argmax())
        return Turn(directions[best], float(psi[best]), bound) if sizes[best] else None

    points = np.flatnonzero(at_zero & (lengths > 0))
    tried = np.vstack([(a * r) @ X, r @ X, X[points[:MOST_TURNS]]])
    tried = tried[tried.any(axis=1)]
    found = steepest(tried) if len(tried) else None
    if found is None and len(points):
        firsts = np.unique(lines(X, points)[1], return_index=True)[1]
        rays = extreme_rays(X[points], firsts)
        found = steepest(np.stack([ray.direction for ray in rays])) if rays else None
    return found


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


def _exactly_zero(face: Face, y, slacks: list[_Slack]) -> bool:
    """Whether all slacks are zero at the minima of the face for labels y (N,)."""
    if (found := face.exact_minimum(y)) is None:
        return False
    r, multipliers = found
    sums = multiply_modulo_prime(np.stack([s.top for s in slacks]), r[:, None])[:, 0]
    taken = np.append(multipliers, 0)[[s.row for s in slacks]]  # the row -1 is the last one
    return bool((sums == taken).all())
