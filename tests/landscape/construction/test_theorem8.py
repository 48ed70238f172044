"""Theorem 8: exact networks of at most d1* units, checked with a plain evaluation in extended precision."""

from fractions import Fraction

import numpy as np
import pytest

from mnnjax.config import UserError
from mnnjax.landscape.construction.theorem8 import construction_error, global_minimum
from tests.landscape.oracles import dot, exactly


def gaussian(N, d0, seed=0):
    return np.random.default_rng([N, d0, seed]).standard_normal((N, d0))


def labels(kind, X, rho):
    N = len(X)
    rng = np.random.default_rng(N)
    if kind == "random":
        return rng.integers(0, 2, N).astype(float)
    if kind == "teacher":
        W, z = rng.standard_normal((3, X.shape[1])), rng.standard_normal(3)
        return (plain_output(W, z, X, rho) > 0).astype(float)
    if kind == "real":
        return 100 * rng.standard_normal(N)
    return {"ones": np.ones(N), "zeros": np.zeros(N), "one_one": np.eye(N)[N // 2]}[kind]


def plain_output(W, z, X, rho):
    """The network point by point and unit by unit, in numpy's longdouble."""
    output = []
    for x in np.asarray(X, dtype=np.longdouble):
        total = np.longdouble(0)
        for w, weight in zip(W, z, strict=True):
            u = np.sum(x * w)
            total += weight * (u if u > 0 else rho * u)
        output.append(total)
    return np.array(output)


def check_exact(X, y, rho):
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    N, d0 = X.shape
    W, z = global_minimum(X, y, rho)
    assert W.shape == (len(z), d0)
    assert 1 <= len(z) <= 4 * np.ceil(N / (2 * d0 - 2))
    assert np.max(np.abs(plain_output(W, z, X, rho) - y)) < 1e-9 * max(1, np.max(np.abs(y)))
    u = X @ W.T
    assert np.max(np.abs(np.where(u > 0, u, rho * u) @ z - y)) < 1e-9 * max(1, np.max(np.abs(y)))
    # The rounding of u is at most d0 eps |w| |x|: every sign is certain.
    relative = np.abs(u) / np.linalg.norm(W, axis=1) / np.linalg.norm(X, axis=1)[:, None]
    assert np.min(relative) > 1e4 * d0 * np.finfo(float).eps
    return W, z


@pytest.mark.quick_cases(40)
@pytest.mark.parametrize("kind", ["random", "ones", "zeros", "one_one", "teacher", "real"])
@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.parametrize(("N", "d0"), [(1, 2), (2, 2), (3, 2), (21, 2), (30, 3), (4, 6), (38, 20), (39, 20), (120, 12)])
def test_fits_every_label_exactly(N, d0, rho, kind):
    X = gaussian(N, d0)
    check_exact(X, labels(kind, X, rho), rho)


@pytest.mark.parametrize("rho", [-1.0, -0.5, -3.0, 1e-6, 0.9, 2.0, 100.0])
@pytest.mark.parametrize(("N", "d0"), [(20, 2), (8, 3), (20, 5), (38, 20), (58, 30)])
def test_any_slope_but_one(N, d0, rho):
    X = gaussian(N, d0)
    check_exact(X, labels("random", X, rho), rho)


# K = 2 pairs in 2 d0 - 2 points leave 2 unknowns to spare, and d0 = 3 is where random cells hold too many points.
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("N", "d0"), [(4, 3), (8, 3), (20, 3), (18, 10)])
def test_tight_sizes(N, d0, seed):
    X = gaussian(N, d0, seed)
    check_exact(X, labels("random", X, 0.0), 0.0)


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize(("N", "d0"), [(200, 2), (200, 3), (200, 5)])
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_many_points_in_few_dimensions(N, d0, rho):
    X = gaussian(N, d0)
    check_exact(X, labels("random", X, rho), rho)


def structured(name):
    X = gaussian(60, 6)
    return {
        "far from the origin": X + 5,
        "positive": np.abs(X),
        "ill-conditioned": X * np.logspace(0, -6, 6),
        "tiny": X * 1e-150,
        "huge": X * 1e150,
        "float32": X.astype(np.float32),
        "grid": np.array([[i, j, 1] for i in range(6) for j in range(6)]),
        "line with a bias": np.stack([np.arange(20), np.ones(20)], axis=1),
        "orthogonal": np.eye(8),
        "cube": np.unique(np.sign(gaussian(30, 11)), axis=0),
        "plane in space": gaussian(4, 2) @ gaussian(2, 10),
    }[name]


@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.parametrize(
    "name",
    [
        "far from the origin",
        "positive",
        "ill-conditioned",
        "tiny",
        "huge",
        "float32",
        "grid",
        "line with a bias",
        "orthogonal",
        "cube",
    ],
)
def test_points_that_are_not_gaussian(name, rho):
    X = structured(name)
    check_exact(X, labels("random", X, rho), rho)


def test_points_that_span_fewer_dimensions():
    X = structured("plane in space")
    check_exact(X, [1.0, 0.0, 1.0, 1.0], 0.1)
    line = np.outer([1.0, 2.0, -1.0], gaussian(1, 5)[0])
    check_exact(line, [1.0, 2.0, 5.0], 0.0)


@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_consistent_repeats_are_fine(rho):
    X = gaussian(20, 4)
    y = labels("random", X, rho)
    check_exact(np.concatenate([X, X[:7], 0.3 * X[3:5]]), np.concatenate([y, y[:7], 0.3 * y[3:5]]), rho)


def test_opposite_points():
    X = gaussian(20, 4)
    y = labels("random", X, 0.1)
    # As many pairs x, -x as dimensions: any labels. More: the odd part of a network is linear, so the labels' must be.
    check_exact(np.concatenate([X, -X[:4]]), np.concatenate([y, 1 - y[:4]]), 0.1)
    with pytest.raises(UserError, match=r"y: .*linear.* 0 and 20"):
        global_minimum(np.concatenate([X, -X[:9]]), np.concatenate([y, 1 - y[:9]]), 0.1)
    slope = gaussian(1, 4)[0]
    check_exact(np.concatenate([X, -X[:9]]), np.concatenate([y, y[:9] - X[:9] @ slope]), 0.1)
    # At rho = -1 a network is even.
    check_exact(np.concatenate([X, -2 * X[:9]]), np.concatenate([y, 2 * y[:9]]), -1.0)
    with pytest.raises(UserError, match=r"y: .*rows .* 2 and 20 \(-1, "):
        global_minimum(np.concatenate([X, -X[2:3]]), np.concatenate([y, 1 - y[2:3]]), -1.0)


@pytest.mark.parametrize(("factor", "label"), [(1.0, 1.0), (1.0, 1e-6), (3.0, 1.0), (0.2, 1.0)])
@pytest.mark.parametrize("rho", [0.0, 0.1, -1.0])
def test_contradicting_repeats_are_named(factor, label, rho):
    X = np.concatenate([gaussian(20, 4), factor * gaussian(20, 4)[7:8]])
    y = np.zeros(21)
    y[20] = label
    with pytest.raises(UserError, match=r"^y: of shape \(21,\) .*\b(7 and 20|20 and 7)\b") as caught:
        global_minimum(X, y, rho)
    assert "\n" not in str(caught.value)


def test_zero_row_is_named():
    X = gaussian(5, 3)
    X[3] = 0
    with pytest.raises(UserError, match="X: point 3 is zero"):
        global_minimum(X, np.zeros(5), 0.0)


def test_too_many_points_in_a_plane_are_named():
    X = gaussian(100, 10)
    X[:60, 2:] = 0
    with pytest.raises(UserError, match=r"X: of shape \(100, 10\) .*rank\(A o X\) = 100, 24 units reach \d+: rows \d+"):
        global_minimum(X, labels("random", X, 0.0), 0.0)


def test_points_too_close_for_float64_are_named():
    X = gaussian(20, 5)
    X[11] = X[4] + 1e-11 * X[0]
    y = np.zeros(20)
    y[11] = 1
    with pytest.raises(UserError, match=r"X: of shape \(20, 5\) .*(row 4 to 11|row 11 to 4)"):
        global_minimum(X, y, 0.1)


def exact_error(W, z, X, y, rho):
    """The largest modulus of the residual, in rational arithmetic."""
    U = [[dot(x, w) for w in exactly(W)] for x in exactly(X)]
    outputs = [dot([u if u > 0 else Fraction(rho) * u for u in row], exactly(z)[0]) for row in U]
    return float(max(abs(label - output) for label, output in zip(exactly(y)[0], outputs, strict=True)))


@pytest.mark.quick_cases(3)
@pytest.mark.parametrize("ratio", [1.0, 1e4, 1e6, 1e8, 1e12, 1e16])
def test_rows_of_uneven_norms_are_exact_or_named(ratio):
    """Units of a pair cancel to the last bit as NumPy sums them, whatever they are in exact arithmetic."""
    y, refused = np.array([0.0, 1.0]), 0
    for seed in range(20):
        X = np.random.default_rng(seed).standard_normal((2, 2)) * [[ratio], [1.0]]
        try:
            W, z = global_minimum(X, y, 0.0)
        except UserError as error:
            assert "divide each row, and its label, by the row's norm" in str(error)  # noqa: PT017
            check_exact(X / np.linalg.norm(X, axis=1)[:, None], y / np.linalg.norm(X, axis=1), 0.0)
            refused += 1
            continue
        exact = exact_error(W, z, X, y, 0.0)
        assert exact <= 1e-9
        assert construction_error(W, z, X, y, 0.0).relative_error >= exact * (1 - 1e-15)
    assert refused == 0 or ratio > 1e4
    assert refused > 0 or ratio < 1e8


def test_the_error_is_that_of_exact_arithmetic():
    W, z = np.array([[1e16, 0.0], [1e16, 1.0], [1.0, 0.0]]), np.array([-1.0, 1.0, 1.0])
    X, y = np.array([[1.0, 1.0]]), np.array([2.0])
    # 1e16 + 1 is 1e16 in float64.
    assert exact_error(W, z, X, y, 0.0) == 0
    assert construction_error(W, z, X, y, 0.0).relative_error == 0.5
    assert exact_error(W, z, X, y - 1, 0.0) == 1
    # The bound is (2 (d0 + d1 + 8) eps)^2 of the sum of moduli, 2e16.
    bound = (2 * (2 + 3 + 8) * np.finfo(float).eps) ** 2 * 2.1e16
    assert 1 <= construction_error(W, z, X, y - 1, 0.0).relative_error <= 1 + bound


GOOD = np.ones((4, 3)), np.ones(4), 0.0


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, np.ones(4), r"X: .*\(4,\)"),
        (0, np.ones((4, 3, 2)), r"X: .*\(4, 3, 2\)"),
        (0, np.ones((0, 3)), r"X: .*\(0, 3\)"),
        (0, np.ones((4, 1)), r"X: .*\(4, 1\)"),
        (0, np.full((4, 3), np.nan), r"X: .*\(4, 3\)"),
        (0, np.ones((4, 3)) * 1j, r"X: .*\(4, 3\)"),
        (1, np.ones(5), r"y: .*\(5,\).*\(4, 3\)"),
        (1, np.ones((4, 1)), r"y: .*\(4, 1\)"),
        (1, [0, 1, np.inf, 0], r"y: .*\(4,\)"),
        (1, ["cat", "dog", "cat", "dog"], r"y: .*\(4,\)"),
        (1, [[1, 2], [3]], "y: "),
        (2, 1, "rho: 1"),
        (2, np.nan, "rho: "),
        (2, np.inf, "rho: "),
        (2, "leaky", "rho: "),
        (2, None, "rho: "),
        (2, [0.1, 0.2], r"rho: .*\(2,\)"),
    ],
)
@pytest.mark.wrong_types
def test_bad_arguments_are_named(place, value, message):
    arguments = list(GOOD)
    arguments[place] = value
    with pytest.raises(ValueError, match=message) as caught:
        global_minimum(*arguments)
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)


