"""What a study is: frozen dataclasses (problem.py: the problems; validation.py: checks; serialization.py: JSON).
A study is a grid of cells; a cell is one problem shape (N, d0, d1, hidden layers); a cell is repeated over seeds. Each
class checks its values when it is made, and raises UserError, a ValueError, with one line about an invalid one."""

import math
from collections.abc import Iterable
from typing import Literal

from mnnjax.config.problem import Problem
from mnnjax.config.validation import (
    config_class,
    convert_fields,
    integers,
    numbers,
    pairs,
    require_at_least,
    require_grid,
    require_ratios,
    several,
    tuple_of,
)
from mnnjax.errors import did_you_mean, require
from mnnjax.own_parts import check_name, is_own

# The blocks of rows of X that devices share: no more devices than blocks can share X, and batches are drawn from the
# blocks, so that they do not depend on the number of devices. A power of two: a sum of blocks is one of halves.
ROW_BLOCKS = 64
INITS = ("he", "he_balanced", "gaussian")
# Our learning rate, as train.schedule has it.
DECAY = "decay"


@config_class
class Network:
    """The multilayer network of section 2: hidden layers of leaky ReLUs, a linear output."""

    d1: tuple[int, ...] = several(default=(), converter=integers)
    """Hidden widths; empty: as wide as the input (d1 = d0)."""
    hidden_layers: tuple[int, ...] = several(default=(1,), converter=integers)
    """Numbers of hidden layers, all of the same width."""
    rho: float = 0.0
    """Slope for negative neural inputs: 0 is the ReLU; 1 would be linear."""
    bias: bool = False
    """A bias in every layer, including the output; the theory has none."""
    init: Literal["he", "he_balanced", "gaussian"] | str = "he"
    """he: variance 2 / ((1 + rho^2) fan-in). he_balanced: the same, but z is one number with alternating signs:
    training seldom turns a sign, and few units of one sign fit fewer points. gaussian: i.i.d. standard normal, the
    measure of Definition 3. Or "module:function" of your own, init(key, shape, dtype) (training/own.py)."""
    d0_d1_over_N: tuple[float, ...] = several(default=(), converter=numbers)
    """Instead of d1: first-layer weights per point, d1 = ceil(value N / d0)."""

    def __post_init__(self):
        convert_fields("network.", self)
        known, meant = ", ".join(map(repr, INITS)), did_you_mean(self.init, INITS)
        named = f"network.init: {self.init!r} is not one of {known}{meant}, and no 'module:function'"
        require(self.init in INITS or is_own(self.init), named)
        check_name("network.init", self.init)
        require_grid("network.d1", self.d1, 1, "a hidden layer needs at least d1 = 1 unit")
        require(not (self.d1 and self.d0_d1_over_N), "network: d1 and d0_d1_over_N are both given; keep one of them")
        require_ratios("network.d0_d1_over_N", self.d0_d1_over_N)
        empty = "network.hidden_layers: the grid is empty; give at least one number, such as 1"
        require(bool(self.hidden_layers), empty)
        require_grid("network.hidden_layers", self.hidden_layers, 1, "a network needs at least one hidden layer")
        require(math.isfinite(self.rho), f"network.rho: {self.rho} is not finite; give a slope, such as 0 for the ReLU")
        require(self.rho != 1, "network.rho: 1 makes the network linear; use another slope, such as 0 for the ReLU")


