"""Whole runs against plain loops, without padding, without vmap, and cut into other chunks.

Runs of a few epochs in float64 that differ only in the order of sums: an epoch adds errors of about n eps relative to
the parameters (n: terms in the longest sum, here below 100) and lets old ones grow by a modest factor, unless a neural
input changes sign in between, which none does here. TOLERANCE allows 1e4 n eps: 4 significant digits of growth.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.config import Network, Problem, Train, UserError
from mnnjax.training import Training, make_evaluation, make_training
from tests.training.references import assert_close, optax_run, rates

TOLERANCE = 1e4 * 100 * np.finfo(np.float64).eps
N, D0, D1 = 23, 5, 4
PROBLEM, RELU = Problem(d0=(D0,), N=(N,)), Network()
ADAM = Train(epochs=3, decay_epochs=3, decay_to=0.1, precision="float64")
SGD = Train("sgd", (), 0.05, epochs=3, decay_epochs=3, decay_to=0.1, precision="float64")
MOMENTUM = Train("sgd", (("momentum", 0.9),), 0.05, epochs=3, decay_epochs=3, decay_to=0.1, precision="float64")


@functools.cache
def make(train, network=RELU, layers=1, rows=N, d0=D0, d1=D1):
    training = make_training(PROBLEM, network, train, layers, d0, d1, rows)
    run_epochs = jax.jit(training.run_epochs, static_argnames="epochs")
    # Initial states depend neither on the batches nor on the rows nor on the epochs: compile for them once.
    if (train.batch_size, rows, train.epochs) != (None, N, 3):
        plain = dataclasses.replace(train, batch_size=None, epochs=3)
        return Training(jax.jit(training.draw), make(plain, network, layers, d0=d0, d1=d1).init, run_epochs)
    return Training(jax.jit(training.draw), jax.jit(training.init), run_epochs)


def data(rows=N, dtype=np.float64, seed=0):
    """N points, and padding that a run must not see."""
    rng = np.random.default_rng(seed)
    X, y = np.zeros((rows, D0), dtype), np.zeros(rows, dtype)
    X[:N], y[:N] = rng.normal(size=(N, D0)), rng.choice([-1.0, 1.0], N)
    return X, y


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("train", "layers", "rho", "bias"), [(ADAM, 1, 0.0, False), (ADAM, 2, -0.3, True), (MOMENTUM, 1, 0.1, True)]
)
def test_full_batch_run_is_the_plain_loop_of_optax(train, layers, rho, bias):
    network = Network(rho=rho, bias=bias)
    training = make(train, network, layers, rows=N + 6)
    X, y = data(N + 6)
    start = training.init(jax.random.key(1))
    state, metrics = training.run_epochs(start, jax.random.key(2), X, y, N, 0, 6)

    def loss(params):
        h = X[:N]
        for i in range(1, layers + 1):
            u = h @ params[f"W{i}"].T + (params[f"b{i}"][None] if bias else 0)
            h = jnp.maximum(u, 0) + rho * jnp.minimum(u, 0)
        output = h @ params["z"] + (params["c"] if bias else 0)
        return jnp.mean((output - y[:N]) ** 2), jnp.mean(1.0 * ((output > 0) != (y[:N] > 0)))

    params, last = optax_run(train, loss, start.params)
    assert_close(state.params, params, TOLERANCE)
    assert_close(tuple(metrics), last, TOLERANCE)
    assert state.non_finite_epoch == -1


@pytest.mark.parametrize("point_weights", [0.0, 0.5, 1.0])
def test_plain_sgd_is_the_gradient_identity_in_numpy(point_weights):
    """W <- W + rate (2/N) diag(z) [(A o X) e] and z likewise, section 1; no autodiff and no Optax on this side. With
    weights e is multiplied by them, and the metrics are those of the MSE."""
    rho = 0.1
    training = make(dataclasses.replace(SGD, point_weights=point_weights), Network(rho=rho))
    X, y = data()
    start = training.init(jax.random.key(1))
    state, metrics = training.run_epochs(start, jax.random.key(2), X, y, N, 0, 6)
    W, z = np.asarray(start.params["W1"]), np.asarray(start.params["z"])
    for rate in rates(SGD):
        U = X @ W.T
        A = np.where(U > 0, 1.0, rho)
        e = y - (A * U) @ z
        wrong = np.mean((e - y < 0) != (y > 0))
        mse = np.mean(e**2)
        if point_weights:
            squared_gradients = A**2 @ z**2 * np.sum(X**2, axis=1) + np.sum((A * U) ** 2, axis=1)
            e = e * (D0 * np.sum(z**2) / (2 * squared_gradients)) ** point_weights
        W, z = W + rate * 2 / N * z[:, None] * ((A * e[:, None]).T @ X), z + rate * 2 / N * (A * U).T @ e
    assert_close(state.params, {"W1": W, "z": z}, TOLERANCE)
    assert_close((metrics.mse, metrics.mce), (mse, wrong), TOLERANCE)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("batch_size", [None, 7, 100])
def test_padding_changes_no_run(batch_size):
    """Adam, whose steps notice any change of a gradient; 7 does not divide N, 100 is more than N."""
    train = dataclasses.replace(ADAM, batch_size=batch_size)
    results = []
    for rows in (N, N + 18):
        training = make(train, rows=rows)
        X, y = data(rows)
        start = training.init(jax.random.key(1))
        results.append(training.run_epochs(start, jax.random.key(2), X, y, N, 0, 6))
    assert_close(results[1], results[0], TOLERANCE)


def one_epoch_of_tiny_steps(batch_size, keys, rows):
    """How often, in units of 1/batch, each point's gradient was followed in one epoch: (keys, N).

    Point n is the n-th unit vector, so that only it moves the n-th column of W, by rate (2/B) e a z with B points in
    its batch. The rate is tiny: e, a and z are those of the start up to 1e-6 or so, relatively.
    """
    rate = 1e-9
    train = Train("sgd", (), rate, batch_size, epochs=1, decay_epochs=0, precision="float64")
    training = make(train, Network(rho=0.5), rows=rows, d0=N, d1=1)
    X, y = np.zeros((rows, N)), np.zeros(rows)
    X[:N], y[:N] = np.eye(N), 5.0
    start = training.init(jax.random.key(1))
    run = jax.vmap(lambda key: training.run_epochs(start, key, X, y, N, 0, 1)[0].params["W1"][0])
    run = jax.jit(run)
    W, z = np.asarray(start.params["W1"][0]), float(start.params["z"][0])
    a = np.where(W > 0, 1, 0.5)
    return (np.asarray(run(keys)) - W) / (rate * 2 * (5 - a * W * z) * a * z)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("rows", [N, N + 18])
def test_an_epoch_visits_each_point_once_in_an_order_of_its_own(rows):
    batch_size, last = 7, N % 7
    keys = jax.random.split(jax.random.key(5), 400)
    visits = one_epoch_of_tiny_steps(batch_size, keys, rows)
    # 1/7 for a point in a full batch, 1/2 in the last one; a point seen twice or never would have another value.
    # Steps of 1e-9 change W and z by about 1e-8 on the way, and the difference of W has lost 1e-16 / 1e-9 to rounding.
    in_last = visits > (1 / batch_size + 1 / last) / 2
    np.testing.assert_allclose(visits, np.where(in_last, 1 / last, 1 / batch_size), rtol=1e-5)
    np.testing.assert_array_equal(in_last.sum(axis=1), last)
    # Each point is among the last ones equally often: within 5 standard errors.
    p = last / N
    assert (np.abs(in_last.mean(axis=0) - p) < 5 * np.sqrt(p * (1 - p) / 400)).all()


@pytest.mark.slow
def test_each_epoch_has_another_order():
    train = Train("sgd", (), 0.05, 7, epochs=2, decay_epochs=0, precision="float64")
    training = make(train)
    X, y = data()
    start = training.init(jax.random.key(1))
    ends = [training.run_epochs(start, jax.random.key(2), X, y, N, epoch, 1)[0].params["z"] for epoch in (0, 1, 0)]
    assert (ends[0] != ends[1]).any()
    np.testing.assert_array_equal(ends[0], ends[2])


def test_mini_batch_metrics_are_means_over_the_points():
    """At a rate so small that nothing moves, the mean over an epoch is the loss of all points."""
    training = make(Train("sgd", (), 1e-12, 7, epochs=1, decay_epochs=0, precision="float64"), rows=N + 18)
    X, y = data(N + 18)
    start = training.init(jax.random.key(1))
    _, metrics = training.run_epochs(start, jax.random.key(2), X, y, N, 0, 1)
    output = np.maximum(X[:N] @ np.asarray(start.params["W1"]).T, 0) @ np.asarray(start.params["z"])
    # The parameters move by 1e-12 times gradients of order 1 to 10, in 4 steps.
    np.testing.assert_allclose(metrics.mse, np.mean((output - y[:N]) ** 2), rtol=1e-9)
    np.testing.assert_allclose(metrics.mce, np.mean((output > 0) != (y[:N] > 0)), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [None, 7])
def test_seeds_together_are_seeds_one_by_one(batch_size):
    training = make(dataclasses.replace(ADAM, batch_size=batch_size))
    keys = jax.random.split(jax.random.key(3), 3)
    X, y = (jnp.stack(parts) for parts in zip(*(data(seed=k) for k in range(3)), strict=True))
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(training.init, keys))
    together = jax.jit(jax.vmap(lambda *arrays: training.run_epochs(*arrays, N, 0, 6)))(states, keys, X, y)
    for k in range(3):
        alone = training.run_epochs(training.init(keys[k]), keys[k], X[k], y[k], N, 0, 6)
        assert_close(jax.tree.map(lambda leaf, k=k: leaf[k], together), alone, TOLERANCE)
    # Three seeds are three runs.
    assert len(set(np.asarray(together[1].mse).tolist())) == 3


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("batch_size", [None, 7])
def test_chunks_do_not_change_a_bit(batch_size):
    train = dataclasses.replace(MOMENTUM, batch_size=batch_size, epochs=5, decay_epochs=5, precision="float32")
    training = make(train)
    X, y = data(dtype=np.float32)
    run = functools.partial(training.run_epochs, key=jax.random.key(2), X=X, y=y, N=N)
    start = training.init(jax.random.key(1))
    whole, metrics = run(start, first_epoch=0, epochs=10)
    half, _ = run(start, first_epoch=0, epochs=4)
    chunked, chunked_metrics = run(half, first_epoch=4, epochs=6)
    jax.tree.map(np.testing.assert_array_equal, (chunked, chunked_metrics), (whole, metrics))


def test_a_run_that_overflows_says_when_and_leaves_the_others_alone():
    train = Train("sgd", (), 0.05, epochs=8, decay_epochs=0)
    training = make(train)
    keys = jax.random.split(jax.random.key(3), 3)
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(training.init, keys))
    X, y = (np.stack([part] * 3) for part in data(dtype=np.float32))
    huge = X.copy()
    huge[1] *= 1e3  # For these inputs the rate is absurd: each step multiplies the weights.
    run = jax.jit(jax.vmap(lambda s, k, X, y, t: training.run_epochs(s, k, X, y, N, t, 1), in_axes=(0, 0, 0, 0, None)))
    healthy, sick, losses, failed = states, states, [], []
    for epoch in range(8):
        healthy, _ = run(healthy, keys, X, y, epoch)
        sick, metrics = run(sick, keys, huge, y, epoch)
        losses.append(float(metrics.mse[1]))
        failed.append(int(sick.non_finite_epoch[1]))
    first = next(epoch for epoch, loss in enumerate(losses) if not np.isfinite(loss))
    assert 0 < first < 7
    assert failed == [-1] * first + [first] * (8 - first)
    np.testing.assert_array_equal(healthy.non_finite_epoch, [-1, -1, -1])
    for k in (0, 2):
        jax.tree.map(lambda a, b, k=k: np.testing.assert_array_equal(a[k], b[k]), sick, healthy)
    assert not np.isfinite(sick.params["z"][1]).any()


def test_an_absurd_learning_rate_is_noticed():
    training = make(Train("sgd", (), 1e30, epochs=5, decay_epochs=0))
    state, metrics = training.run_epochs(
        training.init(jax.random.key(1)), jax.random.key(2), *data(dtype=np.float32), N, 0, 5
    )
    # Epoch 0 takes its loss before the first step, with weights that are still good.
    assert state.non_finite_epoch == 1
    assert not np.isfinite(metrics.mse)


@pytest.mark.slow
@pytest.mark.parametrize(
    "train",
    [dataclasses.replace(ADAM, precision="float32", batch_size=7), dataclasses.replace(MOMENTUM, precision="float32")],
)
def test_float32_stays_float32(train):
    training = make(train, Network(rho=0.1, bias=True), 2)
    key = jax.random.key(1)
    X, y = data(dtype=np.float32)
    start = training.init(key)
    state, metrics = training.run_epochs(start, key, X, y, N, 0, 2)
    floats = [leaf for leaf in jax.tree.leaves((start, state, metrics)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert {leaf.dtype for leaf in floats} == {np.dtype(np.float32)}
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, start)


@pytest.mark.parametrize(
    "train",
    [
        dataclasses.replace(ADAM, precision="float32"),
        dataclasses.replace(ADAM, precision="float32", batch_size=7),
        Train("levenberg_marquardt", epochs=3, decay_epochs=0),
    ],
    ids=["full batch", "mini-batches", "levenberg_marquardt"],
)
@pytest.mark.slow
def test_points_of_any_real_type_are_cast_to_the_precision_of_training(train):
    training, key = make(train), jax.random.key(2)
    X, y = (np.round(4 * array) for array in data())
    given = [(X, y), (X.astype(np.int64), y > 0), (jnp.asarray(X, jnp.bfloat16), y.astype(np.float16))]
    start = training.init(jax.random.key(1))
    for points, labels in given:
        ours = points.astype(np.float32), labels.astype(np.float32)
        expected, found = (training.run_epochs(start, key, *arrays, N, 0, 3) for arrays in (ours, (points, labels)))
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_run_from_given_weights_starts_there():
    """In float32, whatever they are given in; the first loss is theirs."""
    training = make(dataclasses.replace(ADAM, precision="float32"))
    rng = np.random.default_rng(3)
    own = {"W1": rng.normal(size=(D1, D0)), "z": rng.normal(size=D1)}
    start = training.init(jax.random.key(1), own)
    assert_close(start.params, own, 1e-6)
    assert {leaf.dtype for leaf in start.params.values()} == {np.dtype(np.float32)}
    X, y = data(dtype=np.float32)
    _, metrics = training.run_epochs(start, jax.random.key(2), X, y, N, 0, 1)
    np.testing.assert_allclose(metrics.mse, np.mean((y - np.maximum(X @ own["W1"].T, 0) @ own["z"]) ** 2), rtol=1e-5)


@pytest.mark.parametrize(
    "own",
    [
        {"W1": np.ones((D1, D0))},
        {"W1": np.ones((D0, D1)), "z": np.ones(D1)},
        {"W": np.ones((D1, D0)), "z": np.ones(D1)},
    ],
)
def test_given_weights_that_do_not_fit_are_told(own):
    with pytest.raises(UserError, match=r"params: have the shapes .*'W1': \(4, 5\), 'z': \(4,\)"):
        make(ADAM).init(jax.random.key(1), own)


@pytest.mark.parametrize("train", [ADAM, Train("levenberg_marquardt", decay_epochs=0)])
def test_help_says_what_the_functions_of_a_training_take(train):
    training = make_training(PROBLEM, RELU, train, 1, D0, D1, N)
    assert "first_epoch" in training.run_epochs.__doc__
    assert "params" in training.init.__doc__
    assert "params" in make_evaluation(PROBLEM, RELU, 1, D1).__doc__


def test_float64_weights_are_float64():
    leaves = jax.tree.leaves(make(ADAM).init(jax.random.key(0)).params)
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float64)}


@pytest.mark.slow
def test_mini_batches_solve_a_problem_with_fewer_points_than_weights():
    """12 points and 5 x 12 first-layer weights: Figure 5.1 has such problems at error zero. Most of 8 seeds (a run may
    end at a bad minimum) fall below a thousandth of the labels' variance of 1, and then no point is misclassified."""
    train = Train(batch_size=5, epochs=400, decay_epochs=200)
    training = make(train, rows=16, d1=12)

    def run(key):
        X, y = training.draw(key, 12)
        return training.run_epochs(training.init(key), key, X, y, 12, 0, 600)[1]

    metrics = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 8))
    solved = np.asarray(metrics.mse) < 1e-3
    assert solved.sum() > 4
    assert not np.asarray(metrics.mce)[solved].any()
