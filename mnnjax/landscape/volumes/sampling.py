"""Angular volumes (Definition 3) by sampling: which share of weight space L_eps, G and the rank-deficient regions take.

W has i.i.d. standard normal entries, so the share of draws in a set of regions estimates its angular volume. A Cholesky
factorization decides most ranks, and the rank most draws; linear programs (membership.py) decide the others."""

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Real
from threadpoolctl import threadpool_limits

from mnnjax.arrays import AnyArray, check_array, check_count, check_points, check_rho
from mnnjax.errors import UserError, require
from mnnjax.jax_setup import on_cpu, require_x64
from mnnjax.landscape._check import check_eps, check_key, check_spread, threshold_of
from mnnjax.landscape.regions.khatri_rao import gram, khatri_rao_rank
from mnnjax.landscape.regions.membership import holds_minimum
from mnnjax.landscape.regions.minima import is_bad, is_zero, region_residual
from mnnjax.landscape.telling import Tell, Told
from mnnjax.landscape.volumes.intervals import Counts, Volumes, looks_at, narrow, volumes_from_counts

_log = logging.getLogger(__name__)
DEFICIENT, FULL, DOUBTFUL = 0, 1, 2  # what the screening says of rank(A o X)
BLOCK = 16  # draws that are made and factorized at once: as many as fit into the caches
BATCH = 64 * BLOCK  # draws per call of the screen


class Screened(NamedTuple):
    """A batch of draws: patterns (B, N, d1), True where a neuron is active; rank_class (B,): DEFICIENT, FULL or
    DOUBTFUL; signs (B, d1) of a random second layer; X (B, N, d0) and y (B, N), where each draw has its own points."""

    patterns: Bool[Array, "B N d1"]
    rank_class: Int[Array, " B"]
    signs: Int[Array, "B d1"]
    X: Float[Array, "B N d0"] | None
    y: Float[Array, "B N"] | None


