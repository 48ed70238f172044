"""Exact angular volumes (Definition 3) of L_eps, G and the rank-deficient regions: all regions, one by one.

A region gives each neuron a cell of the arrangement (arrangement.py); its volume is the product of theirs. What a
region holds depends neither on the order of the neurons nor on whether a cell is taken twice or more often. So regions
are gathered into multisets of cells, and those into classes, each of which is decided once."""

import array
import collections
import dataclasses
import functools
import itertools
import math

import numpy as np
from jaxtyping import Float, Real
from scipy.sparse import csr_array

from mnnjax.arrays import AnyArray, check_count, check_points, check_rho
from mnnjax.config import UserError
from mnnjax.landscape._check import check_eps, threshold_of
from mnnjax.landscape.regions.khatri_rao import column_space, product, unit_row_rank, without_projection
from mnnjax.landscape.regions.membership import holds_minimum
from mnnjax.landscape.regions.minima import is_bad, is_zero
from mnnjax.landscape.volumes.arrangement import cells
from mnnjax.wording import aligned

Class = tuple[tuple[int, int], ...]

MOST_MULTISETS, MOST_SETS = 2_000_000, 300_000


@dataclasses.dataclass(frozen=True)
class ExactVolumes:
    """Angular volumes, exact to rounding.

    suboptimal: V(L_eps); global_minima: V(G) (Definition 4); rank_deficient: of the regions with rank(A o X) < N.
    total: of all regions, 1 to rounding. regions: their number; decided: the number of classes asked for a minimum.
    in_doubt: volume of regions whose answer rounding may have changed; 0 unless, say, points are nearly parallel."""

    suboptimal: float
    global_minima: float
    rank_deficient: float
    total: float
    regions: int
    decided: int
    in_doubt: float

    def __str__(self) -> str:
        doubt = f"; in doubt, to rounding: {self.in_doubt:.3g}" if self.in_doubt else ""
        parts = {
            "suboptimal, V(L_eps)": f"{self.suboptimal:.6g}",
            "global_minima, V(G)": f"{self.global_minima:.6g}",
            "rank_deficient": f"{self.rank_deficient:.6g}",
            "regions": f"{self.regions}, exact{doubt}",
        }
        return aligned(parts)


def exact_volumes(
    X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"], d1: int, rho: float, eps: float = 0.0, *,
    threshold: float | None = None,
) -> ExactVolumes:  # fmt: skip
    """V(L_eps), V(G) and the rank-deficient volume (Definitions 3 and 4) of the regions of W (d1, d0), for d0 up to 3.

    X (N, d0), y (N,), d1, rho, eps, threshold: as estimate_volumes.
    Time: about 1 ms for each of the C(cells + d1 - 1, d1) multisets, of 2 N cells where d0 = 2 and N^2 - N + 2 where
    d0 = 3. With d0 = 2, N = 6 and d1 = 3 that is below a second, N = 8 and d1 = 4 seconds, N = 10 and d1 = 5 a minute;
    with d0 = 3, N = 6 and d1 = 3 ten seconds, N = 8 and d1 = 3 a minute.
    Raises ValueError as estimate_volumes, and for d0 above 3 or more than 2 000 000 multisets.

    Example:
      print(exact_volumes(X, y, d1=3, rho=0.0))  # one line per volume
      exact_volumes(X, y, d1=3, rho=0.0, eps=0.1).suboptimal
    """
    check_rho(rho)
    X, y = check_points(X, y)
    d1, eps, threshold = check_count("d1", d1), check_eps(eps), threshold_of(threshold, y)
    patterns, volumes = cells(X)
    multisets = math.comb(len(volumes) + d1 - 1, d1)
    if multisets > MOST_MULTISETS:
        raise UserError(
            f"d1: {d1} neurons in {len(volumes)} cells make {multisets} multisets, more than {MOST_MULTISETS}; "
            "use estimate_volumes"
        )
    kinds = _Kinds(np.where(patterns, 1.0, rho), X, y, rho, eps, threshold)
    parts = {name: [] for name in ("suboptimal", "global", "deficient", "all", "in doubt")}
    for chosen in itertools.combinations_with_replacement(range(len(volumes)), d1):
        taken = collections.Counter(chosen)
        orders = math.factorial(d1) // math.prod(math.factorial(times) for times in taken.values())
        volume = orders * math.prod(float(volumes[cell]) ** times for cell, times in taken.items())
        for name in ("all", *kinds[tuple((cell, min(times, 2)) for cell, times in taken.items())]):
            parts[name].append(volume)
    # fsum: no rounding from the number of terms.
    suboptimal, global_minima, deficient, total, in_doubt = map(math.fsum, parts.values())
    return ExactVolumes(suboptimal, global_minima, deficient, total, len(volumes) ** d1, kinds.decided, in_doubt)


