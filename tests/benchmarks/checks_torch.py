"""The plain way to certificates and ranks in PyTorch, one sample at a time."""

import functools
import os
import time

import numpy as np
import torch

CORES = len(os.sched_getaffinity(0))


def choose_threads(turn) -> None:
    """One thread or all, whichever turn() takes less time with."""
    seconds = {}
    for count in (CORES, 1):
        torch.set_num_threads(count)
        turn()
        seconds[count] = min(turn() for _ in range(2))
    torch.set_num_threads(min(seconds, key=seconds.get))


def output(W, z, X):
    return torch.relu(X @ W.T) @ z


def jacobian(W, z, X):
    """Of the outputs in W: (N, d1 d0)."""
    return torch.func.jacrev(functools.partial(output, z=z, X=X))(W).reshape(len(X), -1)


class Certificates:
    """points: W, z, X, y with a leading axis of points."""

    def __init__(self, points: dict[str, np.ndarray]):
        arrays = [torch.from_numpy(np.array(points[name], np.float64)) for name in ("W", "z", "X", "y")]
        self.points = list(zip(*arrays, strict=True))
        self.kinds: list[str] = []
        choose_threads(self.certify)

    def certify(self) -> float:
        """Seconds a point."""
        began = time.perf_counter()
        self.kinds = [self._kind(*point) for point in self.points]
        return (time.perf_counter() - began) / len(self.points)

    def _kind(self, W, z, X, y) -> str:
        J = jacobian(W, z, X)
        rank = int(torch.linalg.matrix_rank(J))
        # gelsd: the Jacobian may be short of full rank.
        theta = torch.linalg.lstsq(J, y[:, None], driver="gelsd").solution
        region_mse = float(torch.mean((y - (J @ theta)[:, 0]) ** 2))
        smallest = float(torch.min(torch.abs(X @ W.T)))
        zero = "zero" if region_mse < 1e-20 else "not zero"
        return f"{zero} at {'full' if rank == len(y) else 'short'} rank" if smallest > 0 else "a neural input is zero"

    def found(self) -> dict[str, int]:
        return {kind: self.kinds.count(kind) for kind in sorted(set(self.kinds))}


class Ranks:
    def __init__(self, N: int, d0: int, d1: int, draws: int, precision: str):
        self.N, self.d0, self.d1, self.draws = N, d0, d1, draws
        self.new = functools.partial(torch.randn, dtype=getattr(torch, precision))
        self.z = self.new(d1)
        self.turns = self.hits = 0
        choose_threads(self.decide)

    def decide(self) -> float:
        """Seconds a draw."""
        began = time.perf_counter()
        for _ in range(self.draws):
            X, W = self.new(self.N, self.d0), self.new(self.d1, self.d0)
            self.hits += int(torch.linalg.matrix_rank(jacobian(W, self.z, X))) < self.N
        self.turns += 1
        return (time.perf_counter() - began) / self.draws

    def deficient(self) -> float:
        """The fraction of draws without full rank."""
        return self.hits / (self.turns * self.draws)
