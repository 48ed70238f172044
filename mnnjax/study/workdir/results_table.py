"""The columns of results.csv, in one table, and how its rows are written and read."""

import csv
import io
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mnnjax.config import UserError
from mnnjax.study.plan.grid import Cell
from mnnjax.study.workdir.storage import AnyPath

Value = int | float | str | bool | None

# Verdicts of a repetition that no certificate gives: the loss overflowed or became NaN, or the problem is too large.
NON_FINITE = "non_finite"
TOO_LARGE = "not_certified"
# Verdicts of local minima, and what they are called where little room is.
MINIMA = {"global_minimum": "global", "suboptimal_dlm": "differentiable", "suboptimal_kink": "kinks"}


def short(verdict: str) -> str:
    """A verdict in a word or two, for lines about many: 'global', 'not converged'."""
    return MINIMA.get(verdict, verdict.replace("_", " "))


class Column(NamedTuple):
    """One column of results.csv.

    type: str, int, float or bool.
    unit: '' where there is none: names, and numbers in the units of X and y, which have none.
    missing: when the field is empty or nan; '' where it never is.
    """

    name: str
    type: type
    meaning: str
    unit: str = ""
    missing: str = ""


FRACTION = "fraction, 0 to 1"
VOLUMES = "empty: volume studies"
TRAINING = "empty: training"
# Where the verdict is non_finite or not_certified, and in volume studies.
UNCERTIFIED = "empty: no certificate"
OVERFLOWED = f"nan or inf: training overflowed; {VOLUMES}"
ESTIMATE = "empty: not measured, or only its interval is known"
NO_REGION = f"nan: in no region, or the rank is in doubt; {UNCERTIFIED}"

NO_SPECTRUM = "empty: `train.spectrum` is `False`, volume studies"
NO_SPECTRUM_AT_END = f"{NO_SPECTRUM}; nan: training overflowed"
NO_DESCENT = "empty: `train.finish` is `none`, volume studies"
NOT_FINISHED = f"{NO_DESCENT}; or training overflowed, or the problem is too large"

# fmt: off
COLUMNS = (
    Column("study", str, "name of the study, or of the one in its `also`, that the cell belongs to"),
    Column("cell", str, "the cell: STUDY.hLAYERS.dD0xD1.NPOINTS; names its files in `cells/`"),
    Column("inputs", str, "where X comes from: `problem.inputs`"),
    Column("labels", str, "where y comes from: `problem.labels`"),
    Column("hidden_layers", int, "number of hidden layers, all d1 wide"),
    Column("d0", int, "input width; of images, after whitening"),
    Column("d1", int, "hidden width"),
    Column("N", int, "number of training points"),
    Column("rho", float, "slope of the activation for negative neural inputs; 0 is the ReLU"),
    Column("bias", bool, "`True` where every layer has a bias; in volume studies, where X has a column of ones"),
    Column("parameters", int, "number of parameters: W, z and biases"),
    Column("optimizer", str, "`train.optimizer`", missing=VOLUMES),
    Column("precision", str, "of training: `float32` or `float64`; what is measured is in float64", missing=VOLUMES),
    Column("epochs", int, "epochs in all, those of the decay included; `levenberg_marquardt` may have stopped before",
           "epochs", VOLUMES),
    Column("seed", int, "the repetition: initial weights and batches are drawn from it, or the draws of W"),
    Column("mse", float, "MSE at the end of training, on the training points: the mean of e^2 (eq 2.3)",
           missing=OVERFLOWED),
    Column("mce", float,
           "MCE at the end of training, on the training points: the fraction misclassified, not in percent", FRACTION,
           f"outputs that are NaN count as wrong; {VOLUMES}"),
    Column("min_abs_neural_input", float,
           "smallest absolute neural input over points, units and hidden layers (Figure 5.2)", missing=OVERFLOWED),
    Column("non_finite_epoch", int, "the first epoch, counted from 0, whose loss was NaN or infinite", "epochs",
           "empty: none was; volume studies"),
    Column("verdict", str,
           "what kind of point training ended at: `global_minimum`, `suboptimal_dlm`, `suboptimal_kink`, `saddle`, "
           "`not_converged`, `undecided`, `not_certified` or `non_finite`", missing=VOLUMES),
    Column("rank", int,
           "rank of A o X, of the last hidden layer and its inputs; N: every local minimum of the region is global",
           missing=f"{UNCERTIFIED}, in no region, or the rank is in doubt"),
    Column("margin", float, "of the certified minimum: its smallest absolute neural input, less all error bounds",
           missing=f"nan: no minimum was found; {UNCERTIFIED}"),
    Column("grad_norm", float, "norm of the gradient of the MSE in the last two layers",
           missing=f"nan: numbers too large; {UNCERTIFIED}"),
    Column("region_mse", float,
           "MSE of every differentiable local minimum of the region that training ended in (Lemma 2)",
           missing=NO_REGION),
    Column("region_mce", float, "MCE of these minima", FRACTION, NO_REGION),
    Column("reason", str, "the reason for the verdict, in one line", missing="empty: `non_finite`, volume studies"),
    Column("data_seed", int, "what X and y are drawn from; equal for repetitions that share their points"),
    Column("first_order_residual", float,
           "norm of (A o X) e / N, of the last hidden layer: 0 at a differentiable local minimum (eq 3.2)",
           missing=OVERFLOWED),
    Column("held_out_mce", float, "MCE on the test images", FRACTION,
           "empty: none are held out, random labels, volume studies"),
    Column("held_out_N", int, "number of test images", missing="empty: as `held_out_mce`"),
    Column("distance", float, "Euclidean distance in (W, z) from the end of training to the proven minimum",
           missing=f"nan: no minimum was found; {UNCERTIFIED}"),
    Column("kinks", int, "pairs of a neuron and a point whose neural input is held at zero", missing=UNCERTIFIED),
    Column("idle_neurons", int, "neurons that move no output: z = 0, or active at no point", missing=UNCERTIFIED),
    Column("escapes", bool, "of a sub-optimal minimum: an idle neuron can go at constant loss to where the loss falls",
           missing=UNCERTIFIED),
)
"""Of all studies, in the order of the file."""