class _Kinds(dict[Class, frozenset[str]]):
    """Which of "suboptimal", "global", "deficient", "in doubt" a class of regions is, decided when first asked for; a
    class is ((cell, 1 or 2), ...), 2 for twice or more often."""

    def __init__(self, slopes, X, y, rho: float, eps: float, threshold: float):
        super().__init__()
        self._slopes, self._X, self._y = slopes, X, y
        self._rho, self._eps, self._threshold = rho, eps, threshold
        self.decided = 0

    def __missing__(self, taken: Class) -> frozenset[str]:
        return self.setdefault(taken, self._decide(taken))

    def _decide(self, taken: Class) -> frozenset[str]:
        y, M = self._y, product(self._slopes[[cell for cell, _ in taken]].T, self._X)
        kinds = {"deficient"} if unit_row_rank(M) < len(y) else set()
        e = without_projection(y, column_space(M)) if kinds else np.zeros_like(y)
        if is_zero(e, y):
            for i, (cell, times) in enumerate(taken):  # a global minimum stays one with a further neuron whose z is 0
                once = ((cell, 1),) if times == 2 else ()
                smaller = self.get((*taken[:i], *once, *taken[i + 1 :]), frozenset())
                if "global" in smaller:
                    return frozenset(kinds | (smaller - {"deficient"}))
        elif not is_bad(e, y, self._eps, self._threshold):
            return frozenset(kinds)
        self.decided += 1
        columns = [cell for cell, times in taken for _ in range(times)]
        answer = holds_minimum(self._slopes[columns].T, self._X, y, e, self._rho)
        if answer.holds:
            kinds.add("global" if is_zero(e, y) else "suboptimal")
        return frozenset(kinds if answer.sure else kinds | {"in doubt"})


def exact_rank_deficient(X: Real[AnyArray, "N d0"], d1: int, rho: float) -> float:
    """The volume of the regions with rank(A o X) < N, for d0 up to 3 and any d1; X (N, d0), d1, rho: as exact_volumes.

    However small it is, its relative error is d1 times that of the volumes of cells, which is about 1e-16 over the
    volume of the thinnest cell that matters.

    Time grows with the number of rank-deficient sets of cells, hardly with d1: with d0 = 2, N = 8 seconds, N = 10 a
    minute; with d0 = 3, N = 5 seconds, N = 6 minutes.

    Source: ours. The rank depends only on the set of cells taken, and grows with it. So neurons are added one by one,
    and only rank-deficient sets S kept: p(S with c) += p(S) V(c). No term is negative, so sums add no relative error.
    Raises ValueError as exact_volumes, and for more than 300 000 rank-deficient sets.

    Example:
      exact_rank_deficient(X, d1=30, rho=0.0)  # of the order of 1e-7 for 6 points in the plane
    """
    check_rho(rho)
    d1 = check_count("d1", d1)
    patterns, volumes = cells(X)
    numbers, additions = _deficient_sets(np.where(patterns, 1.0, rho), np.asarray(X, np.float64), d1)
    to, start, cell = np.asarray(additions).reshape(-1, 3).T
    add_neuron = csr_array((volumes[cell], (to, start)), shape=(len(numbers), len(numbers)))
    shares = np.r_[1.0, np.zeros(len(numbers) - 1)]
    for _ in range(d1):
        shares = add_neuron @ shares
    return math.fsum(shares)


def _deficient_sets(slopes: Float[np.ndarray, "C N"], X, d1: int) -> tuple[dict[int, int], array.array]:
    """The rank-deficient sets of up to d1 of C cells, numbered, and where a further neuron leads from each: a flat
    array of (number after, number before, cell of the neuron). A set is an integer, one bit per cell."""

    @functools.cache
    def deficient(cells_taken: int) -> bool:
        taken = [cell for cell in range(len(slopes)) if cells_taken >> cell & 1]
        return len(taken) * X.shape[1] < len(X) or bool(unit_row_rank(product(slopes[taken].T, X)) < len(X))

    numbers: dict[int, int] = {0: 0}
    additions = array.array("q")
    frontier = [0]  # sets are found in the order of their sizes; a set is deficient only if all with one cell less are
    for _ in range(d1 + 1):
        found: list[int] = []
        for before in frontier:
            for cell in range(len(slopes)):
                after = before | 1 << cell
                if after.bit_count() > d1 or not deficient(after):
                    continue
                if after not in numbers:
                    numbers[after] = len(numbers)
                    found.append(after)
                additions.extend((numbers[after], numbers[before], cell))
            if len(numbers) > MOST_SETS:
                raise UserError(f"X: has more than {MOST_SETS} rank-deficient sets of cells; use split_volume")
        frontier = found
    return numbers, additions
