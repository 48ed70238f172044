"""Descent from any point to a local minimum, also to one at kinks, that a certificate proves."""

import dataclasses
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import scipy.optimize
from jaxtyping import Float, Real
from threadpoolctl import threadpool_limits

from mnnjax.arrays import AnyArray, check_count, check_network, on_host
from mnnjax.landscape.batches import Biases, Labels, Points, Units, Weights, each_network, is_batch
from mnnjax.landscape.certificates.certificate import Certificate, certify
from mnnjax.landscape.certificates.kinks import falling_turn
from mnnjax.landscape.descent.active_set import AT_ZERO, SEEN, State, at_points, descend_exactly, loss_of, residual
from mnnjax.landscape.descent.cost import descent_bytes
from mnnjax.landscape.descent.line_search import first_minimum
from mnnjax.landscape.descent.smoothing import ENOUGH, smoothed_descent
from mnnjax.landscape.numerics import leaky_relu

# First widths that are tried, as fractions of the median neural input, until one leads to a proven minimum.
WIDTHS = (0.03, 0.1, 0.003, 1.0)
REMNANT = 1e-7  # of the largest label: the output of a neuron that shrinks to nothing
TURNS = 1e-9  # errors of the residual that count where a neuron turns, as a fraction of its norm
NEARLY_ZERO = 1e-6  # of |y|^2: the loss is on its way to zero
MINIMA = ("global_minimum", "suboptimal_dlm", "suboptimal_kink")


@dataclasses.dataclass(frozen=True, eq=False)
class Descent:
    """Where a descent ended.

    W (d1, d0), z (d1,), output_bias: the point; None where there is no output bias. certificate: of it. steps: of
    Newton's method and of the exact descent. distance: from the start, in W, z and c, over the norm of the start's.
    mse_before: at the start; the loss never is above it. reason: why it ended at no proven minimum; empty where it did.
    Source: ours."""

    W: Float[np.ndarray, "d1 d0"]
    z: Float[np.ndarray, " d1"]
    output_bias: float | None
    certificate: Certificate
    steps: int
    distance: float
    mse_before: float
    reason: str


