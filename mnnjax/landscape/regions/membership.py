"""Does a region hold a differentiable local minimum (DLM) at all? Section 2: a linear program per choice of signs.

With theta_i = z_i w_i the region's output is M theta, M = A o X, and its DLMs have the output t = P y of Lemma 2. So a
DLM exists iff some theta has M theta = t and, for every neuron, theta_i = 0 (z_i = 0), or theta_i lies in the neuron's
open cell (z_i > 0), or -theta_i does (z_i < 0). Few of the 3^d1 choices reach a linear program:

- Two or more neurons with the same pattern count as one that makes any vector: a cell C is open, so C - C is R^d0.
- z_i = 0 for the neurons outside a set S matters only where t lies in the range of M_S and the range of no other M_i
  does: else z_i may be small instead of zero.
- The sign of a neuron's output at a point is known, so it forbids signs: a label 0 needs outputs of both signs or none.
- Where M_S has full column rank, theta is unique.
- A choice for some neurons that is infeasible with the others free rules out all that extend it.

Whether rounding can have changed an answer is decided too: a theta is checked against the rounding that the condition
of M allows, and its absence by the multipliers of the linear programs, which bound every margin (duality)."""

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from mnnjax.arrays import AnyArray, check_rho, refuse_traced
from mnnjax.config import UserError
from mnnjax.jax_setup import require_x64
from mnnjax.landscape._check import check_lengths, check_region, check_scale
from mnnjax.landscape.regions.exact_rank import exact_rank
from mnnjax.landscape.regions.interior import Start, search_inside
from mnnjax.landscape.regions.khatri_rao import above_rounding, column_space, khatri_rao_rank
from mnnjax.landscape.regions.margins import MARGIN, ROUNDING_OF_THETA, Margin, largest_margin, search_signs
from mnnjax.landscape.regions.minima import ZERO_TO_ROUNDING, is_zero, region_residual
from mnnjax.landscape.telling import Tell, Told
from mnnjax.wording import integer

_log = logging.getLogger(__name__)
ROUNDING = 1e-15  # of theta relative to its norm, for M of condition number 1
ZERO = 1e-12  # outputs that count as zero, relative to the largest
IN_RANGE = 1e-9  # vectors within this fraction of their norm from a range lie in it
# Neurons with unknown signs from which on linear programs take longer than a search for one solution, at any size.
MANY_NEURONS = 9
# With twice as many choices of signs, twice as many starts of the search, up to this many. Measured at N = 60, d0 = 12:
# of 120 regions with d1 = 20 the first start misses 7, the first five none; of 10 with d1 = 16, 60 starts miss 5.
MOST_STARTS = 100
MOST_NEURONS, MOST_SETS = 20, 20_000  # neurons whose signs are searched, sets of those with z_i = 0: seconds per region
# Linear programs for signs: some ten minutes at N = 60, d0 = 12, d1 = 16 (about 0.13 s each); all would take hours.
MOST_PROGRAMS = 5_000
HINT = (
    "leave minima out (global_samples=0, suboptimal_samples=0; in a study global_samples, suboptimal_samples or "
    "linear_programs 0), or ask for V(G) with output_signs='random'"
)


class Answer(NamedTuple):
    """Whether a region holds a DLM, as far as float64 can tell, and whether rounding cannot have changed that."""

    holds: bool
    sure: bool


class _Neurons(NamedTuple):
    """One neuron per pattern: its block M_i of A o X, the signs of its outputs in {-1, 0, 1} for z_i > 0, sigma in
    {-1, 1}, whether theta_i is free, since several neurons have the pattern, the sign of z_i if given, else 0, and its
    slopes."""

    blocks: list[Float[np.ndarray, "N d0"]]
    outputs: Int[np.ndarray, "N k"]
    sigma: Float[np.ndarray, "N k"]
    free: Bool[np.ndarray, " k"]
    given: Int[np.ndarray, " k"]
    slopes: Float[np.ndarray, "N k"]


