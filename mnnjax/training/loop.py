"""How one network is trained: pure functions of one seed's arrays, to be vmapped over seeds and jitted."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mnnjax import objective
from mnnjax.arrays import AnyArray
from mnnjax.config import Network, Problem, Train
from mnnjax.errors import require
from mnnjax.jax_setup import require_x64
from mnnjax.network import MNN
from mnnjax.problems import make_problem
from mnnjax.training.jacobian import point_weights
from mnnjax.training.levenberg_marquardt import init_levenberg_marquardt, make_levenberg_marquardt
from mnnjax.training.optimizer import (
    LEVENBERG_MARQUARDT,
    OwnOptimizer,
    check_optimizer,
    extra_arguments,
    levenberg_marquardt_options,
    make_optimizer,
)
from mnnjax.training.own import Init, Schedule, init_of, rate_of
from mnnjax.training.state import Metrics, Training, TrainState, first_failure


def learning_rate(train: Train, epoch: Int[Array, ""] | int) -> Float[Array, ""]:
    """The rate in an epoch, counted from 0: constant for train.epochs, then falling exponentially to decay_to of it in
    the last of decay_epochs (section 4, Figure 5.2). train.schedule may name another; UserError from own.rate_of."""
    if (own_rate := rate_of(train)) is not None:
        return own_rate(epoch)
    schedule = optax.exponential_decay(train.learning_rate, max(train.decay_epochs, 1), train.decay_to, train.epochs)
    return jnp.asarray(schedule(epoch + 1), train.precision)


def make_init(module: MNN, train: Train, d0: int, optimizer: OwnOptimizer | None = None) -> Callable[..., TrainState]:
    """init of a Training; raises UserError where the given parameters do not fit, or from make_optimizer. optimizer: in
    place of the config's."""

    def init(key: PRNGKeyArray, params: Mapping[str, AnyArray] | None = None) -> TrainState:
        """The state before the first epoch, at random weights or at params, as in TrainState, in any precision."""
        X = jnp.zeros((1, d0), module.dtype)
        if params is None:
            params = cast(dict[str, Array], module.init(key, X)["params"])
        else:
            expected = {name: leaf.shape for name, leaf in jax.eval_shape(module.init, key, X)["params"].items()}
            found = {name: jnp.shape(leaf) for name, leaf in params.items()}
            require(found == expected, f"params: have the shapes {found}, not {expected}; name and shape them so")
            params = {name: jnp.asarray(leaf, module.dtype) for name, leaf in params.items()}
        if train.optimizer == LEVENBERG_MARQUARDT and optimizer is None:
            opt_state = init_levenberg_marquardt(levenberg_marquardt_options(train), params)
        else:
            opt_state = make_optimizer(train, train.learning_rate, optimizer).init(params)
        return TrainState(params, opt_state, jnp.int32(-1))

    return init