@config_class
class Train:
    """How a network is trained: the mean squared error under an optimizer."""

    optimizer: str = "adam"
    """Any optimizer of Optax or optax.contrib with a learning rate, such as adam, sgd or muon; levenberg_marquardt; or
    "module:function" of your own, make_optimizer(learning_rate) -> Optax optimizer (training/own.py)."""
    optimizer_options: tuple[tuple[str, int | float | bool], ...] = several(default=(), converter=pairs)
    """Further arguments of the optimizer: (("momentum", 0.9),) in a config, momentum 0.9 on the command line."""
    learning_rate: float = 1e-2
    """Learning rate during `epochs`, before it decays."""
    batch_size: int | None = None
    """Points per step; None: full batch, one step per epoch."""
    epochs: int = 1000
    """Epochs at the constant learning rate."""
    decay_epochs: int = 1000
    """Epochs after those, in which the learning rate decays exponentially."""
    decay_to: float = 1e-3
    """Final learning rate as a fraction of learning_rate."""
    precision: Literal["float32", "float64"] = "float32"
    """Precision of the points and of all arithmetic in training; the final measurements are in float64."""
    chunk_epochs: int = 100
    """Epochs per device call; progress, checkpoints and stop requests are handled between calls."""
    checkpoint_chunks: int = 5
    """Chunks, that is device calls, per checkpoint."""
    parallel: Literal["replicas", "data"] = "replicas"
    """What the devices share. replicas: each device trains some of the repetitions, with all their points. data: each
    device holds some rows of X, and all repetitions train on the same points in the same batches (with
    problem.data_sets=1). The two draw different inputs from the same seed."""
    rows_precision: Literal["same", "bfloat16"] = "same"
    """For parallel="data", the precision of X. same: as `precision`. bfloat16: half the memory; the rounded points are
    then the problem's points. All arithmetic is in `precision`."""
    point_weights: float = 0.0
    """What a point counts in the loss that training minimizes. 0: all the same, the loss is the MSE. p > 0: its square
    counts inversely to |gradient of its output|^(2 p) (training.jacobian.point_weights). So points near the origin, and
    those that activate few units, are not fitted last. Everything that is measured, such as mse and
    first_order_residual, is of the MSE with equal weights."""
    reproducible: bool = False
    """For parallel="data": the results do not depend on the number of devices and processes, to the last bit on one
    kind of device. Each block of rows is multiplied alone, and blocks are summed in one fixed order. As measured on a
    CPU, an epoch takes 0.6 to 1.2 times as long."""
    finish: Literal["none", "minimum"] = "none"
    """What follows training. minimum: the last two layers of every repetition go down to a local minimum, in float64 on
    the CPU (landscape.descend); columns such as minimum_mse describe it. Then epochs and decay_epochs may both be 0."""
    spectrum: bool = False
    """Further columns, at initialization and at the end, for one hidden layer. sigma_min: the smallest singular value
    of A o X. lambda_min: the smallest eigenvalue of J J^T, J the Jacobian of the outputs in all weights."""
    schedule: Literal["decay"] | str = DECAY
    """decay: learning_rate during `epochs`, then an exponential decay. Or "module:function" of your own,
    schedule(epoch) -> the rate (training/own.py)."""

    def __post_init__(self):
        named = f"train.optimizer: {self.optimizer!r:.60} is no name; give make_training(..., optimizer=...) an object"
        require(isinstance(self.optimizer, str), f"{named}, or name a function as 'module:function'")
        convert_fields("train.", self)
        check_name("train.optimizer", self.optimizer)
        known = self.schedule == DECAY or is_own(self.schedule)
        require(known, f"train.schedule: {self.schedule!r} is neither {DECAY!r} nor a 'module:function'")
        check_name("train.schedule", self.schedule)
        free = self.schedule == DECAY or self.optimizer != "levenberg_marquardt"
        require(free, f"train.schedule: levenberg_marquardt has no learning rate; leave it at {DECAY!r}")
        rate = self.learning_rate
        require(math.isfinite(rate) and rate > 0, f"train.learning_rate: {rate} is not positive; try 1e-2")
        require(0 <= self.point_weights <= 1, f"train.point_weights: {self.point_weights} is not in [0, 1]; try 0.5")
        require(0 < self.decay_to <= 1, f"train.decay_to: {self.decay_to} is not a fraction in (0, 1]")
        require_at_least("train.", self, epochs=0, decay_epochs=0, batch_size=1, chunk_epochs=1, checkpoint_chunks=1)
        nothing = "there is nothing to train; give at least 1 epoch, or train.finish='minimum'"
        require(self.total_epochs >= 1 or self.finish == "minimum", f"train.epochs: {nothing}")
        if self.parallel == "replicas":
            require(self.rows_precision == "same", "train.rows_precision: only for parallel='data'; leave it at 'same'")
            require(not self.reproducible, "train.reproducible: only for parallel='data'; leave it at False")
            return
        require(self.optimizer != "levenberg_marquardt", "train.parallel: levenberg_marquardt needs 'replicas'")
        size, needed = self.batch_size, f"no multiple of {ROW_BLOCKS}, which parallel='data' needs; try 1024"
        require(size is None or size % ROW_BLOCKS == 0, f"train.batch_size: {size} is {needed}")

    @property
    def total_epochs(self) -> int:
        """Epochs at the constant rate plus epochs in which it decays."""
        return self.epochs + self.decay_epochs


