"""Memory of a cell against programs' own accounts, and against what certificates allocate."""

import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax import landscape
from mnnjax.config import Network, Problem, Study, Train
from mnnjax.network import MNN
from mnnjax.problems import fit_whitening
from mnnjax.study.execution.seed_parallel import placement, seed_programs
from mnnjax.study.plan.grid import cells
from mnnjax.study.resources.memory import certificate_bytes, memory_on_host, memory_per_device, whitening_bytes
from mnnjax.training import RowLayout, make_row_training, row_devices
from mnnjax.training.rows import AXIS, Rows
from mnnjax.training.sharded import make_device_epochs, map_epochs
from tests.study.one_cell import one_cell


def own_account(program) -> int:
    found = program.memory_analysis()
    return (
        found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes + found.temp_size_in_bytes
    )


# What the estimate may be above a program's own account, of buffers that XLA shares; never below it.
SHARED = 2.0

BY_SEEDS = [
    one_cell(d0=(20,), N=(400,), repeats=30),
    one_cell(d0=(30,), N=(2000,), repeats=16, network=Network(hidden_layers=(2,))),
    one_cell(Train(batch_size=64), d0=(20,), N=(1000,), repeats=16),
    one_cell(
        Train("levenberg_marquardt", epochs=4, decay_epochs=0, precision="float64"), d0=(20,), N=(300,), repeats=16
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("cell", BY_SEEDS, ids=["full_batch", "two_layers", "mini_batch", "levenberg_marquardt"])
def test_memory_of_training_by_seeds_is_that_of_its_program(cell):
    vmap_size, groups, devices = placement(cell)
    programs = seed_programs(cell.part, *cell.shape[1:], cell.repeats, vmap_size, groups, devices)
    count, dtype = vmap_size * groups * devices, jnp.dtype(cell.part.train.precision)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), count))
    X, y = (jax.ShapeDtypeStruct((count, cell.N_padded, *rest), dtype) for rest in ((cell.d0,), ()))
    state = jax.eval_shape(programs.init, keys)
    needed = own_account(programs.run_epochs.lower(state, keys, X, y, cell.N, 0, 2).compile())
    assert needed <= memory_per_device(cell, jax.devices()) <= SHARED * needed


BY_ROWS = [
    one_cell(Train(batch_size=512, parallel="data"), d0=(200,), N=(20_000,), data_sets=1),
    one_cell(Train(batch_size=8192, parallel="data"), d0=(300,), N=(30_000,), data_sets=1),
    one_cell(Train(batch_size=2048, parallel="data", rows_precision="bfloat16"), d0=(99,), N=(99_000,), data_sets=1),
    one_cell(Train(batch_size=8192, parallel="data", reproducible=True), d0=(300,), N=(30_000,), data_sets=1),
    one_cell(Train(parallel="data", reproducible=True), d0=(300,), N=(30_000,), data_sets=1),
    one_cell(
        Train(parallel="data", reproducible=True), network=Network(d1=(16,)), d0=(2000,), N=(30_000,), data_sets=1
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell", BY_ROWS, ids=["small_batch", "large_batch", "bfloat16", "blocks", "full_batch", "wide"]
)
def test_memory_of_training_by_rows_is_that_of_its_program(cell):
    part, devices = cell.part, row_devices(jax.devices())
    train, layout, blocks = part.train, RowLayout(cell.N, part.train.batch_size), 64 // len(devices)
    rows, mesh = (len(devices), blocks, layout.rows), jax.sharding.Mesh(np.asarray(devices), (AXIS,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))

    def held(*shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    X_dtype = jnp.float32 if train.rows_precision == "same" else jnp.uint16
    placed = Rows(held(*rows, cell.d0, dtype=X_dtype), held(*rows), held(*rows), held(len(devices), dtype=jnp.int32))
    sizes = part.problem, part.network, train, 1, cell.d0, cell.d1, cell.N
    keys = jax.random.split(jax.random.key(0), part.repeats)
    state = jax.eval_shape(make_row_training(*sizes, devices).init, keys)
    epochs = make_device_epochs(MNN((cell.d1,), dtype=jnp.dtype("float32")), 0.0, train, layout)
    program = map_epochs(epochs, mesh, train.reproducible)
    needed = own_account(program.lower(state, jax.random.key(0), placed, 0, 2).compile())
    assert needed <= memory_per_device(cell, jax.devices()) <= SHARED * needed


@pytest.mark.parametrize(("N", "d"), [(180, 15), (225, 15), (500, 12)], ids=["rows", "square", "columns"])
def test_memory_of_a_certificate_is_what_it_allocates(N, d):
    rng = np.random.default_rng(0)
    W, z, X = rng.standard_normal((d, d)), rng.standard_normal(d), rng.standard_normal((N, d))
    y = np.sign(rng.standard_normal(N))
    landscape.certify(W, z, X, y, 0.0)
    tracemalloc.start()
    try:
        landscape.certify(W, z, X, y, 0.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / 1.2 <= certificate_bytes(N, d, d) <= 1.6 * peak


@pytest.mark.parametrize("constant", [0, 50], ids=["all_vary", "some_constant"])
@pytest.mark.parametrize(
    ("kind", "images"), [("pca", 1200), ("pca", 300), ("zca", 1200), ("zca", 300), ("cholesky", 1200)]
)
def test_memory_of_whitening_is_what_it_allocates(images, constant, kind):
    """What XLA allocates is not traced: half of a covariance, before LAPACK takes two."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, 1000), np.uint8)
    pixels[:, :constant] = 7
    tracemalloc.start()
    try:
        fit_whitening(pixels.__getitem__, *pixels.shape, kind)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / 1.2 <= whitening_bytes(*pixels.shape, kind) <= 1.7 * peak


def test_the_host_holds_the_transform_of_its_images_and_before_it_what_whitening_takes():
    def host(**fields):
        (cell,) = cells(Study("s", Problem("patches64", "random", data_sets=1, N=(500,), **fields), Network(d1=(2,)),
            Train(parallel="data")))  # fmt: skip
        return memory_on_host(cell, jax.devices())

    covariance = 8 * 12_288**2
    # By all 1 280 000 images, or by 500: their transform has 500 columns, in float64 and float32.
    assert 3 * covariance < host() < 3.5 * covariance
    few = host(whitening_images=500)
    assert few < host() / 2
    columns = 12 * 12_288 * 500
    assert host(whitening_images=500, whitening="zca") - few == 1.5 * covariance - columns


def test_the_host_holds_what_what_its_devices_hold():
    cell, devices = one_cell(d0=(50,), N=(20_000,), repeats=64), jax.devices()
    assert memory_on_host(cell, devices) > 8 * memory_per_device(cell, devices)
    # Half as many devices take twice the seeds each.
    assert memory_per_device(cell, devices[:4]) > 1.5 * memory_per_device(cell, devices)
