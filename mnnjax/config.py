"""What a study is: frozen dataclasses, checked when they are made, to and from JSON.

A study is a grid of cells; a cell is one problem shape (N, d0, d1, hidden layers); a cell is repeated over seeds.
"""

import dataclasses
import hashlib
import json
import math
import typing
from typing import Literal

from mnnjax.checks import UserError, require, require_grid, require_ratios, require_types


@dataclasses.dataclass(frozen=True)
class Problem:
    """Where the points X (N, d0) and the labels y (N,) come from."""

    inputs: Literal["gaussian", "sphere", "rademacher", "uniform", "digits"] = "gaussian"
    """gaussian: i.i.d. standard normal. sphere: uniform, of norm sqrt(d0). rademacher: +1 or -1. uniform: on [0, 1]^d0.
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
    d0_over_N: float | None = None
    """Instead of d0: the input width grows with the points, d0 = ceil(value N)."""
    d0_over_sqrt_N_log_N: float | None = None
    """Instead of d0: d0 = ceil(value sqrt(N) log N), the slow end of Assumption 3."""
    constant_input: bool = False
    """Every input gets one more coordinate, 1: biases of the hidden units; in volume studies only."""
    data_sets: int = 0
    """How many different (X, y) the repetitions have: repetition k has those of seed + k mod value; 0: all differ."""

    def __post_init__(self):
        require_types("problem.", self)
        require(not (self.N and self.d0_d1_over_N), "problem: N and d0_d1_over_N are both given; keep one of them")
        smallest = 1 if self.constant_input else 2
        require_grid("problem.d0", self.d0, smallest, f"an input needs at least d0 = {smallest} numbers")
        require(self.data_sets >= 0, f"problem.data_sets: {self.data_sets} is negative; give 0 or more")
        self._check_growth()
        require_grid("problem.N", self.N, 1, "a problem needs at least N = 1 point")
        require_ratios("problem.d0_d1_over_N", self.d0_d1_over_N)
        if self.inputs == "digits":
            require(self.labels != "teacher", "problem.labels: images have no teacher; use 'classes' or 'random'")
            require(not self.d0 and not self.grows, "problem.d0: the images decide d0; leave it empty")
        else:
            require(bool(self.d0) or self.grows, "problem.d0: the grid is empty; give at least one input width")
            require(bool(self.N or self.d0_d1_over_N), "problem.N: the grid is empty; give N or d0_d1_over_N")
            require(self.labels != "classes", f"problem.labels: 'classes' needs images, not {self.inputs} inputs")
        if self.labels == "teacher":
            require(self.teacher_units >= 1, "problem.teacher_units: a teacher needs at least 1 hidden unit")
        else:
            require(self.teacher_units == 0, "problem.teacher_units: it only goes with problem.labels='teacher'")

    def _check_growth(self) -> None:
        for name in ("d0_over_N", "d0_over_sqrt_N_log_N"):
            value = getattr(self, name)
            good = value is None or 0 < value < math.inf
            require(good, f"problem.{name}: {value} is not positive; give a value such as 0.5")
        rules = [bool(self.d0), self.d0_over_N is not None, self.d0_over_sqrt_N_log_N is not None]
        require(sum(rules) <= 1, "problem: d0, d0_over_N and d0_over_sqrt_N_log_N exclude each other; keep one")
        require(not self.grows or bool(self.N), "problem.N: the grid is empty; a d0 that grows with N needs N")

    @property
    def grows(self) -> bool:
        """Whether d0 is computed from N."""
        return self.d0_over_N is not None or self.d0_over_sqrt_N_log_N is not None

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
    d0_d1_over_N: tuple[float, ...] = ()
    """Instead of d1: first-layer weights per point, d1 = ceil(value N / d0)."""

    def __post_init__(self):
        require_types("network.", self)
        if isinstance(self.hidden_layers, int):
            object.__setattr__(self, "hidden_layers", (self.hidden_layers,))
        require_grid("network.d1", self.d1, 1, "a hidden layer needs at least d1 = 1 unit")
        require(not (self.d1 and self.d0_d1_over_N), "network: d1 and d0_d1_over_N are both given; keep one of them")
        require_ratios("network.d0_d1_over_N", self.d0_d1_over_N)
        require(
            bool(self.hidden_layers), "network.hidden_layers: the grid is empty; give at least one number, such as 1"
        )
        require_grid("network.hidden_layers", self.hidden_layers, 1, "a network needs at least one hidden layer")
        require(math.isfinite(self.rho), f"network.rho: {self.rho} is not a finite number")
        require(self.rho != 1, "network.rho: 1 makes the network linear; use another slope, such as 0 for the ReLU")


@dataclasses.dataclass(frozen=True)
class Train:
    """How a network is trained: the mean squared error under an Optax optimizer."""

    optimizer: str = "adam"
    """Any Optax optimizer with a learning rate, by its name there: adam, sgd, rmsprop, ...; or newton, our own."""
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
        require_types("train.", self)
        rate = self.learning_rate
        require(math.isfinite(rate) and rate > 0, f"train.learning_rate: {rate} is not positive; try 1e-2")
        require(0 < self.decay_to <= 1, f"train.decay_to: {self.decay_to} is not a fraction in (0, 1]")
        for name in ("epochs", "decay_epochs"):
            value = getattr(self, name)
            require(value >= 0, f"train.{name}: {value} is negative; give 0 or more")
        require(self.total_epochs >= 1, "train.epochs: there is nothing to train; give at least 1 epoch")
        for name in ("batch_size", "chunk_epochs", "checkpoint_chunks"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"train.{name}: {value} is too small; give at least 1")

    @property
    def total_epochs(self) -> int:
        return self.epochs + self.decay_epochs


@dataclasses.dataclass(frozen=True)
class Volume:
    """What share of weight space the regions take: angular volumes (Definition 3), measured without any training."""

    method: Literal["sampling", "splitting", "exact"] = "sampling"
    """sampling: draws of W. splitting: as well, with rare events by splitting over neurons. exact: enumeration of all
    regions, for d0 up to 3 and small N and d1."""
    eps: float = 0.0
    """MCE above which a local minimum counts as bad (Definition 4)."""
    draws: int = 10_000
    """Draws of W a repetition."""
    suboptimal_draws: int | None = None
    """How many of them, the first, are asked for V(L_eps); None: all, 0: none. The rank of all is measured. Splitting
    has its own way to V(L_eps)."""
    global_draws: int | None = None
    """The same for V(G), where a draw can take many linear programs."""
    batch: int = 1024
    """Draws between two looks of the host; a multiple of 16."""
    relative_width: float | None = None
    """Stop before `draws` where every interval is narrower than this times its estimate."""
    redraw: bool = False
    """Every draw has its own X and y: the expectation of Theorem 6, in place of one data set's volumes."""
    output_signs: Literal["any", "random"] = "any"
    """any: a global minimum may have any z (Definition 4). random: z has random signs that are drawn with W."""
    particles: int = 2000
    """Of splitting: partial networks carried from neuron to neuron."""
    splits: int = 20
    """Of splitting: independent runs, from which its interval comes."""
    linear_programs: int = 50
    """Of splitting: final particles of a run, at most, that are asked by linear programs for a minimum; with 0 only an
    upper end of V(L_eps) is found."""

    def __post_init__(self):
        require_types("volume.", self)
        require(0 <= self.eps < 1, f"volume.eps: {self.eps} is not a fraction in [0, 1)")
        least = {"draws": 1, "suboptimal_draws": 0, "global_draws": 0, "batch": 16, "particles": 2, "splits": 2}
        least["linear_programs"] = 0
        for name, smallest in least.items():
            value = getattr(self, name)
            good = value is None or value >= smallest
            require(good, f"volume.{name}: {value} is too small; give at least {smallest}")
        require(self.batch % 16 == 0, f"volume.batch: {self.batch} is no multiple of 16; try 1024")
        own = self.method != "splitting" or self.suboptimal_draws is None
        require(own, "volume.suboptimal_draws: splitting has its own way to V(L_eps); leave it out")
        width = self.relative_width
        require(width is None or 0 < width < math.inf, f"volume.relative_width: {width} is not positive; try 0.2")
        one = self.method == "sampling" or not self.redraw
        require(one, f"volume.redraw: method {self.method!r} needs one data set; take 'sampling'")
        free = self.method != "exact" or self.output_signs == "any"
        require(free, "volume.output_signs: exact volumes are of Definition 4, with any z; leave it at 'any'")


