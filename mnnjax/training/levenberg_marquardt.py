"""Levenberg-Marquardt for networks whose residual can vanish: a Gauss-Newton step solved in data space.

With outputs F(w) and J = dF/dw, (N, parameters), the damped step on |y - F|^2 is delta = J^T v, where

    (J J^T + lambda I) v = e,    e = y - F(w),

a system in the N points however many parameters there are. Of a fully connected network J never has to be formed: the
weights of layer l move the outputs through (B_l o h_{l-1}), with h_{l-1} the layer's inputs and B_l the derivatives of
the outputs in its neural inputs, a Khatri-Rao product whose Gram matrix is elementwise (section 1):

    J J^T = sum_l (B_l B_l^T) * (h_{l-1} h_{l-1}^T) + h_L h_L^T,

for one hidden layer (A diag(z^2) A^T) * (X X^T) + H H^T; a bias adds 1 to the second factor. (The code has one column a
point, as MNN.by_columns.)

Source: Levenberg 1944, Marquardt 1963; in data space by (J^T J + lambda I)^-1 J^T = J^T (J J^T + lambda I)^-1. The
rules for damping and kicks are ours, by the measurements in tests/benchmarks/README.md.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

import mnnjax.jax_setup  # noqa: F401
from mnnjax import objective
from mnnjax.config import Train
from mnnjax.errors import require
from mnnjax.network import MNN, leaky_relu
from mnnjax.training.options import check_options
from mnnjax.training.state import Metrics, TrainState, first_failure

# Residuals of this many units of rounding, and of that many where no step makes them smaller, are at rounding level.
SURE_UNITS, STUCK_UNITS = 2.0, 20.0
# A step that takes off a smaller fraction of the MSE is slow.
SLOW_GAIN = 0.1
# After so many kicks in a row without a better point, each is by that factor larger than the one before.
KICKS_ALIKE, KICK_GROWTH = 6, 1.5


@dataclasses.dataclass(frozen=True)
class LevenbergMarquardtOptions:
    """What train.optimizer_options may set where train.optimizer is "levenberg_marquardt".

    damping: lambda at the start and after a kick, as a fraction of the mean diagonal entry of J J^T.
    kick: what moves a run on that has stalled: a random change of each neuron's weights by this fraction of their norm.
      Runs stall at points that are not differentiable, where no step along the gradient of a region gains, and at
      minima of points that no neuron sees; with 0 they stay there.
    patience: slow or rejected steps in a row after which a run has stalled.
    gram_rows: up to so many rows the N x N system is formed and factorized; above, it is solved by conjugate gradients
      on products with J and J^T.
    cg_steps: of conjugate gradients, at most, for one step.
    """

    damping: float = 0.03
    kick: float = 0.1
    patience: int = 5
    gram_rows: int = 4096
    cg_steps: int = 200


# A config's names for them, and of what kind each is.
LEVENBERG_MARQUARDT_OPTIONS: dict[str, type] = {
    field.name: type(field.default) for field in dataclasses.fields(LevenbergMarquardtOptions)
}


class LevenbergMarquardtState(NamedTuple):
    """Of a run; the parameters of its TrainState are the best it has seen."""

    point: Any  # the parameters that it is at, where the next step starts
    best_mse: Float[Array, ""]
    kicks: Int[Array, ""]  # since the best MSE last fell by more than SLOW_GAIN
    damping: Float[Array, ""]
    slow: Int[Array, ""]  # slow or rejected steps since the last good one
    done: Bool[Array, ""]  # the MSE is at rounding level, or not finite: nothing changes any more


def levenberg_marquardt_options(train: Train) -> LevenbergMarquardtOptions:
    """The options that the config gives.

    Raises:
      UserError: an unknown option or a bad value, or a config that speaks of learning rates or mini-batches.
    """
    check_options(train.optimizer, LEVENBERG_MARQUARDT_OPTIONS, train.optimizer_options)
    options = dataclasses.replace(LevenbergMarquardtOptions(), **dict(train.optimizer_options))
    for name, least in (("patience", 1), ("gram_rows", 0), ("cg_steps", 1)):
        value = getattr(options, name)
        require(value >= least, f"train.optimizer_options: {name} {value} is too small; give at least {least}")
    good = 0 < options.damping < float("inf")
    require(good, f"train.optimizer_options: damping {options.damping!r} is not positive; try 0.03")
    require(0 <= options.kick < 1, f"train.optimizer_options: kick {options.kick!r} is not in [0, 1); try 0.1")
    require(
        train.batch_size is None, "train.batch_size: levenberg_marquardt solves for all points at once; leave it out"
    )
    require(
        train.decay_epochs == 0, "train.decay_epochs: levenberg_marquardt has no learning rate that could decay; give 0"
    )
    return options


def init_levenberg_marquardt(options: LevenbergMarquardtOptions, params: dict) -> LevenbergMarquardtState:
    """Of a run that starts at these parameters, as network.MNN names them."""
    dtype = params["z"].dtype
    damping = jnp.asarray(options.damping, dtype)
    return LevenbergMarquardtState(
        params, jnp.asarray(jnp.inf, dtype), jnp.int32(0), damping, jnp.int32(0), jnp.asarray(False)
    )


class Factor(NamedTuple):
    """The part of J that belongs to one layer's weights, a row a point: B[:, n] kron h[:, n], of a bias B[:, n]."""

    B: Float[Array, "d1 N"]
    h: Float[Array, "d0 N"]
    bias: bool  # whether the layer has one