def make_screen(
    rows: int, d0: int, units: int, rho: float, count: int, draw: Callable | None = None, constant_input: bool = False
) -> Callable[..., Screened]:
    """The pure function screen(key, first_block, X, N, d1) -> Screened of `count` draws, in blocks of BLOCK.

    A draw depends only on the key and on the number of its block, so a run may be cut into any batches; and not on
    padding: the first N of the `rows` rows of X are points, and the first d1 of the `units` neurons count.

    draw: draw(key, N) -> X, y for each draw to have its own points (X of the call is not read); else None.
    constant_input: whether what `draw` gives gets a column of ones."""
    columns = d0 + bool(constant_input and draw)

    def block(key: PRNGKeyArray, X, N, d1) -> Screened:
        key_W, key_signs, key_points = jax.random.split(key, 3)
        # Units first: draws of more units begin with those of fewer. A flat array compiles several times faster.
        W = jax.random.normal(key_W, (units * BLOCK * columns,), jnp.float64).reshape(units, BLOCK, columns)
        W = W.swapaxes(0, 1)
        signs = jax.random.rademacher(key_signs, (units * BLOCK,), jnp.int8).reshape(units, BLOCK).T
        is_point, is_unit = jnp.arange(rows) < N, jnp.arange(units) < d1
        X_axis, y = None, None
        if draw is not None:
            X_axis, (X, y) = 0, jax.lax.map(lambda k, draw=draw: draw(k, N), jax.random.split(key_points, BLOCK))
            if constant_input:
                X = jnp.dstack([X, jnp.broadcast_to(is_point.astype(X.dtype)[:, None], (BLOCK, rows, 1))])
        U = jnp.einsum("nc,buc->bnu" if draw is None else "bnc,buc->bnu", X, W)
        patterns = (U > 0) & is_point[None, :, None] & is_unit[None, None, :]
        rank_class = jax.vmap(_rank_class, (0, X_axis, None, None, None))(patterns, X, is_point, is_unit, rho)
        return Screened(patterns, rank_class, signs, None if draw is None else X, y)

    def screen(key, first_block, X, N, d1) -> Screened:
        blocks = first_block + jnp.arange(count // BLOCK)
        screened = jax.lax.map(lambda i: block(jax.random.fold_in(key, i), X, N, d1), blocks)
        return jax.tree.map(lambda a: a.reshape(count, *a.shape[2:]), screened)

    return screen


def _rank_class(pattern, X, is_point, is_unit, rho: float) -> Int[Array, ""]:
    """DEFICIENT or FULL where cheap tests are sure of rank(A o X), else DOUBTFUL."""
    rows, columns = X.shape
    # Far above the rounding of the Gram matrix and of its factorization. An eigenvalue above it is a singular value
    # above its root, which is far above the tolerance of the rank.
    shift = max(1e-12, 10 * rows**2 * float(jnp.finfo(jnp.float64).eps))
    there = is_point[:, None] & is_unit[None, :]
    A = jnp.where(pattern, 1.0, rho) * there
    lengths = jnp.sqrt(jnp.sum(A**2, axis=1)) * jnp.linalg.norm(X, axis=1)
    scale = jnp.where(lengths > 0, 1 / jnp.where(lengths > 0, lengths, 1.0), 0.0)
    unit = gram(A, X) * scale[:, None] * scale[None, :]
    factor = jax.lax.linalg.cholesky(unit + jnp.diag(jnp.where(is_point, -shift, 1.0)), symmetrize_input=False)
    sure = jnp.isfinite(factor[-1, -1])
    # More than d0 points of one pattern are dependent, and a point at which all ReLUs are inactive is a zero row.
    T = jnp.where(pattern, 1.0, -1.0) * there
    largest_group = jnp.max(jnp.sum((jnp.sum(is_unit) == T @ T.T) & is_point[None, :], axis=1))
    inactive = jnp.any(is_point & (lengths == 0))
    deficient = (largest_group > columns) | inactive | (jnp.sum(is_point) > jnp.sum(is_unit) * columns)
    return jnp.where(deficient, DEFICIENT, jnp.where(sure, FULL, DOUBTFUL)).astype(jnp.int8)


# Compiled once per shape.
_rank_of = jax.jit(jax.vmap(khatri_rao_rank))
_residual_of = jax.jit(jax.vmap(region_residual))
_rank_class_of = jax.jit(jax.vmap(_rank_class, (0, None, None, None, None)), static_argnums=4)


def _in_groups(function: Callable, *arrays: np.ndarray) -> np.ndarray:
    """function over the leading axis, in groups of one size, so that it compiles once."""
    count = len(arrays[0])
    groups = (np.arange(start, start + BLOCK) % count for start in range(0, count, BLOCK))
    return np.concatenate([np.asarray(function(*(a[group] for a in arrays))) for group in groups])[:count]


def _deficient(rank_class, A, Xs: Float[np.ndarray, "B rows d0"], N: int) -> Bool[np.ndarray, " B"]:
    deficient, doubtful = rank_class == DEFICIENT, np.flatnonzero(rank_class == DOUBTFUL)
    if doubtful.size:
        deficient[doubtful] = _in_groups(_rank_of, A[doubtful], Xs[doubtful]) < N
    return deficient


def decide(
    screened: Screened, X: Float[np.ndarray, "N d0"] | None, y: Float[np.ndarray, " N"] | None, N: int, d1: int,
    rho: float, eps: float, threshold: float, asked: Sequence[int],
    output_signs: Literal["any", "random"] = "any", each: Callable = map, progress: Tell | None = None,
) -> Counts:  # fmt: skip
    """Count a screened batch, whose arrays are on the host. X, y: the points (rows, d0), (rows,) that all draws share;
    None where each draw has its own. asked: how many of the batch's draws, from the first on, are decided for
    (suboptimal, global_minima). output_signs: as for estimate_volumes. each: map, or a pool's, for linear programs.
    progress: as for estimate_volumes, within a draw."""
    count, rows, units = screened.patterns.shape
    A = np.where(screened.patterns, 1.0, rho) * ((np.arange(rows) < N)[:, None] & (np.arange(units) < d1))
    if X is None or y is None:
        Xs, ys = np.asarray(screened.X), np.asarray(screened.y)
    else:
        Xs, ys = (np.broadcast_to(shared, (count, *shared.shape)) for shared in (X, y))
    deficient = _deficient(np.asarray(screened.rank_class), A, Xs, N)
    residuals = residuals_where(deficient & (np.arange(count) < max(asked)), A, Xs, ys)

    def holds(i: int, which: int) -> bool:
        y_i, e = ys[i, :N], residuals[i, :N]
        if not (is_bad(e, y_i, eps, threshold) if which == 0 else is_zero(e, y_i)):
            return False
        signs = np.asarray(screened.signs[i, :d1]) if which == 1 and output_signs == "random" else None
        return holds_minimum(A[i, :N, :d1], Xs[i, :N], y_i, e, rho, signs, _of_draw(progress, i, count)).holds

    hits = [sum(each(functools.partial(holds, which=which), range(asked[which]))) for which in (0, 1)]
    return Counts(np.array([*hits, int(deficient.sum())]), np.array([*asked, count]))


def _of_draw(progress: Tell | None, i: int, count: int) -> Tell | None:
    if progress is None:
        return None
    tell = progress
    return lambda line: tell(f"draw {i + 1} in a batch of {count}: {line}")


def are_deficient(A: Float[np.ndarray, "B N d1"], X: Float[np.ndarray, "N d0"], rho: float) -> Bool[np.ndarray, " B"]:
    """Whether rank(A o X) < N, as khatri_rao_rank decides it, for any number of patterns on the same points."""
    if not len(A):
        return np.zeros(0, bool)
    everything = np.ones(len(X), bool), np.ones(A.shape[2], bool)
    rank_class = _in_groups(lambda group: _rank_class_of(group == 1, X, *everything, rho), A)
    return _deficient(rank_class, A, np.broadcast_to(X, (len(A), *X.shape)), len(X))


def residuals_where(
    wanted: Bool[np.ndarray, " B"], A: Float[np.ndarray, "B N d1"], Xs: Float[np.ndarray, "B N d0"],
    ys: Float[np.ndarray, "B N"],
) -> Float[np.ndarray, "B N"]:  # fmt: skip
    """The region_residual of those of many patterns that are wanted; zero for the others."""
    residuals = np.zeros(ys.shape)
    if wanted.any():
        residuals[wanted] = _in_groups(_residual_of, A[wanted], Xs[wanted], ys[wanted])
    return residuals


def estimate_volumes(
    key: PRNGKeyArray, X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"], d1: int, rho: float, eps: float = 0.0,
    samples: int = 1000, *, suboptimal_samples: int | None = None, global_samples: int | None = None,
    relative_width: float | None = None, threshold: float | None = None, output_signs: Literal["any", "random"] = "any",
    progress: Tell | None = _log.warning,
) -> Volumes:  # fmt: skip
    """Angular volumes of L_eps, of G and of the rank-deficient regions from `samples` draws of W (d1, d0).

    Each has a 95 % interval (Clopper-Pearson), right also after no hits. The rank decides whether a draw's region can
    hold a sub-optimal minimum; linear programs, whether it holds one, or a global one.

    Time: ranks grow as N^3, 1000 draws at N = 200 in seconds, and some seconds to compile each new shape. Nearly all of
    the rest is the linear programs of V(G), so give global_samples: 1000 draws with N = 20, d0 = 10 take about 3 s with
    d1 = 4 and 30 s with d1 = 8; with N = 48, d0 = 24, d1 = 8, minutes. From 9 neurons on a search finds most minima:
    at N = 60, d0 = 12, d1 = 20, 0.1 s per draw. It is an error where a draw cannot be decided, never a guess.

    key: such as jax.random.key(0); the same key gives the same draws.
    X: (N, d0), one row per point. y: (N,). d1: hidden units. rho: slope for negative neural inputs.
    eps: the fraction of points misclassified (MCE), in [0, 1), above which a minimum is bad.
    samples: after no hit of so many draws a volume is at most 3.7 / samples; for smaller ones use split_volume.
    suboptimal_samples, global_samples: how many draws, the first ones, are asked for V(L_eps) and V(G); None: all. Up
      to 2^d1 linear programs can be needed per draw; for V(G) with random signs, 1. Where rounding leaves a draw in
      doubt, the likelier answer counts; with Gaussian points that is below 1 in 1000.
    relative_width: stop at the first look (1024 draws, 2048, 4096, ...) at which every interval is narrower than this
      times its estimate; the intervals hold at all possible looks together (Bonferroni).
    threshold: of the MCE; None takes 0 where a label is -1 and 0.5 elsewhere.
    output_signs: of the second layer of a global minimum: "any" (Definition 4), or "random": drawn with W.
    progress: called with a line every ten seconds, such as print: how many draws are decided, and how long the others
      take at most; the same of the linear programs of a draw that takes long. The default logs it as a warning; None
      says nothing.
    Raises ValueError for shapes that do not match, a point at the origin, points that differ in length by more than
    1e5, NaN or infinite entries, rho = 1, eps outside [0, 1), counts that are no whole numbers of at least 1, no JAX
    key, jax_enable_x64 switched off; at a draw with more signs of z than can be tried (see region_holds_dlm).

    Example:
      found = estimate_volumes(jax.random.key(0), X, y, d1=4, rho=0.0, eps=0.1, samples=1000)
      print(found)  # one line per volume, with its interval, hits and draws
      found.suboptimal.estimate, found.suboptimal.low, found.suboptimal.high
    """
    X, y = check_points(X, y)
    check_spread(X)
    sizes = (*X.shape, d1, samples, suboptimal_samples, global_samples)
    limit = threshold_of(threshold, y)
    return _estimate(key, None, X, y, rho, eps, sizes, relative_width, limit, output_signs, progress)


def estimate_expected_volumes(
    key: PRNGKeyArray, draw: Callable, N: int, d0: int, d1: int, rho: float, eps: float = 0.0, samples: int = 1000, *,
    threshold: float, suboptimal_samples: int | None = None, global_samples: int | None = None,
    relative_width: float | None = None, output_signs: Literal["any", "random"] = "any",
    progress: Tell | None = _log.warning,
) -> Volumes:  # fmt: skip
    """The expectation over X and y of the volumes (E_X of Theorem 6): as estimate_volumes, with new points per W.

    draw: the pure JAX function draw(key, N) -> X (N, d0), y (N,), such as that of problems.make_problem; N is an int.
      Programs are compiled once per function, so pass the same object each time.
    threshold: of the MCE; 0.5 for labels 0 and 1, 0 for -1 and 1. The rest as estimate_volumes.
    Raises ValueError as estimate_volumes, and for points of other shapes from draw.

    Example:
      def draw(key, N):
          key, labels = jax.random.split(key)
          return jax.random.normal(key, (N, 2)), jax.random.bernoulli(labels, 0.5, (N,)).astype(float)
      estimate_expected_volumes(jax.random.key(0), draw, N=6, d0=2, d1=3, rho=0.0, threshold=0.5)
    """
    check_key(key)
    N, d0 = check_count("N", N), check_count("d0", d0)
    if not callable(draw):
        made = "draw(key, N) -> X, y, as problems.make_problem makes"
        raise UserError(f"draw: {draw!r:.40} is not a function; give {made}")
    found = jax.tree.map(jnp.shape, jax.eval_shape(lambda key: draw(key, N), key))
    if not isinstance(found, (tuple, list)) or tuple(found) != ((N, d0), (N,)):
        raise UserError(f"draw: draw(key, N) gives arrays of shapes {found}, not X {(N, d0)} and y {(N,)}; fix either")
    sizes = (N, d0, d1, samples, suboptimal_samples, global_samples)
    return _estimate(key, draw, None, None, rho, eps, sizes, relative_width, threshold, output_signs, progress)


@functools.lru_cache(maxsize=16)
def _compiled_screen(rows: int, d0: int, units: int, rho: float, count: int, draw: Callable | None) -> Callable:
    """make_screen, compiled once for all keys and points."""
    # All rows are points: draw gets their number as an int, which it may use as a size.
    of_all_rows = None if draw is None else lambda key, _: draw(key, rows)
    return jax.jit(make_screen(rows, d0, units, rho, count, of_all_rows))


def _estimate(
    key, draw, X, y, rho, eps, sizes, relative_width, threshold, output_signs, progress: Tell | None
) -> Volumes:
    require_x64()
    check_key(key)
    check_rho(rho)
    check_array("threshold", threshold, (), "give one number")
    eps = check_eps(eps)
    N, d0, d1, samples, *parts = sizes
    d1, samples = check_count("d1", d1), check_count("samples", samples)
    for name, part in zip(("suboptimal_samples", "global_samples"), parts, strict=True):
        check_count(name, samples if part is None else part, least=0)
    require(output_signs in ("any", "random"), f"output_signs: {output_signs!r} is neither 'any' nor 'random'")
    if relative_width is not None:
        check_array("relative_width", relative_width, (), "give one number, or None to draw all samples")
        require(relative_width > 0, f"relative_width: {relative_width} is not positive; give None to draw all samples")
    batch = min(-(-samples // BLOCK) * BLOCK, BATCH)
    screened_by = _compiled_screen(N, d0, d1, float(rho), batch, draw)
    looks = looks_at(samples, batch) if relative_width else [samples]
    total = Counts(np.zeros(3, int), np.zeros(3, int))
    questions = sum(samples if part is None else min(part, samples) for part in parts)
    told = Told(progress, questions, "questions whether a draw's region holds a minimum")
    with blas_threads() as each, on_cpu():
        for first in range(0, samples, batch):
            left = min(batch, samples - first)
            asked = [left if part is None else min(max(part - first, 0), left) for part in parts]
            screened = jax.device_get(jax.tree.map(lambda a, n=left: a[:n], screened_by(key, first // BLOCK, X, N, d1)))
            found = decide(
                screened, X, y, N, d1, rho, eps, threshold, asked, output_signs, counted(each, told), progress
            )
            total = Counts(*(a + b for a, b in zip(total, found, strict=True)))
            volumes = volumes_from_counts(total, len(looks))
            if relative_width and first + left in looks and narrow(volumes, relative_width):
                break
    return volumes


def counted(each: Callable, told: Told) -> Callable:
    """A map for `decide` that tells how many of its answers are there."""

    def map_and_tell(function: Callable, items: Sequence) -> Iterator:
        for answer in each(function, items):
            told.decided()
            yield answer

    return map_and_tell


@contextlib.contextmanager
def blas_threads() -> Iterator[Callable]:
    """A parallel map for `decide`; its threads share the cores, not BLAS's."""
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield pool.map
