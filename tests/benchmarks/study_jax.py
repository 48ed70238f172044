"""Ours, as a study runs it: one cell on the programs and devices of mnnjax.study.execution.seed_parallel."""

import resource
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from harness import random_start
from threadpoolctl import threadpool_limits

from mnnjax import jax_setup
from mnnjax.config import Network, Problem, Study, Train
from mnnjax.study.execution import seed_parallel
from mnnjax.study.execution.certify_cell import certify_seeds
from mnnjax.study.execution.train_cell import training_of
from mnnjax.study.plan import grid as plan
from mnnjax.training import make_training


class Devices:
    """What JAX runs on."""

    def describe(self) -> dict:
        return {"backend": jax.default_backend(), "device_kind": jax.devices()[0].device_kind}


class Cell:
    """A cell that is trained again and again from the same start.

    d, N, repeats: its shape. start: W (repeats, d, d), z, X, y in place of those that the study would draw.
    steps: of a turn, all epochs where none are given. matmul: the precision of float32 products in place of "highest".
    train: fields of Train.
    """

    all_cores = True

    def __init__(
        self, d: int, N: int, repeats: int = 30, start: dict | None = None, steps: int = 0, matmul: str = "", **train
    ):
        if self.all_cores:
            jax_setup.use_all_cores()
        # As run_study does.
        threadpool_limits(limits=1, user_api="blas")
        if matmul:
            jax.config.update("jax_default_matmul_precision", matmul)
        study = Study(name="bench", problem=Problem(d0=(d,), N=(N,)), train=Train(**train), repeats=repeats)
        (self.cell,) = plan.cells(study)
        self.train, self.steps = study.train, steps or study.train.total_epochs
        self.placement = seed_parallel.placement(self.cell)
        self.programs = seed_parallel.seed_programs(study, *self.cell.shape[1:], self.cell.repeats, *self.placement)
        self._draw(start)
        self.state = None

    def _draw(self, start: dict | None) -> None:
        programs, cell = self.programs, self.cell
        seeds, data_seeds = programs.pad((np.asarray(cell.seeds), np.asarray(cell.data_seeds)))
        self.keys = programs.keys(seeds, cell.training_salt)
        self.X, self.y = programs.draw(programs.keys(data_seeds, cell.data_salt), cell.N)
        self.first = jax.device_get(programs.init(self.keys))
        if start is not None:
            W, z, X, y = programs.pad(tuple(start[name] for name in ("W", "z", "X", "y")))
            self.X, self.y = programs.place((X, y))
            self.first = self.first._replace(params={"W1": W, "z": z})

    def turn(self) -> float:
        """Seconds of a training, with a look at the metrics after each chunk."""
        return self.train_for(self.steps)

    def step(self) -> float:
        """Seconds a step, of a turn."""
        return self.turn() / self.steps

    def train_for(self, epochs: int) -> float:
        state = jax.block_until_ready(self.programs.place(self.first))
        began = time.perf_counter()
        for epoch in range(0, epochs, self.train.chunk_epochs):
            length = min(self.train.chunk_epochs, epochs - epoch)
            state, metrics = self.programs.run_epochs(state, self.keys, self.X, self.y, self.cell.N, epoch, length)
            jax.device_get(metrics)
        self.state = jax.block_until_ready(state)
        return time.perf_counter() - began

    def mse_after(self, epochs: int) -> np.ndarray:
        """The MSE of each seed, in float64."""
        self.train_for(epochs)
        return self.mse()

    def mse(self) -> np.ndarray:
        """The same, of the last training."""
        host = jax.device_put(jax.device_get((self.state.params, self.X, self.y)), jax.devices("cpu")[0])
        return np.asarray(self.programs.evaluate(*host, self.cell.N).mse)[: self.cell.part.repeats]

    def how(self) -> str:
        vmap_size, groups_per_device, devices = self.placement
        return f"{vmap_size} at once x {groups_per_device} in turn x {devices} devices"


