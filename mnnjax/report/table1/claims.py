"""Table 1's cells against the paper's rows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from mnnjax.config import Problem, Study
from mnnjax.report.common.findings import Finding, Verdict, overall
from mnnjax.report.common.rows import Cell, Row, cells, rows_of
from mnnjax.report.common.settings import inputs_name
from mnnjax.wording import of, ratio

# "About as many parameters as points": the paper's own rows reach 1.008.
AS_MANY = 1.1
# An MCE that was computed in float32 is off by 6e-8 of itself.
ROUNDING = 1e-6


class PaperRow(NamedTuple):
    """A row of the paper's Table 1, as printed there; the MCE is a fraction."""

    data: str
    mce: float
    d0: int
    d1: int
    N: int
    parameters_per_point: float


MNIST = PaperRow("MNIST", 0.0, 784, 89, 70_000, 0.999)
CIFAR = PaperRow("CIFAR-10", 0.0, 3072, 16, 50_000, 0.983)
IMAGENET = PaperRow("ImageNet 64x64", 0.001, 12_288, 105, 1_280_000, 1.008)
PAPER = (MNIST, CIFAR, IMAGENET)

_OF_THE_PAPER = {"mnist": MNIST, "cifar10": CIFAR, "imagenet64": IMAGENET}
_SUBSETS = {"tiny_imagenet": IMAGENET}
_STAND_INS = {"patches32": CIFAR, "patches64": IMAGENET}


def paper_row(problem: Problem, cell: Cell) -> PaperRow | None:
    """The paper's row that the cell stands beside: of the same data, or of the data whose shape it has."""
    if problem.is_image:
        return (_OF_THE_PAPER | _SUBSETS | _STAND_INS).get(problem.inputs)
    # ImageNet's N is beyond most machines, so its width alone counts.
    return next((row for row in PAPER if row.d0 == cell.d0 and (row.N == cell.N or row is IMAGENET)), None)


def is_of_the_paper(problem: Problem) -> bool:
    """Whether the points and their labels are those of a row of the paper, and no stand-in."""
    return problem.inputs in _OF_THE_PAPER and problem.labels == "classes"


def relation(problem: Problem) -> str:
    """What the data are to those of the paper's row: '' where they are the same, 'part of ', or 'stand-in for '."""
    if problem.labels == "classes" and problem.inputs in _SUBSETS:
        return "part of "
    return "" if is_of_the_paper(problem) else "stand-in for "


def data_name(problem: Problem) -> str:
    """'MNIST'; 'patches 32x32x3 with random labels'."""
    labels = {"classes": "", "random": " with random labels"}.get(problem.labels, " with labels of a teacher")
    return inputs_name(problem) + labels


def first_without_paper_row(study: Study, rows: Sequence[Row]) -> str | None:
    """The first part with this figure and with rows, none of which has the data or the shape of a row of the paper."""
    parts = ((part, cells(rows_of(part, rows))) for part in study.parts if part.figure == "table1")
    without = (p.name for p, shown in parts if shown and not any(paper_row(p.problem, cell) for cell in shown))
    return next(without, None)


def verdict(problem: Problem, cell: Cell) -> Verdict:
    """Holds when all repetitions reach the MCE that the paper prints for the data (0 but for ImageNet or a part of it),
    with few parameters; one that reaches it with more of them says nothing about the claim."""
    imagenet = relation(problem) != "stand-in for " and paper_row(problem, cell) is IMAGENET
    limit = IMAGENET.mce * (1 + ROUNDING) if imagenet else 0.0
    if sum(mce <= limit for mce in cell.mce) < len(cell.rows):
        return "fails"
    return "holds" if cell.parameters_per_point <= AS_MANY else "undecided"


def residuals(cells: Sequence[Cell]) -> list[float]:
    """The first-order residuals of the finite repetitions that have one."""
    return [r.first_order_residual for c in cells for r in c.finite if math.isfinite(r.first_order_residual)]


def held_out(cells: Sequence[Cell]) -> list[Row]:
    """The finite repetitions that were tested on held-out points."""
    return [r for c in cells for r in c.finite if r.held_out_N and math.isfinite(r.held_out_mce)]


def finding(problem: Problem, cells: Sequence[Cell]) -> Finding:
    """Table 1 against its claim, row by row."""
    status, numbers = overall((verdict(problem, cell) for cell in cells), "row")
    total = sum(len(c.rows) for c in cells)
    per_point = [ratio(end([c.parameters_per_point for c in cells])) for end in (min, max)]
    return Finding(
        claim="The training MCE is 0 % (ImageNet: 0.1 %) with about as many parameters as points.",
        measured=(
            f"{of(sum(c.zero_mce for c in cells), total, 'repetition')} have MCE 0; parameters / N: "
            f"{' to '.join(dict.fromkeys(per_point))}.",
        ),
        criterion="A row agrees when every repetition has MCE 0 (images of ImageNet 64x64: MCE <= 0.1 %, as in the "
        f"paper) and parameters / N <= {AS_MANY}; it cannot be judged when every repetition has, with more parameters.",
        status=status,
        because=(numbers,),
        question="Does training reach zero error with about as many parameters as points?",
        answer=f"{of(sum(c.zero_mce for c in cells), total, 'repetition')} have MCE 0, with parameters / N of "
        f"{' to '.join(dict.fromkeys(per_point))}.",
    )
