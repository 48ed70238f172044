"""How networks are trained."""

from mnnjax.training.evaluate import Evaluation, add_in_halves, add_sums, from_sums, make_evaluation, make_stream
from mnnjax.training.levenberg_marquardt import LevenbergMarquardtOptions
from mnnjax.training.loop import learning_rate, make_training
from mnnjax.training.optimizer import (
    LEVENBERG_MARQUARDT,
    check_optimizer,
    levenberg_marquardt_options,
    make_optimizer,
    optimizer_names,
    optimizer_options,
)
from mnnjax.training.own import check_own
from mnnjax.training.polish import polish
from mnnjax.training.rows import RowLayout, from_bits, place_rows, row_devices
from mnnjax.training.sharded import make_row_training
from mnnjax.training.state import Metrics, Training, TrainState

__all__ = [
    "LEVENBERG_MARQUARDT", "Evaluation", "LevenbergMarquardtOptions", "Metrics", "RowLayout", "TrainState", "Training",
    "add_in_halves", "add_sums", "check_optimizer", "check_own", "from_bits", "from_sums", "learning_rate",
    "levenberg_marquardt_options", "make_evaluation", "make_optimizer", "make_row_training", "make_stream",
    "make_training", "optimizer_names", "optimizer_options", "place_rows", "polish", "row_devices",
]  # fmt: skip