def descend(
    optimizer: optax.GradientTransformationExtraArgs, loss: Callable, params: dict, opt_state: Any
) -> tuple[Any, Any, Metrics]:
    """One step of an optimizer on loss(params) -> (loss, Metrics): parameters, optimizer state, and Metrics before the
    step."""
    (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    more = extra_arguments(value, gradient, lambda p: loss(p)[0])
    updates, opt_state = optimizer.update(gradient, opt_state, params, **more)
    return optax.apply_updates(params, updates), opt_state, metrics


def make_training(
    problem: Problem, network: Network, train: Train, hidden_layers: int, d0: int, d1: int, rows: int,
    *, optimizer: OwnOptimizer | None = None, init: Init | None = None, schedule: Schedule | None = None,
) -> Training:  # fmt: skip
    """The functions that train an MNN of `hidden_layers` layers of width d1 on up to `rows` points, to be vmapped over
    seeds and jitted. The sizes are hidden_layers, d0, d1 and rows, not those of the problem and the network. Images are
    read, not drawn (problems.draw_images). X and y of any real type are cast to train.precision.

    Your own parts, in place of the config's (training/own.py has their signatures). optimizer: Optax's, such as
    optax.adamw(1e-3), which has its own learning rate; or a function of the learning rate, such as optax.adamw. init:
    draws W and z, as jax.nn.initializers. schedule: the learning rate in an epoch, as Optax's schedules.

    UserError from check_optimizer, for own parts that fail, or for float64 while jax_enable_x64 is off.

    Example:
        train = Train(epochs=100, decay_epochs=100)
        training = make_training(Problem(d0=(20,), N=(200,)), Network(), train, hidden_layers=1, d0=20, d1=20, rows=200)
        key = jax.random.key(0)
        X, y = training.draw(key, 200)
        run = jax.jit(training.run_epochs, static_argnames="epochs")
        state, metrics = run(training.init(key), key, X, y, 200, first_epoch=0, epochs=train.total_epochs)
        state = training.init(key, {"W1": W, "z": z})  # from your own weights
        make_training(Problem(d0=(20,), N=(200,)), Network(), train, 1, 20, 20, 200, optimizer=optax.adamw(1e-3))
    """
    check_optimizer(train, optimizer)
    rated = schedule is None or not isinstance(optimizer, optax.GradientTransformation)
    require(rated, "schedule: the given optimizer has a learning rate of its own; give the schedule to it")
    rate = rate_of(train, schedule) or functools.partial(learning_rate, train)
    dtype = jnp.dtype(train.precision)
    if dtype == jnp.float64:
        require_x64()
    module = MNN((d1,) * hidden_layers, network.rho, network.bias, init_of(network, init), dtype)
    if train.optimizer == LEVENBERG_MARQUARDT and optimizer is None:
        run = make_levenberg_marquardt(module, problem.threshold, levenberg_marquardt_options(train))
    else:
        make = functools.partial(make_optimizer, train, own=optimizer)
        run = make_descent(module, problem.threshold, train, rows, make, rate)

    @functools.wraps(run)
    def run_epochs(state: TrainState, key: PRNGKeyArray, X, y, N, first_epoch, epochs):
        return run(state, key, jnp.asarray(X, dtype), jnp.asarray(y, dtype), N, first_epoch, epochs)

    draw = make_problem(problem, rows, d0, network.rho, dtype)
    return Training(draw, make_init(module, train, d0, optimizer), run_epochs)


def make_descent(
    module: MNN, threshold: float, train: Train, rows: int,
    optimizer: Callable[[Any], optax.GradientTransformationExtraArgs], learning_rate: Schedule,
) -> Callable[..., tuple[TrainState, Metrics]]:  # fmt: skip
    """run_epochs of a Training by one of Optax's optimizers, on all points at once or in mini-batches. optimizer: at a
    learning rate; learning_rate: in an epoch."""

    def step(params, opt_state, columns, y, weights, rate):
        def loss(params):
            output, neural_inputs = module.apply({"params": params}, columns, method=MNN.by_columns)
            mse = objective.mean_squared_error(output, y, weights)
            metrics = Metrics(mse, objective.mean_classification_error(output, y, threshold, weights))
            if not train.point_weights:
                return mse, metrics
            equalizing = weights * point_weights(params, columns, neural_inputs, module.rho, train.point_weights)
            return jnp.sum(equalizing * (y - output) ** 2) / jnp.sum(weights), metrics

        return descend(optimizer(rate), loss, params, opt_state)

    def one_epoch(params, opt_state, key, columns, y, N, rate):
        return step(params, opt_state, columns, y, (jnp.arange(rows) < N).astype(module.dtype), rate)

    if train.batch_size is not None:
        one_epoch = make_mini_batch_epoch(step, train.batch_size, rows, module.dtype)

    def run_epochs(state: TrainState, key: PRNGKeyArray, X, y, N, first_epoch, epochs: int):
        """The state after `epochs` epochs more than first_epoch, and the Metrics of the last. The key orders the
        mini-batches. The first N rows of X (rows, d0) and y (rows,) are points. See Training."""
        if train.batch_size is None:
            # Once, not every epoch: XLA must not fold the transposition into the matrix products.
            X = jax.lax.optimization_barrier(X.T)

        def body(carry, epoch):
            state, _ = carry
            epoch_key, rate = jax.random.fold_in(key, epoch), learning_rate(epoch)
            params, opt_state, metrics = one_epoch(state.params, state.opt_state, epoch_key, X, y, N, rate)
            failed = first_failure(state.non_finite_epoch, metrics.mse, epoch)
            return (TrainState(params, opt_state, failed), metrics), None

        nothing = Metrics(jnp.zeros((), module.dtype), jnp.zeros((), module.dtype))
        (state, metrics), _ = jax.lax.scan(body, (state, nothing), first_epoch + jnp.arange(epochs))
        return state, metrics

    return run_epochs


def make_mini_batch_epoch(step: Callable, batch_size: int, rows: int, dtype: DTypeLike) -> Callable:
    """one_epoch(params, opt_state, key, X, y, N, rate): a step on each of the epoch's mini-batches."""
    batch_rows = min(batch_size, rows)

    def one_epoch(params, opt_state, key, X, y, N, rate):
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

    return one_epoch
