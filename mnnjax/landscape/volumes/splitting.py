"""Rare regions: angular volumes of 1e-15 and far below, by splitting over the neurons.

Given X, the rows of W are independent. So W is built neuron by neuron, for many particles at once. After each neuron
the particles are cloned or dropped in proportion to an importance function h of a score, and the product of the weights
that undo this is an unbiased estimate of the volume (fixed-effort multilevel splitting, also known as sequential Monte
Carlo). That holds for every positive h: only the variance depends on h. No Markov chain is needed.

New neurons come from a mixture: a fresh Gaussian, or one near an earlier neuron, since regions of low rank have
neurons with nearly the same pattern. The exact ratio of the two densities, at most 1 / FRESH, is the neuron's weight.

The score of a partial network is the rank that is still missing (for rank-deficient regions), or one more than the
number of points that its region's minima misclassify (for L_eps), computed fast and roughly. Neither the missing rank
nor the norm of the residual can grow with further neurons. So a score of zero, no rank missing or a residual too small
to misclassify enough points, means that the target is out of reach."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple, get_args

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, PRNGKeyArray, Real
from threadpoolctl import threadpool_limits

from mnnjax.arrays import AnyArray, check_count, check_points, check_rho, on_host
from mnnjax.errors import UserError, require
from mnnjax.jax_setup import on_cpu, require_x64
from mnnjax.landscape._check import check_eps, check_key, check_spread, threshold_of
from mnnjax.landscape.regions.membership import holds_minimum
from mnnjax.landscape.regions.minima import is_bad
from mnnjax.landscape.volumes.intervals import Estimate, combine, in_words
from mnnjax.landscape.volumes.particles import Target, in_proportion, run_particles
from mnnjax.landscape.volumes.sampling import are_deficient, residuals_where
from mnnjax.wording import aligned

# The frequencies of a score are trusted from this many visits on; h rises at most this far above its value at the best
# score seen, and its logarithm at most this fast where it is extrapolated.
TRUSTED, HIGHEST, STEEPEST = 30, 1e5, 1.5
HOPELESS = 0.02  # the share of particles without a chance by their score, which may be wrong, is at most this
ROUNDS, MOST_ROUNDS = 4, 30  # the least and the most pilot runs, from which h is fitted
SETTLED = 0.1  # pilots end when, twice in a row, the score puts at least this share of the particles in the target
CHECKED = 128  # final particles that are decided exactly


class Repetition(NamedTuple):
    """One run's unbiased estimates of the target's volume and, for L_eps, of the regions whose minima, if they hold
    any, are sub-optimal with MCE > eps."""

    volume: float
    candidate: float


@dataclasses.dataclass(frozen=True, eq=False)
class SplitEstimate(Estimate):
    """The mean of independent runs with its 95 % interval (Source: see combine); runs: the estimate of each;
    candidate: likewise for the regions whose minima, if they hold any, are sub-optimal with MCE > eps."""

    runs: tuple[float, ...] = ()
    candidate: Estimate | None = None

    def __str__(self) -> str:
        volume = in_words(self, f"; {len(self.runs)} runs")
        if self.candidate is None or self.candidate.estimate == self.estimate:
            return volume  # of rank-deficient regions they are the same
        return aligned({"volume": volume, "candidates, which hold it": in_words(self.candidate, "")})


@contextlib.contextmanager
def _on_host() -> Iterator[None]:
    """On the CPU backend, with one BLAS thread: several wait for each other."""
    with on_cpu(), threadpool_limits(limits=1, user_api="blas"):
        yield


@_on_host()
def fit_importance(
    key: PRNGKeyArray, X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"], d1: int, rho: float, eps: float, *,
    target: Target, particles: int = 2000, threshold: float | None = None,
) -> Float[np.ndarray, "stages scores"]:  # fmt: skip
    """The importance function h[k, s] (d1 + 1, N + 2) after k neurons at score s, from pilots that no estimate uses.

    Source: ours. The pilots count how scores follow each other. h is the chance of ending in the target if scores were
    a Markov chain, computed backwards from the last neuron: near the importance function of least variance.

    Arguments as split_volume's. Raises ValueError as estimate_volumes, for another target or fewer than 2 particles."""
    X, y, d1, rho, eps, particles, threshold = _checked(key, X, y, d1, rho, eps, target, particles, threshold)
    scores = np.arange(len(X) + 2)
    is_end = _in_target(scores, target, eps, len(X))
    h = np.tile(np.where(scores > 0, np.exp(0.5 * np.minimum(scores, 30)), 1e-5), (d1 + 1, 1))
    moves = np.zeros((d1, len(scores), len(scores)))
    settled = 0
    for number, round_key in enumerate(jax.random.split(key, MOST_ROUNDS), start=1):
        run = run_particles(round_key, h, X, y, d1, rho, eps, target, particles, threshold)
        for k, (before, after, weights) in enumerate(run.moves):
            np.add.at(moves[k], (before, after), weights)
        h = _fit(moves, is_end)
        settled = settled + 1 if is_end[run.moves[-1][1]].mean() >= SETTLED else 0
        if number >= ROUNDS and settled >= 2:
            break
    return h


