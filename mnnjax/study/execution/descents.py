"""After training: each repetition's last two layers go down to a local minimum, in float64 on the host."""

import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float, Real

from mnnjax.host_memory import free_memory
from mnnjax.jax_setup import cores
from mnnjax.landscape.certificates.certificate import Verdict
from mnnjax.landscape.descent.cost import descent_bytes
from mnnjax.study.distributed import processes
from mnnjax.study.distributed.stopping import Interrupted
from mnnjax.study.execution.certify_cell import last_two_layers
from mnnjax.study.execution.chunks import Work
from mnnjax.study.execution.descent_workers import End, Start
from mnnjax.study.plan.grid import Cell
from mnnjax.study.workdir.results_table import NON_FINITE
from mnnjax.workers import WORKER_BYTES, Workers

SECONDS_BETWEEN_CHECKPOINTS = 30.0
VERDICTS = typing.get_args(Verdict)
NOT_DONE, NO_START = -1, -2

# Of each repetition, on the leading axis: where its descent ended. verdict: an index in VERDICTS, or NOT_DONE, or
# NO_START where training overflowed. c: 0 where there is no output bias.
State = dict[str, np.ndarray]
# network.MNN's parameters, repetitions on the leading axis; X and y, of each repetition or of all.
Params = dict[str, Float[np.ndarray, "repeats ..."]]
Points = tuple[Real[np.ndarray, "*repeats N d0"], Real[np.ndarray, "*repeats N"]]


def descents_at_once(cell: Cell) -> int:
    """The number of descents that one process of a run has computed side by side, as far as memory is free."""
    each = WORKER_BYTES + descent_bytes(cell.N, *cell.last_layer)
    fit = cores() if (free := free_memory()) is None else free // each
    return max(1, min(cores(), cell.repeats, fit))


class Descents(Work):
    """The descents of a cell; params: network.MNN's, in the precision that trained, repetitions on the leading axis.
    points: X (repeats, N, d0) and y (repeats, N), or X (N, d0) and y (N,) of all. finite: the others stay."""

    unit: ClassVar[str] = "descent"

    def __init__(
        self, cell: Cell, params: Params, points: Points, finite: Sequence[bool],
        workers: Workers[Start, End], stop_requested: Callable[[], object],
    ):  # fmt: skip
        self._cell, self._params, self._points = cell, params, points
        self._workers, self._stop_requested = workers, stop_requested
        self._finite = np.asarray(finite)
        self._ends: Iterator[tuple[int, End] | None] | None = None

    @property
    def count(self) -> int:
        """The number of repetitions."""
        return self._cell.descents

    @property
    def steps(self) -> range:
        return range(self._cell.steps, self._cell.steps + self.count)

    @property
    def template(self) -> State:
        inputs, d1 = self._cell.last_layer
        numbers = {name: np.full(self.count, np.nan) for name in ("c", "mse", "mce", "distance")}
        counts = {name: np.zeros(self.count, np.int64) for name in ("kinks", "steps")}
        weights = {"W": np.full((self.count, d1, inputs), np.nan), "z": np.full((self.count, d1), np.nan)}
        return weights | numbers | counts | {"verdict": np.full(self.count, NOT_DONE, np.int64)}

    def start(self, saved: State | None = None) -> State:
        return self.template if saved is None else saved

    def checkpoint_due(self, done: int, chunks: int, seconds: float) -> bool:
        return seconds > SECONDS_BETWEEN_CHECKPOINTS

    def chunk(self, state: State, done: int) -> tuple[State, int, dict[str, float]]:
        """The next descent that ends; of several processes, the next one of each."""
        state = jax.tree.map(np.copy, state)
        state["verdict"][~self._finite] = NO_START
        found = [end for end in processes.gathered(processes.together(lambda: self._next(state))) if end is not None]
        for k, end in found:
            state["c"][k] = 0.0 if end.output_bias is None else end.output_bias
            state["verdict"][k] = VERDICTS.index(end.verdict)
            for name in ("W", "z", "mse", "mce", "kinks", "distance", "steps"):
                state[name][k] = getattr(end, name)
        means = {name: float(np.mean([getattr(end, name) for _, end in found])) for name in ("mse", "mce") if found}
        return state, int(np.sum(state["verdict"] != NOT_DONE)), means

    def _next(self, state: State) -> tuple[int, End] | None:
        """The next descent of this process that ends; None: it has none left."""
        if self._ends is None:
            own = range(jax.process_index(), self.count, jax.process_count())
            left = [k for k in own if state["verdict"][k] == NOT_DONE]
            starts = ((k, start_of(self._cell, self._params, self._points, k)) for k in left)
            count = min(descents_at_once(self._cell), len(left))
            self._ends = self._workers.each(starts, count, self._stop_requested)
        for end in self._ends:
            if end is None:
                raise Interrupted
            return end
        return None


def start_of(cell: Cell, params: Params, points: Points, k: int) -> Start:
    """Where repetition k starts; params and points: as of Descents."""
    X, y = points if points[0].ndim == 2 else (points[0][k], points[1][k])
    own = {name: leaf[k] for name, leaf in params.items()}
    W, z, h, bias = last_two_layers(own, cell.part.network, cell.hidden_layers, X)
    return Start(W, z, bias, h, np.asarray(y, np.float64), cell.part.network.rho, cell.part.problem.threshold)


def columns_of(state: State, k: int) -> dict[str, Any]:
    """The columns of results.csv of repetition k's descent."""
    if state["verdict"][k] == NO_START:
        return {"minimum_verdict": NON_FINITE}
    return {
        "minimum_verdict": VERDICTS[state["verdict"][k]],
        "minimum_mse": float(state["mse"][k]),
        "minimum_mce": float(state["mce"][k]),
        "minimum_kinks": int(state["kinks"][k]),
        "minimum_distance": float(state["distance"][k]),
        "descent_steps": int(state["steps"][k]),
    }


def weights_of(state: State, params: Params, hidden_layers: int) -> Params:
    """The parameters (repeats, ...) after the descents, in float64, named as params before them; nan where training
    overflowed."""
    found = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    W, b = f"W{hidden_layers}", f"b{hidden_layers}"
    if "c" in params:
        return found | {W: state["W"][..., :-1], b: state["W"][..., -1], "z": state["z"], "c": state["c"]}
    return found | {W: state["W"], "z": state["z"]}
