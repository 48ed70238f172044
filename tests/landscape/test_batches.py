"""Batches of networks: what single calls give, in order, wherever they are computed."""

import jax.numpy as jnp
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mnnjax.landscape import batches, certify, descend

RNG = np.random.default_rng(0)
B, N, D0, D1 = 4, 9, 3, 4
W, Z = RNG.standard_normal((B, D1, D0)), RNG.standard_normal((B, D1))
X, Y = RNG.standard_normal((B, N, D0)), RNG.choice([-1.0, 1.0], (B, N))
C = RNG.standard_normal(B)


@pytest.fixture(params=[60.0, pytest.param(0.0, marks=pytest.mark.slow)], ids=["here", "in processes"])
def where(request, monkeypatch):
    """A time after which processes are started: more than there is, or none."""
    monkeypatch.setattr(batches, "START_SECONDS", request.param)
    monkeypatch.setattr(batches, "cores", lambda: 2)


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(batches, "START_SECONDS", 60.0)


def singles(function, x, y, bias=None, **options):
    x, y = x if x.ndim == 3 else [x] * B, y if y.ndim == 2 else [y] * B
    biases = [None] * B if bias is None else np.broadcast_to(bias, B).tolist()
    with threadpool_limits(limits=1, user_api="blas"):
        return [function(W[k], Z[k], x[k], y[k], 0.1, output_bias=biases[k], **options) for k in range(B)]


def same(a, b) -> None:
    """In all fields, to the last bit."""
    for name, value in vars(a).items():
        if name in ("W", "z"):
            np.testing.assert_array_equal(value, getattr(b, name))
        else:
            assert value == getattr(b, name) or repr(value) == repr(getattr(b, name)), name


@pytest.mark.parametrize(
    ("x", "y", "bias"), [(X[0], Y[0], None), (X[0], Y, 0.5), (X, Y[0], C)],
    ids=["shared points", "own labels, one bias", "own points and biases"],
)  # fmt: skip
@pytest.mark.parametrize("function", [certify, descend])
def test_points_labels_and_biases_are_shared_or_each_has_its_own(here, function, x, y, bias):
    for one, alone in zip(function(W, Z, x, y, 0.1, output_bias=bias), singles(function, x, y, bias), strict=True):
        same(one, alone)


@pytest.mark.parametrize("function", [certify, descend])
def test_a_batch_gives_what_single_calls_give_in_their_order(where, function):
    found = function(W, Z, X, Y, 0.1)
    assert isinstance(found, list)
    for one, alone in zip(found, singles(function, X, Y), strict=True):
        same(one, alone)


def test_options_reach_every_network(here):
    # Above the threshold of 9 there is no output and no label; above -9 all are.
    for threshold in (9.0, -9.0):
        assert [c.mce for c in certify(W / 9, Z / 9, X, Y, 0.1, threshold=threshold)] == [0.0] * B
    assert any(c.mce for c in certify(W / 9, Z / 9, X, Y, 0.1))
    with pytest.raises(ValueError, match="max_steps: 0 is too small"):
        descend(W, Z, X, Y, 0.1, max_steps=0)


@pytest.mark.parametrize("convert", [list, jnp.asarray, np.float32, lambda a: a.tolist()])
@pytest.mark.wrong_types
def test_arrays_of_other_kinds(convert):
    found = certify(convert(W), convert(Z), convert(X), convert(Y), 0.1)
    exact = convert is not np.float32
    for one, alone in zip(found, singles(certify, X, Y), strict=True):
        assert one.verdict == alone.verdict
        assert one.mse == pytest.approx(alone.mse, rel=0 if exact else 1e-5)


def test_a_single_network_stays_one():
    assert certify(W[0], Z[0], X[0], Y[0], 0.1).verdict
    assert len(certify(W[:1], Z[:1], X[0], Y[0], 0.1)) == 1


def test_a_bad_network_is_named_before_anything_is_computed():
    bad = W.copy()
    bad[2, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"^network 2: W: of shape \(4, 3\) holds NaN"):
        certify(bad, Z, X, Y, 0.1)


def overflows(W, z, X, y, rho, output_bias, at):
    if W[0, 0] == at:
        raise FloatingPointError("overflow")
    return W[0, 0]


def test_an_error_names_its_network(where):
    arguments = overflows, W, Z, X, Y, 0.1, None, lambda *sizes: 0
    assert batches.each_network(*arguments, at=None) == W[:, 0, 0].tolist()
    with pytest.raises(ArithmeticError, match=r"^network 3: overflow$"):
        batches.each_network(*arguments, at=W[3, 0, 0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"z": Z[0]}, r"z: has shape \(4,\), and W is a batch of 4 networks; give one entry of z for each, or W\[0\]"),
        ({"z": Z[:3]}, r"z: has shape \(3, 4\), and W is a batch of 4"),
        ({"X": X[:3]}, r"X: has shape \(3, 9, 3\), and W is a batch of 4"),
        ({"y": Y[:3]}, r"y: has shape \(3, 9\), and W is a batch of 4"),
        ({"output_bias": C[:3]}, r"output_bias: has shape \(3,\), and W is a batch of 4"),
        ({"W": W[:0], "z": Z[:0]}, r"W: has shape \(0, 4, 3\), which holds no network"),
        ({"X": X[0, :, :2]}, r"network 0: W: has shape \(4, 3\)"),
        ({"rho": 1.0}, "rho: 1.0 is not allowed"),
    ],
)
@pytest.mark.parametrize("function", [certify, descend])
@pytest.mark.wrong_types
def test_batches_that_do_not_match(function, change, words):
    with pytest.raises(ValueError, match=words):
        function(**{"W": W, "z": Z, "X": X, "y": Y, "rho": 0.1} | change)
