"""What people bring along: PyTorch's shapes and tensors, float32, lists, integers, seeds in place of keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.config import UserError
from mnnjax.landscape import (
    activation_pattern,
    certifiable,
    certify,
    clopper_pearson,
    construction_error,
    estimate_expected_volumes,
    estimate_volumes,
    exact_rank_deficient,
    exact_volumes,
    fit_importance,
    global_minimum,
    khatri_rao,
    khatri_rao_gram,
    khatri_rao_matvec,
    khatri_rao_rank,
    khatri_rao_rmatvec,
    neural_inputs,
    region_errors,
    region_holds_dlm,
    region_residual,
    run_splitting,
    split_volume,
)

# Lists, tensors, and what is no array: more than the annotations name.
pytestmark = pytest.mark.wrong_types

N, D0, D1 = 6, 2, 3
RNG = np.random.default_rng(0)
# Multiples of 1/4, which float16 holds too.
X, W, THETA = (np.round(4 * RNG.normal(size=shape)) / 4 + 0.125 for shape in ((N, D0), (D1, D0), (D1, D0)))
Z, E, Y = np.array([1.0, -0.5, 2.0]), np.arange(6) / 4, np.array([0.0, 1, 1, 0, 1, 0])
A = np.where(X @ W.T > 0, 1.0, 0.0)
KEY = jax.random.key(0)
SPLITTING = {"d1": 2, "rho": 0.0, "eps": 0.0, "target": "rank_deficient", "particles": 8}
CALLS = {
    "activation_pattern": (activation_pattern, {"W": W, "X": X, "rho": 0.0}),
    "neural_inputs": (neural_inputs, {"W": W, "X": X}),
    "khatri_rao": (khatri_rao, {"A": A, "X": X}),
    "khatri_rao_gram": (khatri_rao_gram, {"A": A, "X": X}),
    "khatri_rao_matvec": (khatri_rao_matvec, {"A": A, "X": X, "theta": THETA}),
    "khatri_rao_rmatvec": (khatri_rao_rmatvec, {"A": A, "X": X, "e": E}),
    "khatri_rao_rank": (khatri_rao_rank, {"A": A, "X": X}),
    "region_residual": (region_residual, {"A": A, "X": X, "y": Y}),
    "region_errors": (region_errors, {"A": A, "X": X, "y": Y}),
    "region_holds_dlm": (region_holds_dlm, {"A": A, "X": X, "y": Y, "rho": 0.0}),
    "certify": (certify, {"W": W, "z": Z, "X": X, "y": Y, "rho": 0.0}),
    "global_minimum": (global_minimum, {"X": X, "y": Y, "rho": 0.0}),
    "construction_error": (construction_error, {"W": W, "z": Z, "X": X, "y": Y, "rho": 0.0}),
    "exact_volumes": (exact_volumes, {"X": X, "y": Y, "d1": 1, "rho": 0.0}),
    "exact_rank_deficient": (exact_rank_deficient, {"X": X, "d1": 1, "rho": 0.0}),
    "estimate_volumes": (estimate_volumes, {"key": KEY, "X": X, "y": Y, "d1": 1, "rho": 0.0, "samples": 16}),
    "fit_importance": (fit_importance, {"key": KEY, "X": X, "y": Y, **SPLITTING}),
    "split_volume": (split_volume, {"key": KEY, "X": X, "y": Y, **SPLITTING, "runs": 2}),
}
ARRAYS = [
    (call, name)
    for call, (_, given) in CALLS.items()
    for name, value in given.items()
    if isinstance(value, np.ndarray) and call not in ("fit_importance", "split_volume")
]


class Tensor:
    """A tensor of PyTorch, as far as NumPy sees it."""

    def __init__(self, values, requires_grad=False):
        self.values, self.requires_grad = np.asarray(values), requires_grad
        self.shape, self.ndim = self.values.shape, self.values.ndim

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return Tensor(self.values[index], self.requires_grad)

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.\n(more)"
            )
        return self.values if dtype is None else self.values.astype(dtype)


def called(call, **changes):
    function, given = CALLS[call]
    return function(**given | changes)


def error_of(call, **changes):
    """The one line of the error."""
    with pytest.raises(UserError) as error:
        called(call, **changes)
    assert "\n" not in str(error.value)
    return str(error.value)


def assert_same(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.array_equal(a, b, equal_nan=True) if isinstance(b, (np.ndarray, jax.Array, float)) else a == b


@pytest.mark.quick_cases(15)
@pytest.mark.parametrize(("call", "name"), ARRAYS)
def test_lists_tensors_and_short_floats_are_taken_for_what_they_hold(call, name):
    value, expected = CALLS[call][1][name], called(call)
    for other in (value.tolist(), Tensor(value.astype(np.float32)), jnp.asarray(value), value.astype(np.float16)):
        assert_same(called(call, **{name: other}), expected)


@pytest.mark.parametrize(("call", "name"), ARRAYS)
def test_the_error_of_a_tensor_that_requires_grad_says_how_to_detach_it(call, name):
    tensor = Tensor(CALLS[call][1][name], requires_grad=True)
    said = error_of(call, **{name: tensor})
    assert said.startswith(f"{name}: cannot be read")
    assert said.endswith(f"give {name}.detach().cpu().numpy()")
    if len(tensor.shape) == 2:
        assert error_of(call, **{name: [tensor[0], tensor[1]]}).startswith(f"{name}: is not an array")


@pytest.mark.parametrize(("call", "name"), ARRAYS)
def test_the_error_of_what_is_no_array_of_numbers_names_it(call, name):
    value = CALLS[call][1][name]
    for other in (None, "abc", [[1.0], [1.0, 2.0]], 1j * value, value.astype(str), value.astype(object)):
        assert error_of(call, **{name: other}).startswith(f"{name}: ")
    assert f"give {name}.astype(float)" in error_of(call, **{name: value.astype(object)})


def test_products_of_booleans_and_bytes_are_those_of_numbers():
    active, bytes_ = A == 1, np.array([[200, 100], [255, 1], [0, 9], [3, 250], [128, 128], [77, 5]], np.uint8)
    expected = khatri_rao(A, bytes_.astype(float))
    assert_same(khatri_rao(active, bytes_), expected)
    assert_same(khatri_rao_gram(active, bytes_), expected @ expected.T)
    assert_same(khatri_rao_gram(active, bytes_ > 99), khatri_rao_gram(A, (bytes_ > 99).astype(float)))
    assert khatri_rao_gram(A.astype(np.float32), X.astype(np.float32)).dtype == np.float32


def test_the_region_is_named_in_float64_whatever_the_weights_are():
    w, x = np.ones((1, 3), np.float32), np.array([[1.0, 2.0**-25, -1.0]], np.float32)
    assert activation_pattern(w, x, 0.0)[0, 0] == 1
    assert neural_inputs(w, x)[0, 0] == 2.0**-25


MENDS = [
    (
        "certify",
        {"y": Y[:, None]},
        "y: has shape (6, 1), not (6,); give one label for each row of X (6, 2), as y.ravel()",
    ),
    ("certify", {"y": Y[None]}, "as y.ravel()"),
    ("certify", {"y": Y[:, None].tolist()}, "as np.array(y).ravel()"),
    ("certify", {"z": Z[None]}, "z: has shape (1, 3), not (3,); give one entry for each row of W (3, 2), as z.ravel()"),
    ("certify", {"z": Z[:, None]}, "as z.ravel()"),
    ("certify", {"W": W.T}, "W: has shape (2, 3), not (any, 2); give one row per neuron, as wide as X (6, 2), as W.T"),
    ("certify", {"W": np.hstack([W, Z[:, None]])}, "X needs a column of ones: np.hstack([X, np.ones((len(X), 1))])"),
    ("certify", {"X": np.hstack([X, np.ones((N, 1))])}, "W needs the biases: np.hstack([W, b[:, None]])"),
    ("certify", {"W": W[0]}, "as W[None]"),
    (
        "certify",
        {"output_bias": np.ones(1)},
        "output_bias: has shape (1,), not (); give one number, as float(output_bias)",
    ),
    ("certify", {"threshold": np.nan}, "threshold: nan is not finite; give one number"),
    ("certify", {"X": X.T}, "or X.T, if its columns are the points"),
    ("certify", {"X": X[:, 0]}, "X: has shape (6,), not (any, any); give one row per point, as X[:, None] or X[None]"),
    ("certify", {"X": np.ones((6, 4, 5))}, "as X.reshape(len(X), -1)"),
    ("certify", {"X": np.ones((0, 2))}, "X: has shape (0, 2), not (any, any), which is empty"),
    ("construction_error", {"y": Y[:, None]}, "as y.ravel()"),
    ("construction_error", {"z": Z[:, None]}, "as z.ravel()"),
    ("construction_error", {"rho": None}, "rho: None"),
    ("activation_pattern", {"W": W.T}, "as W.T"),
    ("region_errors", {"y": Y[:, None]}, "give one label for each row of A (6, 3), as y.ravel()"),
    ("region_errors", {"A": A.T}, "or A.T, if its rows are the neurons"),
    ("region_errors", {"threshold": np.nan}, "threshold: nan is not finite"),
    ("region_errors", {"threshold": "high"}, "threshold: 'high' is not a number"),
    ("region_holds_dlm", {"A": np.where(A == 1, 1, 0.1001), "rho": 0.1}, "such as 0.1001"),
    ("khatri_rao_rank", {"A": A[:, 0]}, "as A[:, None]"),
    ("khatri_rao_matvec", {"theta": THETA.ravel()}, "theta: has shape (6,), not (3, 2)"),
    ("exact_volumes", {"y": Y[:, None]}, "as y.ravel()"),
    ("estimate_volumes", {"key": 0}, "key: 0 is not a JAX key; give jax.random.key(0)"),
    ("estimate_volumes", {"key": np.random.default_rng(0)}, "give jax.random.key(0)"),
    ("split_volume", {"key": jax.random.split(KEY, 3)}, "key: has shape (3,); give one key, as key[0]"),
    ("fit_importance", {"key": 1.5}, "give jax.random.key(0)"),
    *((call, {"d1": 0}, "d1: 0 is too small; give an int of at least 1") for call in ("exact_volumes", "split_volume")),
    *((call, {"d1": 2.0}, "d1: 2.0 is not a whole number") for call in ("exact_rank_deficient", "fit_importance")),
    *((call, {"eps": 1.0}, "eps: 1.0 is outside [0, 1)") for call in ("exact_volumes", "estimate_volumes")),
    *((call, {"eps": -0.1}, "eps: -0.1 is outside [0, 1)") for call in ("fit_importance", "split_volume")),
    *((call, {"eps": "0"}, "eps: '0' is not a number") for call in ("exact_volumes", "estimate_volumes")),
    *((call, {"threshold": np.inf}, "threshold: inf is not finite") for call in ("exact_volumes", "fit_importance")),
    ("estimate_volumes", {"threshold": np.nan}, "threshold: nan is not finite"),
    ("estimate_volumes", {"samples": 0}, "samples: 0 is too small"),
    ("estimate_volumes", {"samples": 1.5}, "samples: 1.5 is not a whole number"),
    ("estimate_volumes", {"samples": True}, "samples: True is not a whole number"),
    ("estimate_volumes", {"global_samples": -1}, "global_samples: -1 is too small; give an int of at least 0"),
    ("estimate_volumes", {"suboptimal_samples": 0.5}, "suboptimal_samples: 0.5 is not a whole number"),
    ("estimate_volumes", {"relative_width": "narrow"}, "relative_width: 'narrow' is not a number"),
    ("split_volume", {"runs": 1}, "runs: 1 is too small; give an int of at least 2"),
    ("split_volume", {"particles": 1e3}, "particles: 1000.0 is not a whole number"),
    ("split_volume", {"max_linear_programs": -1}, "max_linear_programs: -1 is too small"),
]


@pytest.mark.parametrize(("call", "changes", "says"), MENDS)
def test_errors_say_the_mend(call, changes, says):
    assert says in error_of(call, **changes)


@pytest.mark.parametrize(
    ("call", "name"), [("certify", "W"), ("region_holds_dlm", "A"), ("exact_volumes", "X"), ("global_minimum", "y")]
)
def test_functions_of_the_host_say_so_under_jit(call, name):
    with pytest.raises(UserError, match=f"^{name}: is traced by JAX, .* outside jit"):
        jax.jit(lambda value: called(call, **{name: value}))(CALLS[call][1][name])


def test_sizes_and_counts_are_checked_by_the_small_functions_too():
    for call in (lambda: certifiable("3", 2, 2), lambda: certifiable(3, 2.5, 2), lambda: clopper_pearson("3", 10)):
        with pytest.raises(UserError):
            call()
    importance = np.ones((3, N + 2))
    with pytest.raises(UserError, match=r"importance: .*for the same d1 and X \(6, 2\)"):
        run_splitting(KEY, importance[1:], X, Y, **SPLITTING)


def draw(key, N):
    key, labels = jax.random.split(key)
    return jax.random.normal(key, (N, D0)), jax.random.bernoulli(labels, 0.5, (N,)).astype(float)


@pytest.mark.slow
def test_ones_own_draw_may_use_the_number_of_points_as_a_size():
    found = estimate_expected_volumes(KEY, draw, 5, D0, 2, 0.0, samples=16, threshold=0.5, global_samples=0)
    assert found.rank_deficient.draws == 16


@pytest.mark.parametrize(
    "bad",
    [
        lambda key, N: (draw(key, N)[0], draw(key, N)[1][:, None]),
        lambda key, N: draw(key, N)[0],
        lambda key, N: None,
        3,
    ],
)
def test_a_draw_of_other_shapes_is_an_error(bad):
    with pytest.raises(UserError, match=r"^draw: .*draw\(key, N\)"):
        estimate_expected_volumes(KEY, bad, 5, D0, 2, 0.0, samples=16, threshold=0.5)


def test_keys_of_the_older_kind_are_taken():
    old = called("estimate_volumes", key=jax.random.PRNGKey(0))
    assert_same(old, called("estimate_volumes"))