def region_holds_dlm(
    A: Real[AnyArray, "N d1"], X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"], rho: float, *,
    progress: Tell | None = _log.warning,
) -> bool:  # fmt: skip
    """Whether the region D_A(X) holds a differentiable local minimum, global or not (section 2); false if it is empty.

    Which of the two kinds it is, region_residual says: it is zero at global minima. For points of norm 1 and outputs of
    at most 1, margins below 1e-9 + 1e-10 |theta| count as none, and outputs of at most 1e-9 |y| as zero.

    A (N, d1) as activation_pattern gives it; X (N, d0); y (N,) real; rho the other entry of A. It runs on the host, not
    under jit: milliseconds for a few neurons. From 9 neurons on it first searches for one minimum: 0.1 s to 1 s at
    N = 60, d0 = 12, d1 = 20. If it finds none, up to 2^d1 linear programs follow, and as many for zeros of z:
    seconds with 10 neurons at those N and d0. After 5000, about ten minutes there with 16 neurons, it is an error.
    progress: called with a line every ten seconds: which share is decided, and how long the rest takes at most. The
      default logs it as a warning; None says nothing.

    Raises:
      ValueError: shapes that do not match, NaN or infinite entries, entries of A other than rho and 1, rho = 1, more
        signs or zeros of z than can be tried (over 20 different neurons or too many linear programs, unless the search
        finds a minimum), points that differ in length by more than 1e5 where the rank is below N, traced arrays, or
        jax_enable_x64 switched off.
      ArithmeticError: rounding may have changed the answer, as where points are parallel to 1e-6 and yet do not agree.

    Example:
      A = activation_pattern(W, X, rho=0.0)
      region_holds_dlm(A, X, y, rho=0.0)
    """
    require_x64()
    refuse_traced(A=A, X=X, y=y)
    check_rho(rho)
    check_region(A, X, y)
    A, X, y = (np.asarray(values, np.float64) for values in (A, X, y))
    check_scale(X)
    A = np.where(np.isclose(A, rho, rtol=np.finfo(np.float32).eps, atol=0), rho, A)  # float32 has another rho
    if (others := A[~np.isin(A, (rho, 1.0))]).size:
        raise UserError(
            f"A: of shape {A.shape} has entries other than rho = {rho} and 1, such as {others[0]}; use "
            "activation_pattern, with the same rho"
        )
    cells = [_cell_exists(sigma, X) for sigma in np.unique(np.where(A == 1, 1.0, -1.0), axis=1).T]
    if empty := [cell for cell in cells if not cell.holds]:
        answer = Answer(False, any(cell.sure for cell in empty))
    else:
        rank = int(khatri_rao_rank(A, X))
        if rank < len(y):
            check_lengths(X)
        answer = holds_minimum(A, X, y, np.asarray(region_residual(A, X, y)), rho, progress=progress)
        rank_is_sure = rank == min(len(X), A.shape[1] * X.shape[1]) or rank == exact_rank(A, X)
        answer = Answer(answer.holds, answer.sure and rank_is_sure and all(cell.sure for cell in cells))
    if not answer.sure:
        raise ArithmeticError(
            f"region of A {A.shape}: rounding may change whether it holds a minimum; points of X may be nearly parallel"
        )
    return answer.holds


def holds_minimum(
    A: Float[np.ndarray, "N d1"], X: Float[np.ndarray, "N d0"], y: Float[np.ndarray, " N"], e: Float[np.ndarray, " N"],
    rho: float, signs: Int[np.ndarray, " d1"] | None = None, progress: Tell | None = None,
) -> Answer:  # fmt: skip
    """Whether a region that is not empty, with residual e (N,), holds a DLM; its output there is P y = y - e (Lemma 2).
    signs (d1,): of z, each -1 or 1; None: any, also 0. Raises as region_holds_dlm, for too many signs or zeros of z.
    progress: as region_holds_dlm's."""
    target = y if is_zero(e, y) else y - e
    if np.linalg.norm(target) <= ZERO_TO_ROUNDING * np.linalg.norm(y):
        target = np.zeros_like(y)
    largest = np.max(np.abs(target))
    if largest == 0 and signs is None:
        return Answer(True, True)
    target = target / (largest or 1.0)
    target = np.where(np.abs(target) <= ZERO, 0.0, target)
    # Points of norm 1: positive factors of rows do not change the solutions of M theta = target.
    lengths = np.linalg.norm(X, axis=1)
    unit_X, target = X / lengths[:, None], target / lengths
    target = target / (np.max(np.abs(target)) or 1.0)
    neurons = _distinct_neurons(A, unit_X, rho, signs)
    sure = True
    for chosen in [tuple(range(len(neurons.free)))] if signs is not None else _sets(neurons, target, progress):
        if (answer := _holds_on(neurons, chosen, unit_X, target, progress)).holds:
            return answer
        sure = sure and answer.sure
    return Answer(False, sure)


def _cell_exists(sigma: Float[np.ndarray, " N"], X: Float[np.ndarray, "N d0"]) -> Answer:
    """Whether some w has sigma_n x_n.w > 0 for all n; surely not where a convex combination of the sigma_n x_n is 0."""
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    if (lengths == 0).any():
        return Answer(False, True)
    slopes, size = sigma[:, None] * X / lengths, X.shape[1] ** 0.5
    found = _middle(slopes)
    if found.margin > MARGIN:
        return Answer(True, bool((slopes @ found.c > ROUNDING * size).all()))
    return Answer(False, found.lean <= 10 * ROUNDING)


