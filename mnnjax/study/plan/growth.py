"""A study that grows in its work folder: more repetitions, more values in its grids, more studies in `also`, longer
training. What is there already stays, and the results are those of the larger study run at once, to the last bit on a
CPU.

That holds since a repetition's keys come from its own seed and the shape of its cell alone, and since its arithmetic
does not depend on the other repetitions. Two cases are exceptions, as measured, and their cells are trained again:
  a cell of trained networks whose N is padded to another number of rows, since N has new values: sums of another length
    round otherwise;
  a cell with train.parallel="data" that gains repetitions: all of them go through the same matrix products.
Training goes on where its learning rate was constant so far: the state of the optimizer is kept beside the weights.
"""

import collections
import json
from collections.abc import Iterator, Mapping, Sequence

from mnnjax.config import Problem, Study, Train, from_dict, to_dict
from mnnjax.errors import first_difference
from mnnjax.study.plan.grid import Cell, cells
from mnnjax.wording import integer, plural

# The fields that may gain values, by the part of a study that has them.
GRIDS = {"problem": ("d0", "N", "d0_d1_over_N"), "network": ("d1", "hidden_layers", "d0_d1_over_N")}
# Those of `train` that longer training changes.
LENGTH = ("epochs", "decay_epochs", "decay_to")
ELSEWHERE = "choose another --workdir"


def obstacle(before: Study, after: Study, hint: str) -> str | None:
    """Why a folder of the study `before` cannot become one of `after`: '(FIELD: there X, here Y); HINT', of the first
    field that stands in the way; the given hint is for fields that never change. None: nothing does."""
    there, here = _deciding(to_dict(before), before.name), _deciding(to_dict(after), after.name)
    if before.name != after.name:
        return _told("name", before.name, after.name, hint)
    if lost := [name for name in there if name not in here]:
        keep = f"a study may gain parts, and keeps those that it has: add {lost[0]}, or {ELSEWHERE}"
        return _told("also", list(there)[1:], list(here)[1:], keep)
    paths = dict(zip(here, _paths(after), strict=True))
    found = (_obstacle_of_part(there[name], here[name], paths[name], hint) for name in there)
    return next(filter(None, found), None)


def _deciding(study: dict, name: str) -> dict[str, dict]:
    """By name, the study and those in `also`, each with the fields that decide its results: not its figure, how often
    it saves, or where a user's file lies, whose content execution/images.py compares."""
    train = study["train"] and {field: value for field, value in study["train"].items() if field != "checkpoint_chunks"}
    problem = {field: value for field, value in study["problem"].items() if field != "path"}
    problem["whitening"] = from_dict(Problem, study["problem"]).known_whitening
    own = {field: value for field, value in study.items() if field not in ("figure", "also", "name")}
    found = {name: own | {"train": train, "problem": problem}}
    for part in study["also"]:
        found |= _deciding(part, part["name"])
    return found


def _paths(study: Study, prefix: str = "") -> Iterator[str]:
    """What the fields of the study, and of those in `also`, begin with on the command line, in the order of `parts`."""
    yield prefix
    for k, part in enumerate(study.also):
        yield from _paths(part, f"{prefix}also.{k}.")


def _told(field: str, there: object, here: object, hint: str) -> str:
    return f"({field}: there {json.dumps(there)}, here {json.dumps(here)}); {hint}"


def _obstacle_of_part(there: dict, here: dict, path: str, hint: str) -> str | None:
    """As `obstacle`, of one part; path: what its fields' names begin with."""
    if difference := first_difference(_without_growth(there), _without_growth(here)):
        return f"({path}{difference}); {hint}"
    if here["repeats"] < there["repeats"]:
        keep = f"a study may gain repetitions, and loses none: give {there['repeats']} or more, or {ELSEWHERE}"
        return _told(f"{path}repeats", there["repeats"], here["repeats"], keep)
    for owner, fields in GRIDS.items():
        for field in fields:
            old, new = there[owner][field], here[owner][field]
            # An empty grid means something else than no values.
            if old != new and not (old and set(old) <= set(new)):
                keep = f"a grid may gain values, and keeps those that it has: give these too, or {ELSEWHERE}"
                return _told(f"{path}{owner}.{field}", old, new, keep)
    if there["train"] and (why := _obstacle_of_length(there["train"], here["train"])):
        field = next(field for field in LENGTH if there["train"][field] != here["train"][field])
        return _told(f"{path}train.{field}", there["train"][field], here["train"][field], f"{why}: {ELSEWHERE}")
    return None


