"""Does a region hold a differentiable local minimum (DLM) at all? Section 2: a linear program for each choice of signs.

With theta_i = z_i w_i the region's output is M theta, M = A o X, and its DLMs have the output t = P y of Lemma 2. So a
DLM exists iff some theta has M theta = t and, for every neuron, theta_i = 0 (z_i = 0), or theta_i lies in the neuron's
open cell (z_i > 0), or -theta_i does (z_i < 0). Of the 3^d1 choices few reach a linear program:

- Neurons with one pattern are one: two or more of them together make any vector, since a cell C is open and C - C is
  all of R^d0.
- z_i = 0 for the neurons outside a set S matters only where t lies in the range of M_S and the range of no other M_i
  does: else z_i may as well be small and not zero.
- The sign of a neuron's output at a point is known, so each point forbids signs (a label 0, for one, needs outputs of
  both signs, or none).
- Where M_S has full column rank, theta is unique.
- A choice for some neurons, the others left free, that is infeasible rules out all that extend it.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linprog

from mnnjax.config import UserError
from mnnjax.landscape._check import check_array, check_pattern, check_rho
from mnnjax.landscape.khatri_rao import khatri_rao_rank, rank_tolerance
from mnnjax.landscape.minima import region_residual

# Margins, relative to points of norm 1 and to the largest output, that count as positive; and HiGHS's tolerances.
MARGIN, TOLERANCE = 1e-9, 1e-10
# A margin that is not made larger: in thin cells that would need weights so large that HiGHS gives up.
ENOUGH = 0.01
# Outputs, relative to the largest, that count as zero.
ZERO = 1e-12
# A target whose distance from a range is at most this fraction of its norm lies in it.
IN_RANGE = 1e-9
# Entries of a linear program from which on it is solved by interior points.
LARGE = 30_000
# Different patterns whose signs can be searched.
MOST_NEURONS = 20


class _Neurons(NamedTuple):
    """The different neurons: blocks M_i (N, d0), outputs' signs in {-1, 0, 1} for z_i > 0 (N, k), sigma (N, k) in
    {-1, 1}, which of them are free, and the sign of z_i where it is given, else 0."""

    blocks: list[Float[np.ndarray, "N d0"]]
    outputs: Int[np.ndarray, "N k"]
    sigma: Float[np.ndarray, "N k"]
    free: Bool[np.ndarray, " k"]
    given: Int[np.ndarray, " k"]


def region_holds_dlm(
    A: Float[np.ndarray, "N d1"], X: Float[np.ndarray, "N d0"], y: Float[np.ndarray, " N"], rho
) -> bool:
    """Whether the region D_A(X) holds a differentiable local minimum, global or not (section 2).

    False too where the region is empty. A margin below 1e-9, of points of norm 1 and an output of at most 1, counts as
    none. Which of the two kinds it is, region_residual says: it is zero at global minima.

    Raises:
      ValueError: shapes that do not match, NaN or infinite entries, entries of A other than rho and 1, rho = 1, or
        more than 20 different neurons, unless weights are unique.
    """
    check_rho(rho)
    check_pattern(A)
    check_array("X", X, (np.shape(A)[0], None), "give one row for each row of A")
    check_array("y", y, (np.shape(A)[0],), "give one label for each row of A")
    A, X, y = (np.asarray(values, np.float64) for values in (A, X, y))
    if not np.isin(A, (rho, 1.0)).all():
        raise UserError(f"A: of shape {A.shape} has entries other than rho = {rho} and 1; use activation_pattern")
    if not all(_cell_exists(sigma, X) for sigma in np.unique(np.where(A == 1, 1.0, -1.0), axis=1).T):
        return False
    target = y
    if khatri_rao_rank(A, X) < len(y):
        target = y - np.asarray(region_residual(A, X, y))
        if np.linalg.norm(target) <= IN_RANGE * np.linalg.norm(y):
            target = np.zeros_like(y)
    return holds_dlm_with_output(A, X, target, rho)


def holds_dlm_with_output(
    A: Float[np.ndarray, "N d1"], X: Float[np.ndarray, "N d0"], target: Float[np.ndarray, " N"], rho: float,
    signs: Int[np.ndarray, " d1"] | None = None,
) -> bool:  # fmt: skip
    """Whether the region, known not to be empty, holds a DLM; target (N,) is its output there, P y.

    signs: (d1,) of -1 and 1, the only signs of z that are asked for; None: any, zero included.

    Raises:
      ValueError: more than 20 different neurons, unless weights are unique.
    """
    largest = np.max(np.abs(target))
    if largest == 0 and signs is None:
        return True
    target = target / (largest or 1.0)
    target = np.where(np.abs(target) <= ZERO, 0.0, target)
    # Points of norm 1: whether M theta = target has solutions, and which, does not depend on positive factors of rows.
    lengths = np.linalg.norm(X, axis=1)
    unit_X, target = X / lengths[:, None], target / lengths
    target = target / (np.max(np.abs(target)) or 1.0)
    neurons = _different(A, unit_X, rho, signs)
    sets = [tuple(range(len(neurons.free)))] if signs is not None else _sets(neurons, target)
    return any(_holds_on(neurons, chosen, unit_X, target) for chosen in sets)


def _cell_exists(sigma: Float[np.ndarray, " N"], X: Float[np.ndarray, "N d0"]) -> bool:
    """Whether some w has sigma_n x_n.w > 0 for all n."""
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    if (lengths == 0).any():
        return False
    rows = np.hstack([-sigma[:, None] * X / lengths, np.ones((len(X), 1))])
    d0 = X.shape[1]
    found = _solve(np.r_[np.zeros(d0), -1.0], rows, np.zeros(len(X)), [(-1, 1)] * d0 + [(None, 1)])
    return found is not None and found[-1] > MARGIN


def _different(A, X, rho: float, signs) -> _Neurons:
    """The neurons with equal patterns made one."""
    active = np.asarray(A) == 1
    patterns, which = np.unique(active, axis=1, return_inverse=True)
    which = which.ravel()
    k = patterns.shape[1]
    if signs is None:
        free, given = np.bincount(which, minlength=k) > 1, np.zeros(k, int)
    else:
        both = [np.unique(np.asarray(signs)[which == i]) for i in range(k)]
        free = np.array([len(values) > 1 for values in both])
        given = np.array([int(values[0]) for values in both])
    slopes = np.where(patterns, 1.0, rho)
    sigma = np.where(patterns, 1.0, -1.0)
    blocks = [slopes[:, i : i + 1] * X for i in range(k)]
    return _Neurons(blocks, np.sign(sigma * slopes).astype(int), sigma, free, given)


def _range(blocks: list[np.ndarray], N: int) -> Float[np.ndarray, "N r"]:
    """An orthonormal basis of what the blocks span."""
    if not blocks:
        return np.zeros((N, 0))
    vectors, values, _ = np.linalg.svd(np.hstack(blocks), full_matrices=False)
    return vectors[:, values > rank_tolerance((N, sum(b.shape[1] for b in blocks))) * values[0]]


def _within(vectors: np.ndarray, basis: np.ndarray) -> bool:
    """Whether all columns lie in the span of the basis, to rounding."""
    return bool(np.linalg.norm(vectors - basis @ (basis.T @ vectors)) <= IN_RANGE * np.linalg.norm(vectors))


def _sets(neurons: _Neurons, target) -> Iterator[tuple[int, ...]]:
    """The sets of neurons with z_i not zero that must be tried, the largest first."""
    everyone = tuple(range(len(neurons.free)))
    seen, level = {everyone}, [everyone]
    while level:
        below: list[tuple[int, ...]] = []
        for chosen in level:
            basis = _range([neurons.blocks[i] for i in chosen], len(target))
            if not _within(target, basis):
                continue
            others = [i for i in everyone if i not in chosen]
            full = basis.shape[1] == len(target)
            if not others or not (full or any(_within(neurons.blocks[i], basis) for i in others)):
                yield chosen
            for i in chosen:
                # A free neuron costs nothing: it is in every set.
                smaller = tuple(j for j in chosen if j != i)
                if not neurons.free[i] and smaller not in seen:
                    seen.add(smaller)
                    below.append(smaller)
        level = below


def _holds_on(neurons: _Neurons, chosen: tuple[int, ...], unit_X, target) -> bool:
    """Whether some theta with M theta = target has every chosen neuron, unless free, in its cell or that of its
    opposite, and the others zero."""
    M = np.hstack([neurons.blocks[i] for i in chosen])
    d0 = unit_X.shape[1]
    single = [place for place, i in enumerate(chosen) if not neurons.free[i]]
    sigma = neurons.sigma[:, [chosen[place] for place in single]]
    given = neurons.given[[chosen[place] for place in single]]
    U, values, Vt = np.linalg.svd(M, full_matrices=True)
    rank = int(np.sum(values > rank_tolerance(M.shape) * values[0]))
    least = Vt[:rank].T @ ((U[:, :rank].T @ target) / values[:rank])
    if np.linalg.norm(M @ least - target) > IN_RANGE * np.linalg.norm(target):
        return False

    def heights(theta) -> Float[np.ndarray, "N singles ..."]:
        """sigma_n x_n . theta_i at points of norm 1, which has one sign at all of them inside a cell."""
        theta = theta.reshape(len(chosen), d0, -1)[single]
        return np.einsum("ni,nd,idc->nic", sigma, unit_X, theta)

    def fits(theta) -> bool:
        """Whether all single neurons are strictly inside."""
        # Rounding of theta grows with it.
        scores, margin = heights(theta)[:, :, 0], MARGIN / 10 * max(1.0, float(np.linalg.norm(theta)))
        up, down = (scores > margin).all(axis=0), (scores < -margin).all(axis=0)
        return bool(np.where(given > 0, up, np.where(given < 0, down, up | down)).all())

    if fits(least):
        return True
    if rank == M.shape[1]:
        return False
    unknown = int(np.sum(given == 0))
    if unknown > MOST_NEURONS:
        raise UserError(
            f"A: {unknown} different neurons of either sign would need up to 2^{unknown} linear programs; at most "
            f"{MOST_NEURONS} can be decided: leave V(G) out (global_samples=0) or take output_signs='random'"
        )
    possible = _sign_choices(neurons, chosen, single, target)
    # All solutions are least + null @ c.
    null = Vt[rank:].T
    return bool(possible.size) and _search(
        heights(least)[:, :, 0], heights(null), possible, lambda c: fits(least + null @ c)
    )


def _sign_choices(neurons: _Neurons, chosen, single, target) -> Int[np.ndarray, "choices singles"]:
    """The sign vectors of the single neurons that no point forbids."""
    columns = [chosen[place] for place in single]
    options = [(-1, 1) if neurons.given[i] == 0 else (int(neurons.given[i]),) for i in columns]
    choices = np.array(list(itertools.product(*options)), np.int8).reshape(-1, len(single))
    anything = (neurons.outputs[:, [i for i in chosen if neurons.free[i]]] != 0).any(axis=1)
    for n in np.flatnonzero(~anything):
        contributions = choices * neurons.outputs[n, columns]
        positive, negative = (contributions > 0).any(axis=1), (contributions < 0).any(axis=1)
        both_or_none = positive == negative
        choices = choices[both_or_none if target[n] == 0 else positive if target[n] > 0 else negative]
    return choices


def _search(
    start: Float[np.ndarray, "N singles"], slopes: Float[np.ndarray, "N singles c"], possible, fits: Callable
) -> bool:
    """Depth first over the signs, one neuron a level, among the possible choices; start + slopes @ c are the heights
    of the neurons' points."""
    N, singles, columns = slopes.shape
    scale = max(1.0, float(np.abs(start).max()))

    def relaxed(signs) -> Float[np.ndarray, " c"] | None:
        """c with the largest margin, up to ENOUGH, of the neurons decided so far, the others free; None if it is not
        positive."""
        level = len(signs)
        rows = np.ones((N, level, columns + 1))
        rows[:, :, :-1] = -np.array(signs)[:, None] * slopes[:, :level]
        limits = np.array(signs) * start[:, :level] / scale
        objective = np.r_[np.zeros(columns), -1.0]
        bounds = [(None, None)] * columns + [(None, ENOUGH)]
        found = _solve(objective, rows.reshape(N * level, -1), limits.ravel(), bounds)
        return scale * found[:-1] if found is not None and found[-1] > MARGIN else None

    def descend(signs: tuple[int, ...], left) -> bool:
        if signs and (len(signs) == singles or len(left) > 2):
            c = relaxed(signs)
            if c is None:
                return False
            if fits(c):
                return True
            if len(signs) == singles:
                return False
        for sign in (1, -1):
            below = left[left[:, len(signs)] == sign]
            if len(below) and descend((*signs, sign), below):
                return True
        return False

    return descend((), possible)


def _solve(objective, rows, limits, bounds) -> np.ndarray | None:
    """The linear program's solution; None where it is infeasible.

    Raises:
      ArithmeticError: HiGHS could not decide it.
    """
    tight = {"primal_feasibility_tolerance": TOLERANCE, "dual_feasibility_tolerance": TOLERANCE}
    for options in (tight, {}):
        found = linprog(
            objective,
            A_ub=rows,
            b_ub=limits,
            bounds=bounds,
            # Measured: with 8 neurons and 48 points in 24 dimensions a third of the simplex's time; with 15, as long.
            method="highs-ipm" if rows.size > LARGE else "highs",
            options=options,
        )
        if found.status in (0, 2):
            return found.x if found.status == 0 else None
    raise ArithmeticError(f"linear program undecided: {found.message}")