def _middle(slopes: Float[np.ndarray, "N d0"]) -> Margin:
    """The w of a cell slopes @ w > 0, with |w_j| <= 1, that is farthest from its borders."""
    return largest_margin(np.zeros(len(slopes)), slopes, most=1.0, box=1.0)


def _distinct_neurons(A, X, rho: float, signs) -> _Neurons:
    patterns, which = np.unique(np.asarray(A) == 1, axis=1, return_inverse=True)
    which, k = which.ravel(), patterns.shape[1]
    if signs is None:
        free, given = np.bincount(which, minlength=k) > 1, np.zeros(k, int)
    else:
        asked = [np.unique(np.asarray(signs)[which == i]) for i in range(k)]
        free = np.array([len(values) > 1 for values in asked])
        given = np.array([int(values[0]) for values in asked])
    slopes, sigma = np.where(patterns, 1.0, rho), np.where(patterns, 1.0, -1.0)
    blocks = [slopes[:, i : i + 1] * X for i in range(k)]
    return _Neurons(blocks, np.sign(sigma * slopes).astype(int), sigma, free, given, slopes)


def _within(vectors: np.ndarray, basis: np.ndarray) -> bool:
    """Whether all columns lie in the span of the basis, to rounding."""
    return bool(np.linalg.norm(vectors - basis @ (basis.T @ vectors)) <= IN_RANGE * np.linalg.norm(vectors))


def _sets(neurons: _Neurons, target, progress: Tell | None) -> Iterator[tuple[int, ...]]:
    """The sets of neurons with z_i not zero that must be tried, the largest first."""
    everyone = tuple(range(len(neurons.free)))
    yield everyone
    most = min(2 ** int(np.sum(~neurons.free)), MOST_SETS)
    seen, level, told = {everyone}, [everyone], Told(progress, most, "sets of neurons with z_i = 0, at most,")
    while level:
        below: list[tuple[int, ...]] = []
        for chosen in level:
            told.decided()
            basis = column_space(np.hstack([neurons.blocks[i] for i in chosen]))
            if chosen != everyone and not _within(target, basis):
                continue
            others = [neurons.blocks[i] for i in everyone if i not in chosen]
            if others and not (basis.shape[1] == len(target) or any(_within(block, basis) for block in others)):
                yield chosen
            for i in chosen:  # free neurons are in every set
                smaller = tuple(j for j in chosen if j != i)
                if smaller and not neurons.free[i] and smaller not in seen:
                    seen.add(smaller)
                    below.append(smaller)
            if len(seen) > MOST_SETS:
                raise UserError(f"d1: {len(everyone)} neurons have over {MOST_SETS} sets that may have z_i = 0; {HINT}")
        level = below


def _solve(M: Float[np.ndarray, "N p"], target: Float[np.ndarray, " N"]) -> tuple:
    """Whether M theta = target has solutions; which rows of M are not zero (N,); the solutions least (p,) + null (p, k)
    @ c; moved (p, r): rounding moves null @ c by moved @ v with some |v| <= |c|; and bounds on the rounding of the
    target and of theta relative to their norms."""
    U, values, Vt = np.linalg.svd(M, full_matrices=True)
    rank = int(np.sum(above_rounding(values, M.shape)))
    gap = values[rank - 1] / values[0] if rank else 1.0
    # Where rows are dependent the target is a projection, which turns with the range of M.
    target_error = ROUNDING if rank == len(M) else ROUNDING / gap
    exist, seen = _within(target, U[:, :rank]), np.asarray(M.any(axis=1))
    least = Vt[:rank].T @ ((U[:, :rank].T @ np.where(seen, target, 0.0)) / values[:rank])
    moved = ROUNDING * values[0] * (Vt[:rank].T / values[:rank])
    return exist, seen, least, Vt[rank:].T, moved, target_error, target_error / gap


class _Cells(NamedTuple):
    """Where the theta_i of the chosen neurons that are not free must lie: in a neuron's cell, sigma_n x_n . theta_i > 0
    at all points n, or opposite to it; places: which of the chosen neurons these are; given: their signs of z_i."""

    places: list[int]
    sigma: Float[np.ndarray, "N s"]
    given: Int[np.ndarray, " s"]
    unit_X: Float[np.ndarray, "N d0"]
    chosen: int

    def heights(self, theta: Float[np.ndarray, "p ..."]) -> Float[np.ndarray, "N s ..."]:
        """sigma_n x_n . theta_i at points of norm 1."""
        theta = theta.reshape(self.chosen, self.unit_X.shape[1], -1)[self.places]
        return np.einsum("ni,nd,idc->nic", self.sigma, self.unit_X, theta)

    def contain(self, theta: Float[np.ndarray, " p"], margin: float = ROUNDING_OF_THETA) -> bool:
        """Whether all theta_i are inside by the margin, which is relative to the norm of theta, as rounding is."""
        heights, margin = self.heights(theta)[:, :, 0], margin * max(1.0, float(np.linalg.norm(theta)))
        up, down = (heights > margin).all(axis=0), (heights < -margin).all(axis=0)
        return bool(np.where(self.given > 0, up, np.where(self.given < 0, down, up | down)).all())


