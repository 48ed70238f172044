"""Linear programs for the largest margin of inequalities, bounds on it that trust no solver, and a search for signs."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linprog

from mnnjax.landscape.telling import Tell, Told

MARGIN = 1e-9  # margins above this count as positive, relative to points of norm 1 and to the largest output
ROUNDING_OF_THETA = 1e-10  # above it, relative to |theta|, they survive rounding of theta unless M is badly conditioned
ENOUGH = 0.01  # no larger margin is looked for: in thin cells that would need weights so large that HiGHS gives up
TOLERANCE, LARGE = 1e-10, 30_000  # of HiGHS; entries of a linear program from which on it is solved by interior points


class Margin(NamedTuple):
    """The largest margin m that was found, at c (k,): start + slopes @ c >= m. By the multipliers (n,) no c has a
    margin of more than bound + lean |c|."""

    c: Float[np.ndarray, " k"]
    margin: float
    multipliers: Float[np.ndarray, " n"]
    bound: float
    lean: float


def largest_margin(
    start: Float[np.ndarray, " n"], slopes: Float[np.ndarray, "n k"], most: float, box: float | None = None
) -> Margin:
    """The largest margin of start + slopes @ c over c (k,), up to `most`, with |c_j| <= box unless that is None.

    Source: duality. For multipliers l >= 0 that sum to 1, the smallest entry of start + slopes @ c is at most
    l . (start + slopes @ c) <= l . start + |slopes^T l| |c|; HiGHS's multipliers make the first term the margin and the
    second zero, to its tolerances. Where HiGHS fails, the margin is -inf, its bound inf, and c zero."""
    rows, columns = np.hstack([-slopes, np.ones((len(slopes), 1))]), slopes.shape[1]
    tight = {"primal_feasibility_tolerance": TOLERANCE, "dual_feasibility_tolerance": TOLERANCE}
    for options in (tight, {}):
        found = linprog(
            np.r_[np.zeros(columns), -1.0],
            A_ub=rows,
            b_ub=start,
            bounds=[(None, None) if box is None else (-box, box)] * columns + [(None, most)],
            # Measured: with 8 neurons and 48 points in 24 dimensions a third of the simplex's time; with 15, as long.
            method="highs-ipm" if rows.size > LARGE else "highs",
            options=options,
        )
        if found.status == 0:  # the program always has a bounded optimum: other statuses are failures of HiGHS
            c, margin, multipliers = found.x[:-1], float(found.x[-1]), np.maximum(-found.ineqlin.marginals, 0.0)
            if not multipliers.any():  # the margin is `most`
                return Margin(c, margin, multipliers, math.inf, math.inf)
            multipliers /= float(multipliers.sum())
            lean = float(np.linalg.norm(slopes.T @ multipliers))
            return Margin(c, margin, multipliers, float(multipliers @ start), lean)
    return Margin(np.zeros(columns), -math.inf, np.zeros(len(slopes)), math.inf, math.inf)


def search_signs(
    start: Float[np.ndarray, "N d1"], slopes: Float[np.ndarray, "N d1 k"], possible: Int[np.ndarray, "choices d1"],
    fits: Callable[[Float[np.ndarray, " k"]], bool], moved: Float[np.ndarray, "N d1 r"], start_moved: float,
    before_program: Callable[[], None], tell: Tell | None = None,
) -> tuple[Float[np.ndarray, " k"] | None, bool]:  # fmt: skip
    """A c (k,) that fits, or None and whether it is proven that there is none.

    start + slopes @ c (N, d1) are the heights of the neurons' points. All heights of a neuron must have its sign, for
    one of the possible (choices, d1) vectors of signs. The search is depth first, one neuron per level.

    moved (N, d1, r): rounding has moved slopes @ c by moved @ v with some |v| <= |c|, and start by up to start_moved
    times as much at |c| = 1. before_program: called before each linear program; it may raise an error. tell: is told
    now and then which share of the choices is decided."""
    told = Told(tell, len(possible), "choices of signs of z")
    neurons = slopes.shape[1]
    scale = max(1.0, float(np.abs(start).max()))
    proven = True

    def descend(signs: tuple[int, ...], left) -> Float[np.ndarray, " k"] | None:
        nonlocal proven
        if signs and (len(signs) == neurons or len(left) > 2):
            before_program()
            taken = np.array(signs)[:, None]  # the neurons decided so far
            decided, decided_moved = ((taken * a[:, : len(signs)]).reshape(-1, a.shape[2]) for a in (slopes, moved))
            found = largest_margin((taken[:, 0] * start[:, : len(signs)] / scale).ravel(), decided, ENOUGH)
            if not found.margin > MARGIN:
                rounding = np.linalg.norm(found.multipliers @ decided_moved)
                low = found.bound + start_moved * rounding <= MARGIN / scale
                proven = bool(proven and low and found.lean + rounding <= ROUNDING_OF_THETA)
                told.decided(len(left))
                return None
            told.decided(0)
            if fits(c := scale * found.c):
                return c
            if len(signs) == neurons:
                proven = False  # rounding spoils the solution
                told.decided()
                return None
        for sign in (1, -1):
            below = left[left[:, len(signs)] == sign]
            if len(below) and (c := descend((*signs, sign), below)) is not None:
                return c
        return None

    return descend((), possible), proven
