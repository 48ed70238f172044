"""How one network is trained: pure functions of one seed's arrays, to be vmapped over seeds and jitted."""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mnnjax import objective
from mnnjax.config import Network, Problem, Train, UserError
from mnnjax.jax_setup import require_x64
from mnnjax.network import MNN
from mnnjax.problems import make_problem
from mnnjax.training.levenberg_marquardt import (
    init_levenberg_marquardt,
    levenberg_marquardt_options,
    make_levenberg_marquardt,
)
from mnnjax.training.optimizer import LEVENBERG_MARQUARDT, check_optimizer, make_optimizer
from mnnjax.training.state import Metrics, Training, TrainState, first_failure


def learning_rate(train: Train, epoch: Int[Array, ""] | int) -> Float[Array, ""]:
    """The rate in an epoch, counted from 0: constant for train.epochs, then falling exponentially to decay_to of it in
    the last of decay_epochs (section 4, Figure 5.2)."""
    past = jnp.maximum(epoch - train.epochs + 1, 0) / max(train.decay_epochs, 1)
    return jnp.asarray(train.learning_rate * train.decay_to**past, train.precision)


def start_params(module: MNN, d0: int, key: PRNGKeyArray, params: dict | None) -> dict[str, Array]:
    """Where a network's training starts: at these parameters, in the module's precision, or at random ones.

    Returns what TrainState.params are, W1 (d1, d0) and so on.

    Raises:
      UserError: other names or shapes than the module has.
    """
    X = jnp.zeros((1, d0), module.dtype)
    if params is None:
        return cast(dict[str, Array], module.init(key, X)["params"])
    expected = {name: leaf.shape for name, leaf in jax.eval_shape(module.init, key, X)["params"].items()}
    found = {name: jnp.shape(leaf) for name, leaf in params.items()}
    if found != expected:
        raise UserError(f"params: have the shapes {found}, not {expected}; name and shape them so")
    return {name: jnp.asarray(leaf, module.dtype) for name, leaf in params.items()}


def descend(
    train: Train, loss: Callable, params: dict[str, Array], opt_state: Any, rate: Float[Array, ""]
) -> tuple[Any, Any, Metrics]:
    """One step of the config's optimizer on loss(params) -> (MSE, MCE): parameters, optimizer state, and the loss
    before the step.

    Raises:
      UserError: from make_optimizer.
    """
    (mse, mce), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    optimizer = make_optimizer(train, rate)
    # The extra arguments serve optimizers that search along a line; the others ignore them.
    updates, opt_state = optimizer.update(
        gradient, opt_state, params, value=mse, grad=gradient, value_fn=lambda p: loss(p)[0]
    )
    return optax.apply_updates(params, updates), opt_state, Metrics(mse, mce)


