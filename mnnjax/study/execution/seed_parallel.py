"""Seed-parallel training of a cell: the devices share its repetitions."""

import functools
import types
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mnnjax.config import Study
from mnnjax.jax_setup import Device
from mnnjax.study.distributed import processes
from mnnjax.study.execution.chunks import CellTraining
from mnnjax.study.execution.images import Sources, read_images
from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.keys import seed_keys
from mnnjax.training import LEVENBERG_MARQUARDT, make_evaluation, make_training

# Of a core's own cache. Measured (tests/benchmarks/README.md): seeds that fit in it together train up to 3 times faster
# together than one after the other (d = 5), seeds that do not up to 1.5 times slower (d = 20, N = 400).
CPU_CACHE_BYTES = 2**19


class SeedParallel(CellTraining):
    """The devices share the repetitions of a cell, each of which has its own points; sources: None where these are
    drawn. Raises UserError where the cell's images are missing."""

    def __init__(self, cell: Cell, sources: Sources | None):
        super().__init__(cell)
        self._programs = programs = seed_programs(cell.part, *cell.shape[1:], cell.repeats, *placement(cell))
        seeds, data_seeds = programs.pad((np.asarray(cell.seeds), np.asarray(cell.data_seeds)))
        self._keys = programs.keys(seeds, cell.training_salt)
        if cell.part.problem.is_image:
            assert sources is not None
            data_keys, dtype = seed_keys(data_seeds, cell.data_salt), cell.part.training.precision
            # Every process reads those of all repetitions. An error of one ends all: the others would wait for it.
            images = processes.together(lambda: read_images(cell, sources, data_keys, cell.N_padded, dtype))
            self._X, self._y = programs.place(images)
        else:
            self._X, self._y = programs.draw(programs.keys(data_seeds, cell.data_salt), cell.N)

    @property
    def template(self):
        padded = jax.eval_shape(self._programs.init, self._keys)
        repeats = self._cell.repeats
        return jax.tree.map(lambda s: jax.ShapeDtypeStruct((repeats, *s.shape[1:]), s.dtype), padded)

    def start(self, saved=None):
        programs = self._programs
        return programs.init(self._keys) if saved is None else programs.place(programs.pad(saved))

    def start_at(self, params, non_finite_epoch):
        place, pad = self._programs.place, self._programs.pad
        state = self._programs.init(self._keys, place(pad(params)))
        return state._replace(non_finite_epoch=place(pad(non_finite_epoch)))

    def run(self, state, epoch: int, epochs: int):
        state, metrics = self._programs.run_epochs(state, self._keys, self._X, self._y, self._cell.N, epoch, epochs)
        return state, self.saved(metrics)

    def is_done(self, state) -> bool:
        levenberg_marquardt = self._cell.part.training.optimizer == LEVENBERG_MARQUARDT
        return levenberg_marquardt and bool(processes.on_host(state.opt_state.done).all())

    def saved(self, state):
        """The state on the host, without the repetitions that pad groups."""
        return jax.tree.map(lambda leaf: leaf[: self._cell.repeats], processes.on_host(state))

    def evaluate(self, params):
        on_host = jax.device_put((params, *self.saved((self._X, self._y))), jax.local_devices(backend="cpu")[0])
        return jax.device_get(self._programs.evaluate(*on_host, self._cell.N))

    def points(self):
        X, y = self.saved((self._X, self._y))
        return X[:, : self._cell.N], y[:, : self._cell.N]


@functools.lru_cache(maxsize=4)
def seed_programs(
    part: Study,
    hidden_layers: int,
    d0: int,
    d1: int,
    rows: int,
    repeats: int,
    vmap_size: int,
    groups_per_device: int,
    devices: int,
) -> types.SimpleNamespace:
    """The compiled functions of one shape, for seeds that are placed as Placement says: over all of them at once
    (leading axis), padded to whole groups on every device."""
    training = make_training(part.problem, part.network, part.training, hidden_layers, d0, d1, rows)
    evaluate = make_evaluation(part.problem, part.network, hidden_layers, d1)
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:devices]), ("seeds",))
    everywhere, by_seed = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("seeds")
    sharding = jax.sharding.NamedSharding(mesh, by_seed)
    padding = vmap_size * groups_per_device * devices - repeats

    def pad(arrays):
        # The last seed once more; its results are not read.
        return jax.tree.map(lambda leaf: np.concatenate([leaf, np.repeat(leaf[-1:], padding, axis=0)]), arrays)

    def run_epochs(state, key, X, y, N, first_epoch, epochs):
        def on_device(N, first_epoch, *seeds):
            def run_seed(arrays):
                return training.run_epochs(*arrays, N, first_epoch, epochs)

            # Group after group of vmapped seeds. A single one is not vmapped.
            return jax.lax.map(run_seed, seeds, batch_size=vmap_size if vmap_size > 1 else None)

        specs = (everywhere,) * 2 + (by_seed,) * 4
        on_all = jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=by_seed, check_vma=False)
        return on_all(jnp.asarray(N), jnp.asarray(first_epoch), state, key, X, y)

    def evaluate_all(params, X, y, N):
        # One seed at a time: in float64 all of them at once would take more memory than training did.
        return jax.lax.map(lambda arrays: evaluate(*arrays, N), (params, X, y))

    return types.SimpleNamespace(
        pad=pad,
        keys=jax.jit(seed_keys, out_shardings=sharding),
        draw=jax.jit(jax.vmap(training.draw, in_axes=(0, None)), out_shardings=sharding),
        init=jax.jit(jax.vmap(training.init), out_shardings=sharding),
        run_epochs=jax.jit(run_epochs, static_argnums=6, donate_argnums=0, out_shardings=sharding),
        evaluate=jax.jit(evaluate_all),
        place=lambda arrays: jax.device_put(arrays, sharding),
    )


class Placement(NamedTuple):
    """Where the seeds of a cell train: how many are vmapped, how many such groups a device takes one after the other,
    and on how many devices."""

    vmap_size: int
    groups_per_device: int
    devices: int


def placement(cell: Cell, available: Sequence[Device] | None = None) -> Placement:
    """The placement of a cell's seeds on the available devices (None: all).

    On an accelerator each device vmaps all its seeds. On a CPU a group is no more than a core's cache holds, since
    each epoch goes through all its data, and no more than half of the seeds. Neither the number of cores nor that of
    seeds changes the last bits of a seed's results there, as measured. XLA rounds alike in groups of two seeds and of
    more, but otherwise for a seed that is not vmapped; and alike on two devices and more, but otherwise on one. So
    seeds of which two fit are always vmapped, if with a copy of the last one, and there are two devices or more.
    """
    repeats, available = cell.repeats, available or jax.devices()
    on_cpu = available[0].platform == "cpu"
    vmap_size = 1
    if on_cpu:
        fit = CPU_CACHE_BYTES * repeats // cell.bytes_needed
        sizes = range(2, max(2, min(fit, -(-repeats // 2))) + 1) if fit >= 2 else (1,)
        # The fewest copies, and of those the largest groups.
        vmap_size = min(sizes, key=lambda k: (-repeats % k, -k))
    groups = -(-repeats // vmap_size)
    per_device = -(-groups // len(available))
    # Every process has a share, if only a copy of the last seed.
    devices = -(-groups // per_device) if jax.process_count() == 1 else len(available)
    if on_cpu:
        devices = max(devices, min(2, len(available)))
    return Placement(vmap_size, per_device, devices) if on_cpu else Placement(per_device, 1, devices)
