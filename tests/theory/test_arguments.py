"""What is refused, and in which words."""

import inspect
import math
import sys

import numpy as np
import pytest

from mnnjax import theory
from mnnjax.config import UserError

GOOD = {"N": 100, "d0": 10, "d1": 20, "eps": 0.1, "rho": 0.0, "d1_star": 3, "d0_over_N": 0.1, "delta": 0.05}
FUNCTIONS = [
    theory.gamma,
    theory.log_volume_suboptimal,
    theory.log_volume_suboptimal_corollary7,
    theory.d1_star,
    theory.log_volume_global,
    theory.log_volume_ratio,
    theory.log_volume_ratio_theorem10_last,
    theory.delta,
    theory.log_crossover,
    theory.product_from_which_ratio_is_negative,
    theory.assumptions,
    theory.bounds_table,
]
NOT_NUMBERS = (math.nan, math.inf, -math.inf, "3", True, [1, 2], np.ones(3), np.ones((1, 1)), 1j)
BAD = {
    "N": (0, -5, 2.5, 10**400, 1e101, None, *NOT_NUMBERS),
    "d0": (1, 0, -3, 2.5, 10**400, None, *NOT_NUMBERS),
    "d1": (0, -1, 1.5, 10**400, None, *NOT_NUMBERS),
    "eps": (0, 1, -0.1, 1.5, None, *NOT_NUMBERS),
    "rho": (1, 1.0, None, *NOT_NUMBERS),
    "d1_star": (0, 0.5, -2, 10**400, *NOT_NUMBERS),
    "d0_over_N": (-0.1, None, *NOT_NUMBERS),
    "delta": (0, 1, -0.1, 1.5, None, *NOT_NUMBERS),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_in_one_line(function, name):
    arguments = {key: GOOD[key] for key in inspect.signature(function).parameters}
    function(**arguments)
    for bad in BAD[name] if name in arguments else ():
        with pytest.raises(UserError, match=rf"^{name}: ") as caught:
            function(**{**arguments, name: bad})
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 120
        assert "give" in message or "needs" in message or "use" in message


def test_messages():
    with pytest.raises(ValueError, match=r"^N: has shape \(3,\); give a single number$"):
        theory.delta(np.ones(3), 5)
    with pytest.raises(ValueError, match=r"^N: is a list of length 2; give a single number$"):
        theory.delta([1, 2], 5)
    with pytest.raises(ValueError, match=r"^d0: 1 is too small; an input needs at least d0 = 2 numbers$"):
        theory.d1_star(10, 1)
    with pytest.raises(ValueError, match=r"^eps: 1\.5 is not strictly between 0 and 1; give a fraction such as 0\.1$"):
        theory.gamma(1.5, 0, 0)
    with pytest.raises(ValueError, match=r"^rho: 1 makes the network linear"):
        theory.gamma(0.5, 0, 1)


def test_values_are_plain_numbers_and_the_modules_know_no_arrays():
    own = [module for name, module in sys.modules.items() if name.startswith("mnnjax.theory.")]
    used = {value.__name__ for module in own for value in vars(module).values() if inspect.ismodule(value)}
    assert used == {"dataclasses", "math", "mnnjax.theory.expressions"}
    assert type(theory.gamma(np.float64(0.1), 0.1, 0)) is float
    assert sys.float_info.max > abs(theory.log_volume_global(10**100, 10**100))
