"""Faces: where a point's neural inputs are zero for some pairs (neuron k, point n), the weights that keep them zero.

With B_k the points at which neuron k is held, theta_k = z_k w_k moves in null(X_{B_k}). There the outputs are linear in
theta, with columns (A_k o X) N_k, N_k a basis of that null space and the rows of B_k zero. So Lemma 2 holds on a face:
all its minima share one residual. Here are the columns with their error bounds, and the exact minimum of the face next
to a point. Source: ours."""

import math
from fractions import Fraction
from typing import Any, NamedTuple, cast

import numpy as np
import scipy.linalg
from jaxtyping import Bool, Float, Int

from mnnjax.landscape.certificates.cholesky import factor_with_bound, solve
from mnnjax.landscape.numerics import EPS, TINY, row_norms
from mnnjax.landscape.regions.exact_rank import (
    PRIME,
    multiply_modulo_prime,
    rank_modulo_prime,
    residues,
    solve_modulo_prime,
)
from mnnjax.landscape.regions.khatri_rao import above_rounding, product

MOST_ENTRIES = 100_000_000  # of the columns of a face, which are formed: 0.8 GB
EXACT_ENTRIES = 2_000_000  # of a matrix whose exact rank takes seconds


class Held(NamedTuple):
    """What holds one neuron: points of B_k that are independent and span all of them (rows of X); whether these are the
    first points of all lines through the origin on which points of B_k lie (independent); for each point of B_k its
    line and its multiple of the line's first point, rounded (factors); a basis (d0, d0 - m) of their null space, to the
    distance basis_error (spectral norm) from an exact one; and a positive lower bound sigma on the smallest singular
    value of the spanning points."""

    spanning: Int[np.ndarray, " m"]
    independent: bool
    points: Int[np.ndarray, " b"]
    line: Int[np.ndarray, " b"]
    factors: Float[np.ndarray, " b"]
    basis: Float[np.ndarray, "d0 f"]
    basis_error: float
    sigma: float


def hold(X: Float[np.ndarray, "N d0"], points: Int[np.ndarray, " b"]) -> Held | None:
    """None where points on different lines are dependent but for rounding, or so nearly that rounding leaves it
    open."""
    d0 = X.shape[1]
    firsts, line, factors = lines(X, points)
    if not len(firsts):
        return Held(firsts, True, points, line, factors, np.eye(d0), 0.0, np.inf)
    spanning = firsts
    if not (sigma := _smallest_singular_value(X[firsts])) > 0:
        spanning = _spanning(X, firsts)
        if not (sigma := _smallest_singular_value(X[spanning])) > 0:
            return None
    rows, m = X[spanning], len(spanning)
    basis = np.linalg.qr(rows.T, mode="complete")[0][:, m:]
    off = float(np.linalg.norm(rows @ basis)) + (d0 + 2) * EPS * float(np.linalg.norm(rows)) * np.sqrt(basis.shape[1])
    return Held(spanning, m == len(firsts), points, line, factors, basis, off / sigma, sigma)


def _smallest_singular_value(rows: Float[np.ndarray, "m d0"]) -> float:
    """A lower bound on it; 0 or less where rows depend on each other."""
    if len(rows) > rows.shape[1]:
        return 0.0
    # LAPACK's singular values err by a small multiple of eps times the largest.
    error = 16 * rows.shape[1] * EPS * float(np.linalg.norm(rows))
    return float(np.linalg.svd(rows, compute_uv=False)[-1]) - error


def _spanning(X: Float[np.ndarray, "N d0"], points: Int[np.ndarray, " m"]) -> Int[np.ndarray, " k"]:
    """As many of the points as their exact rank, chosen to be far from dependent."""
    directions = X[points] / row_norms(X[points])[:, None]
    _, order = cast(tuple, scipy.linalg.qr(directions.T, mode="r", pivoting=True))
    return points[np.sort(order[: rank_modulo_prime(residues(X[points]))])]


