"""The random keys of a cell's repetitions."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key


def seed_keys(seeds: Sequence[int], salt: int) -> Key[Array, " repeats"]:
    """A repetition's key: its seed with the salt (plan.Cell) of what is drawn from it."""
    return jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), salt))(jnp.asarray(seeds, jnp.uint32))
