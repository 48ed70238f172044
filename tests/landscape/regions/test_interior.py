"""The search inside a region: what it finds is checked at the points, what it does not find by linear programs."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from mnnjax.landscape.regions.interior import Start, search_inside
from tests.landscape.oracles import kron_rows


def start_of(rng, N, d0, d1, rho, given=None):
    X, W = rng.normal(size=(N, d0)), rng.normal(size=(d1, d0))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    sigma = np.where(X @ W.T > 0, 1.0, -1.0)
    signs = np.zeros(d1, int) if given is None else given
    return Start(np.where(sigma > 0, 1.0, rho), X, sigma, W, np.zeros(d1, bool), signs)


def minimum_of(start, target, starts=1):
    """The theta (d1, d0) that the search ends at, and the signs of z: by the signs and the outputs at the points."""
    found = []

    def accepts(theta):
        theta = theta.reshape(start.W.shape)
        heights = start.sigma * (start.X @ theta.T)
        up, down = (heights > 0).all(axis=0), (heights < 0).all(axis=0)
        output = np.einsum("nk,nd,kd->n", start.A, start.X, theta)
        signs = np.where(up, 1, np.where(down, -1, 0))
        kept = (signs != 0) & ((start.given == 0) | (signs == start.given))
        if not kept.all() or np.linalg.norm(output - target) > 1e-9 * np.linalg.norm(target):
            return False
        found.append((theta, signs))
        return True

    assert search_inside(start, target, accepts, starts) == bool(found)
    return found[0] if found else None


def signs_with_minimum(start, target):
    """Which signs of z allow it: a linear program each, with theta_k at least 1 inside for some positive scale of the
    target, which is a variable: no search, no steps."""
    (N, d1), d0 = start.A.shape, start.X.shape[1]
    equal = np.hstack([kron_rows(start.A, start.X), -target[:, None]])
    allowed = []
    for signs in itertools.product((1, -1), repeat=d1):
        inside = [
            np.kron(np.eye(d1)[k], -signs[k] * start.sigma[n, k] * start.X[n]) for k in range(d1) for n in range(N)
        ]
        rows = np.hstack([np.array(inside), np.zeros((N * d1, 1))])
        bounds = [(None, None)] * (d1 * d0) + [(0, None)]
        # The scale of the target must be positive: the largest one is, where a minimum exists.
        found = linprog(
            np.r_[np.zeros(d1 * d0), -1.0], A_ub=rows, b_ub=-np.ones(N * d1), A_eq=equal, b_eq=np.zeros(N),
            bounds=bounds, method="highs",
        )  # fmt: skip
        if found.status == 3 or (found.status == 0 and found.fun < -1e-9):
            allowed.append(signs)
    return allowed


@pytest.mark.parametrize("rho", [0.0, 0.1, -0.5])
def test_a_found_minimum_has_the_signs_and_the_outputs(rho):
    """Labels that a network of the region makes. The signs of its z may be given."""
    rng = np.random.default_rng(0)
    for given in (None, np.array([1, -1, 1, -1, 1])):
        start = start_of(rng, 12, 4, 5, rho, given)
        z = rng.uniform(0.5, 2.0, 5) * (rng.choice([-1, 1], 5) if given is None else given)
        target = kron_rows(start.A, start.X) @ (z[:, None] * start.W).ravel()
        elsewhere, step = start.W, rng.normal(size=start.W.shape)
        while not (start.sigma * (start.X @ (elsewhere := start.W + step).T) > 0).all():
            step /= 2
        assert minimum_of(start._replace(W=elsewhere), target, starts=10) is not None


def test_the_search_finds_nothing_where_linear_programs_exclude_all_signs():
    rng, answers = np.random.default_rng(1), []
    for _ in range(16):
        start = start_of(rng, 6, 3, 3, float(rng.choice([0.1, -0.5])))
        target = kron_rows(start.A, start.X) @ rng.normal(size=9)
        found, allowed = minimum_of(start, target, starts=8), signs_with_minimum(start, target)
        assert found is None or tuple(found[1]) in allowed
        answers.append((found is not None, bool(allowed)))
    assert answers.count((False, False)) > 1
    assert answers.count((True, True)) > answers.count((False, True))


def test_more_starts_find_more_minima():
    rng, one, many = np.random.default_rng(2), 0, 0
    for _ in range(12):
        start = start_of(rng, 12, 4, 6, 0.0)
        target = kron_rows(start.A, start.X) @ rng.normal(size=24)
        single, several = (minimum_of(start, target, starts) for starts in (1, 8))
        assert single is None or several is not None
        one, many = one + (single is not None), many + (several is not None)
    assert one < many