@_on_host()
def run_splitting(
    key: PRNGKeyArray, importance: Real[AnyArray, "stages scores"], X: Real[AnyArray, "N d0"],
    y: Real[AnyArray, " N"], d1: int, rho: float, eps: float, *, target: Target, particles: int = 2000,
    threshold: float | None = None, max_linear_programs: int = 200,
) -> Repetition:  # fmt: skip
    """One unbiased estimate of a volume (Definition 3); a pure function of its arguments, which are split_volume's.

    importance: (d1 + 1, N + 2), as fit_importance gives it.
    max_linear_programs: for L_eps, how many of the final particles, drawn at random, are asked for a minimum; 0: only
      `candidate` is estimated, and `volume` is 0.
    Raises ValueError as fit_importance, and for an importance function of another shape or not positive.

    Example:
      pilot, *keys = jax.random.split(jax.random.key(0), 11)
      importance = fit_importance(pilot, X, y, 30, 0.0, 0.0, target="rank_deficient")
      runs = [run_splitting(k, importance, X, y, 30, 0.0, 0.0, target="rank_deficient").volume for k in keys]
      combine(runs)  # mean, low, high
    """
    X, y, d1, rho, eps, particles, threshold = _checked(key, X, y, d1, rho, eps, target, particles, threshold)
    max_linear_programs = check_count("max_linear_programs", max_linear_programs, least=0)
    hint = f"take it from fit_importance for the same d1 and X {X.shape}"
    importance = on_host("importance", importance, (d1 + 1, len(X) + 2), hint)
    if not (importance > 0).all():
        raise UserError("importance: has values that are not positive; with those the estimate would be biased")
    key, key_order = jax.random.split(key)  # not fold_in(key, 1), which is the second of split(key, d1)
    keys = jax.random.split(key_order, 3)
    run = run_particles(key, importance, X, y, d1, rho, eps, target, particles, threshold)
    A = np.where(np.einsum("nd,pkd->pnk", X, run.W) > 0, 1.0, rho)
    by_score = _in_target(run.moves[-1][1], target, eps, len(X))
    likely, unlikely = np.flatnonzero(by_score), np.flatnonzero(~by_score)

    def drawn(key, count: int) -> tuple[Int[np.ndarray, " c"], Int[np.ndarray, " c"]]:
        """Likely particles in proportion to their weights, and how often each."""
        chosen, times = np.unique(in_proportion(key, run.weights[likely], count), return_counts=True)
        return likely[chosen], times

    def are_candidates(chosen) -> tuple[Bool[np.ndarray, " c"], Float[np.ndarray, "c N"]]:
        """Which of the chosen regions are rank-deficient or, for L_eps, have bad minima, if any; their residuals."""
        found, ys = are_deficient(A[chosen], X, rho), np.broadcast_to(y, (len(chosen), len(y)))
        residuals = np.zeros(ys.shape)
        if target == "suboptimal":
            residuals = residuals_where(found, A[chosen], np.broadcast_to(X, (len(chosen), *X.shape)), ys)
            found = np.array([is_bad(e, y, eps, threshold) for e in residuals], bool)
        return found, residuals

    # The score decides; of some particles it is decided exactly how often the score is right, which removes the bias:
    # of likely ones in proportion to their weights, of the others at random.
    weight = run.weights[likely].sum() / particles
    others = unlikely[np.argsort(np.asarray(jax.random.uniform(keys[0], (particles,)))[unlikely])[:CHECKED]]
    missed, residuals = are_candidates(others)
    share = len(unlikely) / particles / max(len(missed), 1)
    others, residuals = others[missed], residuals[missed]
    chosen, times = drawn(keys[1], CHECKED)
    right = times @ are_candidates(chosen)[0] / max(times.sum(), 1)
    candidate = float(weight * right + share * run.weights[others].sum())
    if target == "rank_deficient" or not max_linear_programs:
        return Repetition(candidate if target == "rank_deficient" else 0.0, candidate)
    chosen, times = drawn(keys[2], max_linear_programs)
    cases = zip(chosen, times, *are_candidates(chosen), strict=True)
    held = sum(often for i, often, found, e in cases if found and holds_minimum(A[i], X, y, e, rho).holds)
    cases = zip(others, residuals, strict=True)
    rest = sum(run.weights[i] for i, e in cases if holds_minimum(A[i], X, y, e, rho).holds)
    return Repetition(float(weight * (held / max(times.sum(), 1)) + share * rest), candidate)