def lines(X: Float[np.ndarray, "N d0"], points: Int[np.ndarray, " b"]):
    """The first of the points on each line through the origin; and of each point its line, and its multiple of the
    first point there, rounded. Points are on one line only where they are so exactly."""
    firsts, line, factors = list[int](), list[int](), list[float]()
    units = X[points] / np.abs(X[points]).max(axis=1, keepdims=True, initial=0.0)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    directions = np.empty_like(units)
    for n, unit in zip(points, units, strict=True):
        for k in np.flatnonzero(np.abs(np.abs(directions[: len(firsts)] @ unit) - 1) < 1e-12):
            if (factor := _multiple(X[n], X[firsts[k]])) is not None:
                line.append(int(k))
                factors.append(factor)
                break
        else:
            directions[len(firsts)] = unit
            line.append(len(firsts))
            factors.append(1.0)
            firsts.append(int(n))
    return np.array(firsts, int), np.array(line, int), np.array(factors)


def _multiple(x: Float[np.ndarray, " d0"], first: Float[np.ndarray, " d0"]) -> float | None:
    """c, rounded, where x = c first exactly, for some rational c; else None."""
    j = int(np.abs(first).argmax())
    c = Fraction(float(x[j])) / Fraction(float(first[j]))
    same = c != 0 and all(Fraction(float(a)) == c * Fraction(float(b)) for a, b in zip(x, first, strict=True))
    return float(c) if same else None


def exact_multiples(
    X: Float[np.ndarray, "N d0"], points: Int[np.ndarray, " b"], firsts: Int[np.ndarray, " b"]
) -> Int[np.ndarray, " b"]:
    """Modulo the prime, which multiple each point is of a first point on the same line."""
    j = np.abs(X[firsts]).argmax(axis=1)
    inverse = [pow(int(v), -1, PRIME) for v in residues(X[firsts, j])]
    return residues(X[points, j]) * np.array(inverse, np.int64) % PRIME


class Face(NamedTuple):
    """The columns M (N, p) of a face. Neurons with the same columns are a group: group (d1,) says which (-1: no weight
    of it moves an output), parts are their slices of M. A: the slopes, 0 at held pairs. error: of M (spectral norm)."""

    X: Float[np.ndarray, "N d0"]
    A: Float[np.ndarray, "N d1"]
    M: Float[np.ndarray, "N p"]
    parts: list[slice]
    group: Int[np.ndarray, " d1"]
    held: list[Held]
    error: float
    has_bias: bool

    @property
    def live(self) -> Bool[np.ndarray, " N"]:
        """Points whose output some weight moves. At the others it is zero on the whole face."""
        return np.asarray((self.A[:, self.group >= 0] != 0).any(axis=1) & self.X.any(axis=1) | self.has_bias)

    @property
    def constraints(self) -> int:
        """The number of independent points at which neurons are held, counted once per neuron."""
        return sum(len(h.spanning) for h in self.held)

    @property
    def exact_shape(self) -> tuple[int, int]:
        """The shape of `exact` without the constant's column."""
        return len(self.X) + self.constraints, self.A.shape[1] * self.X.shape[1]

    def exact(self) -> Int[np.ndarray, "rows columns"]:
        """[[A o X, 1], [C, 0]] modulo a prime, with one row x(n) of C for every independent point that a neuron is held
        at: the rank of the face's columns is the rank of this less the number of those rows. The multipliers of the
        rows of C are those of the held points."""
        d1, d0 = self.A.shape[1], self.X.shape[1]
        top = product(residues(self.A), residues(self.X)) % PRIME
        bottom = np.zeros((self.constraints, d1 * d0), np.int64)
        row = 0
        for k, h in enumerate(self.held):
            for n in h.spanning:
                bottom[row, k * d0 : (k + 1) * d0] = residues(self.X[n])
                row += 1
        S = np.vstack([top, bottom])
        if self.has_bias:
            S = np.hstack([S, (np.arange(len(S)) < len(top)).astype(np.int64)[:, None]])
        return S

    def exact_minimum(self, y: Float[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " c"]] | None:
        """Modulo a prime, what is -e and the multiplier of each row of C at all minima of the face for labels y. None
        where the face is too large, or has no solution modulo the prime."""
        rows, columns = self.exact_shape
        size = columns + self.has_bias + self.constraints
        if max(rows * columns, size**2) > EXACT_ENTRIES:
            return None
        S, labels, N = self.exact(), residues(y), len(y)
        top, C = S[:N], S[N:]
        # Stationary in theta with multipliers: top^T (top theta - y) + C^T multipliers = 0, C theta = 0.
        zeros = np.zeros((len(C), len(C)), np.int64)
        system = np.block([[multiply_modulo_prime(top.T, top), C.T], [C, zeros]])
        right = np.append(multiply_modulo_prime(top.T, labels[:, None])[:, 0], np.zeros(len(C), np.int64))
        if (found := solve_modulo_prime(system, right)) is None:
            return None
        theta = found[: top.shape[1]]
        return (multiply_modulo_prime(top, theta[:, None])[:, 0] - labels) % PRIME, found[top.shape[1] :]