AT_THE_POINT = ("distance", "kinks", "idle_neurons", "escapes")
"""Of a certificate; files of earlier versions lack them."""

SPECTRUM_COLUMNS = (
    Column("sigma_min_start", float,
           "the min(N, d0 d1)-th singular value of A o X with its rows scaled to norm 1, at initialization",
           missing=NO_SPECTRUM),
    Column("sigma_min", float, "the same at the end of training", missing=NO_SPECTRUM_AT_END),
    Column("lambda_min_start", float,
           "the smallest of the N eigenvalues of J J^T, J the Jacobian of the outputs in W, z and biases, at "
           "initialization; not normalized, 0 where parameters < N", missing=NO_SPECTRUM),
    Column("lambda_min", float, "the same at the end of training", missing=NO_SPECTRUM_AT_END),
)
"""What studies have beside COLUMNS where `train.spectrum` is `True`."""

MINIMUM_COLUMNS = (
    Column("minimum_verdict", str, "what kind of point the descent after training ended at, as `verdict`",
           missing=NO_DESCENT),
    Column("minimum_mse", float, "MSE there", missing=NOT_FINISHED),
    Column("minimum_mce", float, "MCE there", FRACTION, NOT_FINISHED),
    Column("minimum_kinks", int, "`kinks` there", missing=NOT_FINISHED),
    Column("minimum_distance", float, "distance from the end of training in W, z and biases, over the norm of those",
           missing=NOT_FINISHED),
    Column("descent_steps", int, "steps of the descent", "steps", NOT_FINISHED),
)
"""What studies have beside COLUMNS where `train.finish` is `minimum`, of the last two layers."""

_QUANTITIES = (
    Column("suboptimal", float, "V(L_eps): regions with a sub-optimal local minimum of MCE > eps", FRACTION, ESTIMATE),
    Column("candidates", float, "regions whose minima, if they hold any, are such: at least V(L_eps); of `splitting`",
           FRACTION, ESTIMATE),
    Column("global_minima", float, "V(G): regions with a global minimum", FRACTION, ESTIMATE),
    Column("rank_deficient", float, "regions with rank(A o X) < N: at least V(L_0)", FRACTION, ESTIMATE),
    Column("ratio", float, "V(L_eps) / V(G)", "inf where V(G) is 0", ESTIMATE),
)
QUANTITIES = tuple(column.name for column in _QUANTITIES)

