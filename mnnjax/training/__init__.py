"""How networks are trained."""

from mnnjax.training.evaluate import Evaluation, add_sums, from_sums, make_evaluation, make_stream
from mnnjax.training.loop import learning_rate, make_training
from mnnjax.training.newton import NewtonOptions, newton_options
from mnnjax.training.optimizer import NEWTON, check_optimizer, make_optimizer, optimizer_names, optimizer_options
from mnnjax.training.polish import polish
from mnnjax.training.rows import RowLayout, from_bits, place_rows, row_devices
from mnnjax.training.sharded import make_row_training
from mnnjax.training.state import Metrics, Training, TrainState

__all__ = [
    "NEWTON",
    "Evaluation",
    "Metrics",
    "NewtonOptions",
    "RowLayout",
    "TrainState",
    "Training",
    "add_sums",
    "check_optimizer",
    "from_bits",
    "from_sums",
    "learning_rate",
    "make_evaluation",
    "make_optimizer",
    "make_row_training",
    "make_stream",
    "make_training",
    "newton_options",
    "optimizer_names",
    "optimizer_options",
    "place_rows",
    "polish",
    "row_devices",
]
