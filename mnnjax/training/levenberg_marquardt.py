"""Levenberg-Marquardt for networks whose residual can vanish: a Gauss-Newton step solved in data space.

With outputs F(w) and J = dF/dw, (N, parameters), the damped step on |y - F|^2 is delta = J^T v, where

    (J J^T + lambda I) v = e,    e = y - F(w),

a system in the N points however many parameters there are. J is never formed (training/jacobian.py).

Source: Levenberg 1944, Marquardt 1963; in data space by (J^T J + lambda I)^-1 J^T = J^T (J J^T + lambda I)^-1. The
rules for damping and kicks are ours, by the measurements in tests/benchmarks/README.md.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer, PRNGKeyArray

from mnnjax import objective
from mnnjax.network import MNN
from mnnjax.training.jacobian import Factor, data_gram, data_gram_diagonal, factors, gram
from mnnjax.training.state import Metrics, TrainState, first_failure

# Residuals of this many units of rounding are at rounding level, and of that many where no step lowers them.
SURE_UNITS, STUCK_UNITS = 2.0, 20.0
# A step that takes off a smaller fraction of the MSE is slow.
SLOW_GAIN = 0.1
# After this many kicks in a row without a better point, each further kick is larger by this factor.
KICKS_ALIKE, KICK_GROWTH = 6, 1.5


@dataclasses.dataclass(frozen=True)
class LevenbergMarquardtOptions:
    """What train.optimizer_options may set where train.optimizer is "levenberg_marquardt".

    damping: lambda at the start and after a kick, as a fraction of the mean diagonal entry of J J^T.
    kick: a stalled run moves on by a random change of each neuron's weights, of this fraction of their norm. Runs stall
      at points that are not differentiable, where no step along the gradient of a region gains, and at minima with
      points that activate no neuron. With 0 they stay there.
    patience: the number of slow or rejected steps in a row after which a run has stalled.
    gram_rows: the most rows for which the N x N system is formed and factorized; with more it is solved by conjugate
      gradients on products with J and J^T, of at most cg_steps steps.
    """

    damping: float = 0.03
    kick: float = 0.1
    patience: int = 5
    gram_rows: int = 4096
    cg_steps: int = 200


class LevenbergMarquardtState(NamedTuple):
    """The state of a run; the parameters of its TrainState are the best so far."""

    point: Any  # the parameters where the next step starts
    best_mse: Float[Array, ""]
    kicks: Int[Array, ""]  # since the best MSE last fell by more than SLOW_GAIN
    damping: Float[Array, ""]
    slow: Int[Array, ""]  # slow or rejected steps since the last good one
    done: Bool[Array, ""]  # the MSE is at rounding level, or not finite: nothing changes any more


def init_levenberg_marquardt(options: LevenbergMarquardtOptions, params: dict) -> LevenbergMarquardtState:
    """The state of a run that starts at these parameters, named as in network.MNN."""
    dtype = params["z"].dtype
    damping, best_mse, none = jnp.asarray(options.damping, dtype), jnp.asarray(jnp.inf, dtype), jnp.int32(0)
    return LevenbergMarquardtState(params, best_mse, none, damping, none, jnp.asarray(False))


class Points(NamedTuple):
    """The data that all steps share."""

    columns: Float[Array, "d0 N"]
    y: Float[Array, " N"]
    is_point: Float[Array, " N"]  # 1; 0: padding
    input_gram: Float[Array, "N N"] | None  # of the columns, where the system is factorized

    def mse(self, e: Float[Array, " N"]) -> Float[Array, ""]:
        """The MSE of a residual e (N,), which is zero for padding."""
        return jnp.sum(e**2) / jnp.sum(self.is_point)


def damped_step(
    e: Float[Array, " N"], differential: Callable, adjoint: Callable, parts: list[Factor],
    damping: Float[Array, ""], points: Points, options: LevenbergMarquardtOptions,
) -> dict:  # fmt: skip
    """delta = J^T (J J^T + lambda I)^-1 e; NaN where rounding leaves no positive definite matrix. e (N,) is the
    residual, whose derivative is differential(dw) = -J dw and adjoint(v) = (-J^T v,); J has the parts."""
    is_point = points.is_point
    diagonal = is_point * data_gram_diagonal(parts)
    # Rows of padding have an equation of their own, v = 0.
    shift = damping * jnp.sum(diagonal) / jnp.sum(is_point) + (1 - is_point)
    if points.input_gram is not None:
        system = data_gram(parts, points.input_gram) * is_point[:, None] * is_point[None] + jnp.diag(shift)
        v = jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(system, lower=True), e)
    else:
        tolerance = cast(float, jnp.finfo(e.dtype).eps ** 0.5)
        v, _ = jax.scipy.sparse.linalg.cg(
            lambda v: differential(adjoint(v)[0]) + shift * v, e,
            tol=tolerance, maxiter=options.cg_steps, M=lambda v: v / (diagonal + shift),
        )  # fmt: skip
    return jax.tree.map(jnp.negative, adjoint(v)[0])


def next_damping(damping: Float[Array, ""], kept: Float[Array, ""], better: Bool[Array, ""]) -> Float[Array, ""]:
    """lambda after a step that keeps this fraction of what the linear model promises; a step that is not better, such
    as one of NaN, is rejected."""
    factor = jnp.where(kept > 0.75, 0.2, jnp.where(kept > 0.25, 1.0, 2.0))
    eps = jnp.finfo(damping.dtype).eps
    return jnp.clip(damping * jnp.where(better, factor, 4.0), eps, 1e10).astype(damping.dtype)


def rounding_mse(params: dict, last_inputs: Float[Array, "d1 N"], points: Points) -> Float[Array, ""]:
    """The MSE where each residual is one unit of rounding, eps times the sum of the sizes of its terms."""
    terms = jnp.abs(points.y) + jnp.abs(params["z"]) @ jnp.abs(last_inputs) + jnp.abs(params.get("c", 0.0))
    return jnp.finfo(points.y.dtype).eps ** 2 * points.mse(points.is_point * terms)


def kick_if_stalled(
    state: LevenbergMarquardtState, key: PRNGKeyArray, options: LevenbergMarquardtOptions
) -> LevenbergMarquardtState:
    """The state, moved to a random point nearby if the run has stalled."""
    stalled = (state.slow >= options.patience) & ~state.done & (options.kick > 0)
    size = jnp.minimum(options.kick * KICK_GROWTH ** jnp.maximum(state.kicks - KICKS_ALIKE, 0), 1.0)
    size, moved = size.astype(state.damping.dtype), dict(state.point)
    for i, name in enumerate(sorted(name for name in moved if name.startswith("W"))):
        W = moved[name]
        noise = jax.random.normal(jax.random.fold_in(key, i), W.shape, W.dtype) / W.shape[1] ** 0.5
        moved[name] = W + size * jnp.linalg.norm(W, axis=1, keepdims=True) * noise
    damping = jnp.asarray(options.damping, state.damping.dtype)
    kicked = state._replace(point=moved, kicks=state.kicks + 1, damping=damping, slow=jnp.zeros_like(state.slow))
    return _choose(stalled, kicked, state)


def _choose(condition, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)


def make_levenberg_marquardt(module: MNN, threshold: float, options: LevenbergMarquardtOptions) -> Callable:
    """run_epochs of a Training whose states come from init_levenberg_marquardt. An epoch is one step: it is tried, and
    taken if it lowers the MSE. A run whose MSE has reached rounding level stops: its further epochs cost and change
    nothing. The metrics are those of the state that is returned."""

    def forward(params, columns):
        return module.apply({"params": params}, columns, method=MNN.by_columns)

    def run_epochs(state: TrainState, key: PRNGKeyArray, X, y, N, first_epoch, epochs: int | Integer[Array, ""]):
        """The state after up to `epochs` steps more than first_epoch, and its Metrics. The key draws the kicks. The
        first N rows of X (rows, d0) and y (rows,) are points. See Training."""
        columns, is_point = X.T, (jnp.arange(X.shape[0]) < N).astype(X.dtype)
        points = Points(columns, y, is_point, gram(columns) if X.shape[0] <= options.gram_rows else None)

        def body(carry):
            i, state = carry
            epoch = first_epoch + i
            return i + 1, step(state, jax.random.fold_in(key, epoch), points, epoch)

        _, state = jax.lax.while_loop(lambda carry: (carry[0] < epochs) & ~carry[1].opt_state.done, body, (0, state))
        output, _ = forward(state.params, columns)
        mse = objective.mean_squared_error(output, y, is_point)
        return state, Metrics(mse, objective.mean_classification_error(output, y, threshold, is_point))

    def step(state: TrainState, key, points: Points, epoch) -> TrainState:
        start, old_best, kicks, damping, slow, _ = state.opt_state

        def residual(params):
            output, neural_inputs = forward(params, points.columns)
            return points.is_point * (points.y - output), neural_inputs

        e, differential, neural_inputs = jax.linearize(residual, start, has_aux=True)
        parts = factors(start, points.columns, neural_inputs, module.rho)
        mse = points.mse(e)
        adjoint = jax.linear_transpose(differential, start)
        delta = damped_step(e, differential, adjoint, parts, damping, points, options)
        trial = jax.tree.map(jnp.add, start, delta)
        trial_mse = points.mse(residual(trial)[0])
        promised_mse = points.mse(e + differential(delta))
        better = trial_mse < mse
        params, now = _choose(better, (trial, trial_mse), (start, mse))
        best, best_mse = _choose(now < old_best, params, state.params), jnp.minimum(now, old_best)
        kicks = jnp.where(best_mse < (1 - SLOW_GAIN) * old_best, 0, kicks)
        damping = next_damping(damping, (mse - trial_mse) / (mse - promised_mse), better)
        gain = jnp.where(better, 1 - trial_mse / mse, 0.0)
        slow = jnp.where(gain < SLOW_GAIN, slow + 1, 0)
        unit = rounding_mse(start, parts[-1].h, points)
        done = (now <= SURE_UNITS**2 * unit) | (~better & (now <= STUCK_UNITS**2 * unit)) | ~jnp.isfinite(mse)
        reached = LevenbergMarquardtState(params, best_mse, kicks, damping, slow, done)
        failed = first_failure(state.non_finite_epoch, mse, epoch)
        return TrainState(best, kick_if_stalled(reached, key, options), failed)

    return run_epochs
