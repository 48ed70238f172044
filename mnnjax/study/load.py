"""A finished cell, loaded: the weights of every repetition, and the points that they were trained on, drawn again. Its
training can go on from there."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from mnnjax import jax_setup
from mnnjax.arrays import check_count
from mnnjax.config import Network, Problem, Train, UserError
from mnnjax.config.study import DECAY
from mnnjax.errors import first_difference, first_line, require
from mnnjax.landscape import Certificate
from mnnjax.study.execution.certify_cell import certify_seeds
from mnnjax.study.execution.images import Sources, recorded_cells
from mnnjax.study.execution.progress import say_nothing
from mnnjax.study.execution.train_cell import measured, training_of
from mnnjax.study.plan.grid import Cell
from mnnjax.study.resources.memory_check import require_points_fit
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.results_table import NON_FINITE, TOO_LARGE, as_text
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.weights import forms, from_bytes
from mnnjax.study.workdir.workdir import NonWritingWorkdir, Workdir
from mnnjax.training import LEVENBERG_MARQUARDT

# Cells that an error names.
MOST_NAMED = 20


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """The networks of a finished cell, one per repetition, with the points that they were trained on."""

    cell: str
    params: dict[str, Float[np.ndarray, "repeats ..."]]
    """network.MNN's parameters, W1 (repeats, d1, d0), ..., z (repeats, d1), with biases b1, ..., c, in the precision
    that trained them, in the order of the rows."""
    X: Float[np.ndarray, "repeats N d0"] | Float[np.ndarray, "N d0"]
    """Each repetition's points; (N, d0) where problem.data_sets is 1, all repetitions sharing them. In the precision
    that trained, or in bfloat16 where train.rows_precision says so."""
    y: Float[np.ndarray, "repeats N"] | Float[np.ndarray, " N"]
    """Their labels, likewise."""
    rho: float
    threshold: float
    """Outputs above it are classified as the larger label."""
    rows: list[dict[str, str]]
    """The cell's rows of results.csv."""
    minimum: dict[str, Float[np.ndarray, "repeats ..."]] | None
    """The parameters after the descents (train.finish), in float64, named as params; None where there are none."""
    planned: Cell = dataclasses.field(repr=False)
    """The cell as the study plans it."""
    sources: Sources = dataclasses.field(repr=False)
    """Where its images are read."""

    @property
    def problem(self) -> Problem:
        """The study's problem, at this cell's d0 and N; images decide d0."""
        plain = {"d0": (), "d0_d1_over_N": (), "d0_over_N": None, "d0_over_sqrt_N_log_N": None}
        problem, N = self.planned.part.problem, (self.planned.N,)
        if problem.is_image:
            return dataclasses.replace(problem, N=N)
        return dataclasses.replace(problem, **plain | {"d0": (self.planned.d0,), "N": N})

    @property
    def network(self) -> Network:
        """The study's network, at this cell's d1 and number of hidden layers."""
        sizes = {"d1": (self.planned.d1,), "hidden_layers": (self.planned.hidden_layers,), "d0_d1_over_N": ()}
        return dataclasses.replace(self.planned.part.network, **sizes)

    @property
    def train(self) -> Train:
        """How the networks were trained."""
        return self.planned.part.training

    def resume(self, epochs: int, learning_rate: float | None = None) -> "Trained":
        """Train all repetitions for further epochs, and evaluate and certify them. The work folder stays as it is.

        Weights alone are kept: the optimizer begins anew, with no momentum or moments of Adam. So the result equals
        that of a longer training where the optimizer has no memory and the rate is constant, as with sgd. Epochs are
        counted on: mini-batches are those of a longer training, and a schedule of your own is asked for the next
        epochs. Our rate stays where it ended; learning_rate is another. train.finish and train.spectrum do not follow.

        UserError for epochs below 1, and a learning rate where none is used.

        Example:
            further = trained.resume(epochs=1000)
            [row["verdict"] for row in further.rows]
        """
        before, done = self.train, self.train.total_epochs
        epochs = check_count("epochs", epochs)
        rated = before.schedule == DECAY and before.optimizer != LEVENBERG_MARQUARDT
        unused = "learning_rate: the cell's training has a schedule of its own, or no learning rate; leave it out"
        require(learning_rate is None or rated, unused)
        rate = learning_rate or before.learning_rate * (before.decay_to if before.decay_epochs else 1)
        changes: dict[str, Any] = {"epochs": done + epochs, "decay_epochs": 0, "finish": "none", "spectrum": False}
        train = dataclasses.replace(before, learning_rate=rate, **changes)
        part = dataclasses.replace(self.planned.part, train=train, figure="none", also=())
        cell = dataclasses.replace(self.planned, part=part)
        training = training_of(cell, self.sources)
        failed = np.array([int(row["non_finite_epoch"] or -1) for row in self.rows], np.int32)
        state = training.start_at(self.params, failed)
        while done < train.epochs:
            state, done, _ = training.chunk(state, done)
        _, rows = measured(cell, training, state, self.sources, lambda: None)
        params = dict(training.saved(state.params))
        return dataclasses.replace(self, params=params, rows=as_text(rows), minimum=None, planned=cell)

    def points(self, k: int) -> tuple[Float[np.ndarray, "N d0"], Float[np.ndarray, " N"]]:
        """X (N, d0) and y (N,) of repetition k."""
        return (self.X, self.y) if self.X.ndim == 2 else (self.X[k], self.y[k])

    def certificate(self, k: int) -> Certificate | None:
        """The certificate of repetition k, as in its row; None where the row has none. Its mse, which is summed up in
        another order, may differ from the row's in its last digits."""
        if self.rows[k]["verdict"] in (NON_FINITE, TOO_LARGE):
            return None
        network, layers = self.planned.part.network, self.planned.hidden_layers
        params = {name: leaf[k : k + 1] for name, leaf in self.params.items()}
        X, y = self.points(k)
        return certify_seeds(params, network, layers, [X], [y], self.threshold)[0]


