"""How networks are trained."""

from mnnjax.training.evaluate import Evaluation, make_evaluation
from mnnjax.training.loop import Metrics, Training, TrainState, learning_rate, make_optimizer, make_training

__all__ = [
    "Evaluation",
    "Metrics",
    "TrainState",
    "Training",
    "learning_rate",
    "make_evaluation",
    "make_optimizer",
    "make_training",
]
