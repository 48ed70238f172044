"""Smallest singular values and eigenvalues against matrices that are written out entry by entry, and against JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.landscape import khatri_rao_rank
from mnnjax.landscape.regions.spectrum import jacobian_lambda_min, khatri_rao_sigma_min


def draw(N, d0, d1, seed=0):
    rng = np.random.default_rng([seed, N, d0, d1])
    return rng.standard_normal((d1, d0)), rng.standard_normal(d1), rng.standard_normal((N, d0))


@pytest.mark.parametrize("rho", [0.0, 0.1, -1.0])
@pytest.mark.parametrize(("N", "d0", "d1"), [(12, 4, 5), (30, 4, 5), (20, 4, 5), (1, 2, 1)])
def test_sigma_min_is_that_of_the_matrix_entry_by_entry(N, d0, d1, rho):
    W, _, X = draw(N, d0, d1)
    A = np.where(X @ W.T > 0, 1.0, rho)
    M = np.array([[A[n, i] * X[n, j] for i in range(d1) for j in range(d0)] for n in range(N)])
    M = np.array([row / np.linalg.norm(row) if row.any() else row for row in M])
    # The eigenvalues of the smaller Gram matrix.
    gram = M @ M.T if d0 * d1 >= N else M.T @ M
    expected = np.linalg.eigvalsh(gram)[0]
    assert khatri_rao_sigma_min(A, X) ** 2 == pytest.approx(expected, abs=1e-13)
    assert (khatri_rao_sigma_min(A, X) > 1e-10) == (khatri_rao_rank(A, X) == min(N, d0 * d1))


@pytest.mark.parametrize("output_bias", [False, True])
@pytest.mark.parametrize("rho", [0.0, 0.1, -1.0])
@pytest.mark.parametrize(("N", "d0", "d1"), [(12, 4, 5), (25, 4, 5), (40, 4, 5)])
def test_lambda_min_is_that_of_the_jacobian_by_jax(N, d0, d1, rho, output_bias):
    W, z, X = draw(N, d0, d1)

    def outputs(params):
        W, z, c = params
        U = X @ W.T
        return jnp.where(U > 0, U, rho * U) @ z + c

    blocks = jax.jacobian(outputs)((jnp.asarray(W), jnp.asarray(z), jnp.asarray(0.0)))
    J = np.hstack([np.asarray(block).reshape(N, -1) for block in (blocks if output_bias else blocks[:2])])
    expected = np.linalg.eigvalsh(J @ J.T)[0]
    found = jacobian_lambda_min(W, z, X, rho, output_bias)
    assert found == pytest.approx(expected, abs=1e-12 * float(np.linalg.norm(J)) ** 2)
    if J.shape[1] < N:
        assert found == 0


def test_a_point_that_no_relu_sees_gives_zero():
    W, z, X = -np.ones((3, 2)), np.ones(3), np.array([[1.0, 2.0], [-1.0, -3.0]])
    assert khatri_rao_sigma_min(np.where(X @ W.T > 0, 1.0, 0.0), X) == pytest.approx(0, abs=1e-15)
    assert jacobian_lambda_min(W, z, X, 0.0) == pytest.approx(0, abs=1e-28)
