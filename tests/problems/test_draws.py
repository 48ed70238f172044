"""Drawn inputs and labels: their laws by simulation, and that padding changes nothing."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from mnnjax.config import Problem
from mnnjax.problems import draw_inputs, make_problem, random_labels, teacher_labels

DTYPES = [np.float32, np.float64]


def problem(**fields):
    return Problem(**{"d0": (5,), "N": (9,), **fields})


@functools.cache
def compiled(problem, rows, d0, dtype):
    return jax.jit(make_problem(problem, rows, d0, 0.0, dtype))


def draw(problem, N, rows=None, d0=5, dtype=np.float64, seed=0):
    X, y = compiled(problem, rows or N, d0, dtype)(jax.random.key(seed), N)
    return np.asarray(X), np.asarray(y)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("gaussian", np.float32), ("gaussian", np.float64), ("sphere", np.float64), ("rademacher", np.float32)],
)
def test_inputs_are_isotropic(kind, dtype):
    n, d0 = 20000, 5
    X = np.asarray(draw_inputs(jax.random.key(4), kind, n, d0, dtype))
    assert X.dtype == dtype
    X = X.astype(np.float64)
    # Within 5 standard errors. Var(x_i x_j) from the fourth moments E x_i^2 x_j^2 of each law.
    square_pairs = {"gaussian": 1.0, "sphere": d0 / (d0 + 2), "rademacher": 1.0}[kind]
    fourth = {"gaussian": 3.0, "sphere": 3 * d0 / (d0 + 2), "rademacher": 1.0}[kind]
    variances = np.where(np.eye(d0) == 1, fourth - 1, square_pairs)
    assert (np.abs(X.mean(axis=0)) < 5 / np.sqrt(n)).all()
    # The last term is for rounding, where the variance is zero.
    rounding = 4 * d0 * np.finfo(dtype).eps
    assert (np.abs(X.T @ X / n - np.eye(d0)) < 5 * np.sqrt(variances / n) + rounding).all()
    # Which law it is: the fourth moment, within 5 standard errors estimated from the draws.
    spread = (X[:, 0] ** 4).std() / np.sqrt(n)
    assert abs(np.mean(X[:, 0] ** 4) - fourth) <= 5 * spread + rounding


@pytest.mark.parametrize("dtype", DTYPES)
def test_sphere_has_radius_sqrt_d0(dtype):
    X = np.asarray(draw_inputs(jax.random.key(0), "sphere", 500, 7, dtype), np.float64)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), np.sqrt(7), rtol=7 * np.finfo(dtype).eps)


def test_rademacher_values_are_plus_or_minus_one():
    assert set(np.unique(draw_inputs(jax.random.key(0), "rademacher", 50, 7, np.float32))) == {-1.0, 1.0}


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="normal"):
        draw_inputs(jax.random.key(0), "normal", 5, 3, np.float64)


@pytest.mark.parametrize(("label_values", "lower"), [("zero_one", 0.0), ("plus_minus_one", -1.0)])
def test_random_labels_are_fair_and_independent_of_the_inputs(label_values, lower):
    n = 20000
    X, y = draw(problem(label_values=label_values), n)
    assert set(np.unique(y)) == {lower, 1.0}
    upper = y == 1
    # Within 5 standard errors of a fair coin, and of a correlation of zero.
    assert abs(upper.mean() - 0.5) < 5 * 0.5 / np.sqrt(n)
    correlations = X.T @ (upper - 0.5) / n
    assert (np.abs(correlations) < 5 * 0.5 / np.sqrt(n)).all()
    # Were the key of the inputs used again, labels would depend on the inputs at the same place in memory.
    assert abs(X.ravel()[:n] @ (upper - 0.5) / n) < 5 * 0.5 / np.sqrt(n)
    assert abs(np.mean(upper[1:] == upper[:-1]) - 0.5) < 5 * 0.5 / np.sqrt(n)


@pytest.mark.slow
def test_label_values_write_the_same_classes():
    teacher = problem(labels="teacher", teacher_units=3)
    zero_one = draw(dataclasses.replace(teacher, label_values="zero_one"), 64)[1]
    plus_minus = draw(dataclasses.replace(teacher, label_values="plus_minus_one"), 64)[1]
    np.testing.assert_array_equal(plus_minus, np.where(zero_one == 1, 1.0, -1.0))
    assert set(zero_one) == {0.0, 1.0}


X_TEACHER = np.random.default_rng(5).normal(size=(200, 6))


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("rho", [0.0, 0.1, -1.0])
def test_teacher_labels_are_a_function_of_direction(rho):
    key = jax.random.key(1)
    y = teacher_labels(key, X_TEACHER, 4, rho)
    np.testing.assert_array_equal(y, teacher_labels(key, X_TEACHER, 4, rho))
    # A network without biases keeps its sign under positive scaling; powers of 2 scale without rounding.
    np.testing.assert_array_equal(y, teacher_labels(key, 4 * X_TEACHER, 4, rho))
    np.testing.assert_array_equal(np.asarray(y)[::-1], teacher_labels(key, X_TEACHER[::-1], 4, rho))
    other = np.random.default_rng(6).normal(size=X_TEACHER.shape)
    assert (y != teacher_labels(key, other, 4, rho)).any()
    assert (y != teacher_labels(jax.random.key(2), X_TEACHER, 4, rho)).any()


@pytest.mark.parametrize("rho", [0.0, 0.1, -0.5])
def test_teacher_of_one_unit_cuts_space_in_two_halves(rho):
    """f(w.x) > 0 for one unit with z > 0: one of x and -x has w.x > 0; the other's output has the sign of -rho."""
    y, opposite = (np.asarray(teacher_labels(jax.random.key(3), sign * X_TEACHER, 1, rho)) for sign in (1, -1))
    np.testing.assert_array_equal(y + opposite, 2.0 if rho < 0 else 1.0)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("units", [1, 2, 5])
