"""Exact descent over faces: an active-set method for a loss that is quadratic on every closed cell of theta = |z| w.

For fixed signs s of z the output is F = sum_k s_k f(X theta_k) + c. It is continuous, and linear while the set of pairs
(point, neuron) at zero and the signs of the others stay. A step goes to the minimum of such a face: least squares, the
shortest step where it is not unique. It goes through kinks beyond which the loss still falls, up to the first at which
it rises; that pair is held at zero from then on. A neuron whose held pairs leave one direction free grows and shrinks
along it; where it passes zero, z changes its sign. At the minimum of a face each held pair has a slope of the loss to
either side, and the pair at which it falls most steeply is released. Where it falls at none, the point is a local
minimum (certificates/kinks.py). The loss never rises, and there are finitely many faces. A released pair without an
effect is held again, and stays so until the loss falls: this ends cycling at degenerate points. Source: ours."""

import dataclasses
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Bool, Float

from mnnjax.landscape.descent.line_search import first_minimum

AT_ZERO = 1e-11  # neural inputs below this fraction of |x| |theta| are at zero
AT_REST = 1e-22  # a step that lowers the loss by a smaller fraction of |y|^2 leads to the minimum of its face
ENOUGH = 1e-30  # of |y|^2: the loss is zero
SEEN = 1e-15  # a smaller fraction of |y|^2 is lost in the rounding of the loss
FLAT = 1e-9  # slopes of the loss below this fraction of the sum of their terms' sizes count as zero
QUIET = 4  # steps in a row that do not lower the loss
RIDGE = 1e-13  # of the largest diagonal entry of a Gram matrix
REFINED = 12  # times, at most


@dataclasses.dataclass
class State:
    """theta (d1, d0), c, the signs s of z, the neural inputs U (N, d1) with exact zeros at zero pairs, and which pairs
    are held; the held points of a neuron are linearly independent."""

    theta: Float[np.ndarray, "d1 d0"]
    c: float
    signs: Float[np.ndarray, " d1"]
    U: Float[np.ndarray, "N d1"]
    held: Bool[np.ndarray, "N d1"]


class Release(NamedTuple):
    """A direction v (d0,) of a neuron k in which its held point n, and no other, leaves zero, to the side +1 or -1."""

    n: int
    k: int
    side: int
    v: Float[np.ndarray, " d0"]


def loss_of(state: State, y: Float[np.ndarray, " N"], rho: float) -> float:
    """|F - y|^2."""
    r = residual(state, y, rho)
    return float(r @ r)


def residual(state: State, y: Float[np.ndarray, " N"], rho: float) -> Float[np.ndarray, " N"]:
    """F - y (N,)."""
    return np.where(state.U > 0, state.U, rho * state.U) @ state.signs + state.c - y


def at_points(
    X: Float[np.ndarray, "N d0"], theta: Float[np.ndarray, "d1 d0"], c: float, signs: Float[np.ndarray, " d1"],
    held: Bool[np.ndarray, "N d1"],
) -> State:  # fmt: skip
    """The state with these pairs at zero, to which theta is moved. Of a neuron's pairs those are held that are linearly
    independent of the former ones, nearest to zero first, and one direction always stays free."""
    theta, U, kept = theta.copy(), X @ theta.T, np.zeros_like(held)
    for k in np.flatnonzero(held.any(axis=0)):
        points = np.flatnonzero(held[:, k])
        points = points[np.argsort(np.abs(U[points, k]), kind="stable")]
        kept[_independent(X, points)[: X.shape[1] - 1], k] = True
    state = State(theta, c, signs.copy(), U, kept)
    for k in range(len(theta)):
        _settle(X, state, k)
    return state


def _independent(X, points):
    """The points, in their order, that are no linear combination of those before."""
    rows = X[points]
    chosen, basis = [], np.zeros((0, X.shape[1]))
    for n, row in zip(points, rows, strict=True):
        if len(basis) == X.shape[1]:
            break
        rest = row - (row @ basis.T) @ basis
        rest -= (rest @ basis.T) @ basis
        size = float(np.linalg.norm(rest))
        if size > 1e-9 * float(np.linalg.norm(row)):
            chosen.append(n)
            basis = np.vstack([basis, rest / size])
    return np.array(chosen, int)


def null_space(X: Float[np.ndarray, "N d0"], held: Bool[np.ndarray, " N"]) -> Float[np.ndarray, "d0 f"]:
    """An orthonormal basis of what a neuron's held points leave free."""
    if not held.any():
        return np.eye(X.shape[1])
    return np.linalg.qr(X[held].T, mode="complete")[0][:, int(held.sum()) :]