class SharedRows:
    """A cell of one repetition whose points the devices share; problem: fields of Problem, train: fields of Train."""

    def __init__(self, problem: dict, d1: int, epochs: int = 3, **train):
        jax_setup.use_all_cores()
        chunk = {"epochs": epochs, "decay_epochs": 0, "chunk_epochs": epochs, "parallel": "data"}
        study = Study("bench", Problem(data_sets=1, **problem), Network(d1=(d1,)), Train(**chunk, **train), repeats=1)
        (cell,) = plan.cells(study)
        self.work, self.epochs = training_of(cell, None), epochs

    def epoch(self) -> float:
        """Seconds of processor time an epoch, from the same start: other work on the machine hardly counts."""
        state = jax.block_until_ready(self.work.start())
        began = time.process_time()
        jax.block_until_ready(self.work.chunk(state, 0))
        return (time.process_time() - began) / self.epochs


class Shapes:
    """A Cell of one shape after the other, at one precision of float32 products, from random_start."""

    def __init__(self, matmul: str = ""):
        self.matmul = matmul

    def take(self, d: int, N: int, repeats: int, steps: int, chunk: int) -> None:
        # The one before is let go first.
        self.cell = None
        train = {"learning_rate": 1e-2, "epochs": steps, "decay_epochs": 0, "chunk_epochs": chunk}
        start = random_start(d, N, repeats)
        self.cell = Cell(d, N, repeats, start, steps, self.matmul, **train)

    def step(self) -> float:
        return self.cell.step()

    def mse_after(self, epochs: int) -> np.ndarray:
        return self.cell.mse_after(epochs)

    def how(self) -> str:
        return self.cell.how()


class Plain(Cell):
    """The same training as jit(vmap(...)), on one device."""

    all_cores = False

    def __init__(self, **settings):
        super().__init__(**settings)
        cell, part = self.cell, self.cell.part
        training = make_training(part.problem, part.network, part.train, 1, cell.d0, cell.d1, cell.N_padded)

        def run_epochs(state, keys, X, y, N, first, epochs):
            return jax.vmap(lambda *arrays: training.run_epochs(*arrays, N, first, epochs))(state, keys, X, y)

        own = {name: jax.device_put(getattr(self, name), jax.devices()[0]) for name in ("keys", "X", "y")}
        self.keys, self.X, self.y = own["keys"], own["X"], own["y"]
        self.programs = self.programs._replace(
            run_epochs=jax.jit(run_epochs, static_argnums=6, donate_argnums=0), place=jax.device_put
        )

    def how(self) -> str:
        return "jit(vmap), 1 device"


def product_rows(W, columns):
    return _kept(_kept(W @ columns) @ columns.T)


def product_columns(W, columns):
    return _kept(columns @ _kept(W @ columns).T).T


# So that XLA runs the products as they are written.
_kept = jax.lax.optimization_barrier


class Products(Cell):
    """The two matrix products of a step and nothing else, run the way the cell is: U = W X^T and G = U X or its
    transpose, whichever is faster."""

    STEPS = 100

    def __init__(self, **settings):
        super().__init__(**settings)
        columns = np.ascontiguousarray(jax.device_get(self.X).swapaxes(1, 2))
        self.operands = self.programs.place((self.first.params["W1"], columns))
        timed = {}
        for products in (product_rows, product_columns):
            self.run = self._compiled(products)
            timed[products] = self.step(), min(self.step() for _ in range(3))
        self.products = min(timed, key=lambda products: timed[products][1])
        self.run = self._compiled(self.products)

    def _compiled(self, products):
        vmap_size, _, devices = self.placement
        mesh = jax.sharding.Mesh(np.asarray(jax.local_devices()[:devices]), ("seeds",))
        own = jax.sharding.PartitionSpec("seeds")

        def one(arrays):
            W, columns = arrays
            # Each product needs the one before, so none can leave the loop.
            return jax.lax.fori_loop(0, self.STEPS, lambda _, W: W + 1e-30 * products(W, columns), W)

        def on_device(*seeds):
            return jax.lax.map(one, seeds, batch_size=vmap_size if vmap_size > 1 else None)

        return jax.jit(jax.shard_map(on_device, mesh=mesh, in_specs=(own, own), out_specs=own, check_vma=False))

    def step(self) -> float:
        return _seconds(self.run, *self.operands) / self.STEPS

    def how(self) -> str:
        return f"{self.products.__name__}, {super().how()}"