def test_teacher_with_the_modulus_as_unit_does_not_tell_x_from_minus_x(units):
    y, opposite = (teacher_labels(jax.random.key(3), sign * X_TEACHER, units, -1.0) for sign in (1, -1))
    np.testing.assert_array_equal(y, opposite)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(("units", "rho"), [(2, 0.0), (5, -1.0)])
def test_most_teachers_know_both_classes(units, rho):
    keys = jax.random.split(jax.random.key(7), 100)
    y = jax.jit(jax.vmap(lambda key: teacher_labels(key, X_TEACHER, units, rho)))(keys)
    assert set(np.unique(y)) == {0.0, 1.0}
    both = (np.asarray(y).min(axis=1) == 0) & (np.asarray(y).max(axis=1) == 1)
    # "Most": more than half, by 5 standard errors.
    assert both.mean() > 0.5 + 5 * 0.5 / 10


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("inputs", "labels"), [("gaussian", "teacher"), ("sphere", "random")])
def test_padding_changes_no_point_and_is_zero(inputs, labels, dtype):
    drawn = problem(inputs=inputs, labels=labels, teacher_units=3 if labels == "teacher" else 0)
    X, y = draw(drawn, 10, dtype=dtype)
    assert (X.shape, y.shape, X.dtype, y.dtype) == ((10, 5), (10,), dtype, dtype)
    assert set(np.unique(y)) <= {-1.0, 1.0}
    padded_X, padded_y = draw(drawn, 10, 64, dtype=dtype)
    np.testing.assert_array_equal(padded_X[:10], X)
    np.testing.assert_array_equal(padded_y[:10], y)
    assert padded_X.shape == (64, 5)
    assert not padded_X[10:].any()
    assert not padded_y[10:].any()


@pytest.mark.parametrize("drawn", [problem(), problem(inputs="rademacher")], ids=lambda p: p.inputs)
def test_the_key_decides_the_data(drawn):
    (X, y), (X_same, y_same), (X_other, y_other) = (draw(drawn, 40, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(X, X_same)
    np.testing.assert_array_equal(y, y_same)
    assert (X_other != X).any()
    assert (y != y_other).any()


def test_images_are_read_and_not_drawn():
    with pytest.raises(ValueError, match=r"digits are images; read them with draw_images"):
        make_problem(Problem("digits", "classes"), 5, 61, 0.0, np.float64)(jax.random.key(0), 5)


def test_random_labels_have_the_asked_precision():
    assert {random_labels(jax.random.key(0), 3, dtype).dtype for dtype in DTYPES} == {np.dtype(t) for t in DTYPES}