@pytest.mark.wrong_types
def test_same_arguments_same_answer():
    X = gaussian(50, 4)
    y = labels("random", X, 0.0)
    first, second = global_minimum(X, y, 0.0), global_minimum(X.copy(), y.astype(bool), 0)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_arguments_stay_as_they_are():
    X = gaussian(20, 3)
    y = labels("random", X, 0.0)
    before = X.copy(), y.copy()
    global_minimum(X, y, 0.0)
    assert np.array_equal(X, before[0])
    assert np.array_equal(y, before[1])


@pytest.mark.wrong_types
def test_construction_error_by_hand():
    # f(3) * 2 + f(-4) * 1 = 6 - 0.4 and f(0) + ... = 0 at the second unit's point of zero input.
    W, z = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([2.0, 1.0])
    error, margin, units = construction_error(W, z, [[3.0, -2.0]], [15.6], 0.1)
    assert error == pytest.approx(10 / 15.6)
    assert margin == pytest.approx(2 / np.sqrt(13))
    assert units == 2
    assert construction_error(W, z, [[3.0, 0.0], [0.0, 0.0]], [6.0, 0.25], 0.1) == (0.25 / 6, 0.0, 2)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_two_thousand_points_in_a_hundred_dimensions(rho):
    X = gaussian(2000, 100)
    y = labels("random", X, rho)
    W, z = global_minimum(X, y, rho)
    error, margin, units = construction_error(W, z, X, y, rho)
    assert units <= 44
    assert error < 1e-10
    assert margin > 1e-6
