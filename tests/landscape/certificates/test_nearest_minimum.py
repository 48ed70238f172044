"""Neural inputs and residuals with bounds on their rounding, against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from mnnjax.landscape.certificates import nearest_minimum
from mnnjax.landscape.certificates.nearest_minimum import evaluate
from tests.landscape.oracles import dot, exactly


def bounds_hold(point, W, z, c, X, y, rho):
    """Of neural inputs and of the residual, in rational arithmetic."""
    for n, x in enumerate(exactly(X)):
        inputs = [dot(w, x) for w in exactly(W)]
        outputs = [u if u > 0 else Fraction(rho) * u for u in inputs]
        e = Fraction(float(y[n])) - dot(exactly(z)[0], outputs) - Fraction(c)
        for u, found, error in zip(inputs, point.U[n], point.U_error[n], strict=True):
            assert abs(u - Fraction(float(found))) <= Fraction(float(error))
        assert abs(e - Fraction(float(point.e[n]))) <= Fraction(float(point.e_error[n]))


@pytest.mark.parametrize("scale", [0.0, 8.0, 40.0])
@pytest.mark.parametrize("d0", [1, 3, 700])
def test_bounds_hold_and_sharp_ones_are_smaller(d0, scale):
    """Also of entries that differ by many powers of ten, and where terms cancel."""
    rng = np.random.default_rng(d0)
    X, W, z = rng.standard_normal((6, d0)), rng.standard_normal((4, d0)), rng.standard_normal(4)
    X *= 10.0 ** (scale * (rng.random(X.shape) - 0.5))
    X[:3] -= (X[:3] @ W[0])[:, None] * W[0] / (W[0] @ W[0])
    y = np.maximum(X @ W.T, 0) @ z
    plain, sharp = (evaluate(W, z, 0.5, X, y, 0.1, sharply) for sharply in (False, True))
    for point in (plain, sharp):
        bounds_hold(point, W, z, 0.5, X, y, 0.1)
    if d0 == 700 and scale == 0:
        assert (100 * sharp.U_error < plain.U_error).all()
        assert (10 * sharp.e_error < plain.e_error).all()


@pytest.mark.parametrize("d0", [1, 2, 3, 700, 4096])
def test_leading_bits_have_exact_products_and_sums(d0):
    rng = np.random.default_rng(d0)
    V = rng.standard_normal((2, d0)) * 10.0 ** rng.uniform(-20, 0, (2, d0))
    V[1] = V[0]  # sums as large as they come
    leading = nearest_minimum._leading_bits(V)
    assert (leading + (V - leading) == V).all()
    assert Fraction(float(leading[0] @ leading[1])) == dot(*exactly(leading))
