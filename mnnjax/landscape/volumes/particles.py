"""Particles of splitting: partial networks that grow neuron by neuron."""

import functools
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mnnjax.landscape.regions.khatri_rao import gram

Target = Literal["rank_deficient", "suboptimal"]

FRESH = 0.5  # the chance that a new neuron is fresh
CORRELATIONS = (0.5, 0.8, 0.95)  # else it has one of these with an earlier one
RIDGE, SMALL_PIVOT = 1e-12, 1e-9  # of the score's factorizations; pivots that count as missing rank
BLOCK = 16  # particles scored at once


def in_proportion(key: PRNGKeyArray, weights: Float[np.ndarray, " n"], count: int) -> Int[np.ndarray, " count"]:
    """Systematic resampling: `count` indices, on average in proportion to weights; none if all weights are zero."""
    if not weights.any():
        return np.zeros(0, int)
    comb = (float(jax.random.uniform(key)) + np.arange(count)) / count
    return np.minimum(np.searchsorted(np.cumsum(weights) / weights.sum(), comb), len(weights) - 1)


class Run(NamedTuple):
    """W (P, d1, d0) and weights (P,) of the final particles, whose weighted mean over P estimates volumes; moves: per
    neuron, the scores before and after it and its weights."""

    W: np.ndarray
    weights: np.ndarray
    moves: list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def run_particles(
    key: PRNGKeyArray, h: Float[np.ndarray, "stages scores"], X: Float[np.ndarray, "N d0"], y: Float[np.ndarray, " N"],
    d1: int, rho: float, eps: float, target: Target, particles: int, threshold: float,
) -> Run:  # fmt: skip
    """One run of splitting: `particles` networks on X (N, d0), y (N,), with the positive importance function h. Source:
    fixed-effort multilevel splitting (M. J. J. Garvels, Ph.D. thesis, Twente 2000): the weighted mean is unbiased for
    every h, since the weight of a particle undoes each choice."""
    points, labels = jnp.asarray(X), jnp.asarray(y)
    W = jnp.zeros((particles, d1, points.shape[1]))
    log_mean, moves = 0.0, []
    scores = np.zeros(particles, int)
    gain = np.ones(particles)
    for k, stage in enumerate(jax.random.split(key, d1)):
        key_W, key_choice = jax.random.split(stage)
        W, log_ratio, after = add_neuron(key_W, W, k, points, labels, rho, eps, target, threshold)
        weights, after = np.exp(np.asarray(log_ratio)), np.asarray(after)
        moves.append((scores, after, weights))
        # The last neuron's weights are not resampled: what is decided then needs no score.
        gain = weights * (h[k + 1, after] if k + 1 < d1 else 1.0) / (h[k, scores] if k else 1.0)
        if k + 1 < d1:
            log_mean += math.log(gain.sum() / particles)
            chosen = in_proportion(key_choice, gain, particles)
            W, scores = W[chosen], after[chosen]
    return Run(np.asarray(W), math.exp(log_mean) * gain, moves)


@functools.partial(jax.jit, static_argnames=("rho", "eps", "target", "threshold"))
def add_neuron(
    key: PRNGKeyArray, W: Float[Array, "P d1 d0"], k: int | Int[Array, ""], X: Float[Array, "N d0"],
    y: Float[Array, " N"], rho: float, eps: float, target: Target, threshold: float,
) -> tuple[Float[Array, "P d1 d0"], Float[Array, " P"], Int[Array, " P"]]:  # fmt: skip
    """(W (P, d1, d0) with neuron k, the log of its density ratio (P,), the score (P,)) of all particles."""
    particles, d1, d0 = W.shape
    key_g, key_mix, key_which, key_alpha = jax.random.split(key, 4)
    g = jax.random.normal(key_g, (particles * d0,)).reshape(particles, d0)
    correlations = jnp.asarray(CORRELATIONS)
    which = jax.random.randint(key_which, (particles,), 0, jnp.maximum(k, 1))
    alpha = correlations[jax.random.randint(key_alpha, (particles,), 0, len(CORRELATIONS))]
    near = (jax.random.uniform(key_mix, (particles,)) >= FRESH) & (k > 0)
    parent = jnp.take_along_axis(W, which[:, None, None], axis=1)[:, 0]
    new = jnp.where(near[:, None], alpha[:, None] * parent + jnp.sqrt(1 - alpha[:, None] ** 2) * g, g)
    W = jax.lax.dynamic_update_slice(W, new[:, None], (0, k, 0))

    # log N(w; a v, (1 - a^2) I) / N(w; 0, I) for every earlier neuron v and every correlation a.
    products = jnp.einsum("pd,pkd->pk", new, W)[:, :, None]
    squares = jnp.sum(new**2, axis=1)[:, None, None], jnp.sum(W**2, axis=2)[:, :, None]
    a = correlations[None, None, :]
    variance = 1 - a**2
    log_near = -0.5 * d0 * jnp.log(variance) - (a**2 * (squares[0] + squares[1]) - 2 * a * products) / (2 * variance)
    log_near = jnp.where(jnp.arange(d1)[None, :, None] < k, log_near, -jnp.inf)
    terms = jax.nn.logsumexp(log_near.reshape(particles, -1), axis=1) - jnp.log(jnp.maximum(k, 1) * len(CORRELATIONS))
    log_mixture = jnp.where(k > 0, jnp.logaddexp(jnp.log(FRESH), jnp.log(1 - FRESH) + terms), 0.0)

    def score(W):
        there = jnp.arange(d1) <= k
        A = jnp.where(X @ W.T > 0, 1.0, rho) * there[None, :]
        products = gram(A, X)
        if target == "suboptimal":
            ridge = RIDGE * jnp.trace(products) / len(X) + jnp.finfo(products.dtype).tiny
            factor = jax.lax.linalg.cholesky(products + ridge * jnp.eye(len(X)), symmetrize_input=False)
            e = ridge * jax.scipy.linalg.cho_solve((factor, True), y)
            # Each point that is misclassified has at least this residual.
            least = (math.floor(eps * len(X)) + 1) * jnp.min(jnp.abs(y - threshold)) ** 2
            # As in minima.is_bad, an output that may be the threshold is of the lower class.
            above = y - e > threshold + 1e-6 * jnp.max(jnp.abs(y))
            return jnp.where(jnp.sum(e**2) > 0.9 * least, 1 + jnp.sum(above != (y > threshold)), 0)
        lengths = jnp.sqrt(jnp.diag(products))
        scale = jnp.where(lengths > 0, 1 / jnp.where(lengths > 0, lengths, 1.0), 0.0)
        unit = products * scale[:, None] * scale[None, :] + RIDGE * jnp.eye(len(X))
        pivots = jnp.diag(jax.lax.linalg.cholesky(unit, symmetrize_input=False)) ** 2
        return jnp.sum(~(pivots >= SMALL_PIVOT))  # NaN, where rounding ended the factorization, is small

    return W, -log_mixture, jax.lax.map(score, W, batch_size=min(BLOCK, particles))
