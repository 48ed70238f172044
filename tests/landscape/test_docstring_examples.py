"""The examples in the docstrings of mnnjax.landscape, and of training.polish, run as they stand."""

import inspect
import textwrap

import jax
import numpy as np
import pytest

import mnnjax
from mnnjax import landscape
from mnnjax.training import polish

FUNCTIONS = {name: getattr(landscape, name) for name in landscape.__all__} | {"polish": polish}
EXAMPLES = {
    name: textwrap.dedent(function.__doc__.expandtabs().split("Example:\n")[1])
    for name, function in FUNCTIONS.items()
    if inspect.isfunction(function) and "Example:" in function.__doc__
}
LONG = ("estimate_volumes", "estimate_expected_volumes", "exact_volumes", "polish", "run_splitting", "split_volume")


class Tensor:
    """A tensor of PyTorch that requires grad, as far as the examples use it."""

    def __init__(self, values):
        self.values = np.asarray(values, np.float32)

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.values

    def item(self):
        return self.values.item()


class Linear:
    def __init__(self, weight, bias):
        self.weight, self.bias = Tensor(weight), Tensor(bias)


def network():
    """X, y, W, z, c, and the same with biases as PyTorch's layers l1 and l2, whose outputs are other labels, (N, 1)."""
    rng = np.random.default_rng(0)
    X, W, z = rng.standard_normal((6, 2)), rng.standard_normal((4, 2)), rng.standard_normal(4)
    l1, l2 = Linear(rng.standard_normal((4, 2)), rng.standard_normal(4)), Linear(z[None], [0.25])
    return X, W, z, l1, l2, rng.integers(0, 2, 6).astype(float)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in EXAMPLES])
def test_examples_run(name, capsys):
    X, W, z, l1, l2, y = network()
    names = {k: v for k, v in vars(landscape).items() if k in landscape.__all__}
    names |= {"X": X, "y": y, "W": W, "z": z, "c": 0.0, "l1": l1, "l2": l2, "polish": polish}
    exec(EXAMPLES[name], names | {"np": np, "jax": jax, "mnnjax": mnnjax})
    if "print(" in EXAMPLES[name]:
        assert capsys.readouterr().out


def test_the_recipe_for_pytorch_is_about_the_network_that_pytorch_has():
    X, _, _, l1, l2, _ = network()
    X = X.astype(np.float32)
    inputs = X @ l1.weight.values.T + l1.bias.values
    y = np.maximum(inputs, 0) @ l2.weight.values.T + l2.bias.values
    names = {"X": X, "y": y, "l1": l1, "l2": l2, "np": np, "certify": landscape.certify}
    recipe = EXAMPLES["certify"].split("\n\n")[1].replace("certify(", "found = certify(").splitlines()
    exec("\n".join(recipe[:-1]), names)
    found = names["found"]
    # The labels are its outputs, in float32.
    assert 0 < found.mse < 1e-12
    assert found.verdict in ("global_minimum", "suboptimal_dlm")
    assert found.min_abs_neural_input == pytest.approx(np.abs(inputs).min(), rel=1e-4)
