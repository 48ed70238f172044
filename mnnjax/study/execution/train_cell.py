"""Trains a cell from its latest valid checkpoint on, evaluates and certifies it, and writes its weights and rows."""

import collections
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mnnjax.landscape import Certificate
from mnnjax.landscape.certificates import cost
from mnnjax.landscape.descent.cost import omission as descent_omission
from mnnjax.study.distributed import processes
from mnnjax.study.distributed.stopping import Interrupted, Stopped
from mnnjax.study.execution.chunks import CellTraining, Context, finite_mean, run_chunks
from mnnjax.study.execution.continuing import earlier_state, state_arrays
from mnnjax.study.execution.data_parallel import EVALUATED_ROWS, DataParallel
from mnnjax.study.execution.descents import Descents, columns_of, weights_of
from mnnjax.study.execution.images import Sources
from mnnjax.study.execution.seed_parallel import SeedParallel
from mnnjax.study.execution.spectra import spectra
from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.growth import resumable
from mnnjax.study.workdir.results_table import AT_THE_POINT, MINIMA, NON_FINITE, TOO_LARGE, cell_columns, short
from mnnjax.study.workdir.workdir import MINIMUM, STATE, WEIGHTS
from mnnjax.training import LEVENBERG_MARQUARDT, Evaluation, add_sums, from_sums, make_stream
from mnnjax.wording import percent


def run_training_cell(cell: Cell, context: Context) -> None:
    """Train what the work folder does not hold yet of a cell. Raises UserError where the cell's images are missing, and
    Stopped, with the state saved, where a stop was requested."""
    began, workdir = time.monotonic(), context.workdir
    sizes = cell.N, *cell.last_layer
    if cost.is_large(*sizes):
        context.progress.message(f"{cell.id}: each {cost.announcement(*sizes)}")
    without_descents = _descents_omitted(cell)
    if without_descents:
        context.progress.message(f"{cell.id}: no descents: {without_descents}")
    training = training_of(cell, context.sources)
    with context.checkpoints(cell) as checkpoints, context.checkpoints(cell, ".descents") as of_descents:
        earlier = functools.partial(earlier_state, cell, training.template, context)
        state = run_chunks(cell, training, context, checkpoints, began, earlier)
        params = training.saved(state.params)
        try:
            evaluation, rows = measured(cell, training, state, context.sources, context.stop_requested)
            finite = [row["verdict"] != NON_FINITE for row in rows]
            if cell.part.training.spectrum:
                initial = training.saved(training.start().params)
                found = spectra(cell, initial, params, training.points(), finite, context.stop_requested)
                rows = [row | columns for row, columns in zip(rows, found, strict=True)]
        except Interrupted as error:
            stop = context.stop()
            workdir.log("stop", cell=cell.id, epoch=cell.steps, reason=stop)
            raise Stopped(f"{stop}: saved {cell.id} after its last epoch") from error
        arrays = {WEIGHTS: dict(sorted(params.items()))}
        if resumable(cell.part.training):
            arrays[STATE] = state_arrays(cell.steps, training.saved(state))
        if cell.descents and not without_descents:
            descents = Descents(cell, params, training.points(), finite, context.workers, context.stop_requested)
            ended = run_chunks(cell, descents, context, of_descents, began)
            arrays[MINIMUM] = dict(sorted(weights_of(ended, params, cell.hidden_layers).items()))
        if cell.descents:
            for k, row in enumerate(rows):
                row |= {"minimum_verdict": TOO_LARGE} if without_descents else columns_of(ended, k)
        processes.from_writer(lambda: workdir.finish_cell(cell, rows, arrays))
        processes.from_writer(checkpoints.delete)
        processes.from_writer(of_descents.delete)
    mean_mce = finite_mean(np.asarray(evaluation.mce))
    workdir.log("cell_end", cell=cell.id, mce=mean_mce, seconds=round(time.monotonic() - began, 3))
    verdicts = ends([str(row.get("minimum_verdict", row["verdict"])) for row in rows])
    context.progress.cell_finished(cell, f"mean MCE {percent(mean_mce)}{verdicts}{_diverged(cell, rows)}")
    if stop := context.stop():
        workdir.log("stop", cell=cell.id, reason=stop)
        raise Stopped(f"{stop}: saved after {cell.id}")


def measured(
    cell: Cell, training: CellTraining, state: Any, sources: Sources | None, stop_requested: Callable[[], object]
) -> tuple[Evaluation, list[dict]]:
    """The errors of all repetitions of a cell after training, and their rows, with certificates. Raises Interrupted
    where a stop was requested."""
    params = training.saved(state.params)
    evaluation = training.evaluate(params)
    held_out = _held_out(cell, sources, params)
    # The same on all processes, which share the certificates.
    omitted = next(filter(None, processes.gathered(cost.omission(cell.N, *cell.last_layer))), "")
    certificates = None if omitted else training.certify(params, stop_requested)
    failed = training.saved(state.non_finite_epoch)
    return evaluation, _rows(cell, evaluation, failed, certificates, omitted, held_out)