def make_face(
    X: Float[np.ndarray, "N d0"], A: Float[np.ndarray, "N d1"], B: Bool[np.ndarray, "N d1"], has_bias: bool
) -> Face | str:
    """The face of slopes A off the held pairs B; or one line that says why it has no proven columns."""
    A, lengths = np.where(B, 0.0, A), row_norms(X)
    held, columns, parts, group, squares, known = [], [], [], [], 0.0, dict[bytes, int]()
    start = 0
    for k in range(A.shape[1]):
        key = A[:, k].tobytes() + B[:, k].tobytes()
        if key in known:
            held.append(held[known[key]])
            group.append(group[known[key]])
            continue
        known[key] = k
        if (h := hold(X, np.flatnonzero(B[:, k]))) is None:
            return f"neuron {k} is zero at {int(B[:, k].sum())} points that nearly depend on each other"
        held.append(h)
        moduli = np.abs(A[:, k]) * lengths
        if not moduli.any() or not h.basis.shape[1]:
            group.append(-1)
            continue
        columns.append((A[:, k, None] * X) @ h.basis)
        rounding = (X.shape[1] + 4) * EPS * np.sqrt(h.basis.shape[1])
        squares += float(np.linalg.norm(moduli) * (h.basis_error + rounding)) ** 2
        parts.append(slice(start, start + h.basis.shape[1]))
        start += h.basis.shape[1]
        group.append(len(parts) - 1)
    if has_bias:
        columns.append(np.ones((len(X), 1)))
    if len(X) * (start + has_bias) > MOST_ENTRIES:
        return "the columns of the face are too many to be formed"
    M = np.hstack(columns) if columns else np.zeros((len(X), 0))
    return Face(X, A, M, parts, np.array(group, int), held, float(np.sqrt(squares)) + TINY, has_bias)


