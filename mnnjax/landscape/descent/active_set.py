"""Exact descent over faces: an active-set method for a loss that is quadratic on every closed cell of theta = |z| w.

For fixed signs s of z the output is F = sum_k s_k f(X theta_k) + c. It is continuous, and linear while the set of pairs
(point, neuron) at zero and the signs of the others stay. A step goes to the minimum of such a face: least squares, the
shortest step where it is not unique. It goes through kinks beyond which the loss still falls, up to the first at which
it rises; that pair is held at zero from then on. At the minimum of a face each held pair has a multiplier, and one at
which the loss falls is released to its side. Where none is, the point is a local minimum (certificates/kinks.py). The
loss never rises, and there are finitely many faces. Source: ours."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from mnnjax.landscape.descent.line_search import first_minimum

AT_REST = 1e-13  # a step that lowers the loss by a smaller fraction of |y|^2 leads to the minimum of its face
VIOLATED = 1e-9  # slopes of the loss at a held pair below this fraction of their size count as zero
STALLED = 60  # steps in a row that do not lower the loss


@dataclasses.dataclass
class State:
    """theta (d1, d0), c, the signs s of z, the neural inputs U (N, d1) with exact zeros at the held pairs, and which
    pairs are held."""

    theta: Float[np.ndarray, "d1 d0"]
    c: float
    signs: Float[np.ndarray, " d1"]
    U: Float[np.ndarray, "N d1"]
    held: Bool[np.ndarray, "N d1"]


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
    """The state with these pairs held, to which theta is moved."""
    state = State(theta.copy(), c, signs.copy(), X @ theta.T, held.copy())
    _settle(X, state)
    return state


def null_spaces(X: Float[np.ndarray, "N d0"], held: Bool[np.ndarray, "N d1"]) -> list[Float[np.ndarray, "d0 f"]]:
    """An orthonormal basis of what each neuron's held points leave free."""
    whole = np.eye(X.shape[1])
    return [whole if not b.any() else np.linalg.qr(X[b].T, mode="complete")[0][:, int(b.sum()) :] for b in held.T]


def descend_exactly(
    X: Float[np.ndarray, "N d0"], y: Float[np.ndarray, " N"], rho: float, state: State, has_bias: bool, max_steps: int
) -> tuple[State, int, str]:
    """The state where the descent ends, its number of steps, and why it ended there: "" at a local minimum."""
    scale = float(y @ y) or 1.0
    best, stalled, released = loss_of(state, y, rho), 0, None
    for step in range(max_steps):
        r = residual(state, y, rho)
        if r @ r <= 1e-30 * scale:
            return state, step, ""
        slopes = np.asarray(np.where(state.held, 0.0, np.where(state.U > 0, 1.0, rho)))
        if released is not None:
            n, k, side = released
            slopes[n, k] = 1.0 if side > 0 else rho
        bases = null_spaces(X, state.held)
        M = np.hstack([s * (a[:, None] * X) @ basis for s, a, basis in zip(state.signs, slopes.T, bases, strict=True)])
        if has_bias:
            M = np.hstack([M, np.ones((len(X), 1))])
        change = shortest(M, -r)
        gain = float(r @ r) - float(np.sum((r + M @ change) ** 2))
        if gain <= AT_REST * scale and released is None:
            found = _violated(X, r, slopes, state, rho)
            if found is None:
                return state, step, ""
            n, k, side = found
            state.held[n, k] = False
            released = found
            stalled += 1
            if stalled > STALLED:
                return state, step, "the loss no longer falls, while held pairs are released and held again"
            continue
        dtheta, start = np.zeros_like(state.theta), 0
        for j, basis in enumerate(bases):
            dtheta[j] = basis @ change[start : start + basis.shape[1]]
            start += basis.shape[1]
        dc = float(change[-1]) if has_bias else 0.0
        V = X @ dtheta.T
        if released is not None:
            n, k, side = released
            if V[n, k] * side <= 0:  # not unique: along the ray on which the pair alone leaves zero
                dtheta[:], dc = 0.0, 0.0
                dtheta[k] = _ray(X, state.held[:, k], n) * side
                V = X @ dtheta.T
            released = None
        # A neuron whose direction is fixed shrinks and grows along it, and z may change its sign.
        rays = np.array([basis.shape[1] == 1 for basis in bases])
        free = ~state.held & ~rays[None, :] & np.asarray(X.any(axis=1))[:, None]
        stop = first_minimum(state.U, V, r, dc, state.signs, rho, free)
        if not np.isfinite(stop.t):
            return state, step, "the loss is constant along a ray"
        state.theta = state.theta + stop.t * dtheta
        state.c += stop.t * dc
        if stop.pair is not None:
            state.held[stop.pair] = True
        _settle(X, state)
        now = loss_of(state, y, rho)
        stalled = 0 if now < best - 1e-14 * scale else stalled + 1
        best = min(best, now)
        if stalled > STALLED:
            return state, step, "the loss no longer falls"
    return state, max_steps, f"{max_steps} steps were not enough"


def shortest(M: Float[np.ndarray, "N p"], b: Float[np.ndarray, " N"]) -> Float[np.ndarray, " p"]:
    """The shortest least squares solution of M x = b."""
    return np.linalg.lstsq(M, b, rcond=1e-12)[0]


def _settle(X, state: State) -> None:
    """Held pairs to zero exactly, and neural inputs anew; neurons that passed zero on their ray get the other sign."""
    for k in np.flatnonzero(state.held.any(axis=0)):
        rows = X[state.held[:, k]]
        state.theta[k] -= np.linalg.lstsq(rows, rows @ state.theta[k], rcond=None)[0]
        free = X.shape[1] - len(rows)
        if free == 1:
            old = state.U[:, k]
            new = X @ state.theta[k]
            if float(old @ new) < 0:
                state.theta[k], state.signs[k] = -state.theta[k], -state.signs[k]
    U = X @ state.theta.T
    state.U = np.where(state.held, 0.0, U)


def _ray(X, held, n: int) -> Float[np.ndarray, " d0"]:
    """v with v . x(n) = 1 that leaves the other held points of a neuron at zero, the shortest."""
    rows = np.vstack([X[n], X[held]])
    return np.linalg.lstsq(rows, np.eye(len(rows))[0], rcond=None)[0]


def _violated(X, r, slopes, state: State, rho: float) -> tuple[int, int, int] | None:
    """The held pair at which the loss falls most steeply, and the side to which it falls; None: it falls nowhere."""
    worst, found = 0.0, None
    for k in np.flatnonzero(state.held.any(axis=0)):
        points = np.flatnonzero(state.held[:, k])
        rows = X[points]
        multipliers = -np.linalg.lstsq(rows.T, (slopes[:, k] * r) @ X, rcond=None)[0]
        lengths = np.linalg.norm(np.linalg.pinv(rows), axis=0)
        size = np.abs(slopes[:, k] * r) @ np.linalg.norm(X, axis=1)
        for j, n in enumerate(points):
            for side in (1, -1):
                slope = state.signs[k] * side * (r[n] * (1.0 if side > 0 else rho) - multipliers[j])
                if slope < -VIOLATED * (size * lengths[j] + abs(r[n])) and slope / lengths[j] < worst:
                    worst, found = slope / lengths[j], (int(n), int(k), side)
    return found
