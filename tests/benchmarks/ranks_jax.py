"""Rank draws of ours."""

import time

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from mnnjax import jax_setup
from mnnjax.config import Problem
from mnnjax.landscape.volumes import sampling as volume
from mnnjax.problems import make_problem


class Draws:
    def __init__(self, N: int, d0: int, d1: int, draws: int):
        # As run_study does.
        jax_setup.use_all_cores()
        threadpool_limits(limits=1, user_api="blas")
        self.N, self.d1, self.draws = N, d1, draws
        draw = make_problem(Problem(d0=(d0,), N=(N,)), N, d0, 0.0, np.float64)
        self.screen = jax.jit(volume.make_screen(N, d0, d1, 0.0, draws, draw))
        self.turns = self.hits = 0

    def decide(self) -> float:
        """Seconds a draw."""
        began = time.perf_counter()
        first = self.turns * self.draws // volume.BLOCK
        screened = jax.device_get(self.screen(jax.random.key(0), first, None, self.N, self.d1))
        self.hits += int(volume.decide(screened, None, None, self.N, self.d1, 0.0, 0.0, 0.0, (0, 0)).hits[2])
        self.turns += 1
        return (time.perf_counter() - began) / self.draws

    def deficient(self) -> float:
        """The fraction of draws without full rank."""
        return self.hits / (self.turns * self.draws)
