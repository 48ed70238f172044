"""jax_enable_x64 switched off after the import: an error, where float64 would silently be float32."""

import jax
import numpy as np
import pytest

from mnnjax.config import Network, Problem, Train, UserError
from mnnjax.jax_setup import require_x64
from mnnjax.landscape import (
    activation_pattern,
    certify,
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
from mnnjax.training import make_evaluation, make_training

RNG = np.random.default_rng(0)
X, W, Y = RNG.normal(size=(4, 2)), RNG.normal(size=(3, 2)), np.array([1.0, 0.0, 1.0, 0.0])
A, KEY = np.where(X @ W.T > 0, 1.0, 0.0), jax.random.key(0)
TARGET = {"target": "rank_deficient", "particles": 8}
PROBLEM, NETWORK = Problem(d0=(2,), N=(4,)), Network()
PARAMS = {"W1": W, "z": np.ones(3)}


def draw(key, N):
    return jax.random.normal(key, (N, 2)), jax.numpy.ones(N)


NEED_IT = {
    "activation_pattern": lambda: activation_pattern(W, X, 0.0),
    "neural_inputs": lambda: neural_inputs(W, X),
    "khatri_rao": lambda: khatri_rao(A, X),
    "khatri_rao_gram": lambda: khatri_rao_gram(A, X),
    "khatri_rao_matvec": lambda: khatri_rao_matvec(A, X, W),
    "khatri_rao_rmatvec": lambda: khatri_rao_rmatvec(A, X, Y),
    "khatri_rao_rank": lambda: khatri_rao_rank(A, X),
    "region_residual": lambda: region_residual(A, X, Y),
    "region_errors": lambda: region_errors(A, X, Y),
    "under jit": lambda: jax.jit(region_errors)(A, X, Y),
    "region_holds_dlm": lambda: region_holds_dlm(A, X, Y, 0.0),
    "estimate_volumes": lambda: estimate_volumes(KEY, X, Y, 2, 0.0, samples=16),
    "estimate_expected_volumes": lambda: estimate_expected_volumes(KEY, draw, 4, 2, 2, 0.0, threshold=0.5),
    "fit_importance": lambda: fit_importance(KEY, X, Y, 2, 0.0, 0.0, **TARGET),
    "run_splitting": lambda: run_splitting(KEY, np.ones((3, 6)), X, Y, 2, 0.0, 0.0, **TARGET),
    "split_volume": lambda: split_volume(KEY, X, Y, 2, 0.0, **TARGET),
    "make_training": lambda: make_training(PROBLEM, NETWORK, Train(precision="float64"), 1, 2, 3, 4),
    "make_evaluation": lambda: make_evaluation(PROBLEM, NETWORK, 1, 3)(PARAMS, X, Y, 4),
}
NUMPY_ALONE = {
    "certify": lambda: certify(W, np.ones(3), X, Y, 0.0).mse,
    "global_minimum": lambda: global_minimum(X, Y, 0.0)[0].tolist(),
    "exact_volumes": lambda: exact_volumes(X, Y, 2, 0.0),
    "exact_rank_deficient": lambda: exact_rank_deficient(X, 3, 0.0),
}
SAID = r"^jax_enable_x64: is off.*jax\.config\.update\('jax_enable_x64', True\)"


@pytest.fixture
def x64_off():
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize("name", NEED_IT)
@pytest.mark.usefixtures("x64_off")
def test_what_needs_float64_says_so_in_one_line(name):
    with pytest.raises(UserError, match=SAID) as error:
        NEED_IT[name]()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NUMPY_ALONE)
def test_what_numpy_does_alone_stays_right(name, x64_off):
    found = NUMPY_ALONE[name]()
    jax.config.update("jax_enable_x64", True)
    assert found == NUMPY_ALONE[name]()


def test_it_is_asked_at_each_call():
    require_x64()
    with jax.enable_x64(False), pytest.raises(UserError):
        require_x64()
    assert khatri_rao_rank(A, X) == np.linalg.matrix_rank([np.kron(a, x) for a, x in zip(A, X, strict=True)])
