"""Training on rows that devices share, against plain NumPy and Optax on the whole arrays.

All runs are in float64 and of a few epochs; they differ from their references in the order of sums only. As in
test_runs.py, TOLERANCE allows 1e4 n eps for sums of up to n terms, unless a neural input changes sign in between, which
none does here.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.config import Network, Problem, Train, UserError
from mnnjax.training import RowLayout, make_row_training, make_training, place_rows, sharded
from tests.training.references import assert_close, optax_run, rates

# 64 blocks of 3 points; of the last ones, 14 are empty and one is not full.
N, D0, D1 = 149, 4, 3
TOLERANCE = 1e4 * N * np.finfo(np.float64).eps
PROBLEM = Problem(d0=(D0,), N=(N,))
# Of two chunks.
EPOCHS, CHUNK = 6, 3
KEY = jax.random.key(2)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, D0)), RNG.choice([-1.0, 1.0], N)


def options(optimizer="sgd", batch_size=None, rate=0.05, more=(), **given):
    return Train(optimizer, more, rate, batch_size, 4, 2, 0.1, "float64", parallel="data", **given)


SGD, MINI, SAME = options(), options(batch_size=128), options(batch_size=128, reproducible=True)


@functools.cache
def make(train, network, layers, devices):
    return make_row_training(PROBLEM, network, train, layers, D0, D1, N, jax.devices()[:devices])


@functools.cache
def placed(batch_size, devices, X_dtype=None, dtype="float64"):
    def block_of(block, points, device):
        yield X[points.start : points.stop], Y[points.start : points.stop]

    return place_rows(RowLayout(N, batch_size), D0, dtype, jax.devices()[:devices], block_of, X_dtype)


@functools.cache
def start_of(train, network, layers, devices=8):
    """Of two seeds."""
    return make(train, network, layers, devices).init(jax.random.split(jax.random.key(1)))


def run(train, network=Network(), layers=1, devices=8):  # noqa: B008
    training, rows = make(train, network, layers, devices), placed(train.batch_size, devices)
    state = start_of(train, network, layers)
    for epoch in range(0, EPOCHS, CHUNK):
        # From the host, as a checkpoint gives it.
        state, metrics = training.run_epochs(jax.device_get(state), KEY, rows, epoch, CHUNK)
    return state, metrics


def test_runs_from_given_weights_start_there():
    rng = np.random.default_rng(1)
    own = {"W1": rng.normal(size=(2, D1, D0)), "z": rng.normal(size=(2, D1))}
    state = make(SGD, Network(), 1, 8).init(jax.random.split(jax.random.key(1)), own)
    jax.tree.map(np.testing.assert_array_equal, state.params, own)


def seed(tree, k):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[k], tree)


@functools.cache
def batches_of(batch_size, epoch):
    """The points of each batch of an epoch: from every block as many, in an order that its own key decides."""
    points = -(-N // 64)
    take = points if batch_size is None else min(batch_size // 64, points)
    rows = -(-points // take) * take
    if rows == take:
        return [np.arange(N)]
    keys = [jax.random.fold_in(jax.random.fold_in(KEY, epoch), block) for block in range(64)]
    order = np.argsort(jax.vmap(lambda key: jax.random.uniform(key, (rows,)))(jnp.stack(keys)), axis=1)
    taken = [order[:, i : i + take] for i in range(0, rows, take)]
    numbers = [np.where(t < points, np.arange(64)[:, None] * points + t, N).ravel() for t in taken]
    return [n[n < N] for n in numbers]


def numpy_run(params, train, network, layers):
    """Gradient descent with the chain rule written out: parameters after all epochs, and MSE and MCE of the last."""
    p = {name: np.array(leaf) for name, leaf in params.items()}
    for epoch, rate in enumerate(rates(train)):
        sums = np.zeros(2)
        for batch in batches_of(train.batch_size, epoch):
            h, slopes, inputs = X[batch], [], []
            for i in range(1, layers + 1):
                inputs.append(h)
                U = h @ p[f"W{i}"].T + p.get(f"b{i}", 0.0)
                slopes.append(np.where(U > 0, 1.0, network.rho))
                h = slopes[-1] * U
            error = h @ p["z"] + p.get("c", 0.0) - Y[batch]
            sums += np.sum(error**2), np.sum((error + Y[batch] > 0) != (Y[batch] > 0))
            weights = 1.0
            if train.point_weights:
                B, kernel = p["z"], np.sum(h**2, axis=1) + network.bias
                for i in range(layers, 0, -1):
                    B = B * slopes[i - 1]
                    kernel += np.sum(B**2, axis=1) * (np.sum(inputs[i - 1] ** 2, axis=1) + network.bias)
                    B = B @ p[f"W{i}"]
                weights = (D0 * np.sum(p["z"] ** 2) / (2 * kernel)) ** train.point_weights
            back = 2 / len(batch) * weights * error
            gradient = {"z": back @ h, "c": back.sum()}
            back = back[:, None] * p["z"]
            for i in range(layers, 0, -1):
                back = back * slopes[i - 1]
                gradient |= {f"W{i}": back.T @ inputs[i - 1], f"b{i}": back.sum(axis=0)}
                back = back @ p[f"W{i}"]
            p = {name: leaf - rate * gradient[name] for name, leaf in p.items()}
    return p, sums / N


def test_an_epoch_of_the_reference_has_each_point_in_one_batch():
    for epoch in range(EPOCHS):
        first, second = batches_of(128, epoch)
        assert sorted([*first, *second]) == list(range(N))
        # Two of three points of a full block, or one and a row of padding.
        assert len(first) > 64
        assert len(second) > 0
    assert len({tuple(batches_of(128, epoch)[0].tolist()) for epoch in range(EPOCHS)}) == EPOCHS


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("train", "layers", "rho", "bias", "devices"),
    [
        (SGD, 1, 0.0, False, 8),
        (dataclasses.replace(MINI, point_weights=0.5), 2, 0.1, True, 4),
        *((MINI, 2, -0.3, True, devices) for devices in (1, 2, 4, 8)),
        (SAME, 2, -0.3, True, 4),
    ],
)
def test_gradient_descent_is_that_of_numpy_on_any_number_of_devices(train, layers, rho, bias, devices):
    """So a gradient counts once, and not once a device."""
    network = Network(rho=rho, bias=bias)
    state, metrics = run(train, network, layers, devices)
    start = start_of(train, network, layers)
    for k in range(2):
        params, (mse, mce) = numpy_run(seed(start.params, k), train, network, layers)
        assert_close(seed(state.params, k), params, TOLERANCE)
        assert_close(seed(metrics, k), type(metrics)(mse, mce), TOLERANCE)
    assert (np.asarray(state.params["z"][0]) != np.asarray(state.params["z"][1])).any()
    np.testing.assert_array_equal(state.non_finite_epoch, [-1, -1])


@pytest.mark.parametrize(("rows", "d0", "itemsize", "pieces"), [
    (2**26 - 1, 1, 4, 1), (2**26, 1, 4, 1), (2**26 + 2, 1, 4, 2), (160_000, 12288, 4, 32), (20_000, 12288, 4, 4),
    (20_011, 12288, 4, 1), (3 * 20_011, 12288, 4, 3),  # 20 011 is prime
    (1, 2**30, 4, 1), (6, 2**30, 4, 6),
])  # fmt: skip
def test_large_batches_are_multiplied_in_equal_pieces(rows, d0, itemsize, pieces):
    """Of 256 MiB at most, unless they could not be equal."""
    assert sharded.pieces_of(rows, d0, itemsize) == pieces


@pytest.mark.slow
@pytest.mark.parametrize(("train", "pieces"), [(SGD, 12), (MINI, 8), (SAME, 8)])
def test_pieces_add_up_to_the_batch(monkeypatch, train, pieces):
    """12 or 8 of the 24 or 16 rows of a device, two a piece; or a row a piece, two of each block."""
    network = Network(rho=-0.3, bias=True)
    monkeypatch.setattr(sharded, "PIECE_BYTES", (1 if train.reproducible else 2) * D0 * 8)
    layout = RowLayout(N, train.batch_size)
    assert sharded.pieces_of(8 * layout.batch_rows, D0, 8) == pieces * (2 if train.reproducible else 1)
    in_pieces = make_row_training(PROBLEM, network, train, 2, D0, D1, N, jax.devices())
    start = start_of(train, network, 2)
    state, metrics = in_pieces.run_epochs(start, KEY, placed(train.batch_size, 8), 0, EPOCHS)
    for k in range(2):
        params, (mse, mce) = numpy_run(seed(start.params, k), train, network, 2)
        assert_close(seed(state.params, k), params, TOLERANCE)
        assert_close(seed(metrics, k), type(metrics)(mse, mce), TOLERANCE)


SAME_BITS = {
    "full batch": (options("adam", reproducible=True), None),
    "mini-batch": (options("adam", 64, reproducible=True), "bfloat16"),
    "float32": (dataclasses.replace(options("sgd", 128, reproducible=True), precision="float32"), None),
    "weights": (
        dataclasses.replace(options("adam", 128, reproducible=True), point_weights=0.75),
        None,
    ),
    "line search": (options("lbfgs", rate=1.0, more=(("memory_size", 2),), reproducible=True), None),
}


@pytest.mark.slow
@pytest.mark.parametrize(("train", "X_dtype"), SAME_BITS.values(), ids=SAME_BITS)
def test_reproducible_training_is_the_same_to_the_last_bit_on_any_number_of_devices(train, X_dtype):
    """Two chunks; z and biases are of one shape, which XLA treats otherwise in programs for one device."""

    def chunk(state, devices, epoch):
        rows = placed(train.batch_size, devices, X_dtype, train.precision)
        training = make(train, Network(rho=-0.3, bias=True), 2, devices)
        return jax.device_get(training.run_epochs(state, KEY, rows, epoch, CHUNK))

    state = start_of(train, Network(rho=-0.3, bias=True), 2)
    for epoch in range(0, EPOCHS, CHUNK):
        expected, *others = (chunk(state, devices, epoch) for devices in (1, 2, 4, 8))
        for found in others:
            jax.tree.map(np.testing.assert_array_equal, found, expected)
        state, _ = expected
    assert np.isfinite(state.params["z"]).all()


@pytest.mark.slow
def test_rows_in_bfloat16_train_as_the_rounded_points_do(monkeypatch):
    """Rounded once; all arithmetic is in float64."""
    start, rows = start_of(SGD, Network(), 1), placed(None, 8, "bfloat16")
    state, _ = make(SGD, Network(), 1, 8).run_epochs(start, KEY, rows, 0, EPOCHS)
    monkeypatch.setitem(globals(), "X", X.astype(jnp.bfloat16).astype(np.float64))
    for k in range(2):
        params, _ = numpy_run(seed(start.params, k), SGD, Network(), 1)
        assert_close(seed(state.params, k), params, TOLERANCE)


@pytest.mark.slow
def test_adam_is_that_of_optax_on_the_whole_arrays():
    train = options("adam")
    state, metrics = run(train)

    def loss(params):
        output = jnp.maximum(X @ params["W1"].T, 0) @ params["z"]
        return jnp.mean((output - Y) ** 2), jnp.mean(1.0 * ((output > 0) != (Y > 0)))

    for k in range(2):
        params, last = optax_run(train, loss, seed(start_of(train, Network(), 1).params, k))
        assert_close(seed(state.params, k), params, TOLERANCE)
        assert_close(tuple(seed(metrics, k)), last, TOLERANCE)


@pytest.mark.slow
def test_an_optimizer_that_searches_along_lines_does_so_on_all_devices():
    """L-BFGS, whose steps ask for the loss at other points: on eight devices, and of each seed on one device."""
    train = options("lbfgs", rate=1.0, more=(("memory_size", 2),))
    shared, metrics = run(train)
    alone = jax.jit(make_training(PROBLEM, Network(), train, 1, D0, D1, N).run_epochs, static_argnums=6)
    for k in range(2):
        state = jax.tree.map(lambda leaf, k=k: leaf[k], start_of(train, Network(), 1))
        first = np.mean((np.maximum(X @ np.asarray(state.params["W1"]).T, 0) @ np.asarray(state.params["z"]) - Y) ** 2)
        state, last = alone(state, KEY, X, Y, N, 0, EPOCHS)
        # Line searches end at thresholds, which rounding does not touch here; curvatures amplify it.
        assert_close((seed(shared.params, k), seed(metrics, k)), (state.params, last), 100 * TOLERANCE)
        assert last.mse < first


@pytest.mark.slow
@pytest.mark.parametrize(("train", "layers", "rho", "bias"), [(SGD, 1, 0.0, False), (MINI, 2, -0.3, True)])
def test_a_seed_that_overflows_says_when_and_leaves_the_others_alone(train, layers, rho, bias):
    network = Network(rho=rho, bias=bias)
    training, rows = make(train, network, layers, 8), placed(train.batch_size, 8)
    start = start_of(train, network, layers)
    # The second seed's outputs are so large that their squares overflow at once.
    huge = {name: leaf * np.array([1, 1e100]).reshape(2, *[1] * (leaf.ndim - 1)) for name, leaf in start.params.items()}
    ends = [training.run_epochs(start._replace(params=p), KEY, rows, 7, CHUNK)[0] for p in (start.params, huge)]
    np.testing.assert_array_equal(ends[0].non_finite_epoch, [-1, -1])
    np.testing.assert_array_equal(ends[1].non_finite_epoch, [-1, 7])
    jax.tree.map(np.testing.assert_array_equal, *(seed(end.params, 0) for end in ends))
    assert not np.isfinite(ends[1].params["z"][1]).any()
    # The epoch that is noted is the first, also when the run goes on.
    again, _ = training.run_epochs(ends[1], KEY, rows, 7 + CHUNK, CHUNK)
    np.testing.assert_array_equal(again.non_finite_epoch, [-1, 7])


def test_other_optimizers_are_the_users_error():
    with pytest.raises(UserError, match="no_such_optimizer"):
        make(options("no_such_optimizer"), Network(), 1, 8)