@dataclasses.dataclass(frozen=True)
class Study:
    """A grid of problem shapes, each repeated over seeds."""

    name: str
    """Names the study in tables and in the default work folder."""
    problem: Problem
    network: Network = Network()
    train: Train | None = None
    """How the networks are trained; a study without volume that gives none takes the defaults."""
    repeats: int = 30
    """Repetitions a cell; repetition k draws everything from seed + k."""
    seed: int = 0
    figure: Literal["none", "fig5_1", "fig5_2", "table1", "volumes", "full_rank", "basins", "capacity"] = "none"
    """The picture or table that the report draws from it."""
    volume: Volume | None = None
    """In place of train: the study measures volumes of regions."""
    also: tuple["Study", ...] = ()
    """Studies that run after this one in the same work folder."""

    def __post_init__(self):
        require_types("", self)
        allowed = self.name and all(c.isalnum() or c in "_-" for c in self.name)
        require(bool(allowed), f"name: {self.name!r} must be made of letters, digits, '_' and '-'")
        require(self.repeats >= 1, f"repeats: {self.repeats} is too small; give at least 1")
        require(0 <= self.seed < 2**31, f"seed: {self.seed} must lie between 0 and 2^31 - 1")
        if self.volume is None:
            if self.train is None:
                object.__setattr__(self, "train", Train())
            require(
                not self.problem.constant_input, "problem.constant_input: it only goes with volume; use network.bias"
            )
            same = self.figure != "basins" or self.train.precision == "float64"
            require(same, "train.precision: basins and volumes must be of the same points; take 'float64'")
            one = self.figure != "capacity" or self.network.hidden_layers == (1,)
            require(
                one, "network.hidden_layers: capacity is of one hidden layer, whose global minima are proven; give 1"
            )
            trained = self.figure not in ("volumes", "full_rank")
            require(trained, f"figure: {self.figure!r} is drawn from volumes; give volume, or another figure")
        else:
            self._check_volume()
        if self.network.rho < 0:
            one = self.problem.teacher_units == 1
            require(not one, "problem.teacher_units: one unit with rho < 0 has outputs of one sign; give at least 2")
        if self.problem.inputs == "digits":
            widths = self.network.d1 or self.network.d0_d1_over_N
            require(bool(widths), "network.d1: the grid is empty; images need explicit hidden widths")
            require(not self.problem.d0_d1_over_N, "problem.d0_d1_over_N: images have their own N; give N or nothing")
        names = [part.name for part in self.parts]
        require(len(set(names)) == len(names), f"also: the studies {names} must have different names")

    def _check_volume(self) -> None:
        require(self.train is None, "volume: it is given beside train; a study has one of them (see also)")
        require(self.network.hidden_layers == (1,), "network.hidden_layers: volumes are of one hidden layer; give 1")
        require(not self.network.bias, "network.bias: volumes have no output bias; use problem.constant_input")
        own = self.figure in ("none", "volumes", "full_rank")
        require(own, f"figure: {self.figure!r} is drawn from trained networks; give train in place of volume")

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
    require(isinstance(values, dict), f"{cls.__name__}: {values!r} is not an object with fields")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    require(not unknown, f"{cls.__name__} has no field {', '.join(unknown)}")
    try:
        return cls(**{name: _from_json(hints[name], value) for name, value in values.items()})
    except TypeError as error:
        raise UserError(f"{cls.__name__}: {error}") from error


def _from_json(hint, value):
    if isinstance(value, dict):
        # A dataclass, perhaps with None as the alternative.
        options = [h for h in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(h)]
        return from_dict(options[0], value) if options else value
    if isinstance(value, list):
        # Every list in a study's JSON was a tuple; its elements are of one kind, or plain values.
        inner = [h for h in typing.get_args(hint) if h is not Ellipsis] or [None]
        return tuple(_from_json(inner[0], v) for v in value)
    return value
