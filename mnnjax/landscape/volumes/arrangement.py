"""The cells of the arrangement of N central hyperplanes x_n . w = 0 and their exact volumes, for d0 up to 3.

A neuron's activations are constant on a cell. Its angular volume is an arc over 2 pi (d0 = 2), or a spherical polygon's
area over 4 pi (d0 = 3): the sum of its interior angles less (k - 2) pi for k corners. A lune has 2, a hemisphere none.
"""

import collections
import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from mnnjax.arrays import AnyArray, on_host
from mnnjax.errors import require
from mnnjax.landscape._check import check_spread

SAME = 1e-12  # directions closer than this (radians) are the same, and sines below it are zero
THIN = 1e-14  # polygons with at most this share of the sphere are left out: their sums are mostly rounding


def cells(X: Real[AnyArray, "N d0"]) -> tuple[Bool[np.ndarray, "C N"], Float[np.ndarray, " C"]]:
    """The cells as sign patterns (C, N), True where x_n . w > 0, and their angular volumes (C,), which sum to 1. Errors
    are absolute, about 1e-16. For d0 = 3 cells of volume up to 1e-14 are left out. In general position C = 2 sum_{k <
    d0} C(N-1, k) (section 2); parallel points, and points that do not span R^d0, are allowed. Raises ValueError for d0
    above 3, a point at the origin, points that differ in length by more than 1e5, NaN or infinite entries."""
    X = on_host("X", X, (None, None), "give one row per point")
    check_spread(X)
    require(X.shape[1] <= 3, f"X: has d0 = {X.shape[1]}; exact volumes are for d0 up to 3, use estimate_volumes")
    found = {1: _halves, 2: _arcs, 3: _polygons}[X.shape[1]](X / np.linalg.norm(X, axis=1, keepdims=True))
    patterns = sorted(found, reverse=True)
    volumes = np.array([found[pattern] for pattern in patterns])
    return np.array(patterns, bool).reshape(len(patterns), len(X)), volumes


def closed_cells(X: Float[np.ndarray, "N d0"]) -> tuple[Float[np.ndarray, "R d0"], list[Int[np.ndarray, " k"]]]:
    """The extreme rays (R, d0) of the closed cells, as unit vectors, and those of each cell as row numbers (k,). A cell
    is the set of their non-negative combinations. X (N, d0): points, none zero, that span R^d0, d0 up to 3. No cell
    then holds a line. Cells that `cells` leaves out are left out here too."""
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    if X.shape[1] == 1:
        return np.array([[1.0], [-1.0]]), [np.array([0]), np.array([1])]
    if X.shape[1] == 2:
        lines = np.array(_lines(X))
        angles = np.concatenate([lines, lines + np.pi])
        rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return rays, [np.array([ray, (ray + 1) % len(rays)]) for ray in range(len(rays))]
    corners, sides = zip(*_corners(_merged(X)), strict=True)
    sides = np.array(sides)
    patterns = np.where(np.array(sorted(_polygons(X), reverse=True)), 1, -1)
    return np.array(corners), [np.flatnonzero(sides @ pattern == np.abs(sides).sum(axis=1)) for pattern in patterns]


def _halves(X) -> dict[tuple[bool, ...], float]:
    """The two cells of parallel points."""
    up = tuple((X @ X[0] > 0).tolist())
    return {up: 0.5, tuple(not s for s in up): 0.5}


def _arcs(X) -> dict[tuple[bool, ...], float]:
    """The arcs between the lines orthogonal to the points, by sign pattern."""
    distinct = _lines(X)
    found = {}
    for start, end in itertools.pairwise([*distinct, distinct[0] + np.pi]):
        middle = (start + end) / 2
        up = tuple((X @ [np.cos(middle), np.sin(middle)] > 0).tolist())
        found[up] = found[tuple(not s for s in up)] = (end - start) / (2 * np.pi)  # the complement is the opposite arc
    return found


def _lines(X) -> list[float]:
    """The angles of the lines orthogonal to the points (N, 2), each once, in rising order."""
    angles = np.sort((np.arctan2(X[:, 1], X[:, 0]) + np.pi / 2) % np.pi)
    distinct = [angles[0]] + [b for a, b in itertools.pairwise(angles) if b - a > SAME]
    if len(distinct) > 1 and distinct[0] + np.pi - distinct[-1] <= SAME:
        distinct.pop()  # angles at both ends of [0, pi) may be one line
    return distinct


def _polygons(X) -> dict[tuple[bool, ...], float]:
    """Angle sums: around each corner, the planes through it cut its tangent plane into the interior angles."""
    planes = _merged(X)
    angles: dict[tuple[bool, ...], list[float]] = collections.defaultdict(list)
    for corner, sides in _corners(planes):
        through = sides == 0
        tangent = np.linalg.svd(corner[None])[2][1:]
        for up, share in _arcs(X[through] @ tangent.T).items():
            pattern = sides > 0
            pattern[through] = up
            angles[tuple(pattern.tolist())].append(2 * np.pi * share)
    if not angles:
        return _halves(X)
    volumes = {key: (sum(corners) - (len(corners) - 2) * np.pi) / (4 * np.pi) for key, corners in angles.items()}
    return {key: volume for key, volume in volumes.items() if volume > THIN}


def _merged(X: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    """X with rows that are equal or opposite to rounding made exactly so."""
    planes = X.copy()
    for n in range(1, len(X)):
        same = np.flatnonzero(np.linalg.norm(np.cross(planes[:n], X[n]), axis=1) <= SAME)
        if same.size:
            planes[n] = np.copysign(1.0, planes[same[0]] @ X[n]) * planes[same[0]]
    return planes


def _corners(X: Float[np.ndarray, "N 3"]) -> Iterator[tuple[Float[np.ndarray, "3"], Int[np.ndarray, " N"]]]:
    """The unit vectors, each with its opposite, in which different planes meet, and the side of each plane that they
    are on: 1, -1, or 0 in the plane itself. The sides are exact. The angle sums need sides that some planes have: with
    a corner in a plane, but not among the plane's own corners, volumes of cells would be wrong by whole angles."""
    first, second = np.triu_indices(len(X), 1)
    crosses = np.cross(X[first], X[second])
    sines = np.linalg.norm(crosses, axis=1)
    met = np.zeros((len(X), len(X)), bool)
    for pair in np.argsort(-sines, kind="stable"):  # steep crossings first, whose corners have the least rounding
        i, j = first[pair], second[pair]
        if sines[pair] <= SAME or met[i, j]:
            continue
        corner = np.linalg.qr(np.stack([X[i], X[j]], axis=1), mode="complete")[0][:, 2]
        heights = X @ corner
        sides = np.sign(heights).astype(int)
        for n in np.flatnonzero(np.abs(heights) <= 1e-14 / sines[pair]):
            sides[n] = np.sign(corner @ crosses[pair]) * _orientation(X[i], X[j], X[n])
        met |= (sides[:, None] == 0) & (sides == 0)
        yield corner, sides
        yield -corner, -sides


def _orientation(a: Float[np.ndarray, "3"], b: Float[np.ndarray, "3"], c: Float[np.ndarray, "3"]) -> int:
    """The sign of det(a, b, c), without rounding."""
    p, q, r = ([Fraction(v) for v in row.tolist()] for row in (a, b, c))
    det = sum(r[k] * (p[k - 2] * q[k - 1] - p[k - 1] * q[k - 2]) for k in range(3))
    return (det > 0) - (det < 0)
