"""Full-batch Adam in PyTorch, the ways a user of it could train many seeds, each tuned to its fastest variant.

Variants: the products by rows (X W^T) or by columns (W X^T), the output as a product or as a sum over neurons, one
thread or all, torch.optim.Adam or, where the whole step is compiled, its formula. A contestant times all its variants
when it starts, and runs the fastest. On a GPU the compiled step is also replayed as a CUDA graph.
"""

import itertools
import logging
import os
import time
import warnings

import numpy as np
import torch
from harness import Worker, random_start

RATE, BETA1, BETA2, EPS = 1e-2, 0.9, 0.999, 1e-8
CORES = len(os.sched_getaffinity(0))


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def synchronize() -> None:
    if device() == "cuda":
        torch.cuda.synchronize()


# Of (S, N, d) or, by columns, (S, d, N) inputs: the MSEs, summed over seeds so that each seed has its own gradient.
def by_rows(W, z, X, y):
    output = torch.bmm(torch.relu(torch.bmm(X, W.transpose(1, 2))), z[:, :, None])[:, :, 0]
    return ((y - output) ** 2).mean(1).sum()


def by_columns(W, z, X, y):
    output = torch.bmm(z[:, None], torch.relu(torch.bmm(W, X)))[:, 0]
    return ((y - output) ** 2).mean(1).sum()


def by_columns_summed(W, z, X, y):
    output = (z[:, :, None] * torch.relu(torch.bmm(W, X))).sum(1)
    return ((y - output) ** 2).mean(1).sum()


def one_by_rows(W, z, X, y):
    return ((y - torch.relu(X @ W.T) @ z) ** 2).mean()


def one_by_columns(W, z, X, y):
    return ((y - z @ torch.relu(W @ X)) ** 2).mean()


def loop(loss, fused: bool, W, z, X, y, steps: int):
    """`steps` steps of torch.optim.Adam."""
    W, z = W.clone().requires_grad_(), z.clone().requires_grad_()
    options = {"fused": True} if fused else {}
    optimizer = torch.optim.Adam([W, z], lr=RATE, betas=(BETA1, BETA2), eps=EPS, **options)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss(W, z, X, y).backward()
        optimizer.step()
    return W.detach(), z.detach()


def compiled_step(loss):
    """Gradients and Adam's formula as one graph."""
    gradient = torch.func.grad(loss, argnums=(0, 1))

    def step(params, first, second, t, X, y):
        gradients = gradient(*params, X, y)
        t = t + 1
        first = [BETA1 * m + (1 - BETA1) * g for m, g in zip(first, gradients, strict=True)]
        second = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(second, gradients, strict=True)]
        rate, correction = RATE / (1 - BETA1**t), 1 - BETA2**t
        new = [p - rate * m / ((v / correction).sqrt() + EPS) for p, m, v in zip(params, first, second, strict=True)]
        return new, first, second, t

    # Other shapes have programs of their own.
    return torch.compile(step, dynamic=False)


def whole(step, W, z, X, y, steps: int):
    # Two lists of zeros, for a step that gets one twice is compiled apart.
    first, second = ([torch.zeros_like(leaf) for leaf in (W, z)] for _ in range(2))
    carry = ([W, z], first, second, torch.zeros((), dtype=torch.float64, device=W.device))
    with torch.no_grad():
        for _ in range(steps):
            carry = step(*carry, X, y)
    return carry[0]


class Graph:
    """The whole step as a CUDA graph, which is launched at once and works on the same memory each time."""

    def __init__(self, step):
        self.step, self.graph = step, None

    def __call__(self, W, z, X, y, steps: int):
        with torch.no_grad():
            if self.graph is None:
                self._capture(W, z, X, y)
            for leaf, value in zip(self.leaves, (W, z), strict=False):
                leaf.copy_(value)
            for leaf in self.leaves[2:]:
                leaf.zero_()
            for _ in range(steps):
                self.graph.replay()
            return [leaf.clone() for leaf in self.leaves[:2]]

    def _capture(self, W, z, X, y) -> None:
        params, first, second = ([torch.zeros_like(leaf) for leaf in (W, z)] for _ in range(3))
        t = torch.zeros((), dtype=torch.float64, device=W.device)
        self.leaves = [*params, *first, *second, t]
        # PyTorch wants some steps on another stream before.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                self.step(params, first, second, t, X, y)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            new_params, new_first, new_second, new_t = self.step(params, first, second, t, X, y)
            for leaf, value in zip(self.leaves, [*new_params, *new_first, *new_second, new_t], strict=True):
                leaf.copy_(value)
        self.graph = graph