@config_class
class Volume:
    """How angular volumes of regions (Definition 3), their shares of weight space, are measured; nothing is trained."""

    method: Literal["sampling", "splitting", "exact"] = "sampling"
    """sampling: draws of W. splitting: draws of W, and rare events by splitting over neurons. exact: enumeration of all
    regions, for d0 up to 3 and small N and d1."""
    eps: float = 0.0
    """A local minimum is bad if its MCE is above eps (Definition 4)."""
    samples: int = 10_000
    """Draws of W per repetition."""
    suboptimal_samples: int | None = None
    """Number of draws, the first ones, that are tested for V(L_eps); None: all, 0: none. All draws are tested for rank.
    Splitting has its own estimate of V(L_eps)."""
    global_samples: int | None = None
    """The same for V(G), where one draw may take many linear programs."""
    batch: int = 1024
    """Draws per device call, a multiple of 16; progress, checkpoints and stop requests are handled between calls."""
    relative_width: float | None = None
    """Stop before `samples` once every interval is narrower than this times its estimate."""
    redraw: bool = False
    """Draw new X and y with every W: the expectation of Theorem 6 instead of one data set's volumes."""
    output_signs: Literal["any", "random"] = "any"
    """any: a global minimum may have any z (Definition 4). random: z has random signs that are drawn with W."""
    particles: int = 2000
    """For splitting: partial networks carried from neuron to neuron."""
    runs: int = 20
    """For splitting: independent runs, which give the interval."""
    max_linear_programs: int = 50
    """For splitting: the most final particles per run that linear programs test for a minimum; with 0 only an upper
    bound of V(L_eps) is found."""
    global_minimum: bool = False
    """For exact: also find the smallest MSE that any W and z have (landscape.exact_global_minimum)."""

    def __post_init__(self):
        convert_fields("volume.", self)
        require(0 <= self.eps < 1, f"volume.eps: {self.eps} is not a fraction in [0, 1)")
        require_at_least("volume.", self, samples=1, suboptimal_samples=0, global_samples=0, batch=16, particles=2)
        require_at_least("volume.", self, runs=2, max_linear_programs=0)
        require(self.batch % 16 == 0, f"volume.batch: {self.batch} is no multiple of 16; try 1024")
        tested = self.method != "splitting" or self.suboptimal_samples is None
        require(tested, "volume.suboptimal_samples: splitting has its own estimate of V(L_eps); leave it out")
        width = self.relative_width
        require(width is None or 0 < width < math.inf, f"volume.relative_width: {width} is not positive; try 0.2")
        drawn = self.method == "sampling" or not self.redraw
        require(drawn, f"volume.redraw: method {self.method!r} needs one data set; use 'sampling'")
        require(
            self.method == "exact" or not self.global_minimum,
            f"volume.global_minimum: method {self.method!r} cannot find it; use 'exact', or leave it out",
        )
        free = self.method != "exact" or self.output_signs == "any"
        require(free, "volume.output_signs: method 'exact' allows any z (Definition 4); leave it at 'any'")


def _studies(values: "Study | Iterable[Study]") -> tuple["Study", ...]:
    """What the constructor of a Study takes for `also`, as a tuple."""
    return tuple_of(values)


