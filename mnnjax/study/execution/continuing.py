"""What is left of a cell whose study has grown: the pieces in which it runs, and the state where training goes on."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from mnnjax.errors import first_difference
from mnnjax.study.execution.chunks import Context
from mnnjax.study.plan.grid import Cell
from mnnjax.study.workdir.results_table import TOO_LARGE
from mnnjax.study.workdir.weights import Arrays, forms
from mnnjax.study.workdir.workdir import MINIMUM, STATE, WEIGHTS, Workdir

# Of the file of a state: the number of epochs that it has behind it.
EPOCHS = "epochs"


def pieces(cell: Cell, context: Context) -> list[Cell]:
    """What is left to run of an unfinished cell, in its order. Where training goes on, that is a piece of the
    repetitions that are kept; the repetitions that the study gained are another. A checkpoint of fewer repetitions,
    from before the study grew, makes a third: they are finished first."""
    have, ends = context.workdir.kept(cell), [0]
    if have is not None and not _has_arrays(cell, context):
        why = "weights of its first repetitions are missing or damaged"
        context.warn(cell, f"{cell.id}: {why}: it is trained from the beginning")
        context.workdir.drop_kept(cell)
        have = None
    if have is not None and cell.part.train is not None and have.epochs < cell.steps:
        ends.append(have.repetitions)
    elif have is not None:
        ends = [have.repetitions]
    rest = _piece(cell, ends[-1], cell.part.repeats)
    if ends[-1] < cell.part.repeats:
        begun = None if cell.data_parallel else _repetitions_of_checkpoint(rest, context)
        ends += [ends[-1] + begun] if begun is not None and 0 < begun < rest.repeats else []
        ends.append(cell.part.repeats)
    return [_piece(cell, start, end) for start, end in itertools.pairwise(ends)]


def remaining(workdir: Workdir, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that are not finished, for an estimate: each with the repetitions, or the epochs, that it lacks."""
    found = []
    for cell in workdir.left(cells):
        have, train = workdir.kept(cell), cell.part.train
        if have is not None and train is not None and have == (cell.repeats, have.epochs):
            rest = dataclasses.replace(train, epochs=train.epochs - have.epochs)
            cell = dataclasses.replace(cell, part=dataclasses.replace(cell.part, train=rest))
        found.append(cell)
    return found


def _piece(cell: Cell, start: int, end: int) -> Cell:
    whole = (start, end) == (0, cell.part.repeats)
    return dataclasses.replace(cell, only=None if whole else range(start, end))


def _has_arrays(cell: Cell, context: Context) -> bool:
    """Whether the arrays are there to which those of further repetitions are joined."""
    if cell.part.train is None:
        return True
    arrays, rows = context.workdir.kept_arrays(cell), context.workdir.kept_rows(cell)
    below = cell.descents and rows[0].get("minimum_verdict") != TOO_LARGE
    return all(
        end in arrays and all(len(leaf) >= len(rows) for leaf in arrays[end].values())
        for end in ((WEIGHTS, MINIMUM) if below else (WEIGHTS,))
    )


def _repetitions_of_checkpoint(cell: Cell, context: Context) -> int | None:
    for of in ("", ".descents"):
        with context.checkpoints(cell, of) as checkpoints:
            if (found := checkpoints.repetitions()) is not None:
                return found
    return None


def state_arrays(epochs: int, state: Any) -> Arrays:
    """A state of training on the host, with its number of epochs, as the arrays of a file."""
    leaves = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(state)}
    return leaves | {EPOCHS: np.asarray(epochs, np.int64)}


def earlier_state(cell: Cell, template: Any, context: Context) -> tuple[int, Any] | None:
    """The state, with the number of its epochs, from which the training of a cell goes on that was shorter; None where
    it begins. Warns where the state is missing or damaged."""
    have = context.workdir.kept(cell)
    if have is None or cell.repetitions.start or have.epochs in (0, cell.steps):
        return None
    arrays = context.workdir.kept_arrays(cell).get(STATE, {})
    epochs = int(arrays.pop(EPOCHS, -1))
    arrays = {name: leaf[: cell.repeats] for name, leaf in arrays.items()}
    wanted = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(template)}
    if not have.epochs <= epochs <= cell.steps or first_difference(forms(arrays), forms(wanted)):
        why = f"the state of its optimizer after {have.epochs} epochs is missing or damaged"
        context.warn(cell, f"{cell.id}: {why}: it is trained from the beginning")
        return None
    return epochs, jax.tree.unflatten(jax.tree.structure(template), [arrays[name] for name in wanted])
