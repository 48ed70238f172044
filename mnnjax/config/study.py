"""What a study is: frozen dataclasses (problem.py: the problems; serialization.py: to and from JSON).

A study is a grid of cells; a cell is one problem shape (N, d0, d1, hidden layers); a cell is repeated over seeds. Each
class checks its values when it is made, and raises UserError, a ValueError, with one line about what cannot be.
"""

import dataclasses
import math
from typing import Literal

from mnnjax.config.problem import Problem
from mnnjax.config.validation import document_fields, require_grid, require_ratios, require_seed, require_types
from mnnjax.errors import require

# Rows of X are kept in so many blocks where devices share them: the most devices that can, and what a batch is dealt
# from, whatever the number of devices.
ROW_BLOCKS = 64


@document_fields
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
        object.__setattr__(self, "hidden_layers", self.depths)
        require_grid("network.d1", self.d1, 1, "a hidden layer needs at least d1 = 1 unit")
        require(not (self.d1 and self.d0_d1_over_N), "network: d1 and d0_d1_over_N are both given; keep one of them")
        require_ratios("network.d0_d1_over_N", self.d0_d1_over_N)
        require(bool(self.depths), "network.hidden_layers: the grid is empty; give at least one number, such as 1")
        require_grid("network.hidden_layers", self.depths, 1, "a network needs at least one hidden layer")
        require(math.isfinite(self.rho), f"network.rho: {self.rho} is not finite; give a slope, such as 0 for the ReLU")
        require(self.rho != 1, "network.rho: 1 makes the network linear; use another slope, such as 0 for the ReLU")

    @property
    def depths(self) -> tuple[int, ...]:
        """hidden_layers, of which a config may give one alone."""
        return (self.hidden_layers,) if isinstance(self.hidden_layers, int) else self.hidden_layers


@document_fields
@dataclasses.dataclass(frozen=True)
class Train:
    """How a network is trained: the mean squared error under an Optax optimizer."""

    optimizer: str = "adam"
    """An Optax optimizer that has a learning rate, such as adam, sgd or rmsprop; or levenberg_marquardt, our own."""
    optimizer_options: tuple[tuple[str, int | float | bool], ...] = ()
    """Its further arguments: (("momentum", 0.9),) in a config, momentum 0.9 on the command line."""
    learning_rate: float = 1e-2
    """At the start, and for all of `epochs`."""
    batch_size: int | None = None
    """Points a step; None is full batch (one step an epoch)."""
    epochs: int = 1000
    """Epochs at the constant learning rate."""
    decay_epochs: int = 1000
    """Epochs after those, in which the rate decays exponentially."""
    decay_to: float = 1e-3
    """The learning rate at the very end, as a fraction of learning_rate."""
    precision: Literal["float32", "float64"] = "float32"
    """Of the points and of all arithmetic in training; what is measured at its end is in float64."""
    chunk_epochs: int = 100
    """Epochs between two looks of the host: progress, metrics, a stop request."""
    checkpoint_chunks: int = 5
    """Chunks between two checkpoints."""
    parallel: Literal["replicas", "data"] = "replicas"
    """What the devices share. replicas: each device trains some of the repetitions, with all their points. data: each
    device holds some rows of X, and all repetitions train on the same points in the same batches (with
    problem.data_sets=1). Inputs that are drawn, not read, differ between the two from the same seed."""
    rows_precision: Literal["same", "bfloat16"] = "same"
    """Of parallel="data": X is kept as `precision` says, or rounded to bfloat16, which takes half of the memory; the
    rounded points are then the problem's points. All arithmetic is in `precision`."""

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
        if self.parallel == "replicas":
            require(self.rows_precision == "same", "train.rows_precision: it is of parallel='data'; leave it at 'same'")
        else:
            require(
                self.optimizer != "levenberg_marquardt",
                "train.parallel: levenberg_marquardt spreads repetitions over the devices; take 'replicas'",
            )
            even = self.batch_size is None or self.batch_size % ROW_BLOCKS == 0
            require(
                even,
                f"train.batch_size: {self.batch_size} is no multiple of {ROW_BLOCKS}, which parallel='data' needs; "
                "try 1024",
            )

    @property
    def total_epochs(self) -> int:
        """Those at the constant rate and those in which it decays."""
        return self.epochs + self.decay_epochs


