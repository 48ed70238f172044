"""A cell in training whose repetitions are spread over the devices, each with points of its own."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mnnjax.config import Study
from mnnjax.jax_setup import Device
from mnnjax.study.distributed import processes
from mnnjax.study.execution.certify_cell import certify_seeds
from mnnjax.study.execution.images import Sources, read_images
from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.keys import seed_keys
from mnnjax.training import LEVENBERG_MARQUARDT, make_evaluation, make_training

# Of a core's own cache. Measured (tests/benchmarks/README.md): seeds that fit in it together train up to 3 times faster
# together than one after the other (d = 5), seeds that do not up to 1.5 times slower (d = 20, N = 400).
CPU_CACHE_BYTES = 2**19


class SeedTraining:
    """The state of all repetitions of a cell, seeds on the leading axis.

    sources: None where points are drawn.

    Raises:
      UserError: the cell's images are missing.
    """

    def __init__(self, cell: Cell, sources: Sources | None):
        self._cell = cell
        self._programs = programs = seed_programs(cell.part, *cell.shape[1:], *spread(cell))
        seeds, data_seeds = programs.pad((np.asarray(cell.seeds), np.asarray(cell.data_seeds)))
        self._keys = programs.keys(seeds, cell.training_salt)
        if cell.part.problem.is_image:
            # On every process those of all repetitions. One that cannot read ends the others, who would wait for it.
            assert sources is not None
            own_keys, dtype = seed_keys(data_seeds, cell.data_salt), cell.part.training.precision
            images = processes.together(lambda: read_images(cell, sources, own_keys, cell.N_padded, dtype))
            self._X, self._y = programs.place(images)
        else:
            self._X, self._y = programs.draw(programs.keys(data_seeds, cell.data_salt), cell.N)

    @property
    def template(self):
        """Shapes of what a checkpoint holds."""
        padded = jax.eval_shape(self._programs.init, self._keys)
        own = self._cell.part.repeats
        return jax.tree.map(lambda s: jax.ShapeDtypeStruct((own, *s.shape[1:]), s.dtype), padded)

    def start(self, saved=None):
        """Initial weights, or the saved state, on the devices."""
        if saved is None:
            return self._programs.init(self._keys)
        return self._programs.place(self._programs.pad(saved))

    def run(self, state, epoch: int, epochs: int):
        """Further epochs: the state after them, and their last metrics, one a repetition."""
        state, metrics = self._programs.run_epochs(state, self._keys, self._X, self._y, self._cell.N, epoch, epochs)
        return state, self.saved(metrics)

    def is_done(self, state) -> bool:
        """Whether every repetition has stopped by itself."""
        return self._cell.part.training.optimizer == LEVENBERG_MARQUARDT and bool(
            processes.on_host(state.opt_state.done).all()
        )

    def saved(self, arrays):
        """On the host, without the repetitions that pad groups."""
        return jax.tree.map(lambda leaf: leaf[: self._cell.part.repeats], processes.on_host(arrays))

    def evaluate(self, params):
        """The Evaluation of all repetitions."""
        on_host = jax.device_put((params, *self.saved((self._X, self._y))), jax.local_devices(backend="cpu")[0])
        return jax.device_get(self._programs.evaluate(*on_host, self._cell.N))

    def certify(self, params, stop_requested: Callable[[], object]):
        """A certificate a repetition, as certify_seeds."""
        cell, (X, y) = self._cell, self.points()
        threshold = cell.part.problem.threshold
        return certify_seeds(params, cell.part.network, cell.hidden_layers, X, y, threshold, stop_requested)

    def points(self):
        """X (repeats, N, d0) and y (repeats, N) on the host, as training has them."""
        return tuple(leaf[:, : self._cell.N] for leaf in self.saved((self._X, self._y)))


class Programs(NamedTuple):
    """The compiled functions of a shape bucket, over all seeds at once (leading axis), padded to whole groups on every
    device."""

    pad: Callable
    keys: Callable
    draw: Callable
    init: Callable
    run_epochs: Callable
    evaluate: Callable
    place: Callable


@functools.lru_cache(maxsize=4)
def seed_programs(
    part: Study, hidden_layers: int, d0: int, d1: int, rows: int, together: int, turns: int, devices: int
) -> Programs:
    """Of one shape: `together` seeds vmapped at once, `turns` such groups one after the other, on so many devices."""
    training = make_training(part.problem, part.network, part.training, hidden_layers, d0, d1, rows)
    evaluate = make_evaluation(part.problem, part.network, hidden_layers, d1)
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:devices]), ("seeds",))
    everywhere, own = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("seeds")
    sharding = jax.sharding.NamedSharding(mesh, own)
    padding = together * turns * devices - part.repeats

    def pad(arrays):
        # The last seed once more: it does what seeds do, and nobody looks at it.
        return jax.tree.map(lambda leaf: np.concatenate([leaf, np.repeat(leaf[-1:], padding, axis=0)]), arrays)

    def run_epochs(state, key, X, y, N, first_epoch, epochs):
        def on_device(N, first_epoch, *seeds):
            def one(arrays):
                return training.run_epochs(*arrays, N, first_epoch, epochs)

            return map_groups(one, seeds, together)

        specs = (everywhere,) * 2 + (own,) * 4
        on_all = jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=own, check_vma=False)
        return on_all(jnp.asarray(N), jnp.asarray(first_epoch), state, key, X, y)

    def evaluate_all(params, X, y, N):
        # One seed at a time: in float64 all of them at once would take more memory than training did.
        return jax.lax.map(lambda arrays: evaluate(*arrays, N), (params, X, y))

    return Programs(
        pad=pad,
        keys=jax.jit(seed_keys, out_shardings=sharding),
        draw=jax.jit(jax.vmap(training.draw, in_axes=(0, None)), out_shardings=sharding),
        init=jax.jit(jax.vmap(training.init), out_shardings=sharding),
        run_epochs=jax.jit(run_epochs, static_argnums=6, donate_argnums=0, out_shardings=sharding),
        evaluate=jax.jit(evaluate_all),
        place=lambda arrays: jax.device_put(arrays, sharding),
    )


def map_groups(one: Callable, seeds: tuple, together: int):
    """one(arrays) for each seed (leading axis of all arrays), `together` of them vmapped, one group after the other."""
    if together == 1:
        return jax.lax.map(one, seeds)
    groups = jax.tree.map(lambda leaf: leaf.reshape(-1, together, *leaf.shape[1:]), seeds)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), jax.lax.map(jax.vmap(one), groups))


def spread(cell: Cell, available: Sequence[Device] | None = None) -> tuple[int, int, int]:
    """How many seeds are vmapped at once, how many such groups a device takes in turn, and on how many devices, of
    those that are available (None: of all).

    On an accelerator each device takes its seeds at once. On a CPU a group is no more than a core's cache holds, since
    each epoch goes through all its data, and no more than half of the seeds. It does not depend on the number of
    cores, and XLA's programs for two devices and for more are alike, so that neither do the last bits of the results.
    """
    repeats, available = cell.part.repeats, available or jax.devices()
    on_cpu = available[0].platform == "cpu"
    together = 1
    if on_cpu:
        fit = min(CPU_CACHE_BYTES * repeats // cell.bytes_needed, repeats // 2)
        together = max(k for k in range(1, max(fit, 1) + 1) if repeats % k == 0)
    groups = repeats // together
    turns = -(-groups // len(available))
    # Every process has a share, be it a copy of the last seed.
    devices = -(-groups // turns) if jax.process_count() == 1 else len(available)
    return (together, turns, devices) if on_cpu else (turns, 1, devices)
