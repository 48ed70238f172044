"""What a study is: Problem, Network, Train, Volume and Study, and the study as JSON."""

from mnnjax.config.problem import Problem
from mnnjax.config.serialization import digest, from_dict, to_dict
from mnnjax.config.study import ROW_BLOCKS, Network, Study, Train, Volume
from mnnjax.errors import UserError

__all__ = [
    "ROW_BLOCKS", "Network", "Problem", "Study", "Train", "UserError", "Volume", "digest", "from_dict", "to_dict",
]  # fmt: skip