class Adam:
    """way: "one" seed at a time, "batched" with bmm, or "compiled". steps: of a turn. threads: which to try.

    choose: whether to time the variants now; else `choose` does, when nobody else is at work.
    """

    def __init__(self, start: dict, steps: int, way: str, threads: tuple[int, ...] = (CORES, 1), choose: bool = True):
        warnings.filterwarnings("ignore")
        logging.disable(logging.WARNING)
        torch._dynamo.config.recompile_limit = 64
        arrays = {name: torch.from_numpy(np.array(value)).to(device()) for name, value in start.items()}
        self.start = arrays | {"columns": arrays["X"].transpose(1, 2).contiguous()}
        self.steps, self.way, self.params, self.failed = steps, way, None, {}
        self.counts, self.variants = dict.fromkeys(threads), self._variants()
        for name, train in list(self.variants.items()):
            self.train = train
            try:
                self._train_for(3)
            except Exception as error:
                self.failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:100]
                del self.variants[name]
                if not self.variants:
                    raise
        if choose:
            self.choose()

    def choose(self) -> None:
        """From now on run the variant that takes the least time."""
        timed = {}
        for count, (name, train) in itertools.product(self.counts, self.variants.items()):
            self.train = train
            torch.set_num_threads(count)
            self._train_for(3)
            timed[name, count] = min(self._train_for(max(self.steps // 20, 3)) for _ in range(3))
        self.name, self.threads = min(timed, key=timed.get)
        self.train = self.variants[self.name]
        torch.set_num_threads(self.threads)

    def _variants(self) -> dict:
        s = self.start
        if self.way == "one":
            kinds = {"rows": (one_by_rows, s["X"]), "columns": (one_by_columns, s["columns"])}
        else:
            kinds = {"rows": (by_rows, s["X"]), "columns": (by_columns, s["columns"])}
            kinds["columns, summed"] = (by_columns_summed, s["columns"])
        if self.way == "compiled":
            # Never the fastest when compiled, on a CPU.
            del kinds["rows" if device() == "cpu" else "columns, summed"]
        made = {}
        for name, (loss, X) in kinds.items():
            if self.way == "compiled" and device() == "cuda":
                # Few, for each takes long to compile.
                step = compiled_step(loss)
                made[f"{name}, whole step"] = self._with(X, whole, step)
                made[f"{name}, whole step, CUDA graph"] = self._with(X, Graph(step))
            elif self.way == "compiled":
                made[f"{name}, fused Adam"] = self._with(X, loop, torch.compile(loss), True)
                made[f"{name}, whole step"] = self._with(X, whole, compiled_step(loss))
            else:
                made[f"{name}, fused Adam"] = self._with(X, loop, loss, True)
                made[f"{name}, foreach Adam"] = self._with(X, loop, loss, False)
        return made

    def _with(self, X, run, *settings):
        W, z, y = (self.start[name] for name in ("W", "z", "y"))

        def train(steps):
            if self.way != "one":
                return run(*settings, W, z, X, y, steps)
            ends = [run(*settings, *arrays, steps) for arrays in zip(W, z, X, y, strict=True)]
            return [torch.stack(leaves) for leaves in zip(*ends, strict=True)]

        return train

    def _train_for(self, steps: int) -> float:
        synchronize()
        began = time.perf_counter()
        self.params = self.train(steps)
        synchronize()
        return time.perf_counter() - began

    def step(self) -> float:
        """Seconds a step, over all seeds."""
        return self._train_for(self.steps) / self.steps

    def mse_after(self, steps: int) -> np.ndarray:
        """The MSE of each seed, in float64."""
        self._train_for(steps)
        W, z = (leaf.double() for leaf in self.params)
        h = torch.relu(torch.bmm(self.start["X"].double(), W.transpose(1, 2)))
        output = torch.bmm(h, z[:, :, None])[:, :, 0]
        return ((self.start["y"].double() - output) ** 2).mean(1).cpu().numpy()

    def how(self) -> str:
        used = f"{self.threads} threads" if self.threads > 1 else "1 thread"
        failed = "".join(f"; failed: {name} ({why})" for name, why in self.failed.items())
        return f"{self.name}{'' if device() == 'cuda' else ', ' + used}{failed}"


class Shapes:
    """The compiled way on one shape after the other, at one precision of float32 products ("highest", or "high", which
    is TF32), from random_start."""

    def __init__(self, matmul: str = "highest"):
        torch.set_float32_matmul_precision(matmul)

    def devices(self) -> str:
        return device()

    def take(self, d: int, N: int, repeats: int, steps: int) -> None:
        """Compile all variants."""
        # The one before is let go first.
        self.adam = None
        threads = (1,) if device() == "cuda" else (CORES,)
        self.adam = Adam(random_start(d, N, repeats), steps, "compiled", threads, choose=False)

    def choose(self) -> None:
        self.adam.choose()

    def step(self) -> float:
        return self.adam.step()

    def mse_after(self, steps: int) -> np.ndarray:
        return self.adam.mse_after(steps)

    def how(self) -> str:
        return self.adam.how()


class Processes:
    """The compiled way, seeds shared out over as many processes as there are cores, of one thread each."""

    def __init__(self, start: dict, steps: int, threads: tuple[int, ...] = ()):
        shares = [np.array_split(leaf, CORES) for leaf in start.values()]
        parts = [dict(zip(start, leaves, strict=True)) for leaves in zip(*shares, strict=True)]
        settings = {"steps": steps, "way": "compiled", "threads": (1,)}
        self.workers = [Worker("adam_torch", "Adam", start=part, **settings) for part in parts]
        self.steps = steps

    def step(self) -> float:
        began = time.perf_counter()
        self._all("step")
        return (time.perf_counter() - began) / self.steps

    def mse_after(self, steps: int) -> np.ndarray:
        return np.concatenate(self._all("mse_after", steps))

    def how(self) -> str:
        return f"{CORES} processes: " + "; ".join(sorted(set(self._all("how"))))

    def _all(self, method: str, *args) -> list:
        for worker in self.workers:
            worker.send(method, *args)
        return [worker.receive() for worker in self.workers]

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


class Limits:
    """A large matrix product."""

    def __init__(self, n: int):
        self.n, self.a = n, torch.randn(n, n, device=device())

    def turn(self) -> float:
        """Flops a second."""
        synchronize()
        began = time.perf_counter()
        self.a @ self.a
        synchronize()
        return 2 * self.n**3 / (time.perf_counter() - began)