def _holds_on(neurons: _Neurons, chosen: tuple[int, ...], unit_X, target, progress: Tell | None) -> Answer:
    """Whether a theta with M theta = target is in the chosen neurons' cells, or opposite, unless free; 0 for others."""
    M = np.hstack([neurons.blocks[i] for i in chosen])
    exist, seen, least, null, moved, target_error, theta_error = _solve(M, target)
    theta_is_known = bool(theta_error <= ROUNDING_OF_THETA)
    if not exist:
        return Answer(False, theta_is_known)
    places = [place for place, i in enumerate(chosen) if not neurons.free[i]]
    columns = [chosen[place] for place in places]
    cells = _Cells(places, neurons.sigma[:, columns], neurons.given[columns], unit_X, len(chosen))
    if cells.contain(least):
        return Answer(True, cells.contain(least, theta_error))
    if not null.size:
        return Answer(False, theta_is_known or not cells.contain(least, -theta_error))
    unknown = int(np.sum(cells.given == 0))
    if unknown >= MANY_NEURONS and _search_inside(
        neurons, chosen, unit_X, target, least, null, cells, max(MARGIN, theta_error)
    ):
        return Answer(True, True)
    if unknown > MOST_NEURONS:
        raise UserError(f"d1: the signs of {unknown} neurons need up to 2^{unknown} linear programs; {HINT}")
    # What rounding left at points that no neuron sees is no output.
    if not (possible := _sign_choices(neurons, chosen, np.where(seen, target, 0.0))).size:
        return Answer(False, bool(target_error <= ZERO or (np.abs(target[seen]) > target_error).all()))
    c, proven = search_signs(
        cells.heights(least)[:, :, 0], cells.heights(null), possible, lambda c: cells.contain(least + null @ c),
        cells.heights(moved), target_error / ROUNDING, _limit(unknown), progress,
    )  # fmt: skip
    return Answer(c is not None, proven if c is None else cells.contain(least + null @ c, theta_error))


def _search_inside(neurons: _Neurons, chosen, unit_X, target, least, null, cells: _Cells, margin: float) -> bool:
    """Whether a search from the middles of the chosen neurons' cells finds a theta = least + null @ c that lies inside
    them by the margin, which is larger than rounding."""
    at, d0 = list(chosen), unit_X.shape[1]
    sigma, free = neurons.sigma[:, at], neurons.free[at]
    middles = [
        np.zeros(d0) if any_w else _middle(s[:, None] * unit_X).c for s, any_w in zip(sigma.T, free, strict=True)
    ]
    start = Start(neurons.slopes[:, at], unit_X, sigma, np.array(middles), free, neurons.given[at])
    starts = 2 ** max(0, int(np.sum(cells.given == 0)) - MANY_NEURONS)
    return search_inside(
        start, target, lambda theta: cells.contain(least + null @ (null.T @ theta), margin), min(starts, MOST_STARTS)
    )


def _limit(unknown: int) -> Callable[[], None]:
    """Raises an error at the call after MOST_PROGRAMS calls."""
    calls = itertools.count()

    def count() -> None:
        if next(calls) == MOST_PROGRAMS:
            raise UserError(
                f"d1: {integer(MOST_PROGRAMS)} linear programs leave signs of {unknown} neurons open; {HINT}"
            )

    return count


def _sign_choices(neurons: _Neurons, chosen: tuple[int, ...], target) -> Int[np.ndarray, "choices s"]:
    """The signs of z_i, of the chosen neurons that are not free, that no point forbids; 20 unknown ones take 20 MB."""
    columns = [i for i in chosen if not neurons.free[i]]
    unknown = np.flatnonzero(neurons.given[columns] == 0)
    numbers = np.arange(2 ** len(unknown), dtype=np.int32)
    choices = np.tile(neurons.given[columns].astype(np.int8), (len(numbers), 1))
    for bit, place in enumerate(reversed(unknown)):  # as itertools.product has them: the last sign changes fastest
        choices[:, place] = 2 * (numbers >> bit & 1) - 1
    unbound = (neurons.outputs[:, [i for i in chosen if neurons.free[i]]] != 0).any(axis=1)
    for n in np.flatnonzero(~unbound):
        contributions = choices * neurons.outputs[n, columns].astype(np.int8)
        positive, negative = (contributions > 0).any(axis=1), (contributions < 0).any(axis=1)
        choices = choices[positive == negative if target[n] == 0 else positive if target[n] > 0 else negative]
    return choices