@document_fields
@dataclasses.dataclass(frozen=True)
class Volume:
    """What share of weight space the regions take: angular volumes (Definition 3), measured without any training."""

    method: Literal["sampling", "splitting", "exact"] = "sampling"
    """sampling: draws of W. splitting: as well, with rare events by splitting over neurons. exact: enumeration of all
    regions, for d0 up to 3 and small N and d1."""
    eps: float = 0.0
    """MCE above which a local minimum counts as bad (Definition 4)."""
    samples: int = 10_000
    """Draws of W a repetition."""
    suboptimal_samples: int | None = None
    """How many of them, the first, are asked for V(L_eps); None: all, 0: none. The rank of all is measured. Splitting
    has its own way to V(L_eps)."""
    global_samples: int | None = None
    """The same for V(G), where a draw can take many linear programs."""
    batch: int = 1024
    """Draws between two looks of the host; a multiple of 16."""
    relative_width: float | None = None
    """Stop before `samples` where every interval is narrower than this times its estimate."""
    redraw: bool = False
    """Every draw has its own X and y: the expectation of Theorem 6, in place of one data set's volumes."""
    output_signs: Literal["any", "random"] = "any"
    """any: a global minimum may have any z (Definition 4). random: z has random signs that are drawn with W."""
    particles: int = 2000
    """Of splitting: partial networks carried from neuron to neuron."""
    runs: int = 20
    """Of splitting: independent runs, from which its interval comes."""
    max_linear_programs: int = 50
    """Of splitting: final particles of a run, at most, that are asked by linear programs for a minimum; with 0 only an
    upper end of V(L_eps) is found."""

    def __post_init__(self):
        require_types("volume.", self)
        require(0 <= self.eps < 1, f"volume.eps: {self.eps} is not a fraction in [0, 1)")
        least = {"samples": 1, "suboptimal_samples": 0, "global_samples": 0, "batch": 16, "particles": 2, "runs": 2}
        least["max_linear_programs"] = 0
        for name, smallest in least.items():
            value = getattr(self, name)
            good = value is None or value >= smallest
            require(good, f"volume.{name}: {value} is too small; give at least {smallest}")
        require(self.batch % 16 == 0, f"volume.batch: {self.batch} is no multiple of 16; try 1024")
        own = self.method != "splitting" or self.suboptimal_samples is None
        require(own, "volume.suboptimal_samples: splitting has its own way to V(L_eps); leave it out")
        width = self.relative_width
        require(width is None or 0 < width < math.inf, f"volume.relative_width: {width} is not positive; try 0.2")
        one = self.method == "sampling" or not self.redraw
        require(one, f"volume.redraw: method {self.method!r} needs one data set; take 'sampling'")
        free = self.method != "exact" or self.output_signs == "any"
        require(free, "volume.output_signs: exact volumes are of Definition 4, with any z; leave it at 'any'")


@document_fields
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
    """The first repetition's; whatever is random is drawn from these."""
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
        require_seed(self.seed)
        if self.volume is None:
            if self.train is None:
                object.__setattr__(self, "train", Train())
            require(
                not self.problem.constant_input, "problem.constant_input: it only goes with volume; use network.bias"
            )
            same = self.figure != "basins" or self.training.precision == "float64"
            require(same, "train.precision: basins and volumes must be of the same points; take 'float64'")
            one = self.figure != "capacity" or self.network.hidden_layers == (1,)
            require(
                one, "network.hidden_layers: capacity is of one hidden layer, whose global minima are proven; give 1"
            )
            shared = self.training.parallel == "replicas" or self.problem.data_sets == 1
            require(
                shared, "problem.data_sets: train.parallel='data' trains all repetitions on the same points; give 1"
            )
            trained = self.figure not in ("volumes", "full_rank")
            require(trained, f"figure: {self.figure!r} is drawn from volumes; give volume, or another figure")
        else:
            self._check_volume()
        if self.network.rho < 0:
            one = self.problem.teacher_units == 1
            require(not one, "problem.teacher_units: one unit with rho < 0 has outputs of one sign; give at least 2")
        if self.problem.is_image:
            widths = self.network.d1 or self.network.d0_d1_over_N
            require(bool(widths), "network.d1: the grid is empty; images need explicit hidden widths")
            require(not self.problem.d0_d1_over_N, "problem.d0_d1_over_N: images have their own N; give N or nothing")
        names = [part.name for part in self.parts]
        require(len(set(names)) == len(names), f"also: the studies {names} must have different names")

    def _check_volume(self) -> None:
        require(self.train is None, "volume: it is given beside train; a study has one of them (see also)")
        require(self.network.hidden_layers == (1,), "network.hidden_layers: volumes are of one hidden layer; give 1")
        require(not self.network.bias, "network.bias: volumes have no output bias; use problem.constant_input")
        require(
            not (self.measurement.redraw and self.problem.is_image),
            "volume.redraw: images are not drawn anew; leave it out",
        )
        own = self.figure in ("none", "volumes", "full_rank")
        require(own, f"figure: {self.figure!r} is drawn from trained networks; give train in place of volume")

    @property
    def training(self) -> Train:
        """How the networks are trained: `train`, of a study that has no volume."""
        assert self.train is not None
        return self.train

    @property
    def measurement(self) -> Volume:
        """What is measured: `volume`, of a study that has one."""
        assert self.volume is not None
        return self.volume

    @property
    def parts(self) -> tuple["Study", ...]:
        """This study and those in `also`, in the order in which they run."""
        return (self, *(part for other in self.also for part in other.parts))