def factors(params: dict, columns: Float[Array, "d0 N"], neural_inputs: list, rho: float) -> list[Factor]:
    """J as Khatri-Rao products: one for each hidden layer and, with B = 1, one for the output layer.

    params are those of network.MNN; neural_inputs (d1, N) of every hidden layer on the columns, as MNN.by_columns gives
    them.
    """
    inputs = [columns, *(leaky_relu(U, rho) for U in neural_inputs)]
    B = params["z"][:, None]
    result = [Factor(jnp.ones_like(columns[:1]), inputs[-1], "c" in params)]
    for layer in range(len(neural_inputs), 0, -1):
        U = neural_inputs[layer - 1]
        B = jnp.where(U > 0, 1.0, rho).astype(U.dtype) * B
        result.insert(0, Factor(B, inputs[layer - 1], f"b{layer}" in params))
        B = params[f"W{layer}"].T @ B
    return result


def gram(a: Float[Array, "d N"]) -> Float[Array, "N N"]:
    """a^T a. The barrier keeps XLA from folding the transposition into the product, which takes twice the time."""
    return jax.lax.optimization_barrier(a.T) @ a


def data_gram(parts: list[Factor], input_gram: Float[Array, "N N"]) -> Float[Array, "N N"]:
    """J J^T (N, N); input_gram is that of the columns, which no step changes."""
    inputs = [input_gram, *(gram(part.h) for part in parts[1:])]
    hidden = sum(gram(B) * (inner + float(bias)) for (B, _, bias), inner in zip(parts[:-1], inputs[:-1], strict=True))
    return hidden + inputs[-1] + float(parts[-1].bias)


def data_gram_diagonal(parts: list[Factor]) -> Float[Array, " N"]:
    """The diagonal of J J^T (N,), without the rest of it."""
    terms = (jnp.sum(B**2, axis=0) * (jnp.sum(h**2, axis=0) + float(bias)) for B, h, bias in parts)
    return cast(Array, sum(terms))


