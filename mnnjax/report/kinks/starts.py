"""What the descents of a study start from. Parts of one start differ in their sizes only, and are shown as one."""

import collections
from collections.abc import Sequence

from mnnjax.config import Study
from mnnjax.report.common.minima import Start, with_descents
from mnnjax.report.common.rows import Row, grouped, rows_of

_RANDOM = {
    "gaussian": "Gaussian weights", "he": "He initialization", "he_balanced": "He, balanced signs",
}  # fmt: skip


def gather(study: Study, rows: Sequence[Row]) -> list[Start]:
    """The starts of all parts with this figure, in their order; without those that have no descent yet."""
    parts = grouped((part for part in study.parts if part.figure == "kinks"), _settings)
    names = collections.Counter(_phrase(same[0]) for same in parts.values())
    starts = []
    for same in parts.values():
        phrase, trained = _phrase(same[0]), bool(same[0].training.total_epochs)
        name = phrase if names[phrase] == 1 else f"{phrase}, {same[0].name}"
        starts.append(Start(name, trained, with_descents(row for part in same for row in rows_of(part, rows))))
    return [start for start in starts if start.cells]


def _phrase(part: Study) -> str:
    """'after adam', 'Gaussian weights'."""
    if part.training.total_epochs:
        return f"after {part.training.optimizer}"
    return _RANDOM.get(part.network.init, f"weights by {part.network.init}")


def _settings(part: Study) -> tuple:
    """All that, beside sizes and seeds, determines where a descent starts and on which points."""
    problem, network = part.problem, part.network
    return (
        problem.inputs, problem.labels, problem.label_values, problem.teacher_units,
        network.rho, network.bias, network.init, part.training,
    )  # fmt: skip