def descend_exactly(
    X: Float[np.ndarray, "N d0"], y: Float[np.ndarray, " N"], rho: float, state: State, has_bias: bool, max_steps: int
) -> tuple[State, int, str]:
    """The state where the descent ends, its number of steps, and why it ended there: "" at a local minimum."""
    scale = float(y @ y) or 1.0
    bases = [null_space(X, held) for held in state.held.T]
    releases: list[Release] = []
    useless: set[tuple[int, int, int]] = set()
    quiet, now, arrived, most = 0, loss_of(state, y, rho), False, len(state.signs)
    for step in range(max_steps):
        if now <= ENOUGH * scale:
            return state, step, ""
        r = residual(state, y, rho)
        slopes = np.where(state.U > 0, 1.0, np.where(state.U < 0, rho, 0.0))
        if arrived and not releases:
            releases = steepest(X, r, slopes, state, rho, useless)[:most]
            _set_held(X, state, bases, releases, False)
        for _, k, _, v in releases:
            there = state.U[:, k] == 0
            slopes[there, k] = np.where(X[there] @ v > 0, 1.0, rho)
            slopes[state.held[:, k], k] = 0.0
        M = _columns(X, state.signs, slopes, bases, has_bias)
        change = shortest(M, -r)
        if not releases and (quiet >= QUIET or float(np.sum((M @ change) ** 2)) <= AT_REST * scale):
            releases = [] if arrived else steepest(X, r, slopes, state, rho, useless)[:most]
            if not releases:
                return state, step, ""
            _set_held(X, state, bases, releases, False)
            arrived = True
            continue
        dtheta, dc = _as_weights(change, bases, has_bias, state.theta.shape)
        V = X @ dtheta.T
        wrong = [one for one in releases if V[one.n, one.k] * one.side <= 0]
        if wrong and len(releases) > 1:
            _set_held(X, state, bases, wrong if len(wrong) < len(releases) else releases[1:], True)
            releases = [one for one in releases if state.held[one.n, one.k] == 0]
            continue
        if wrong:
            dtheta, dc, V = np.zeros_like(dtheta), 0.0, np.zeros_like(V)
            dtheta[wrong[0].k] = wrong[0].v
            V[:, wrong[0].k] = X @ wrong[0].v
        # A neuron whose direction is fixed shrinks and grows along it, and z may change its sign.
        rays = np.array([basis.shape[1] == 1 for basis in bases]) & state.theta.any(axis=1)
        at_zero = state.U == 0
        for one in releases:
            at_zero[:, one.k] = state.held[:, one.k]
        V[at_zero] = 0.0
        stop = first_minimum(state.U, V, r, dc, state.signs, rho, ~at_zero & ~rays)
        if not np.isfinite(stop.t):
            return state, step, "the loss is constant along a ray"
        moved = State(
            state.theta + stop.t * dtheta, state.c + stop.t * dc, state.signs.copy(), state.U, state.held.copy()
        )
        if stop.pair is not None:
            moved.held[stop.pair] = True
        _turn_around(X, moved, rays, V)
        for k in np.flatnonzero(dtheta.any(axis=1)):
            _settle(X, moved, int(k))
        after = loss_of(moved, y, rho)
        falls, rises = after < now - SEEN * scale, after > now + SEEN * scale
        if releases and not falls:
            _set_held(X, state, bases, releases, True)
            if len(releases) == 1:
                useless.add(releases[0][:3])
            most = 1
        elif rises:
            quiet = QUIET
        else:
            if falls:
                useless.clear()
                most = len(state.signs)
            for k in np.flatnonzero((moved.held != state.held).any(axis=0)):
                bases[k] = null_space(X, moved.held[:, k])
            arrived = stop.pair is None and not stop.crossed and not wrong
            state, now, quiet = moved, min(after, now), 0 if falls else quiet + 1
        releases = []
    return state, max_steps, f"{max_steps} steps were not enough"


def _set_held(X, state: State, bases, releases: list[Release], held: bool) -> None:
    """Hold the pairs of releases, or let them go."""
    for n, k, *_ in releases:
        state.held[n, k] = held
        bases[k] = null_space(X, state.held[:, k])


def _columns(X, signs, slopes, bases, has_bias: bool) -> Float[np.ndarray, "N p"]:
    """The derivative of the outputs in what is free on the face."""
    blocks = []
    for s, a, basis in zip(signs, slopes.T, bases, strict=True):
        block = (s * a)[:, None] * X
        blocks.append(block if basis.shape[1] == X.shape[1] else block @ basis)
    if has_bias:
        blocks.append(np.ones((len(X), 1)))
    return np.hstack(blocks)