def load_trained(
    path: AnyPath | str, cell_id: str, data_dir: Path | None = None, data: tuple[Any, Any] | None = None
) -> Trained:
    """The trained networks of a finished cell, and their points.

    The points are drawn again, or read and whitened as the work folder says: the same to the last bit on the kind of
    machine that trained the cell. The work folder is only read, and the study may still be running.

    Args:
      path: the work folder, or gs://BUCKET/NAME; of a study with its shards, or of one shard.
      cell_id: the column `cell` of results.csv.
      data_dir: where `mnnjax data` keeps image data; None is its default folder.
      data: X and y, where run_study had them.

    Raises:
      UserError: the folder holds no study, or not this cell's weights; image data are missing or not those that the
        study began with; the points do not fit into memory.

    Example:
      trained = load_trained("runs/quickstart", "quickstart.h1.d10x10.N200")
      X, y = trained.points(0)
      certify(trained.params["W1"][0], trained.params["z"][0], X, y, trained.rho)  # from mnnjax.landscape
    """
    jax_setup.use_all_cores()
    workdir = Workdir(path)
    cell = _finished_cell(workdir, cell_id)
    file = workdir.weights_file(cell)
    params = _read_npz(file)
    require_points_fit(cell, jax.devices(), str(file))
    # The folder that trained it, which may be a shard's, has its whitening.
    folder = NonWritingWorkdir(file.parent.parent)
    if cell.part.problem.is_image and not storage.names(folder.whitening):
        raise UserError(f"{folder.whitening} is missing, which the cell was trained with; copy the whole work folder")
    sources = Sources(folder, data_dir, say_nothing, data)
    training = training_of(cell, sources)
    if difference := first_difference(forms(params), forms(training.template.params)):
        raise UserError(f"{file} is damaged ({difference}); restore it, or run the study in another --workdir")
    (X, y), problem = training.points(), cell.part.problem
    if X.ndim == 3 and problem.data_sets == 1:
        # A copy, so that those of the other repetitions can be freed.
        X, y = X[0].copy(), y[0].copy()
    rows, minimum = workdir.rows([cell]), None
    if cell.descents and rows[0]["minimum_verdict"] != TOO_LARGE:
        minimum = _read_npz(file.with_name(f"{cell.id}.minimum.npz"))
    return Trained(cell_id, params, X, y, cell.part.network.rho, problem.threshold, rows, minimum, cell, sources)


def _finished_cell(workdir: Workdir, cell_id: str) -> Cell:
    cells = {cell.id: cell for cell in recorded_cells(workdir, workdir.study())}
    trained = {cell.id: cell for cell in workdir.finished(cells.values()) if cell.part.volume is None}
    if cell_id in trained:
        return trained[cell_id]
    if cell_id not in cells:
        why = f"has no cell {cell_id!r}"
    elif cells[cell_id].part.volume is not None:
        why = f"measured volumes in {cell_id}, and trained no network"
    else:
        why = f"has not finished {cell_id}"
    named = ", ".join(list(trained)[:MOST_NAMED])
    more = f" and {len(trained) - MOST_NAMED} more (see results.csv)" if len(trained) > MOST_NAMED else ""
    hint = f"trained are {named}{more}" if trained else "no cell is trained yet (mnnjax status)"
    raise UserError(f"{workdir.path} {why}; {hint}")


def _read_npz(file: AnyPath) -> dict[str, np.ndarray]:
    try:
        return from_bytes(file.read_bytes())
    except Exception as error:  # NumPy and zipfile raise many kinds for a damaged file.
        what = f"damaged ({first_line(error)}); restore it"
        if isinstance(error, FileNotFoundError):
            what = "missing; copy it from where the cell was trained"
        raise UserError(f"{file} is {what}, or run the study in another --workdir") from error
