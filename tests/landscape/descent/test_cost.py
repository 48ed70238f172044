"""What a descent takes, beside one that is run."""

import tracemalloc

import numpy as np

from mnnjax.landscape import descend
from mnnjax.landscape.descent.cost import announcement, descent_bytes


def test_a_descent_takes_no_more_memory_than_is_said():
    rng = np.random.default_rng(0)
    for N, d0, d1 in [(100, 12, 12), (300, 8, 8)]:
        X, y, W, z = (rng.normal(size=shape) for shape in [(N, d0), N, (d1, d0), d1])
        tracemalloc.start()
        descend(W, z, X, y, 0.0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert descent_bytes(N, d0, d1) / 4 < peak < descent_bytes(N, d0, d1)


def test_only_large_descents_are_announced():
    assert announcement(100, 10, 10) == ""
    said = announcement(1600, 40, 40)
    assert said.startswith("descent: N = 1 600, d0 d1 = 1 600: 147.5 MB of memory")
    assert said.endswith(" on one core, by its steps")
