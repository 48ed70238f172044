"""The random keys of a cell's repetitions."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from mnnjax.arrays import AnyArray


def seed_keys(seeds: Sequence[int] | Int[AnyArray, " repeats"], salt: int | Int[Array, ""]) -> Key[Array, " repeats"]:
    """One key per repetition: its seed with a salt of Cell folded in."""
    return jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), salt))(jnp.asarray(seeds, jnp.uint32))