def _as_weights(change, bases, has_bias: bool, shape):
    """The change of theta (d1, d0) and c."""
    dtheta, start = np.zeros(shape), 0
    for k, basis in enumerate(bases):
        part = change[start : start + basis.shape[1]]
        dtheta[k] = part if basis.shape[1] == shape[1] else basis @ part
        start += basis.shape[1]
    return dtheta, float(change[-1]) if has_bias else 0.0


def shortest(M: Float[np.ndarray, "N p"], b: Float[np.ndarray, " N"]) -> Float[np.ndarray, " p"]:
    """The shortest least squares solution of M x = b, by a Gram matrix with a small ridge, and refined. Steps of the
    refinement lie in the row space of M, so that nothing is added to the shortest one."""
    if M.size <= 4096:
        return np.linalg.lstsq(M, b, rcond=1e-12)[0]
    wide = M.shape[1] > len(M)
    gram = M @ M.T if wide else M.T @ M
    largest = float(gram.diagonal().max(initial=0.0))
    if not largest:
        return np.zeros(M.shape[1])
    gram[np.diag_indices_from(gram)] += RIDGE * largest
    try:
        factor = scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(M, b, rcond=1e-12)[0]
    x, rest, size = np.zeros(M.shape[1]), b, np.inf
    for _ in range(REFINED):
        more = (
            M.T @ scipy.linalg.cho_solve(factor, rest, check_finite=False) if wide
            else scipy.linalg.cho_solve(factor, M.T @ rest, check_finite=False)
        )  # fmt: skip
        moved = M @ more
        now = float(np.linalg.norm(moved))
        if not now < size:
            break
        x, rest, size = x + more, rest - moved, now
        if now <= 1e-14 * float(np.linalg.norm(b)):
            break
    return x


def _settle(X, state: State, k: int) -> None:
    """Held pairs of a neuron to zero exactly, and its neural inputs anew. Pairs that came to zero with them are held,
    such as those of two equal neurons."""
    held, theta = state.held[:, k], state.theta[k]
    if held.any():
        rows = X[held]
        theta = theta - np.linalg.lstsq(rows, rows @ theta, rcond=None)[0]
        theta = theta - np.linalg.lstsq(rows, rows @ theta, rcond=None)[0]
    u = X @ theta
    u[held | (np.abs(u) <= AT_ZERO * np.linalg.norm(X, axis=1) * float(np.linalg.norm(theta)))] = 0.0
    state.theta[k], state.U = theta, np.where(np.arange(len(state.theta)) == k, u[:, None], state.U)
    if theta.any() and (u[~held] == 0).any():
        zeros = np.concatenate([np.flatnonzero(held), np.flatnonzero(~held & (u == 0) & X.any(axis=1))])
        state.held[_independent(X, zeros)[: X.shape[1] - 1], k] = True


def _turn_around(X, state: State, rays, V) -> None:
    """Neurons that passed zero on their ray get the other sign of z, and their former direction."""
    for k in np.flatnonzero(rays & V.any(axis=0)):
        if float(state.U[:, k] @ (X @ state.theta[k])) < 0:
            state.theta[k], state.signs[k] = -state.theta[k], -state.signs[k]


def steepest(
    X: Float[np.ndarray, "N d0"], r: Float[np.ndarray, " N"], slopes: Float[np.ndarray, "N d1"], state: State,
    rho: float, useless: set[tuple[int, int, int]],
) -> list[Release]:  # fmt: skip
    """Per neuron, the held pair and its side at which the loss falls most steeply per length of the step, steepest
    neuron first. Other pairs at zero, such as those of parallel points, move as the direction takes them."""
    found = []
    for k in np.flatnonzero(state.held.any(axis=0)):
        points = np.flatnonzero(state.held[:, k])
        directions = np.linalg.pinv(X[points]).T
        V = directions @ X.T
        V[:, points] = np.eye(len(points))
        at_zero = state.U[:, k] == 0
        smooth, terms = V @ (slopes[:, k] * r), np.abs(V) @ np.abs(slopes[:, k] * r)
        B, r_B = V[:, at_zero], r[at_zero]
        lengths = np.linalg.norm(directions, axis=1)
        of_neuron = []
        for side in (1, -1):
            turned = np.where(side * B > 0, 1.0, rho) * side * B
            slope = state.signs[k] * (side * smooth + turned @ r_B)
            falls = slope < -FLAT * (terms + np.abs(turned) @ np.abs(r_B))
            of_neuron += [
                (slope[j] / lengths[j], Release(int(points[j]), int(k), side, side * directions[j]))
                for j in np.flatnonzero(falls)
                if (int(points[j]), int(k), side) not in useless
            ]
        if of_neuron:
            found.append(min(of_neuron, key=lambda one: one[0]))
    return [release for _, release in sorted(found, key=lambda one: one[0])]