class FaceSystem:
    """The face's linear system for W with a fixed second layer z (d1,). zero: the residual can be made zero on live
    rows. doubt: why nothing is proven; '' where `change` and `still_missing` may be called."""

    def __init__(self, face: Face, z: Float[np.ndarray, " d1"]):
        self.face, self.z, self.zero, self.doubt = face, z, False, ""
        self.live = face.live
        self.M = face.M[self.live]
        used = face.group >= 0
        self.weights = np.bincount(face.group[used], weights=z[used] ** 2, minlength=len(face.parts)).astype(float)
        scale = np.sqrt(np.repeat(self.weights, [part.stop - part.start for part in face.parts]))
        self.B = self.M * (np.append(scale, 1.0) if face.has_bias else scale)
        self.B_error = face.error * np.sqrt(self.weights.max(initial=0.0))
        rows, columns = self.M.shape
        self._factor: Any = None
        if not rows or not columns:
            self.kind = "empty"
        elif columns >= rows and self._by_rows():
            self.kind, self.zero = "rows", True
        elif columns < rows and self._by_columns():
            self.kind = "columns"
        else:
            self.kind = "values"
            self.doubt = self._by_values()

    def _by_rows(self) -> bool:
        def fill(K):
            K[:] = self.B @ self.B.T
            return (self.B.shape[1] + 2) * EPS * float(np.trace(K))

        self._factor, bound = factor_with_bound(len(self.B), fill)
        self.sigma = float(np.sqrt(bound)) - self.B_error
        return bool(self.sigma > 0)

    def _by_columns(self) -> bool:
        if not (self.weights > 0).all():
            return False

        def fill(G):
            G[:] = self.M.T @ self.M
            return (len(self.M) + 2) * EPS * float(np.trace(G))

        self._factor, bound = factor_with_bound(self.M.shape[1], fill)
        self.sigma = float(np.sqrt(bound)) - self.face.error
        return bool(self.sigma > 0)

    def _by_values(self) -> str:
        """Singular values, believed where the exact rank is theirs."""
        face = self.face
        if math.prod(face.exact_shape) > EXACT_ENTRIES:
            return "the rank of the face's columns is too large to be decided exactly"
        exact = rank_modulo_prime(face.exact()) - face.constraints
        basis, values, _ = np.linalg.svd(self.M, full_matrices=False)
        left, singular, _ = np.linalg.svd(self.B, full_matrices=False)
        if exact != np.sum(above_rounding(values, self.M.shape)):
            return "the face's columns have singular values near rounding"
        self.basis, self.left, self.singular = basis[:, :exact], left[:, :exact], singular[:exact]
        self.zero = exact == len(self.M)
        self.turn = 0.0
        if exact:
            rounding = 10 * max(self.M.shape) * EPS
            gaps = values[exact - 1], singular[exact - 1]
            errors = rounding * values[0] + face.error, rounding * singular[0] + self.B_error
            if not all(gap > 1e3 * error for gap, error in zip(gaps, errors, strict=True)):
                return "the face's columns are too badly conditioned to bound their minimum"
            self.turn = 2 * errors[0] / gaps[0]
            self.sigma = float(gaps[1]) - errors[1]
        else:
            self.sigma = np.inf
        return ""

    def change(self, e: Float[np.ndarray, " N"]) -> tuple[Float[np.ndarray, "d1 d0"], float]:
        """About the smallest change of W, and of the constant, in the face after which a point of residual e (N,) is at
        the face's minimum."""
        e, face = e[self.live], self.face
        dW = np.zeros((len(self.z), face.X.shape[1]))
        if self.kind == "empty":
            return dW, 0.0
        if self.kind == "columns":
            coefficients = solve(self._factor, self.M.T @ e)
            coefficients += solve(self._factor, self.M.T @ (e - self.M @ coefficients))
            weights = self.weights
        else:
            if self.kind == "rows":
                multiplier = solve(self._factor, e)
            else:
                multiplier = self.left @ ((self.left.T @ e) / self.singular**2)
            coefficients, weights = self.M.T @ multiplier, np.ones_like(self.weights)
        for k, g in enumerate(face.group):
            if g >= 0:
                dW[k] = self.z[k] / weights[g] * (face.held[k].basis @ coefficients[face.parts[g]])
        return dW, float(coefficients[-1]) if face.has_bias else 0.0

    def still_missing(
        self, e: Float[np.ndarray, " N"], error: Float[np.ndarray, " N"]
    ) -> tuple[Float[np.ndarray, " d1"], float]:
        """Bounds on the norm of the exact further change of each w_k (d1,), for an exact point of the face whose
        residual is e (N,) to the error (N,), and on the Euclidean distance from e to the face's residual on live
        rows."""
        e, off = e[self.live], float(np.linalg.norm(error[self.live]))
        moves = self.face.group >= 0
        if self.kind == "empty":
            return np.zeros(len(self.z)), 0.0
        if self.kind == "rows" or self.zero:
            # Exact bases are orthonormal but for the rounding of the computed ones, here as below.
            missing = 1.01 * (float(np.linalg.norm(e)) + off) / self.sigma
            return np.where(moves, missing, 0.0), 0.0
        if self.kind == "columns":
            adjoint = self.M.T @ e
            rounding = (len(e) + 2) * EPS * float(np.linalg.norm(np.abs(self.M).T @ np.abs(e)))
            seen = float(np.linalg.norm(adjoint)) + rounding + self.face.error * float(np.linalg.norm(e))
            distance = seen / self.sigma + off
            weights = np.append(self.weights, 1.0)[self.face.group]
            return np.where(moves, 1.01 * np.abs(self.z) / weights * distance / self.sigma, 0.0), distance
        seen = float(np.linalg.norm(self.basis.T @ e)) + self.turn * float(np.linalg.norm(e))
        distance = seen + off
        return np.where(moves, 1.01 * distance / self.sigma, 0.0), distance

    def region_residual(self, e: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """What Lemma 2 leaves on the face of the residual e (N,)."""
        result = e.copy()
        if self.zero:
            result[self.live] = 0.0
        elif self.kind == "columns":
            for _ in range(3):
                left = result[self.live]
                result[self.live] = left - self.M @ solve(self._factor, self.M.T @ left)
        elif self.kind == "values":
            for _ in range(2):
                result[self.live] -= self.basis @ (self.basis.T @ result[self.live])
        return result