def make_training(
    problem: Problem, network: Network, train: Train, hidden_layers: int, d0: int, d1: int, rows: int
) -> Training:
    """The functions that train an MNN of `hidden_layers` layers of width d1 on up to `rows` points, to be vmapped over
    seeds and jitted.

    The sizes are those given here, hidden_layers, d0, d1 and rows: of the problem, the kinds of inputs and labels
    count, not d0 and N, which need not agree; of the network, all but the widths and numbers of layers. Images are not
    drawn but read (problems.draw_images).

    Raises:
      UserError: from check_optimizer; precision float64 while jax_enable_x64 is off.

    Example:
        train = Train(epochs=100, decay_epochs=100)
        training = make_training(Problem(d0=(20,), N=(200,)), Network(), train, hidden_layers=1, d0=20, d1=20, rows=200)
        key = jax.random.key(0)
        X, y = training.draw(key, 200)
        run = jax.jit(training.run_epochs, static_argnames="epochs")
        state, metrics = run(training.init(key), key, X, y, 200, first_epoch=0, epochs=train.total_epochs)

    From your own weights: training.init(key, {"W1": W, "z": z}).
    """
    check_optimizer(train)
    dtype = jnp.dtype(train.precision)
    if dtype == jnp.float64:
        require_x64()
    module = MNN((d1,) * hidden_layers, network.rho, network.bias, network.init, dtype)
    batch_rows = min(train.batch_size or rows, rows)

    def init(key: PRNGKeyArray, params: dict[str, Array] | None = None) -> TrainState:
        """The state before the first epoch.

        params: start there instead of at random weights; named and shaped as TrainState.params, in any precision.

        Raises:
          UserError: params of other names or shapes.
        """
        params = start_params(module, d0, key, params)
        if train.optimizer == LEVENBERG_MARQUARDT:
            opt_state = init_levenberg_marquardt(levenberg_marquardt_options(train), params)
        else:
            opt_state = make_optimizer(train, train.learning_rate).init(params)
        return TrainState(params, opt_state, jnp.int32(-1))

    def loss_of(columns, y, weights):
        def loss(params):
            output, _ = module.apply({"params": params}, columns, method=MNN.by_columns)
            mce = objective.mean_classification_error(output, y, problem.threshold, weights)
            return objective.mean_squared_error(output, y, weights), mce

        return loss

    def step(params, opt_state, columns, y, weights, rate):
        return descend(train, loss_of(columns, y, weights), params, opt_state, rate)

    def full_batch_epoch(params, opt_state, key, columns, y, N, rate):
        return step(params, opt_state, columns, y, (jnp.arange(rows) < N).astype(dtype), rate)

    def mini_batch_epoch(params, opt_state, key, X, y, N, rate):
        # Points first, in random order; padding last, where no batch below N reaches it.
        position = jnp.arange(rows)
        order = jnp.argsort(jnp.where(position < N, jax.random.uniform(key, (rows,)), 2.0))
        order = jnp.pad(order, (0, -rows % batch_rows))

        def one_batch(i, carry):
            params, opt_state, sums = carry
            start = i * batch_rows
            batch = jax.lax.dynamic_slice(order, (start,), (batch_rows,))
            weights = (start + jnp.arange(batch_rows) < N).astype(dtype)
            params, opt_state, metrics = step(params, opt_state, X[batch].T, y[batch], weights, rate)
            share = jnp.sum(weights) / N
            return params, opt_state, jax.tree.map(lambda s, m: s + share * m, sums, metrics)

        zero = jnp.zeros((), dtype)
        # As many steps as N needs, whatever the padding.
        steps = (N + batch_rows - 1) // batch_rows
        return jax.lax.fori_loop(0, steps, one_batch, (params, opt_state, Metrics(zero, zero)))

    one_epoch = full_batch_epoch if train.batch_size is None else mini_batch_epoch

    def run_epochs(state: TrainState, key: PRNGKeyArray, X, y, N, first_epoch, epochs: int):
        """The state after `epochs` further epochs, and the Metrics of the last.

        state: from init or an earlier call. key: of the order of mini-batches; the same in all calls of a run.
        X (rows, d0), y (rows,): the first N rows are points.
        first_epoch: how many epochs the run has behind it; epochs: how many to do now (static under jit). Together they
          say where the learning-rate schedule stands: 0 and train.total_epochs are the whole run, 1000 + 1000 = 2000
          epochs for Train().
        """
        if train.batch_size is None:
            # Once, not every epoch: XLA must not fold the transposition into the matrix products.
            X = jax.lax.optimization_barrier(X.T)

        def body(carry, epoch):
            state, _ = carry
            params, opt_state, metrics = one_epoch(
                state.params, state.opt_state, jax.random.fold_in(key, epoch), X, y, N, learning_rate(train, epoch)
            )
            failed = first_failure(state.non_finite_epoch, metrics.mse, epoch)
            return (TrainState(params, opt_state, failed), metrics), None

        nothing = Metrics(jnp.zeros((), dtype), jnp.zeros((), dtype))
        (state, metrics), _ = jax.lax.scan(body, (state, nothing), first_epoch + jnp.arange(epochs))
        return state, metrics

    if train.optimizer == LEVENBERG_MARQUARDT:
        run_epochs = make_levenberg_marquardt(module, problem.threshold, levenberg_marquardt_options(train))
    return Training(make_problem(problem, rows, d0, network.rho, dtype), init, run_epochs)