def _obstacle_of_length(there: dict, here: dict) -> str | None:
    """Why training cannot go on from the end of that `there`; None where it can, or is the same."""
    if all(there[field] == here[field] for field in LENGTH):
        return None
    if there["decay_epochs"]:
        return f"the rate decayed in the last {integer(there['decay_epochs'])} epochs, and training cannot go on there"
    if here["epochs"] < there["epochs"]:
        return f"training has gone on for {integer(there['epochs'])} epochs at the constant rate, and cannot go back"
    if there["epochs"] % here["chunk_epochs"]:
        chunk = f"a chunk of {plural(here['chunk_epochs'], 'epoch')} (train.chunk_epochs)"
        return f"training ended in the middle of {chunk}, and cannot go on there"
    return None


def _without_growth(part: dict) -> dict:
    """A part without the fields that may grow."""
    train = part["train"] and {field: value for field, value in part["train"].items() if field not in LENGTH}
    grids = {
        owner: {field: value for field, value in part[owner].items() if field not in fields}
        for owner, fields in GRIDS.items()
    }
    return {field: value for field, value in part.items() if field != "repeats"} | grids | {"train": train}


def resumable(train: Train) -> bool:
    """Whether longer training may go on from the end of this one, so that its last state is kept."""
    return train.epochs > 0 and not train.decay_epochs and not train.epochs % train.chunk_epochs


def continues(epochs: int, train: Train) -> bool:
    """Whether training goes on from a state after so many epochs, fewer than all of them."""
    return epochs <= train.epochs and epochs < train.total_epochs and not epochs % train.chunk_epochs


def cells_like(study: Study, planned: Sequence[Cell]) -> list[Cell]:
    """The cells of a smaller study, before it grew into one that has the `planned` cells: of these the sizes of images
    are taken."""
    sizes = {cell.part.name: (cell.N, cell.d0) for cell in planned if cell.part.problem.is_image}
    names = {id(part.problem): part.name for part in study.parts}

    def image_shape(problem: Problem) -> tuple[int, int] | None:
        # With sizes N of its own a problem has at least so many images.
        N, d0 = sizes.get(names[id(problem)], (0, 0))
        return (max((N, *problem.N)), d0) if problem.is_image else None

    return cells(study, image_shape)


def to_train_again(before: Sequence[Cell], after: Sequence[Cell]) -> set[str]:
    """The ids of the cells that a study had before it grew, and that other programs train now."""
    there = {cell.id: cell for cell in before}

    def otherwise(cell: Cell, old: Cell) -> bool:
        # Repetitions that share the rows of X share their products as well.
        more_together = cell.data_parallel and cell.part.repeats > old.part.repeats
        return cell.part.train is not None and (cell.N_padded != old.N_padded or more_together)

    return {cell.id for cell in after if cell.id in there and otherwise(cell, there[cell.id])}


def describe_growth(before: Sequence[Cell], after: Sequence[Cell]) -> str:
    """'3 new cells, 30 more repetitions in 12 cells'; '' where the cells do not grow."""
    there = {cell.id: cell for cell in before}
    old = [(there[cell.id], cell) for cell in after if cell.id in there]
    repetitions = {cell.id: cell.part.repeats - was.part.repeats for was, cell in old}
    epochs = {cell.id: cell.steps - was.steps for was, cell in old if cell.part.train is not None}
    again = to_train_again(before, after)
    new = len(after) - len(old)
    parts = [
        plural(new, "new cell") if new else "",
        _more(repetitions, "more repetition"),
        _more(epochs, "more epoch"),
        f"{plural(len(again), 'cell')} to train again (padding)" if again else "",
    ]
    return ", ".join(filter(None, parts))


def _more(gained: Mapping[str, int], word: str) -> str:
    """'10 more epochs in 2 cells' for what each cell has gained; '' where none has."""
    counts = collections.Counter(count for count in gained.values() if count)
    return ", ".join(
        f"{plural(count, word)} in {'each of ' if number > 1 else ''}{plural(number, 'cell')}"
        for count, number in counts.items()
    )