# Each quantity has these beside it.
_ENDS = (
    Column("*_low", float, "lower end of the 95 % interval of each of these five", "as the five",
           "empty: not measured"),
    Column("*_high", float, "its upper end; inf for a ratio whose V(G) may be 0", "as the five", "empty: not measured"),
    Column("*_hits", int, "draws of W that are in such a region", "draws", "empty: not from counting"),
    Column("*_draws", int, "draws of W in all", "draws", "empty: not from counting"),
)

_METHOD = (
    Column("method", str, "how volumes were measured: `sampling`, `splitting` or `exact`", missing=TRAINING),
    Column("eps", float, "MCE above which a minimum counts as bad (Definition 4)", FRACTION, TRAINING),
    Column("global_minimum_mse", float, "MSE of the true global minimum, over all W and z, on the same points",
           missing="empty: `volume.global_minimum` is off, or rounding hides it; training"),
)
# fmt: on
VOLUME_COLUMNS = _METHOD + tuple(
    column._replace(name=column.name.replace("*", quantity.name))
    for quantity in _QUANTITIES
    for column in (quantity, *_ENDS)
)
"""What volume studies have beside COLUMNS, of which they leave empty what belongs to training."""

OPTIONAL = (SPECTRUM_COLUMNS, MINIMUM_COLUMNS, VOLUME_COLUMNS)
"""Of some studies: a table has those of a group whose first column is filled in some row."""


def cell_columns(cell: Cell) -> dict:
    """What all rows of a cell have in common, whether it is trained or its volumes are measured."""
    problem = cell.part.problem
    return {
        "study": cell.part.name, "cell": cell.id, "inputs": problem.inputs, "labels": problem.labels,
        "hidden_layers": cell.hidden_layers, "d0": cell.d0, "d1": cell.d1, "N": cell.N, "rho": cell.part.network.rho,
        "parameters": cell.parameters,
    }  # fmt: skip


def columns_in(rows: Sequence[Mapping]) -> list[Column]:
    """The columns of a table of these rows: COLUMNS, and the groups of OPTIONAL that some row has."""
    # A zero is a value.
    groups = (group for group in OPTIONAL if any(row.get(group[0].name) not in ("", None) for row in rows))
    return [*itertools.chain(COLUMNS, *groups)]


def _to_csv(rows: Sequence[dict]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, [column.name for column in columns_in(rows)], lineterminator="\n")
    writer.writeheader()
    # repr of a float reads back as the same float.
    writer.writerows({k: repr(float(v)) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return out.getvalue()


def _from_csv(content: bytes) -> list[dict]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def as_text(rows: Sequence[dict]) -> list[dict[str, str]]:
    """The rows as a file would give them back."""
    return _from_csv(_to_csv(rows).encode())


def read_csv(path: AnyPath) -> list[dict]:
    """Rows of a results.csv, or of another table, as dictionaries of strings; raises UserError where it is no table."""
    try:
        return _from_csv(path.read_bytes())
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and let `mnnjax run` write it again") from error


def typed(row: Mapping[str, str]) -> dict[str, Value]:
    """A row of results.csv with values of its columns' types. An empty field is nan in a column of floats, '' in one of
    text, otherwise None; likewise the columns of OPTIONAL in a file without them.

    Raises:
      KeyError, TypeError, ValueError: a column or a value is missing, or not of its type.
    """
    values = {column.name: _value(column, _text(row, column.name)) for column in COLUMNS}
    return values | {column.name: _value(column, row.get(column.name, "")) for column in itertools.chain(*OPTIONAL)}


def _text(row: Mapping[str, str], name: str) -> str:
    """Empty where a file of an earlier version lacks the column."""
    return row.get(name, "") if name in AT_THE_POINT else row[name]


def _value(column: Column, text: str) -> Value:
    if text:
        return {"True": True, "False": False}[text] if column.type is bool else column.type(text)
    if not column.missing:
        raise ValueError(f"{column.name} is empty")
    return {str: "", float: math.nan}.get(column.type)
