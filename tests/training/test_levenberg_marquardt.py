"""Levenberg-Marquardt in data space against dense linear algebra on the Jacobian that autodiff forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.config import Network, Problem, Train, UserError
from mnnjax.landscape import certify
from mnnjax.network import MNN
from mnnjax.training import check_optimizer, levenberg_marquardt_options, make_training
from mnnjax.training.jacobian import data_gram, data_gram_diagonal, factors, gram, point_weights

EPS = np.finfo(np.float64).eps
RELU = Network()


def marquardt(epochs, precision="float64", **options):
    return Train("levenberg_marquardt", tuple(options.items()), epochs=epochs, decay_epochs=0, precision=precision)


@functools.cache
def make(train, network, layers, d, rows):
    training = make_training(Problem(d0=(d,), N=(rows,)), network, train, layers, d, d, rows)
    return training._replace(run_epochs=jax.jit(training.run_epochs, static_argnames="epochs"))


def runs(train, d, N, seeds, network=RELU, layers=1, rows=None):
    """States after the last epoch and metrics, a seed each in the leading axis, with their data."""
    training = make(train, network, layers, d, rows or N)

    def one(key):
        key_data, key_run = jax.random.split(key)
        X, y = training.draw(key_data, N)
        state, metrics = training.run_epochs(training.init(key_run), key_run, X, y, N, 0, train.total_epochs)
        return state, metrics, X, y

    return jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(0), seeds))


def random_problem(layers, bias, rho, N=12, d=4, rows=15):
    """Parameters, points with padding, and the dense Jacobian of the points' outputs in all parameters."""
    module = MNN((d,) * layers, rho, bias, "gaussian")
    keys = jax.random.split(jax.random.key(layers), 3)
    params = module.init(keys[0], jnp.zeros((1, d)))["params"]
    X = jax.random.normal(keys[1], (rows, d)).at[N:].set(0)
    y = jax.random.normal(keys[2], (rows,)).at[N:].set(0)
    jacobian = jax.jacrev(lambda p: module.apply({"params": p}, X[:N]))(params)
    return params, X, y, np.hstack([np.asarray(leaf).reshape(N, -1) for leaf in jax.tree.leaves(jacobian)])


CASES = [(1, False, 0.0), (1, True, 0.1), (2, False, -0.5), (2, True, 0.0), (3, True, 0.2)]


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "bias", "rho"), CASES)
def test_gram_is_that_of_the_dense_jacobian(layers, bias, rho):
    params, X, _, J = random_problem(layers, bias, rho)
    columns = X[: len(J)].T
    _, neural_inputs = MNN((4,) * layers, rho, bias).apply({"params": params}, columns, method=MNN.by_columns)
    parts = factors(params, columns, neural_inputs, rho)
    expected = J @ J.T
    # Sums of at most 4 * 4 * 4 terms a layer.
    tolerance = 100 * (layers + 1) * EPS * np.abs(expected).max()
    np.testing.assert_allclose(data_gram(parts, gram(columns)), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(data_gram_diagonal(parts), np.diag(expected), rtol=0, atol=tolerance)
    # With these weights each residual's own rate is the same, where any weight moves it.
    weights = point_weights(params, columns, neural_inputs, rho, 1.0)
    moves = np.diag(expected) > 0
    rates = np.where(moves, len(columns) * np.sum(params["z"] ** 2) / 2, 0)
    np.testing.assert_allclose(weights * np.diag(expected), rates, rtol=1e-10)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("options", [{}, {"gram_rows": 0}], ids=["factorized", "conjugate gradients"])
@pytest.mark.parametrize(("layers", "bias", "rho"), CASES[:4])
def test_a_step_is_the_damped_least_squares_step(layers, bias, rho, options):
    """delta minimizes |e - J delta|^2 + lambda |delta|^2: in NumPy an ordinary least squares problem of stacked rows,
    without padding."""
    params, X, y, J = random_problem(layers, bias, rho)
    N = len(J)
    train = marquardt(1, damping=2.0, kick=0.0, **options)
    training = make(train, Network(rho=rho, bias=bias), layers, 4, len(X))
    start = training.init(jax.random.key(0))
    start = start._replace(params=params, opt_state=start.opt_state._replace(point=params))
    state, _ = training.run_epochs(start, jax.random.key(1), X, y, N, 0, 1)
    e = np.asarray(y[:N] - MNN((4,) * layers, rho, bias).apply({"params": params}, X[:N]))
    shift = 2.0 * np.mean(np.sum(J**2, axis=1))
    stacked = np.vstack([J, np.sqrt(shift) * np.eye(J.shape[1])])
    delta = np.linalg.lstsq(stacked, np.concatenate([e, np.zeros(J.shape[1])]), rcond=None)[0]
    found = np.concatenate(
        [np.ravel(b - a) for a, b in zip(*map(jax.tree.leaves, (params, state.params)), strict=True)]
    )
    # The condition number is at most 1 + N / damping; conjugate gradients stop at a residual of sqrt(eps).
    tolerance = 1e3 * EPS if not options else 10 * EPS**0.5
    np.testing.assert_allclose(found, delta, rtol=0, atol=tolerance * np.linalg.norm(delta))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"gram_rows": 0}], ids=["factorized", "conjugate gradients"])
