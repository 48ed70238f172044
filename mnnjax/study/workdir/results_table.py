"""What the columns of results.csv mean: the table of configs/results/README.md."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from mnnjax.config import UserError
from mnnjax.study.plan.grid import Cell
from mnnjax.study.workdir.storage import AnyPath


class Column(NamedTuple):
    """One column of results.csv, for people."""

    meaning: str
    unit: str = ""
    """'' where there is none: names, and numbers in the units of X and y, which have none."""
    missing: str = ""
    """When the field is empty or nan; '' where it never is."""


FRACTION = "fraction, 0 to 1"
VOLUMES = "empty: volume studies"
# Where the verdict is non_finite or not_certified, and in volume studies.
UNCERTIFIED = "empty: no certificate"
OVERFLOWED = f"nan or inf: training overflowed; {VOLUMES}"
ESTIMATE = "empty: not measured, or only its interval is known"
NO_REGION = f"nan: in no region, or the rank is in doubt; {UNCERTIFIED}"

MEANINGS = {
    "study": Column("name of the study, or of the one in its `also`, that the cell belongs to"),
    "cell": Column("the cell: STUDY.hLAYERS.dD0xD1.NPOINTS; names its files in `cells/`"),
    "inputs": Column("where X comes from: `problem.inputs`"),
    "labels": Column("where y comes from: `problem.labels`"),
    "hidden_layers": Column("number of hidden layers, all d1 wide"),
    "d0": Column("input width; of images, after whitening"),
    "d1": Column("hidden width"),
    "N": Column("number of training points"),
    "rho": Column("slope of the activation for negative neural inputs; 0 is the ReLU"),
    "bias": Column("`True` where every layer has a bias; in volume studies, where X has a column of ones"),
    "parameters": Column("number of parameters: W, z and biases"),
    "optimizer": Column("`train.optimizer`", missing=VOLUMES),
    "precision": Column("of training: `float32` or `float64`; what is measured is in float64", missing=VOLUMES),
    "epochs": Column(
        "epochs in all, those of the decay included; `levenberg_marquardt` may have stopped before", "epochs", VOLUMES
    ),
    "seed": Column("the repetition: initial weights and batches are drawn from it, or the draws of W"),
    "mse": Column("MSE at the end of training, on the training points: the mean of e^2 (eq 2.3)", missing=OVERFLOWED),
    "mce": Column(
        "MCE at the end of training, on the training points: the fraction misclassified, not in percent",
        FRACTION,
        f"outputs that are NaN count as wrong; {VOLUMES}",
    ),
    "min_abs_neural_input": Column(
        "smallest absolute neural input over points, units and hidden layers (Figure 5.2)", missing=OVERFLOWED
    ),
    "non_finite_epoch": Column(
        "the first epoch, counted from 0, whose loss was NaN or infinite", "epochs", "empty: none was; volume studies"
    ),
    "verdict": Column(
        "what kind of point training ended at: `global_minimum`, `suboptimal_dlm`, `non_differentiable`, "
        "`not_converged`, `not_certified` or `non_finite`",
        missing=VOLUMES,
    ),
    "rank": Column(
        "rank of A o X, of the last hidden layer and its inputs; N: every local minimum of the region is global",
        missing=f"{UNCERTIFIED}, in no region, or the rank is in doubt",
    ),
    "margin": Column(
        "of the certified minimum: its smallest absolute neural input, less all error bounds",
        missing=f"nan: no minimum was found; {UNCERTIFIED}",
    ),
    "grad_norm": Column(
        "norm of the gradient of the MSE in the last two layers", missing=f"nan: numbers too large; {UNCERTIFIED}"
    ),
    "region_mse": Column(
        "MSE of every differentiable local minimum of the region that training ended in (Lemma 2)",
        missing=NO_REGION,
    ),
    "region_mce": Column("MCE of these minima", FRACTION, NO_REGION),
    "reason": Column("why the verdict is what it is, in a line", missing="empty: `non_finite`, volume studies"),
    "data_seed": Column("what X and y are drawn from; equal for repetitions that share their points"),
    "first_order_residual": Column(
        "norm of (A o X) e / N, of the last hidden layer: 0 at a differentiable local minimum (eq 3.2)",
        missing=OVERFLOWED,
    ),
    "held_out_mce": Column(
        "MCE on the test images", FRACTION, "empty: none are held out, random labels, volume studies"
    ),
    "held_out_N": Column("number of test images", missing="empty: as `held_out_mce`"),
    "method": Column("how volumes were measured: `sampling`, `splitting` or `exact`", missing="empty: training"),
    "eps": Column("MCE above which a minimum counts as bad (Definition 4)", FRACTION, "empty: training"),
    "suboptimal": Column("V(L_eps): regions with a sub-optimal local minimum of MCE > eps", FRACTION, ESTIMATE),
    "candidates": Column(
        "regions whose minima, if they hold any, are such: at least V(L_eps); of `splitting`", FRACTION, ESTIMATE
    ),
    "global_minima": Column("V(G): regions with a global minimum", FRACTION, ESTIMATE),
    "rank_deficient": Column("regions with rank(A o X) < N: at least V(L_0)", FRACTION, ESTIMATE),
    "ratio": Column("V(L_eps) / V(G)", "inf where V(G) is 0", ESTIMATE),
    "*_low": Column("lower end of the 95 % interval of each of these five", "as the five", "empty: not measured"),
    "*_high": Column("upper end of it; inf for a ratio whose V(G) may be 0", "as the five", "empty: not measured"),
    "*_hits": Column("how many draws of W counted", "draws", "empty: not from counting"),
    "*_draws": Column("of how many", "draws", "empty: not from counting"),
}
"""Every column of results.csv, in order: COLUMNS, then VOLUME_COLUMNS, which only volume studies write;
of these the five quantities share their ends and counts, "*_low" and so on."""


def explain(column: str) -> Column:
    """What a column of results.csv means; KeyError where there is no such column."""
    return MEANINGS.get(column) or MEANINGS[f"*_{column.rpartition('_')[2]}"]


def markdown() -> str:
    """The table as Markdown."""
    head = ["| column | meaning | unit | empty or nan |", "|---|---|---|---|"]
    return "\n".join([*head, *(f"| `{name}` | {' | '.join(column)} |" for name, column in MEANINGS.items())]) + "\n"


COLUMNS = (
    "study", "cell", "inputs", "labels", "hidden_layers", "d0", "d1", "N", "rho", "bias", "parameters",
    "optimizer", "precision", "epochs", "seed", "mse", "mce", "min_abs_neural_input", "non_finite_epoch", "verdict",
    "rank", "margin", "grad_norm", "region_mse", "region_mce", "reason", "data_seed", "first_order_residual",
    "held_out_mce", "held_out_N",
)  # fmt: skip


# Of volume studies, which leave what belongs to training empty; `method` is theirs alone.
QUANTITIES = ("suboptimal", "candidates", "global_minima", "rank_deficient", "ratio")


VOLUME_COLUMNS = (
    "method", "eps", *(q + suffix for q in QUANTITIES for suffix in ("", "_low", "_high", "_hits", "_draws")),
)  # fmt: skip


# A repetition's verdict: that of its certificate, or where there is none because the loss overflowed or became NaN, or
# because the problem is too large for one.
NON_FINITE = "non_finite"


TOO_LARGE = "not_certified"


def cell_columns(cell: Cell) -> dict:
    """What all rows of a cell have in common, whether it is trained or its volumes are measured."""
    problem = cell.part.problem
    return {
        "study": cell.part.name, "cell": cell.id, "inputs": problem.inputs, "labels": problem.labels,
        "hidden_layers": cell.hidden_layers, "d0": cell.d0, "d1": cell.d1, "N": cell.N, "rho": cell.part.network.rho,
        "parameters": cell.parameters,
    }  # fmt: skip


def _to_csv(rows: Sequence[dict]) -> str:
    out = io.StringIO()
    columns = (*COLUMNS, *VOLUME_COLUMNS) if any(row.get("method") for row in rows) else COLUMNS
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    # repr of a float reads back as the same float.
    writer.writerows({k: repr(float(v)) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return out.getvalue()


def _from_csv(content: bytes) -> list[dict]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def read_csv(path: AnyPath) -> list[dict]:
    """Rows of a results.csv as dictionaries of strings; older files may lack columns.

    Raises:
      UserError: it is no table.
    """
    try:
        return _from_csv(path.read_bytes())
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and let `mnnjax run` write it again") from error
