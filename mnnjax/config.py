"""What a study is: frozen dataclasses, checked when they are made, to and from JSON.

A study is a grid of cells; a cell is one problem shape (N, d0, d1, hidden layers); a cell is repeated over seeds.
"""

import dataclasses
import hashlib
import json
import math
import types
import typing
from typing import Literal


class UserError(ValueError):
    """The user's input is wrong: one line that says what, where and how to mend it (exit code 2)."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def _require_grid(name: str, values: tuple, minimum: float, mend: str) -> None:
    for value in values:
        _require(math.isfinite(value) and value >= minimum, f"{name}: {value} is too small; {mend}")
    _require(len(set(values)) == len(values), f"{name}: {values} names a value twice; give each value once")


def _require_types(prefix: str, config) -> None:
    """Every field holds a value of its annotated type; dataclasses do not check that themselves."""
    for name, hint in typing.get_type_hints(type(config)).items():
        value = getattr(config, name)
        if typing.get_origin(hint) is Literal:
            expected = "one of " + ", ".join(map(repr, typing.get_args(hint)))
        else:
            expected = f"of type {getattr(hint, '__name__', hint)}" if isinstance(hint, type) else f"of type {hint}"
        _require(_fits(value, hint), f"{prefix}{name}: {value!r} is not {expected}")


def _fits(value, hint) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, h) for h in arguments)
    if origin is tuple:
        hints = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return isinstance(value, tuple) and len(hints) == len(value) and all(map(_fits, value, hints))
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Where the points X (N, d0) and the labels y (N,) come from."""

    inputs: Literal["gaussian", "sphere", "rademacher", "digits"] = "gaussian"
    """gaussian: i.i.d. standard normal. sphere: uniform, of norm sqrt(d0). rademacher: +1 or -1.
    digits: the 1797 real 8x8 images bundled with scikit-learn, 0-4 against 5-9, PCA-whitened."""
    labels: Literal["random", "teacher", "classes"] = "random"
    """random: each value with probability 1/2. teacher: by a random network (Assumption 5). classes: of the images."""
    label_values: Literal["zero_one", "plus_minus_one"] = "plus_minus_one"
    """The two values of y: 0 and 1 (the theory) or -1 and +1 (Figure 5.1)."""
    teacher_units: int = 0
    """d1* of Assumption 5, hidden units of the teacher; with labels=teacher only."""
    d0: tuple[int, ...] = ()
    """Input widths; for images the data say, so leave it empty."""
    N: tuple[int, ...] = ()
    """Numbers of points; for images, empty means all and a number means a random subset for each repetition."""
    d0_d1_over_N: tuple[float, ...] = ()
    """Instead of N: first-layer weights per point, N = floor(d0 d1 / value)."""

    def __post_init__(self):
        _require_types("problem.", self)
        _require(not (self.N and self.d0_d1_over_N), "problem: N and d0_d1_over_N are both given; keep one of them")
        _require_grid("problem.d0", self.d0, 2, "an input needs at least d0 = 2 numbers")
        _require_grid("problem.N", self.N, 1, "a problem needs at least N = 1 point")
        ratios = self.d0_d1_over_N
        _require(all(r > 0 for r in ratios), f"problem.d0_d1_over_N: {ratios} holds a value that is not positive")
        _require_grid("problem.d0_d1_over_N", ratios, 0, "give positive values")
        if self.inputs == "digits":
            _require(self.labels != "teacher", "problem.labels: images have no teacher; use 'classes' or 'random'")
            _require(not self.d0, "problem.d0: the images decide d0; leave it empty")
        else:
            _require(bool(self.d0), "problem.d0: the grid is empty; give at least one input width")
            _require(bool(self.N or ratios), "problem.N: the grid is empty; give N or d0_d1_over_N")
            _require(self.labels != "classes", f"problem.labels: 'classes' needs images, not {self.inputs} inputs")
        if self.labels == "teacher":
            _require(self.teacher_units >= 1, "problem.teacher_units: a teacher needs at least 1 hidden unit")
        else:
            _require(self.teacher_units == 0, "problem.teacher_units: it only goes with problem.labels='teacher'")

    @property
    def threshold(self) -> float:
        """The output above which a point counts as of the upper class."""
        return 0.5 if self.label_values == "zero_one" else 0.0


@dataclasses.dataclass(frozen=True)
class Network:
    """The multilayer network of section 2: hidden layers of leaky ReLUs, a linear output."""

    d1: tuple[int, ...] = ()
    """Widths of the hidden layers; empty means as wide as the input (d1 = d0)."""
    hidden_layers: int | tuple[int, ...] = (1,)
    """Numbers of hidden layers, all of the same width."""
    rho: float = 0.0
    """Slope for negative neural inputs: 0 is the ReLU; 1 would be linear."""
    bias: bool = False
    """A bias on every layer, the output included; the theory has none."""
    init: Literal["he", "gaussian"] = "he"
    """he: variance 2 / ((1 + rho^2) fan-in). gaussian: i.i.d. standard normal, the measure of Definition 3."""

    def __post_init__(self):
        _require_types("network.", self)
        if isinstance(self.hidden_layers, int):
            object.__setattr__(self, "hidden_layers", (self.hidden_layers,))
        _require_grid("network.d1", self.d1, 1, "a hidden layer needs at least d1 = 1 unit")
        _require(
            bool(self.hidden_layers), "network.hidden_layers: the grid is empty; give at least one number, such as 1"
        )
        _require_grid("network.hidden_layers", self.hidden_layers, 1, "a network needs at least one hidden layer")
        _require(math.isfinite(self.rho), f"network.rho: {self.rho} is not a finite number")
        _require(self.rho != 1, "network.rho: 1 makes the network linear; use another slope, such as 0 for the ReLU")