def _descents_omitted(cell: Cell) -> str:
    """Why no repetition goes down to a minimum, the same on all processes; '' where they do, or are not asked to."""
    sizes = cell.N, *cell.last_layer
    why = (cost.omission(*sizes) or descent_omission(*sizes)) if cell.descents else None
    return next(filter(None, processes.gathered(why)), "")


def ends(verdicts: Sequence[str]) -> str:
    """'; 28 of 30 at a local minimum: 12 global, 16 kinks; 2 not converged', without those that overflowed; '' where
    there are no others."""
    counts = collections.Counter(verdicts)
    parts = [f"{counts[name]} {word}" for name, word in MINIMA.items() if counts[name]]
    others = [name for name in sorted(counts) if name not in (*MINIMA, NON_FINITE)]
    text = "".join(f"; {counts[name]} {short(name)}" for name in others)
    if not parts and set(others) <= {TOO_LARGE}:
        return text
    count = sum(counts[name] for name in MINIMA)
    return f"; {count} of {len(verdicts)} at a local minimum{': ' if parts else ''}{', '.join(parts)}{text}"


def training_of(cell: Cell, sources: Sources | None) -> CellTraining:
    """The training of a cell, before its first epoch; sources: None where points are drawn."""
    return (DataParallel if cell.data_parallel else SeedParallel)(cell, sources)


def _held_out(cell: Cell, sources: Sources | None, params) -> tuple[np.ndarray, int] | None:
    """The MCE of each repetition on the test images, and their number; None where there are none, or where labels are
    random."""
    problem = cell.part.problem
    if not problem.is_image or problem.labels == "random":
        return None
    assert sources is not None
    images, whitening = sources.get(problem)
    if (test := images.held_out) is None:
        return None

    def parts() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for start in range(0, test.N, EVALUATED_ROWS):
            rows = np.arange(start, min(start + EVALUATED_ROWS, test.N))
            y = problem.labels_of(test.upper[rows])
            X = whitening.apply(test.read(rows), cell.part.training.precision)
            yield X, y.astype(X.dtype), np.ones(len(rows), X.dtype)

    stream = make_stream(problem, cell.part.network, cell.hidden_layers, cell.d1)
    sums = functools.reduce(add_sums, stream(params, parts()))
    return np.asarray(from_sums(sums, test.N).mce), test.N


def _rows(
    cell: Cell, evaluation: Evaluation, non_finite_epoch: np.ndarray,
    certificates: Sequence[Certificate | None] | None, omitted: str, held_out: tuple[np.ndarray, int] | None,
) -> list[dict]:  # fmt: skip
    """One row per seed, in the order of the seeds; certificates: None where they are omitted, for a reason."""
    part, rows = cell.part, []
    for k, (seed, data_seed) in enumerate(zip(cell.seeds, cell.data_seeds, strict=True)):
        mse, mce, smallest, first_order = (float(values[k]) for values in evaluation)
        failed = int(non_finite_epoch[k])
        row = cell_columns(cell) | {
            "bias": part.network.bias, "optimizer": part.training.optimizer, "precision": part.training.precision,
            "epochs": part.training.total_epochs, "seed": seed, "data_seed": data_seed, "mse": mse, "mce": mce,
            "min_abs_neural_input": smallest, "non_finite_epoch": "" if failed < 0 else failed,
            "verdict": NON_FINITE, "first_order_residual": first_order,
        }  # fmt: skip
        if held_out is not None:
            row |= {"held_out_mce": float(held_out[0][k]), "held_out_N": held_out[1]}
        if failed < 0 and math.isfinite(mse):
            if certificates is None:
                row |= {"verdict": TOO_LARGE, "reason": omitted}
            elif (certificate := certificates[k]) is not None:
                names = ("verdict", "rank", "margin", "grad_norm", "region_mse", "region_mce", "reason", *AT_THE_POINT)
                row |= {name: getattr(certificate, name) for name in names}
        rows.append(row)
    return rows


def _diverged(cell: Cell, rows: Sequence[dict]) -> str:
    """How many repetitions overflowed, and since when; '' where none did. Their MCE is finite, but has no meaning."""
    failed = [row for row in rows if row["verdict"] == NON_FINITE]
    if not failed:
        return ""
    epochs = [row["non_finite_epoch"] for row in failed if row["non_finite_epoch"] != ""]
    since = f" (from epoch {min(epochs)} on)" if epochs else ""
    hint = "" if cell.part.training.optimizer == LEVENBERG_MARQUARDT else "; lower train.learning_rate"
    return f", {len(failed)} of {len(rows)} repetitions not finite{since}{hint}"