@pytest.mark.parametrize(("layers", "network"), [(1, RELU), (2, Network(rho=0.1, bias=True))])
def test_five_weights_a_point_are_learnt_to_rounding(layers, network, options):
    """By every seed: also those with a point that no neuron sees, which Adam leaves at an MSE of 1/20 (Figure 5.2)."""
    state, metrics, _, _ = runs(marquardt(200, **options), 10, 20, 20, network, layers)
    assert metrics.mse.max() < 1e-24
    assert (metrics.mce == 0).all()
    assert state.opt_state.done.all()


@pytest.mark.slow
def test_a_run_from_given_weights_trains_those():
    """One step from them is the step of the formula, whatever the key; replacing params alone would train others."""
    training = make(marquardt(1), RELU, 1, 8, 20)
    X, y = training.draw(jax.random.key(1), 20)
    own = {"W1": np.random.default_rng(0).standard_normal((8, 8)), "z": np.full(8, 0.3)}
    starts = [training.init(jax.random.key(k), own) for k in range(2)]
    ends = [training.run_epochs(start, jax.random.key(9), X, y, 20, 0, 1)[0] for start in starts]
    jax.tree.map(np.testing.assert_array_equal, ends[0], ends[1])
    np.testing.assert_array_equal(starts[0].opt_state.point["W1"], own["W1"])
    before = np.mean((y - np.maximum(X @ own["W1"].T, 0) @ own["z"]) ** 2)
    assert ends[0].opt_state.best_mse <= before
    assert np.linalg.norm(ends[0].params["W1"] - own["W1"]) < np.linalg.norm(own["W1"])


@pytest.mark.slow
def test_most_seeds_take_a_dozen_steps():
    assert np.median(runs(marquardt(12), 10, 20, 20)[1].mse) < 1e-24


def test_ends_are_certified_global_minima():
    state, _, X, y = runs(marquardt(200), 10, 20, 20)
    for k in range(20):
        W, z = (np.asarray(state.params[name][k]) for name in ("W1", "z"))
        certificate = certify(W, z, X[k], y[k], 0.0)
        assert certificate.verdict == "global_minimum", certificate.reason


@pytest.mark.slow
def test_float32_stops_at_its_own_rounding():
    state, metrics, _, _ = runs(marquardt(200, "float32"), 10, 20, 20)
    assert state.params["z"].dtype == np.float32
    assert state.opt_state.done.all()
    # Outputs are sums of about 10 terms of size up to 10, each rounded by 6e-8 of itself.
    assert metrics.mse.max() < (20 * 10 * 6e-8) ** 2


@pytest.mark.slow
def test_kicks_free_runs_from_points_that_are_not_differentiable():
    """At 1.5 weights a point most runs come to rest on kinks, from where no step along a region's gradient gains."""
    stuck = runs(marquardt(200, kick=0.0), 10, 66, 20)[1].mse
    free = runs(marquardt(200), 10, 66, 20)[1].mse
    assert (free < 1e-20).sum() > 5 + (stuck < 1e-20).sum()
    assert (stuck > 1e-6).any()


