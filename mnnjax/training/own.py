"""Parts of training that users bring: an optimizer, an initialization, a learning rate.

In a study they are named as "module:function" (Train.optimizer, Train.schedule, Network.init); to make_training they
are also given as objects.

    def make_optimizer(learning_rate, **options):  # options: those of train.optimizer_options
        return optax.chain(optax.clip(1.0), optax.adam(learning_rate))

    def init(key, shape, dtype):  # of W (d1, d0) of each layer, and of z (d1,); as jax.nn.initializers
        return jax.random.normal(key, shape, dtype) / 10

    def schedule(epoch):  # the learning rate in an epoch, counted from 0; as Optax's schedules
        return 1e-2 / (1 + epoch / 100)

make_optimizer is called in every epoch, with that epoch's rate. One without the parameter learning_rate has a rate of
its own; then neither learning_rate nor a schedule counts. Biases start at 0. A schedule gives the rate itself:
train.learning_rate and train.decay_to do not count; epochs + decay_epochs is the number of epochs. All three must work
under jax.jit: an epoch is traced.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mnnjax import own_parts
from mnnjax.config import Network, Train
from mnnjax.config.study import DECAY
from mnnjax.errors import UserError, first_line, require

Init = Callable[..., Any]
Schedule = Callable[[Any], Any]
# How errors call what is given as an object.
GIVEN = "given to make_training"


def init_of(network: Network, init: Init | None = None) -> str | Init:
    """What MNN.init_weights takes: the name of ours, or the user's function, which `init` gives or the config names.
    Raises UserError where it cannot be imported, or does not return an array of the shape that it is asked for."""
    if init is None and not own_parts.is_own(network.init):
        return network.init
    where, name = ("init", GIVEN) if init is not None else ("network.init", network.init)
    function = init if init is not None else own_parts.find(where, network.init)
    found = _tried(where, name, lambda: function(jax.random.key(0), (3, 2), jnp.float32))
    shape = getattr(found, "shape", None)
    why = f"{name} gives {'no array' if shape is None else f'an array of shape {shape}'} for the shape (3, 2)"
    require(shape == (3, 2), f"{where}: {why}; write init(key, shape, dtype) as jax.nn.initializers")
    return function


def rate_of(train: Train, schedule: Schedule | None = None) -> Schedule | None:
    """The user's learning rate in an epoch, in train.precision: `schedule`, or what the config names; None where it is
    ours. Raises UserError where it cannot be imported, or does not return a number."""
    if schedule is None and train.schedule == DECAY:
        return None
    where, name = ("schedule", GIVEN) if schedule is not None else ("train.schedule", train.schedule)
    function = schedule if schedule is not None else own_parts.find(where, train.schedule)
    found = _tried(where, name, lambda: jnp.asarray(function(jnp.int32(0)), train.precision))
    require(found.shape == (), f"{where}: {name} gives shape {found.shape}, and no number; return the epoch's rate")

    def rate(epoch: Any) -> Float[Array, ""]:
        return jnp.asarray(function(epoch), train.precision)

    return rate


def check_own(network: Network, train: Train) -> None:
    """Raise UserError from init_of or rate_of."""
    init_of(network)
    rate_of(train)


def _tried(where: str, name: str, call: Callable[[], Any]) -> Any:
    """The shape and type of what a user's function returns."""
    try:
        return jax.eval_shape(call)
    except UserError:
        raise
    except Exception as error:  # whatever it raises, and JAX says of its value
        raise UserError(f"{where}: {name} fails ({type(error).__name__}: {first_line(error)[:200]})") from error
