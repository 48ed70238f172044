"""Ranks modulo a prime against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from mnnjax.landscape.regions.exact_rank import (
    PRIME,
    multiply_modulo_prime,
    rank_modulo_prime,
    residues,
    solve_modulo_prime,
)
from tests.landscape.oracles import fraction_rank


@pytest.mark.parametrize("values", [[0.1, -0.1], [1.0, -7.0], [3e-200, 1e200], [5e-324, -1.5], [0.0, 2.0**60]])
def test_residues_are_those_of_the_exact_fractions(values):
    expected = [f.numerator * pow(f.denominator, -1, PRIME) % PRIME for f in map(Fraction, values)]
    assert residues(np.array(values)).tolist() == expected


@pytest.mark.parametrize("seed", range(10))
def test_rank_modulo_prime_sees_what_rounding_hides(seed):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((3, 5))
    # Power-of-two combinations are exact; then one bit of one entry is changed.
    dependent = np.vstack([rows, 2 * rows[0], -0.25 * rows[1]])
    assert rank_modulo_prime(residues(dependent)) == fraction_rank(dependent) == 3
    dependent[3, 0] = np.nextafter(dependent[3, 0], np.inf)
    assert rank_modulo_prime(residues(dependent)) == fraction_rank(dependent) == 4


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)])
def test_solutions_modulo_prime_solve_the_system_or_there_are_none(shape):
    rng = np.random.default_rng(shape[0])
    matrix, wanted = rng.integers(PRIME, size=shape), rng.integers(PRIME, size=(shape[1], 1))
    right = multiply_modulo_prime(matrix, wanted)
    exact = [sum(int(a) * int(b) for a, b in zip(row, wanted[:, 0], strict=True)) % PRIME for row in matrix]
    assert right[:, 0].tolist() == exact
    found = solve_modulo_prime(matrix, right[:, 0])
    assert (multiply_modulo_prime(matrix, found[:, None]) == right).all()
    twice = np.vstack([matrix, matrix[:1]])
    assert solve_modulo_prime(twice, np.append(right[:, 0], right[0, 0])) is not None
    assert solve_modulo_prime(twice, np.append(right[:, 0], (right[0, 0] + 1) % PRIME)) is None