@overload
def descend(
    W: Real[AnyArray, "d1 d0"], z: Real[AnyArray, " d1"], X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"],
    rho: float, *, output_bias: float | None = None, max_steps: int = 4000, leave_plateaus: bool = False,
) -> Descent: ...  # fmt: skip
@overload
def descend(
    W: Sequence[Real[AnyArray, "d1 d0"]], z: Sequence[Real[AnyArray, " d1"]], X: Points, y: Labels, rho: float,
    *, output_bias: Biases = None, max_steps: int = 4000, leave_plateaus: bool = False,
) -> list[Descent]: ...  # fmt: skip
@threadpool_limits.wrap(limits=1, user_api="blas")
def descend(
    W: Weights, z: Units, X: Points, y: Labels, rho: float,
    *, output_bias: Biases = None, max_steps: int = 4000, leave_plateaus: bool = False,
) -> Descent | list[Descent]:  # fmt: skip
    """Go down from (W, z), in float64, to a local minimum of the squared loss on (X, y).

    A point that is at a proven minimum stays there. Only theta_k = |z_k| w_k matters for fixed signs of z. Newton's
    method on a smoothed loss, whose width goes to zero, finds the pairs (neuron, point) that end at zero
    (smoothing.py). The exact descent over faces then goes to the minimum, releases pairs at which the loss falls, and
    holds others (active_set.py). Where that ends above the start, or at no proven minimum, other first widths are
    tried. One descent takes one core.

    Time on one core: a quarter of a second for d0 d1 = N = 400, 90 seconds for 2500; it grows as (d0 d1)^2 N. Memory:
    three arrays of (d0 d1)^2.

    W: (d1, d0). z: (d1,). X: (N, d0), one row a point; a first-layer bias is a column of ones here. y: (N,). rho: slope
    for negative neural inputs. output_bias: c of the output f(X W^T) z + c, where that is a trained parameter.
    max_steps: of the exact descent.
    leave_plateaus: at a sub-optimal minimum with an idle neuron, turn that neuron to where the loss falls, and go on.
    A batch: W (networks, d1, d0) and z (networks, d1) give a list, one descent per network, from all cores (certify).
    Raises ValueError as certify, and for max_steps below 1; ArithmeticError where numbers overflow. Source: ours.

    Example:
      found = descend(W, z, X, y, rho=0.0)
      print(found.certificate)  # verdict  suboptimal_kink: the face's residual has norm 1.02 ...
    """
    if is_batch(W):
        check_count("max_steps", max_steps)
        options = {"max_steps": max_steps, "leave_plateaus": leave_plateaus}
        return each_network(descend, W, z, X, y, rho, output_bias, descent_bytes, **options)
    W, z, X, y = check_network(W, z, X, y, rho)
    check_count("max_steps", max_steps)
    c = 0.0 if output_bias is None else float(on_host("output_bias", output_bias, (), "give one number"))
    theta, own_c = np.abs(z)[:, None] * W, None if output_bias is None else c
    sizes = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(theta, axis=1)
    start = at_points(X, theta, c, np.sign(z), (np.abs(X @ theta.T) <= AT_ZERO * sizes) & (sizes > 0))
    r = leaky_relu(X @ W.T, rho) @ z + c - y
    before = float(r @ r)
    if not _falls_by_z(X, W, z, r, y, rho, output_bias is not None):
        certificate = certify(W, z, X, y, rho, output_bias=own_c)
        if certificate.verdict in MINIMA and not (leave_plateaus and certificate.escapes):
            return Descent(W, z, own_c, certificate, 0, 0.0, certificate.mse, "")
    best, steps = None, 0
    for width in (*WIDTHS, None):
        state, taken, reason = _once(X, y, rho, start, output_bias is not None, width, max_steps)
        for _ in range(len(z)):
            if (awake := _wake(X, y, rho, state, leave_plateaus)) is None:
                break
            state, more, reason = _once(X, y, rho, awake, output_bias is not None, None, max_steps)
            taken += more
        steps += taken
        if loss_of(state, y, rho) > before and width is not None:
            continue
        found = _ended(W, z, own_c, X, y, rho, state, steps, before, reason)
        if best is None or not found.reason or found.certificate.mse < best.certificate.mse:
            best = found
        if not best.reason:
            break
    assert best is not None
    return dataclasses.replace(best, steps=steps)


def _falls_by_z(X, W, z, r, y, rho: float, has_bias: bool) -> bool:
    """Whether other z (and c) alone lower the loss by far more than a minimum's verdict allows."""
    H = leaky_relu(X @ W.T, rho)
    H = np.hstack([H, np.ones((len(X), 1))]) if has_bias else H
    change = H @ np.linalg.lstsq(H, -r, rcond=None)[0]
    return float(change @ change) > 1e-6 * float(y @ y)


def _once(
    X, y, rho: float, start: State, has_bias: bool, fraction: float | None, max_steps: int
) -> tuple[State, int, str]:
    """One descent from a first width, as a fraction of the median neural input; None: without smoothing."""
    state, before = start, 0
    if fraction is not None:
        sizes = np.abs(start.U[start.U != 0])
        width = fraction * float(np.median(sizes)) if sizes.size else 1.0
        smooth = smoothed_descent(X, y, rho, start.theta, start.c, start.signs, has_bias, width)
        zone = (np.abs(X @ smooth.theta.T) < smooth.width) & X.any(axis=1)[:, None] & (start.signs != 0)
        state, before = at_points(X, smooth.theta, smooth.c, start.signs, zone), smooth.steps
        if loss_of(state, y, rho) <= NEARLY_ZERO * float(y @ y):  # then no pair is held by the loss
            state = at_points(X, smooth.theta, smooth.c, start.signs, np.zeros_like(zone))
    state, steps, reason = descend_exactly(X, y, rho, state, has_bias, max_steps)
    return _without_remnants(X, y, rho, state), before + steps, reason