@dataclasses.dataclass(frozen=True)
class Train:
    """How a network is trained: the mean squared error under an Optax optimizer."""

    optimizer: str = "adam"
    """Any Optax optimizer that takes a learning rate, by its name there: adam, sgd, rmsprop, ..."""
    optimizer_options: tuple[tuple[str, int | float | bool], ...] = ()
    """Its further arguments, such as (("momentum", 0.9),)."""
    learning_rate: float = 1e-2
    batch_size: int | None = None
    """Points a step; None is full batch (one step an epoch)."""
    epochs: int = 1000
    """Epochs at the constant learning rate."""
    decay_epochs: int = 1000
    """Epochs after those, in which the rate decays exponentially."""
    decay_to: float = 1e-3
    """The learning rate at the very end, as a fraction of learning_rate."""
    precision: Literal["float32", "float64"] = "float32"
    chunk_epochs: int = 100
    """Epochs between two looks of the host: progress, metrics, a stop request."""
    checkpoint_chunks: int = 5
    """Chunks between two checkpoints."""

    def __post_init__(self):
        _require_types("train.", self)
        rate = self.learning_rate
        _require(math.isfinite(rate) and rate > 0, f"train.learning_rate: {rate} is not positive; try 1e-2")
        _require(0 < self.decay_to <= 1, f"train.decay_to: {self.decay_to} is not a fraction in (0, 1]")
        for name in ("epochs", "decay_epochs"):
            value = getattr(self, name)
            _require(value >= 0, f"train.{name}: {value} is negative; give 0 or more")
        _require(self.total_epochs >= 1, "train.epochs: there is nothing to train; give at least 1 epoch")
        for name in ("batch_size", "chunk_epochs", "checkpoint_chunks"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"train.{name}: {value} is too small; give at least 1")

    @property
    def total_epochs(self) -> int:
        return self.epochs + self.decay_epochs


@dataclasses.dataclass(frozen=True)
class Study:
    """A grid of problem shapes, each repeated over seeds."""

    name: str
    """Names the study in tables and in the default work folder."""
    problem: Problem
    network: Network = Network()
    train: Train = Train()
    repeats: int = 30
    """Repetitions a cell; repetition k draws everything from seed + k."""
    seed: int = 0
    figure: Literal["none", "fig5_1", "fig5_2", "table1"] = "none"
    """The picture or table of the paper that the report draws from it."""
    also: tuple["Study", ...] = ()
    """Studies that run after this one in the same work folder."""

    def __post_init__(self):
        _require_types("", self)
        allowed = self.name and all(c.isalnum() or c in "_-" for c in self.name)
        _require(bool(allowed), f"name: {self.name!r} must be made of letters, digits, '_' and '-'")
        _require(self.repeats >= 1, f"repeats: {self.repeats} is too small; give at least 1")
        _require(0 <= self.seed < 2**31, f"seed: {self.seed} must lie between 0 and 2^31 - 1")
        if self.network.rho < 0:
            one = self.problem.teacher_units == 1
            _require(not one, "problem.teacher_units: one unit with rho < 0 has outputs of one sign; give at least 2")
        if self.problem.inputs == "digits":
            _require(bool(self.network.d1), "network.d1: the grid is empty; images need explicit hidden widths")
            _require(not self.problem.d0_d1_over_N, "problem.d0_d1_over_N: images have their own N; give N or nothing")
        names = [part.name for part in self.parts]
        _require(len(set(names)) == len(names), f"also: the studies {names} must have different names")

    @property
    def parts(self) -> tuple["Study", ...]:
        """This study and those in `also`, in the order in which they run."""
        return (self, *(part for other in self.also for part in other.parts))


def to_dict(config) -> dict:
    """The study as plain JSON values; from_dict is the inverse."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def digest(config) -> str:
    """A short hash that two studies share if and only if all their fields are equal."""
    # 0 and 0.0 are equal values, so all numbers are written alike.
    values = json.loads(json.dumps(to_dict(config)), parse_int=float)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def from_dict(cls, values: dict):
    """The inverse of to_dict; a field that `values` lacks takes its default.

    Raises:
      UserError: a field that cls does not have, or a required one that is missing.
    """
    _require(isinstance(values, dict), f"{cls.__name__}: {values!r} is not an object with fields")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    _require(not unknown, f"{cls.__name__} has no field {', '.join(unknown)}")
    try:
        return cls(**{name: _from_json(hints[name], value) for name, value in values.items()})
    except TypeError as error:
        raise UserError(f"{cls.__name__}: {error}") from error


def _from_json(hint, value):
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value)
    if isinstance(value, list):
        # Every list in a study's JSON was a tuple; its elements are of one kind, or plain values.
        inner = [h for h in typing.get_args(hint) if h is not Ellipsis] or [None]
        return tuple(_from_json(inner[0], v) for v in value)
    return value


def first_difference(stored, wanted, path: str = "") -> str | None:
    """The first field in which two JSON values differ, as 'field: there X, here Y'; None when equal."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for name in dict.fromkeys((*wanted, *stored)):
            found = first_difference(stored.get(name), wanted.get(name), f"{path}.{name}" if path else name)
            if found:
                return found
        return None
    if isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        for i, (a, b) in enumerate(zip(stored, wanted, strict=True)):
            found = first_difference(a, b, f"{path}.{i}")
            if found:
                return found
        return None
    return None if stored == wanted else f"{path}: there {json.dumps(stored)}, here {json.dumps(wanted)}"
