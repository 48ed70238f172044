"""The loss along a ray of first-layer weights: piecewise quadratic, followed exactly through its kinks."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Stop(NamedTuple):
    """Where the loss along a ray stops falling: at the step t; at the kink of the pair (point, neuron), or between
    kinks (pair None). crossed: how many kinks lie before it."""

    t: float
    pair: tuple[int, int] | None
    crossed: int


def first_minimum(
    U: Float[np.ndarray, "N d1"], V: Float[np.ndarray, "N d1"], r: Float[np.ndarray, " N"],
    dc: float, signs: Float[np.ndarray, " d1"], rho: float, free: Bool[np.ndarray, "N d1"], longest: float = np.inf,
) -> Stop:  # fmt: skip
    """The first local minimum, for t in [0, longest], of |r(t)|^2 / 2 with r(t) = f(U + t V) signs + t dc - y.

    U, V: neural inputs of theta = |z| w, and their change. r: residual f(..) - y at t = 0. dc: change of the constant.
    free: the pairs whose kinks count. The others keep their slope: held pairs, whose V is zero, and those of a neuron
    that shrinks or grows along its own ray.
    Every kink changes the slope of one output: sorted within each point, sums of these changes give every residual at
    its kinks, and sorted over all, the slope of the loss between any two."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(free & (U * V < 0), -U / V, np.inf)
    # A pair that is at zero and leaves it has the slope of the side to which it goes.
    positive = (U > 0) | ((U == 0) & (V > 0))
    velocity = (np.where(positive, 1.0, rho) * V) @ signs + dc
    n, k = np.nonzero(np.isfinite(t) & (t <= longest))
    times = t[n, k]
    jumps = signs[k] * V[n, k] * np.where(positive[n, k], rho - 1.0, 1.0 - rho)
    order = np.lexsort((times, n))
    n, k, times, jumps = n[order], k[order], times[order], jumps[order]
    # Per point: velocity before each of its kinks, and the residual there.
    starts = np.concatenate([[True], n[1:] != n[:-1]]) if len(n) else np.zeros(0, bool)
    total = np.cumsum(jumps)
    before = total - jumps
    offset = np.zeros(len(n))
    if len(n):
        first = np.maximum.accumulate(np.where(starts, np.arange(len(n)), 0))
        offset = before[first]
    speed = velocity[n] + before - offset
    moments = np.cumsum(jumps * times)
    moment_before = moments - jumps * times
    if len(n):
        moment_before = moment_before - moment_before[first]
    # r(t_b) = r + t_b (velocity + jumps so far) - sum of jumps times their times.
    residual = r[n] + times * speed - moment_before
    order = np.argsort(times, kind="stable")
    times, n, k = times[order], n[order], k[order]
    jump, speed, residual = jumps[order], speed[order], residual[order]
    # Slope and curvature of the loss after each kink.
    curvature = float(velocity @ velocity) + np.concatenate([[0.0], np.cumsum((speed + jump) ** 2 - speed**2)])
    widths = np.diff(np.concatenate([[0.0], times]))
    after = np.empty(len(times))
    slope = float(r @ velocity)
    slopes_before = np.empty(len(times))
    # Cumulative: the slope grows by curvature * width within, and by residual * jump at a kink.
    grown = np.cumsum(curvature[:-1] * widths + residual * jump)
    after = slope + grown
    slopes_before = after - residual * jump
    for j in range(len(times)):
        if slopes_before[j] >= 0:
            return _between(times, slopes_before, after, curvature, slope, j, longest)
        if after[j] >= 0:
            return Stop(float(times[j]), (int(n[j]), int(k[j])), j)
    return _between(times, slopes_before, after, curvature, slope, len(times), longest)


def _between(times, before, after, curvature, slope, j: int, longest: float) -> Stop:
    """The minimum of the piece that ends at kink j."""
    start, falling = (float(times[j - 1]), float(after[j - 1])) if j else (0.0, slope)
    bend = float(curvature[j])
    if falling >= 0:
        return Stop(start, None, j)
    t = start - falling / bend if bend > 0 else np.inf
    end = float(times[j]) if j < len(times) else longest
    return Stop(min(t, end), None, j)