def _without_remnants(X, y, rho: float, state: State) -> State:
    """The state with neurons at zero that shrank to almost nothing, where the loss is no higher for it."""
    for k in np.flatnonzero(
        (np.abs(state.U).max(axis=0, initial=0) <= REMNANT * float(np.abs(y).max())) & state.theta.any(axis=1)
    ):
        theta, held = state.theta.copy(), state.held.copy()
        theta[k], held[:, k] = 0.0, False
        without = State(theta, state.c, state.signs, np.where(np.arange(len(theta)) == k, 0.0, state.U), held)
        if loss_of(without, y, rho) <= loss_of(state, y, rho) + SEEN * float(y @ y):
            state = without
    return state


def _wake(X, y, rho: float, state: State, leave_plateaus: bool) -> State | None:
    """The state with one neuron that has no weights turned to where the loss falls; None where there is none.
    leave_plateaus: also a neuron that is inactive at all points, and one for which z must pass zero first."""
    slopes = np.where(state.U > 0, 1.0, np.where(state.U < 0, rho, 0.0))
    idle = (state.signs == 0) | ~slopes.any(axis=0) if leave_plateaus else ~state.theta.any(axis=1)
    r = residual(state, y, rho)
    if not idle.any() or float(r @ r) <= ENOUGH * float(y @ y):
        return None
    for k in np.flatnonzero(idle):
        sign = 0.0 if leave_plateaus else float(state.signs[k])
        turn = falling_turn(X, r, TURNS * float(np.linalg.norm(r)), rho, sign=sign)
        if turn is None:
            continue
        theta, signs, U, held = state.theta.copy(), state.signs.copy(), state.U.copy(), state.held.copy()
        signs[k], U[:, k], held[:, k] = -np.sign(turn.slope), 0.0, False
        change = np.where(np.arange(len(signs)) == k, (X @ turn.direction)[:, None], 0.0)
        stop = first_minimum(U, change, r, 0.0, signs, rho, (U != 0) & X.any(axis=1)[:, None])
        if 0 < stop.t < np.inf:
            theta[k] = stop.t * turn.direction
            return at_points(X, theta, state.c, signs, held)
    return None


def _nearest_size(theta, w, z: float) -> float:
    """a > 0 with (a, theta / a) nearest to (z, w) of the start."""
    if z and np.linalg.norm(theta / z - w) <= 1e-12 * np.linalg.norm(w):
        return z  # it did not move
    length = float(np.linalg.norm(theta))
    if not length:
        return z or 1.0
    likely = np.log([z or np.sqrt(length), np.sqrt(length)])

    def distance(log_a: float) -> float:
        a = np.exp(log_a)
        return float((a - z) ** 2 + np.sum((theta / a - w) ** 2))

    bounds = float(likely.min()) - 3, float(likely.max()) + 3
    nearest: Any = scipy.optimize.minimize_scalar(distance, bounds=bounds, method="bounded")
    return float(np.exp(nearest.x))


def _ended(W, z, c: float | None, X, y, rho: float, state: State, steps: int, before: float, reason: str) -> Descent:
    """The Descent that ends in a state, with theta split into |z_k| and w_k as near to the start as can be."""
    size = np.array([_nearest_size(*of_neuron) for of_neuron in zip(state.theta, W, np.abs(z), strict=True)])
    size = np.where(state.signs != 0, size, 0.0)
    new_z = size * state.signs
    new_W = np.where(new_z[:, None] != 0, state.theta / np.where(size > 0, size, 1.0)[:, None], W)
    certificate = certify(new_W, new_z, X, y, rho, output_bias=None if c is None else state.c)
    if certificate.verdict not in MINIMA:
        reason = f"{reason}; {certificate.verdict}: {certificate.reason}" if reason else certificate.reason
    else:
        reason = ""
    squares = ((new_W - W) ** 2).sum() + ((new_z - z) ** 2).sum() + (0.0 if c is None else (state.c - c) ** 2)
    norm = float(np.sqrt((W**2).sum() + (z**2).sum() + (c or 0.0) ** 2))
    distance = float(np.sqrt(squares)) / norm if norm else np.inf
    bias = None if c is None else state.c
    return Descent(new_W, new_z, bias, certificate, steps, distance, before / len(y), reason)