def _in_target(scores: Int[np.ndarray, " n"], target: Target, eps: float, N: int) -> Bool[np.ndarray, " n"]:
    """Which final scores mean that the target is reached."""
    return scores > (0 if target == "rank_deficient" else 1 + eps * N)


def split_volume(
    key: PRNGKeyArray, X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"], d1: int, rho: float, eps: float = 0.0, *,
    target: Target = "rank_deficient", particles: int = 2000, runs: int = 20, threshold: float | None = None,
    max_linear_programs: int = 200,
) -> SplitEstimate:  # fmt: skip
    """The angular volume of the rank-deficient regions, or of L_eps (Definitions 3 and 4), if too small for sampling.

    Time grows as (runs + 4 to 30 pilots) * d1 * particles * N^3: for rank-deficient regions about 10 s at N = 6,
    d1 = 30, 20 s at N = 50, d1 = 16. "suboptimal" takes longer by runs * max_linear_programs linear programs:
    about 15 s at N = 6, d0 = 2, d1 = 30, minutes at N = 20, d0 = 10, d1 = 8. To try: particles=500, runs=6.

    key, X, y, d1, rho, eps, threshold: as estimate_volumes; the same key gives the same estimate.
    target: "rank_deficient", or "suboptimal" for L_eps. particles: partial networks carried from neuron to neuron.
    runs: independent runs after the pilot; the interval comes from them.
    max_linear_programs: for L_eps, how many final particles per run are asked for a minimum.
    Raises ValueError as fit_importance, and for fewer than 2 runs.

    Example:
      print(split_volume(jax.random.key(0), X, y, d1=30, rho=0.0))  # with its interval
    """
    runs = check_count("runs", runs, least=2)  # one run has no interval
    check_count("max_linear_programs", max_linear_programs, least=0)
    check_key(key)
    options = {"target": target, "particles": particles, "threshold": threshold}
    pilot, *keys = jax.random.split(key, runs + 1)
    importance = fit_importance(pilot, X, y, d1, rho, eps, **options)
    options["max_linear_programs"] = max_linear_programs
    found = [run_splitting(k, importance, X, y, d1, rho, eps, **options) for k in keys]
    volumes, candidates = zip(*found, strict=True)
    return SplitEstimate(*combine(volumes), runs=volumes, candidate=Estimate(*combine(candidates)))


def _fit(moves: Float[np.ndarray, "d1 scores scores"], is_end) -> Float[np.ndarray, "stages scores"]:
    """Backwards: h[k, s] = sum over s' of P_k(s' | s) h[k + 1, s'], log-linear in s where s was seldom visited.

    Each stage is scaled so that the best score seen there has 1. Nearly all of W may be where h has its least value f;
    then a share f / a_k of the particles after k neurons is there, with a_k the mean of h, which the scales give. So f
    is HOPELESS a_k: with a constant f those particles would soon be all."""
    d1, size, _ = moves.shape
    chance = np.empty((d1 + 1, size))
    chance[d1] = is_end
    slope, scores, log_scale = 0.5, np.arange(size), np.zeros(d1)
    for k in reversed(range(d1)):
        visits = moves[k].sum(axis=1)
        reached = np.divide(moves[k] @ chance[k + 1], visits, out=np.zeros(size), where=visits > 0)
        known = np.flatnonzero((visits >= TRUSTED) & (reached > 0))
        if len(known) > 1:
            line = np.polyfit(known, np.log(reached[known]), 1, w=np.sqrt(visits[known]))
            slope = min(max(float(line[0]), 0.0), STEEPEST)
        nearest = known[np.argmin(np.abs(scores[:, None] - known), axis=1)] if len(known) else 0
        chance[k] = np.exp(np.clip(slope * (scores - nearest), -50, 50)) * (reached[nearest] if len(known) else 1.0)
        chance[k, (visits >= TRUSTED) & (reached == 0)] = 0.0
        scale = chance[k, visits > 0].max() or 1.0
        chance[k] /= scale
        log_scale[k] = math.log(scale)
    log_mean = np.log(max(chance[0, 0], 1e-300)) + np.cumsum(np.r_[0.0, log_scale])
    least = HOPELESS * np.exp(np.clip(log_mean, -600, 0))[:, None]
    return np.clip(chance, least, HIGHEST)


def _checked(key, X, y, d1: int, rho: float, eps: float, target: str, particles: int, threshold: float | None):
    require_x64()
    check_key(key)
    check_rho(rho)
    X, y = check_points(X, y)
    require(target in get_args(Target), f"target: {target!r} is neither 'rank_deficient' nor 'suboptimal'")
    d1, particles = check_count("d1", d1), check_count("particles", particles, least=2)
    check_spread(X)
    threshold = threshold_of(threshold, y)
    return X, y, d1, float(rho), check_eps(eps), particles, threshold