class Limits:
    """What the machine can do: a large matrix product, on one device and on each at once, and a copy on each at once.

    n: rows and columns of the matrices. launches: products of a turn, which wait for each other on the devices alone.
    copied_bytes: of a device's array.
    """

    def __init__(self, n: int, matmul: str = "", launches: int = 1, copied_bytes: int = 2**28):
        jax_setup.use_all_cores()
        if matmul:
            jax.config.update("jax_default_matmul_precision", matmul)
        self.n, self.launches = n, launches
        self.a = jax.random.normal(jax.random.key(0), (n, n), jnp.float32)
        mesh = jax.sharding.Mesh(np.asarray(jax.local_devices()), ("devices",))
        spec = jax.sharding.PartitionSpec("devices")
        on_each = jax.sharding.NamedSharding(mesh, spec)
        self.count = count = jax.local_device_count()
        self.each = jax.device_put(np.broadcast_to(jax.device_get(self.a), (count, n, n)), on_each)
        self.copied = jax.jit(lambda: jnp.zeros((count, copied_bytes // 4), jnp.float32), out_shardings=on_each)()
        self.product = jax.jit(jnp.matmul)
        self.products = jax.jit(
            jax.shard_map(jnp.matmul, mesh=mesh, in_specs=(spec, spec), out_specs=spec, check_vma=False)
        )
        self.copy_all = jax.jit(lambda a: a + 1, out_shardings=on_each)

    def turn(self) -> float:
        """Flops a second of one product."""
        return 2 * self.n**3 / self._seconds(self.product, self.a, self.a)

    def turn_each(self) -> float:
        """Flops a second of one product a device, all at once."""
        return 2 * self.n**3 * self.count / self._seconds(self.products, self.each, self.each)

    def copy(self) -> float:
        """Bytes a second, read and written, of all devices at once."""
        return 2 * self.copied.nbytes / _seconds(self.copy_all, self.copied)

    def _seconds(self, function, *args) -> float:
        def launch():
            for _ in range(self.launches):
                last = function(*args)
            return last

        return _seconds(launch) / self.launches


def _seconds(function, *args) -> float:
    began = time.perf_counter()
    jax.block_until_ready(function(*args))
    return time.perf_counter() - began


class Certificates(Cell):
    """Certificates of the points that Levenberg-Marquardt reaches."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.turn()
        params, self.points = jax.device_get((self.state.params, (self.X, self.y)))
        repeats = self.cell.part.repeats
        self.params = {name: leaf[:repeats] for name, leaf in params.items()}
        self.points = tuple(leaf[:repeats, : self.cell.N] for leaf in self.points)

    def point(self) -> dict:
        X, y = self.points
        return {"W": self.params["W1"], "z": self.params["z"], "X": X, "y": y}

    def certify(self) -> float:
        """Seconds a certificate."""
        began = time.perf_counter()
        certificates = certify_seeds(self.params, Network(), 1, *self.points, 0.0)
        seconds = (time.perf_counter() - began) / len(certificates)
        self.verdicts = [certificate.verdict for certificate in certificates]
        return seconds

    def found(self) -> dict:
        return {verdict: self.verdicts.count(verdict) for verdict in sorted(set(self.verdicts))}


class Memory:
    """Peak memory of a cell's stages, above what the process holds after its imports and a trivial program."""

    def __init__(self, d: int, N: int, repeats: int):
        jax_setup.use_all_cores()
        jax.block_until_ready(jax.jit(lambda a: a + 1)(jnp.zeros(8)))
        self.shape = {"d": d, "N": N, "repeats": repeats}

    def stages(self, steps: int, certified: int) -> dict[str, float]:
        """Bytes after each stage: the most until then."""
        base = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        peaks = {}

        def mark(stage: str) -> None:
            peaks[stage] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base

        cell = Cell(**self.shape, epochs=steps, decay_epochs=0, chunk_epochs=steps)
        mark("drawn")
        cell.turn()
        mark("trained")
        cell.mse()
        mark("evaluated")
        if certified:
            params, X, y = jax.device_get((cell.state.params, cell.X, cell.y))
            few = {name: leaf[:certified] for name, leaf in params.items()}
            certify_seeds(few, Network(), 1, X[:certified], y[:certified], 0.0)
            mark("certified")
        return peaks