def make_levenberg_marquardt(
    module: MNN, threshold: float, options: LevenbergMarquardtOptions
) -> Callable[..., tuple[TrainState, Metrics]]:
    """run_epochs of a Training whose states come from init_levenberg_marquardt. An epoch is one step: it is tried, and
    taken if it lowers the MSE.

    A run whose MSE has reached rounding level stops: its further epochs cost and change nothing. The metrics are those
    of the state that is returned.
    """

    def forward(params, columns):
        return module.apply({"params": params}, columns, method=MNN.by_columns)

    def run_epochs(state: TrainState, key: PRNGKeyArray, X, y, N, first_epoch, epochs: int):
        """The state after up to `epochs` further steps, and its Metrics.

        state: from init or an earlier call. key: of the kicks; the same in all calls of a run.
        X (rows, d0), y (rows,): the first N rows are points.
        first_epoch: how many epochs the run has behind it; epochs: how many to do now. There is no learning rate, so
          first_epoch serves the kicks' randomness and the count in non_finite_epoch.
        """
        columns = X.T
        is_point = (jnp.arange(X.shape[0]) < N).astype(X.dtype)
        input_gram = gram(columns) if X.shape[0] <= options.gram_rows else None

        def body(carry):
            i, state = carry
            epoch = first_epoch + i
            return i + 1, step(state, jax.random.fold_in(key, epoch), columns, input_gram, y, is_point, epoch)

        def goes_on(carry):
            i, state = carry
            return (i < epochs) & ~state.opt_state.done

        _, state = jax.lax.while_loop(goes_on, body, (0, state))
        output, _ = forward(state.params, columns)
        mse = objective.mean_squared_error(output, y, is_point)
        return state, Metrics(mse, objective.mean_classification_error(output, y, threshold, is_point))

    def step(state: TrainState, key, columns, input_gram, y, is_point, epoch) -> TrainState:
        start, old_best, kicks, damping, slow, _ = state.opt_state
        eps = jnp.finfo(y.dtype).eps

        def residual(params):
            output, neural_inputs = forward(params, columns)
            return is_point * objective.residual(output, y), neural_inputs

        def mse_of(e):
            return jnp.sum(e**2) / jnp.sum(is_point)

        e, differential, neural_inputs = jax.linearize(residual, start, has_aux=True)
        mse = mse_of(e)
        # The residual falls by J delta: the differential has J's negative.
        adjoint = jax.linear_transpose(differential, start)
        parts = factors(start, columns, neural_inputs, module.rho)
        diagonal = is_point * data_gram_diagonal(parts)
        # Rows of padding have an equation of their own, v = 0.
        shift = damping * jnp.sum(diagonal) / jnp.sum(is_point) + (1 - is_point)
        if input_gram is not None:
            system = data_gram(parts, input_gram) * is_point[:, None] * is_point[None] + jnp.diag(shift)
            # NaN where rounding leaves no positive definite matrix: the step is then rejected and the damping grows.
            v = jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(system, lower=True), e)
        else:
            v, _ = jax.scipy.sparse.linalg.cg(
                lambda v: differential(adjoint(v)[0]) + shift * v, e,
                tol=cast(float, eps**0.5), maxiter=options.cg_steps, M=lambda v: v / (diagonal + shift),
            )  # fmt: skip
        delta = jax.tree.map(jnp.negative, adjoint(v)[0])
        trial = jax.tree.map(jnp.add, start, delta)
        trial_mse = mse_of(residual(trial)[0])
        # What the linear model promises, and what the step keeps of it.
        kept = (mse - trial_mse) / (mse - mse_of(e + differential(delta)))
        better = trial_mse < mse
        params, now = _choose(better, (trial, trial_mse), (start, mse))
        best = _choose(now < old_best, params, state.params)
        best_mse = jnp.minimum(now, old_best)
        kicks = jnp.where(best_mse < (1 - SLOW_GAIN) * old_best, 0, kicks)
        factor = jnp.where(kept > 0.75, 0.2, jnp.where(kept > 0.25, 1.0, 2.0))
        damping = jnp.clip(damping * jnp.where(better, factor, 4.0), eps, 1e10)
        gain = jnp.where(better, 1 - trial_mse / mse, 0.0)
        slow = jnp.where(gain < SLOW_GAIN, slow + 1, 0)

        # Residuals are sums of such size, root mean square over points, and round in units of eps times it.
        terms = jnp.abs(y) + jnp.abs(start["z"]) @ jnp.abs(parts[-1].h) + jnp.abs(start.get("c", 0.0))
        unit = eps**2 * mse_of(is_point * terms)
        done = (now <= SURE_UNITS**2 * unit) | (~better & (now <= STUCK_UNITS**2 * unit))
        stalled = (slow >= options.patience) & ~done & (options.kick > 0)
        kick = jnp.minimum(options.kick * KICK_GROWTH ** jnp.maximum(kicks - KICKS_ALIKE, 0), 1.0)
        params = _choose(stalled, _kicked(params, key, kick.astype(y.dtype)), params)
        damping = jnp.where(stalled, options.damping, damping)
        kicks = jnp.where(stalled, kicks + 1, kicks).astype(jnp.int32)
        slow = jnp.where(stalled, 0, slow)
        done |= ~jnp.isfinite(mse)
        opt_state = LevenbergMarquardtState(
            params, best_mse, kicks, damping.astype(y.dtype), slow.astype(jnp.int32), done
        )
        return TrainState(best, opt_state, first_failure(state.non_finite_epoch, mse, epoch))

    return run_epochs


def _choose(condition, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)


def _kicked(params: dict, key, size: Float[Array, ""]) -> dict:
    moved = dict(params)
    for i, name in enumerate(sorted(name for name in params if name.startswith("W"))):
        W = params[name]
        noise = jax.random.normal(jax.random.fold_in(key, i), W.shape, W.dtype) / W.shape[1] ** 0.5
        moved[name] = W + size * jnp.linalg.norm(W, axis=1, keepdims=True) * noise
    return moved
