"""The residual in twice the precision, against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from mnnjax.landscape.construction.double_double import largest_error
from tests.landscape.oracles import dot, exactly


def exact_errors(W, z, X, y, rho):
    """The moduli of the residual of the network as it is stored."""
    W, rho = exactly(W), Fraction(float(rho))
    U = [[dot(x, w) for w in W] for x in exactly(X)]
    outputs = [dot([u if u > 0 else rho * u for u in row], exactly(z)[0]) for row in U]
    return [abs(label - output) for label, output in zip(exactly(y)[0], outputs, strict=True)]


@pytest.mark.parametrize("size", [1.0, 1e-150, 1e150])
@pytest.mark.parametrize("rho", [0.0, 0.1, -3.0])
def test_pairs_that_cancel_are_summed_as_if_exactly(rho, size):
    """Two units that differ in the last digits, for outputs of 1 from contributions up to 1e16."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        N, d0, pairs = rng.integers(1, 6, 3)
        X, w, v = rng.standard_normal((N, d0)) * size, *rng.standard_normal((2, pairs, d0))
        s = 10.0 ** rng.uniform(0, 16)
        W, z = np.concatenate([s * w + v, s * w - v]) / size, np.repeat([1.0, -1.0], pairs) * rng.uniform(0.5, 2)
        y = rng.standard_normal(N)
        found, exact = largest_error(W, z, X, y, rho), exact_errors(W, z, X, y, rho)
        assert all(Fraction(float(f)) >= e * (1 - Fraction(2) ** -52) for f, e in zip(found, exact, strict=True))
        # (10 eps)^2 of 1e16 is 5e-14.
        assert found == pytest.approx([float(e) for e in exact], rel=1e-12, abs=1e-10)


def test_what_underflows_is_bounded():
    rng = np.random.default_rng(0)
    for _ in range(50):
        X, W = rng.standard_normal((3, 2)) * 1e-200, rng.standard_normal((4, 2)) * 10.0 ** rng.integers(-126, -90)
        z, y = rng.standard_normal(4), np.zeros(3)
        found, exact = largest_error(W, z, X, y, 0.3), exact_errors(W, z, X, y, 0.3)
        assert all(Fraction(float(f)) >= e * (1 - Fraction(2) ** -52) for f, e in zip(found, exact, strict=True))
        assert max(found) < 1e-280


def test_numbers_too_large_to_part_have_no_bound():
    assert largest_error(np.array([[1e305]]), np.ones(1), np.ones((1, 1)), np.zeros(1), 0.0).tolist() == [np.inf]