@pytest.mark.slow
def test_the_best_point_is_kept_through_kicks():
    """At one weight a point hardly any run is ever done, and every one is kicked."""
    train = marquardt(40, patience=1)
    training = make(train, RELU, 1, 8, 64)
    X, y = training.draw(jax.random.key(1), 64)
    state, key, before, kicked = training.init(jax.random.key(2)), jax.random.key(3), np.inf, False
    for epoch in range(40):
        state, metrics = training.run_epochs(state, key, X, y, 64, epoch, 1)
        assert metrics.mse <= before
        before = metrics.mse
        output = MNN((8,)).apply({"params": state.params}, X)
        np.testing.assert_allclose(np.mean((y - output) ** 2), state.opt_state.best_mse, rtol=1e-9)
        kicked |= bool((state.opt_state.point["W1"] != state.params["W1"]).any())
    assert kicked


@pytest.mark.slow
def test_a_run_in_pieces_is_the_run_in_one_to_the_last_bit():
    train = marquardt(25, patience=2)
    training = make(train, RELU, 1, 6, 30)
    X, y = training.draw(jax.random.key(1), 28)
    key = jax.random.key(3)
    whole = training.run_epochs(training.init(jax.random.key(2)), key, X, y, 28, 0, 25)
    state, epoch = training.init(jax.random.key(2)), 0
    for piece in (7, 18):
        state, metrics = training.run_epochs(state, key, X, y, 28, epoch, piece)
        epoch += piece
    jax.tree.map(np.testing.assert_array_equal, (state, metrics), whole)


@pytest.mark.slow
def test_a_run_that_is_done_changes_no_more():
    train = marquardt(40)
    training = make(train, RELU, 1, 10, 20)
    X, y = training.draw(jax.random.key(1), 20)
    first, _ = training.run_epochs(training.init(jax.random.key(2)), jax.random.key(3), X, y, 20, 0, 40)
    assert first.opt_state.done
    second, _ = training.run_epochs(first, jax.random.key(3), X, y, 20, 40, 40)
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.slow
def test_seeds_together_end_as_seeds_alone():
    """Vmapped runs wait for the last of their group and must not move meanwhile."""
    train = marquardt(200)
    training = make(train, RELU, 1, 10, 20)
    keys = jax.random.split(jax.random.key(0), 8)

    def one(key):
        X, y = training.draw(key, 20)
        return training.run_epochs(training.init(key), key, X, y, 20, 0, 200)

    _, together = jax.jit(jax.vmap(one))(keys)
    _, alone = jax.jit(lambda keys: jax.lax.map(one, keys))(keys)
    assert together.mse.max() < 1e-24
    assert alone.mse.max() < 1e-24


@pytest.mark.slow
def test_overflow_ends_a_run_and_is_told():
    training = make(marquardt(5, "float32"), RELU, 1, 4, 10)
    start = training.init(jax.random.key(0))
    params = {"W1": start.params["W1"] * 1e30, "z": start.params["z"] * 1e30}
    start = start._replace(params=params, opt_state=start.opt_state._replace(point=params))
    X, y = training.draw(jax.random.key(1), 10)
    state, _ = training.run_epochs(start, jax.random.key(2), X, y, 10, 3, 5)
    assert state.non_finite_epoch == 3
    assert state.opt_state.done


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (Train("levenberg_marquardt", (("momentum", 0.9),), decay_epochs=0), "optimizer_options.*momentum.*damping"),
        (Train("levenberg_marquardt", (("damping", 0.0),), decay_epochs=0), "damping 0.0 is not positive"),
        (Train("levenberg_marquardt", (("kick", 1.0),), decay_epochs=0), r"kick 1.0 is not in \[0, 1\)"),
        (Train("levenberg_marquardt", (("patience", 0),), decay_epochs=0), "patience 0"),
        (Train("levenberg_marquardt", (("cg_steps", 1.5),), decay_epochs=0), "cg_steps 1.5"),
        (Train("levenberg_marquardt", (("gram_rows", True),), decay_epochs=0), "gram_rows True"),
        (Train("levenberg_marquardt", batch_size=10, decay_epochs=0), "train.batch_size"),
        (Train("levenberg_marquardt", decay_epochs=0, point_weights=0.5), "train.point_weights"),
        (Train("levenberg_marquardt"), "train.decay_epochs"),
    ],
)
def test_options_that_make_no_sense_are_the_users_error(train, words):
    with pytest.raises(UserError, match=words):
        check_optimizer(train)


def test_options_arrive():
    options = levenberg_marquardt_options(marquardt(10, damping=0.5, kick=0.2, patience=7, gram_rows=100, cg_steps=30))
    assert (options.damping, options.kick, options.patience) == (0.5, 0.2, 7)
    assert (options.gram_rows, options.cg_steps) == (100, 30)
