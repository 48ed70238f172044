"""Table 1 against the paper's claim, row by row."""

from collections.abc import Sequence

from mnnjax.config import Problem
from mnnjax.report.common.findings import Finding, non_finite_sentence, overall
from mnnjax.report.common.rows import Cell
from mnnjax.report.table1.analysis import AS_MANY, verdict
from mnnjax.wording import of, plural, ratio


def finding(problem: Problem, cells: Sequence[Cell]) -> Finding:
    """The rows of Table 1 that agree."""
    verdicts = [verdict(problem, cell) for cell in cells]
    agree, disagree, undecided = (verdicts.count(v) for v in ("agrees", "does not agree", "cannot be judged"))
    total = sum(len(c.rows) for c in cells)
    per_point = sorted(c.parameters_per_point for c in cells)
    return Finding(
        claim="The training MCE is 0 % (ImageNet: 0.1 %) with about as many parameters as points.",
        measured=(
            f"{of(sum(c.zero_mce for c in cells), total, 'repetition')} have MCE 0, with parameters / N from "
            f"{ratio(per_point[0])} to {ratio(per_point[-1])}.",
            *non_finite_sentence(cells),
        ),
        criterion="A row agrees when every repetition has MCE 0 (ImageNet 64x64 itself: MCE <= 0.1 %, as in the paper) "
        f"and parameters / N <= {AS_MANY}; it cannot be judged when every repetition has, with more parameters.",
        status=overall(agree, disagree, undecided),
        because=(f"Of {plural(len(cells), 'row')}, {agree} agree, {disagree} do not, {undecided} cannot be judged.",),
    )
