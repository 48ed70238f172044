"""What training is compared with: the learning rates in closed form, and the plain loop of Optax."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mnnjax.config import Train


def assert_close(found, expected, tolerance: float) -> None:
    """Leaf by leaf, relatively or absolutely."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), found, expected)


def rates(train: Train) -> list[float]:
    """Of each epoch: constant and then decaying exponentially (section 4)."""
    falling = [train.decay_to ** (k / train.decay_epochs) for k in range(1, train.decay_epochs + 1)]
    return [train.learning_rate * factor for factor in [1.0] * train.epochs + falling]


def optax_run(train: Train, loss: Callable, params):
    """Parameters after all epochs of the config's optimizer, and loss(params) -> (MSE, MCE) before the last step."""
    make = optax.inject_hyperparams(getattr(optax, train.optimizer))
    optimizer = make(learning_rate=train.learning_rate, **dict(train.optimizer_options))

    @jax.jit
    def step(params, opt_state, rate):
        found, gradient = jax.value_and_grad(loss, has_aux=True)(params)
        opt_state.hyperparams["learning_rate"] = rate
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, found

    opt_state = optimizer.init(params)
    for rate in rates(train):
        params, opt_state, found = step(params, opt_state, jnp.asarray(rate))
    return params, found
