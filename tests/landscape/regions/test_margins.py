"""Largest margins against programs solved by hand, and their bounds against random search."""

import itertools
import math

import numpy as np
import pytest

from mnnjax.landscape.regions.margins import MARGIN, largest_margin, search_signs


def test_margins_by_hand():
    # c and 1 - c are both at least 1/2 at c = 1/2 alone; c and -1 - c, at most -1/2.
    found = largest_margin(np.array([0.0, 1.0]), np.array([[1.0], [-1.0]]), most=2.0)
    np.testing.assert_allclose((found.c[0], found.margin, found.bound, found.lean), (0.5, 0.5, 0.5, 0), atol=1e-12)
    np.testing.assert_allclose(found.multipliers, [0.5, 0.5])
    assert math.isclose(largest_margin(np.array([0.0, -1.0]), np.array([[1.0], [-1.0]]), most=2.0).bound, -0.5)
    # No more than asked for, and inside the box.
    assert math.isclose(largest_margin(np.zeros(1), np.ones((1, 1)), most=3.0).margin, 3.0)
    assert math.isclose(largest_margin(np.zeros(1), np.ones((1, 1)), most=3.0, box=2.0).margin, 2.0)


@pytest.mark.parametrize("seed", range(5))
def test_no_point_has_more_than_the_bound(seed):
    rng = np.random.default_rng(seed)
    start, slopes = rng.normal(size=9), rng.normal(size=(9, 3))
    found = largest_margin(start, slopes, most=100.0)
    assert math.isclose(np.min(start + slopes @ found.c), found.margin, abs_tol=1e-9)
    assert math.isclose(found.bound, found.margin, abs_tol=1e-9)
    for c in found.c + rng.normal(size=(500, 3)) * 10.0 ** rng.integers(-3, 3, (500, 1)):
        assert np.min(start + slopes @ c) <= found.bound + found.lean * np.linalg.norm(c) + 1e-12


def test_a_search_over_signs_finds_what_trying_all_finds():
    rng, answers = np.random.default_rng(0), set()
    for _ in range(30):
        start, slopes = rng.normal(size=(3, 3)), rng.normal(size=(3, 3, 2))
        possible = np.array(list(itertools.product((-1, 1), repeat=3)))
        margins = [largest_margin((start * s).ravel(), (slopes * s[:, None]).reshape(9, 2), 1.0) for s in possible]
        expected = max(m.margin for m in margins) > MARGIN

        def fits(c, start=start, slopes=slopes):
            heights = start + slopes @ c
            return bool(((heights > 0).all(axis=0) | (heights < 0).all(axis=0)).all())

        c, proven = search_signs(start, slopes, possible, fits, np.zeros((3, 3, 1)), 1.0, lambda: None)
        assert (c is not None) == expected
        assert fits(c) if expected else proven
        # With rounding as large as the heights nothing is proven.
        assert expected or not search_signs(start, slopes, possible, fits, np.ones((3, 3, 1)), 1.0, lambda: None)[1]
        answers.add(expected)
    assert answers == {True, False}