@config_class
class Study:
    """A grid of problem shapes, each repeated over seeds."""

    name: str
    """Name of the study in tables and in the default work folder."""
    problem: Problem
    network: Network = Network()
    train: Train | None = None
    """How the networks are trained; the default is Train(), or None with volume."""
    repeats: int = 30
    """Repetitions per cell; repetition k draws everything from seed + k."""
    seed: int = 0
    """Seed of the first repetition; all random numbers come from these seeds."""
    figure: Literal["none", "fig5_1", "fig5_2", "table1", "volumes", "full_rank", "basins", "capacity", "kinks"] = (
        "none"
    )
    """The figure or table that the report draws from the study."""
    volume: Volume | None = None
    """Instead of train: measure volumes of regions."""
    also: tuple["Study", ...] = several(default=(), converter=_studies)
    """Studies that run after this one in the same work folder."""

    def __post_init__(self):
        convert_fields("", self)
        allowed = self.name and all(c.isalnum() or c in "_-" for c in self.name)
        require(bool(allowed), f"name: {self.name!r} must be made of letters, digits, '_' and '-'")
        require_at_least("", self, repeats=1)
        require(0 <= self.seed < 2**31, f"seed: {self.seed} must lie between 0 and 2^31 - 1")
        if self.volume is None:
            train = self.train or Train()
            object.__setattr__(self, "train", train)
            single = not train.spectrum or self.network.hidden_layers == (1,)
            require(single, "train.spectrum: only for one hidden layer; give network.hidden_layers 1")
            require(not self.problem.constant_input, "problem.constant_input: only with volume; use network.bias")
            same = self.figure != "basins" or train.precision == "float64"
            require(same, "train.precision: basins and volumes need the same points; use 'float64'")
            shallow = self.figure not in ("capacity", "kinks") or self.network.hidden_layers == (1,)
            require(shallow, f"network.hidden_layers: {self.figure} needs one, where minima are proven; give 1")
            below = self.figure != "kinks" or train.finish == "minimum"
            require(below, "train.finish: kinks shows the minima that descents reach; use 'minimum'")
            equal = train.parallel == "replicas" or self.problem.data_sets == 1
            require(equal, "problem.data_sets: train.parallel='data' trains all repetitions on the same points; give 1")
            trained = self.figure not in ("volumes", "full_rank")
            require(trained, f"figure: {self.figure!r} is drawn from volumes; give volume, or another figure")
        else:
            require(self.train is None, "volume: a study has train or volume, not both (see also)")
            require(self.network.hidden_layers == (1,), "network.hidden_layers: volumes need one hidden layer; give 1")
            require(not self.network.bias, "network.bias: volumes have no output bias; use problem.constant_input")
            fixed = self.volume.redraw and self.problem.is_image
            require(not fixed, "volume.redraw: images cannot be redrawn; leave it out")
            drawn = self.figure in ("none", "volumes", "full_rank")
            require(drawn, f"figure: {self.figure!r} is drawn from trained networks; give train instead of volume")
        lone = self.network.rho < 0 and self.problem.teacher_units == 1
        require(not lone, "problem.teacher_units: one unit with rho < 0 has outputs of one sign; give at least 2")
        if self.problem.is_image:
            widths = self.network.d1 or self.network.d0_d1_over_N
            require(bool(widths), "network.d1: the grid is empty; images and own data need explicit hidden widths")
            require(not self.problem.d0_d1_over_N, "problem.d0_d1_over_N: data have their own N; give N or nothing")
        paths = list(dict.fromkeys(part.problem.path for part in self.parts if part.problem.inputs == "file"))
        one = f"problem.path: the study has {' and '.join(map(str, paths))}, and takes one file"
        require(len(paths) < 2, f"{one}; store the others under names (mnnjax data import)")
        names = [part.name for part in self.parts]
        require(len(set(names)) == len(names), f"also: the studies {names} must have different names")

    @property
    def training(self) -> Train:
        """`train`, in a study that trains."""
        assert self.train is not None
        return self.train

    @property
    def measurement(self) -> Volume:
        """`volume`, in a study that measures volumes."""
        assert self.volume is not None
        return self.volume

    @property
    def parts(self) -> tuple["Study", ...]:
        """This study and those in `also`, in the order in which they run."""
        return (self, *(part for other in self.also for part in other.parts))
