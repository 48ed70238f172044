"""The distinct directions of points, which are all that matters to networks without biases: f(c u) = c f(u) for c > 0.

The labels of rows on one ray, and at some slopes of rows x and -x, determine each other; other labels are refused."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mnnjax.config import UserError
from mnnjax.landscape.numerics import EPS, row_norms

CONSISTENT = 1e-10  # the largest difference of labels that must agree, relative to max(1, max|y|)
SAME = 64 * EPS  # unit vectors at most this far apart have the same direction
NAMED = 5  # how many rows an error names


class Rays(NamedTuple):
    """The M distinct directions of the points, each with a row of X."""

    unit: Float[np.ndarray, "M d0"]
    length: Float[np.ndarray, " M"]
    y: Float[np.ndarray, " M"]
    row: Int[np.ndarray, " M"]  # of X
    line: Int[np.ndarray, " M"]  # x and -x have the same


def label_scale(y: Float[np.ndarray, " N"]) -> float:
    """The scale of errors of outputs: max(1, max|y|)."""
    return max(1.0, np.max(np.abs(y)))


def distinct_rays(X: Float[np.ndarray, "N d0"], y: Float[np.ndarray, " N"], rho: float) -> Rays:
    """One row per direction of X (N, d0), no row of which is 0. Raises ValueError for contradictory labels y (N,)."""
    length = row_norms(X)
    unit = X / length[:, None]
    line, side = _lines(unit)
    ray = line if rho == -1 else 2 * line + (side < 0)  # at rho = -1, f(u) = |u|: x and -x have the same output
    order = np.lexsort((-length, ray))  # the longest row stands for its ray: the errors of the others are smaller
    first = order[np.unique(ray[order], return_index=True)[1]]
    representative = first[np.unique(ray, return_inverse=True)[1]]
    misses = np.abs(y - y[representative] * (length / length[representative]))
    if (wrong := np.flatnonzero(misses > CONSISTENT * label_scale(y))).size:
        factor, named = side[representative] * side * length / length[representative], wrong[:NAMED]
        cases = [f"{representative[n]} and {n} ({factor[n]:g}, {y[representative[n]]:g}, {y[n]:g})" for n in named]
        raise UserError(
            f"y: of shape {y.shape} contradicts itself: rows x and c x of X need labels y and |c| y, not so in "
            f"{wrong.size} of them: rows (c, their labels) {', '.join(cases)}"
        )
    row = np.sort(first)
    return Rays(unit[row], length[row], y[row], row, line[row])


def _lines(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of each unit row's line through the origin, and the side of it that the row is on, +1 or -1."""
    i, j = np.nonzero(np.triu(np.abs(unit @ unit.T) > 1 - 1e-9, 1))
    side = np.sign(np.sum(unit[i] * unit[j], axis=1))[:, None]
    same = np.linalg.norm(unit[i] - side * unit[j], axis=1) <= SAME
    graph = coo_array((same[same], (i[same], j[same])), shape=(len(unit), len(unit)))
    line = connected_components(graph, directed=False)[1]
    first = np.unique(line, return_index=True)[1]
    return line, np.sign(np.sum(unit * unit[first[line]], axis=1)).astype(int)


def antipodes_are_free(rays: Rays, scale: float) -> bool:
    """Whether labels at rows x, -x can be any: a network's odd part is linear, as f(u) - f(-u) = (1 + rho) u. Raises
    ValueError for labels that contradict that. scale: label_scale of all labels."""
    order = np.argsort(rays.line, kind="stable")
    twice = np.flatnonzero(np.diff(rays.line[order]) == 0)
    if not len(twice):
        return True
    i, j = order[twice], order[twice + 1]
    odd = rays.y[i] / rays.length[i] - rays.y[j] / rays.length[j]
    slope, _, rank, _ = np.linalg.lstsq(rays.unit[i], odd, rcond=None)
    wrong = np.abs(rays.unit[i] @ slope - odd) * np.maximum(rays.length[i], rays.length[j]) > CONSISTENT * scale
    if wrong.any():
        named = ", ".join(f"{a} and {b}" for a, b in rays.row[np.stack([i, j], axis=1)[wrong][:NAMED]])
        raise UserError(f"y: for rows x, -x of X y(x) - y(-x) must be linear in x, as in every network: rows {named}")
    return bool(len(i) == rank)
