"""The cells of a study, the shapes that share a compiled program, shards, and the keys of a cell's repetitions."""

import dataclasses
import itertools
import math
import zlib
from collections.abc import Callable

from mnnjax.config import Problem, Study, UserError
from mnnjax.landscape.descent.exhaustive import check_sets, count_sets
from mnnjax.landscape.regions.spectrum import SPECTRUM_ENTRIES
from mnnjax.network import parameter_count
from mnnjax.problems import nominal_shape
from mnnjax.training import LEVENBERG_MARQUARDT, check_optimizer, check_own, levenberg_marquardt_options
from mnnjax.wording import integer

# The fraction of the computed rows that may be padding, over all cells of one width. The second is for steps whose cost
# grows with the cube of N.
MAX_PADDING, MAX_PADDING_CUBIC = 0.25, 0.08
# Of exact volumes (landscape/volumes).
MOST_EXACT_INPUTS = 3
# Pilot runs of splitting per target, about.
PILOTS = 8


@dataclasses.dataclass(frozen=True)
class Cell:
    """One problem shape of a study.

    N_padded, d1_padded: the rows, and the units of a volume's draws, that its program computes: those of the largest
      cell that shares the program.
    only: the numbers of the repetitions to run, where a study that grows has others already; None: all.
    """

    part: Study
    hidden_layers: int
    d0: int
    d1: int
    N: int
    N_padded: int
    d1_padded: int
    only: range | None = None

    @property
    def id(self) -> str:
        """The name of the cell in files and tables."""
        return f"{self.part.name}.h{self.hidden_layers}.d{self.d0}x{self.d1}.N{self.N}"

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        d0 = self.d0 + self.part.problem.constant_input
        return parameter_count(d0, self.d1, self.hidden_layers, self.part.network.bias)

    @property
    def repetitions(self) -> range:
        """The numbers of the repetitions to run."""
        return range(self.part.repeats) if self.only is None else self.only

    @property
    def repeats(self) -> int:
        """How many these are."""
        return len(self.repetitions)

    @property
    def seeds(self) -> list[int]:
        """One per repetition, counted from the study's seed."""
        return [self.part.seed + k for k in self.repetitions]

    @property
    def data_seeds(self) -> list[int]:
        """The seed of each repetition's X and y."""
        sets = self.part.problem.data_sets or self.part.repeats
        return [self.part.seed + k % sets for k in self.repetitions]

    @property
    def data_salt(self) -> int:
        """Folded into a repetition's seed to draw the data: equal for cells of equal N and d0, so that networks and
        optimizers are compared on the same problems."""
        return zlib.crc32(f"data d0={self.d0} N={self.N}".encode())

    @property
    def training_salt(self) -> int:
        """Folded into a repetition's seed to draw initial weights and batches."""
        return zlib.crc32(f"training h={self.hidden_layers} d0={self.d0} d1={self.d1} N={self.N}".encode())

    @property
    def data_parallel(self) -> bool:
        """Whether the devices share the cell's points, and not its repetitions."""
        return self.part.train is not None and self.part.train.parallel == "data"

    @property
    def batch_rows(self) -> int:
        """Rows of a repetition's training step; where devices share the rows, see training.RowLayout."""
        return min(self.part.training.batch_size or self.N_padded, self.N_padded)

    @property
    def itemsize(self) -> int:
        """Bytes of a number in training."""
        return 4 if self.part.training.precision == "float32" else 8

    @property
    def shape(self) -> tuple:
        """Cells with equal shape share one compiled program."""
        sampled = self.part.volume is not None and self.part.volume.method == "sampling"
        return (self.part.name, self.hidden_layers, self.d0, self.d1_padded if sampled else self.d1, self.N_padded)

    @property
    def steps(self) -> int:
        """The units of the cell's progress before any descents: epochs; of volumes, batches of draws of all
        repetitions, then splitting runs; of exact volumes, repetitions."""
        volume = self.part.volume
        if volume is None:
            return self.part.training.total_epochs
        if volume.method == "exact":
            return self.repeats
        runs = 2 * volume.runs * self.repeats if volume.method == "splitting" else 0
        return -(-volume.samples // volume.batch) + runs

    @property
    def descents(self) -> int:
        """The number of repetitions that go down to a minimum after training."""
        finishes = self.part.train is not None and self.part.train.finish == "minimum"
        return self.repeats if finishes else 0

    @property
    def work(self) -> float:
        """Arithmetic of the cell, in multiplications of training, up to a factor."""
        return self.work_of_steps + self.work_of_descents

    def work_until(self, step: int) -> float:
        """The work of the first steps, of which those above self.steps are descents."""
        trained = min(step, self.steps)
        done = self.work_of_steps * trained / self.steps if self.steps else 0.0
        return done + (self.work_of_descents * (step - trained) / self.descents if self.descents else 0.0)

    @property
    def work_of_descents(self) -> float:
        """As measured; it depends much on the problem."""
        inputs, d1 = self.last_layer
        return self.descents * (3e8 + 400.0 * self.N * (inputs * d1) ** 2)

    @property
    def work_of_steps(self) -> float:
        """Arithmetic of training the cell, or of its volumes."""
        volume, repeats = self.part.volume, self.repeats
        if volume is None:
            epoch = float(self.N_padded) * self.parameters
            if self.gram_entries:
                # At most, since a seed stops when it is done: a factorization, and per layer two products of its size.
                epoch = self.N_padded**3 / 12 + self.N_padded**2 * (self.d0 + self.d1) * self.hidden_layers
            return epoch * repeats * self.part.training.total_epochs
        # From here on as measured.
        if volume.method == "exact":
            inputs = self.d0 + self.part.problem.constant_input
            searched = 2e3 * count_sets(self.N, inputs, self.d1) if volume.global_minimum else 0
            return (2e5 * 1.5**self.d1 * self.multisets(self.d1) + searched) * repeats
        splits = volume.method == "splitting"
        # At N = 8 to 96 the N^3 of a factorization is not seen yet beside what surrounds it.
        draws = volume.samples + (2 * volume.particles * (volume.runs + PILOTS) * self.d1 if splits else 0)
        limits = (0 if splits else volume.suboptimal_samples, volume.global_samples)
        programs = sum(volume.samples if limit is None else min(limit, volume.samples) for limit in limits)
        programs += volume.runs * volume.max_linear_programs if splits else 0
        program = 3e7 + 3e4 * self.N * self.d0 * self.d1
        return (1e3 * (self.N**2 + 1000) * draws + program * programs) * repeats

    def multisets(self, d1: int) -> int:
        """The number of multisets of d1 regions, one region per neuron, which exact volumes go through."""
        regions = 2 * sum(math.comb(self.N - 1, k) for k in range(self.d0 + self.part.problem.constant_input))
        return math.comb(regions + d1 - 1, d1)

    @property
    def last_layer(self) -> tuple[int, int]:
        """Inputs and units of the last hidden layer, which is certified."""
        inputs = self.d0 if self.hidden_layers == 1 else self.d1
        return inputs + self.part.network.bias, self.d1

    @property
    def gram_entries(self) -> int:
        """Entries of the N x N system that Levenberg-Marquardt forms; 0 where it forms none."""
        if not _is_levenberg_marquardt(self.part):
            return 0
        fits = self.N_padded <= levenberg_marquardt_options(self.part.training).gram_rows
        return self.N_padded**2 if fits else 0

    @property
    def bytes_needed(self) -> int:
        """Bytes that an epoch of all repetitions goes through, about: points, activations with gradients, and
        parameters with gradients and two optimizer moments. What a device holds is memory.memory_per_device."""
        points = self.N_padded * (self.d0 + 1)
        numbers = 3 * self.batch_rows * self.d1 * self.hidden_layers + 4 * self.parameters + 4 * self.gram_entries
        return self.repeats * (points + numbers) * self.itemsize


ImageShape = Callable[[Problem], tuple[int, int] | None]


def cells(study: Study, image_shape: ImageShape = nominal_shape) -> list[Cell]:
    """All cells of a study and of those in `also`, in the order in which they run. Raises UserError where a grid value
    leaves a cell without points, or asks for more points than the images have.

    image_shape: a problem's (number of images, d0), None where inputs are drawn; by default as published, of which
      whitening may drop some of d0.
    """
    return [cell for part in study.parts for cell in _part_cells(part, image_shape)]


def check(study: Study, image_shape: ImageShape = nominal_shape) -> list[Cell]:
    """The cells of a study that can run, as far as is known before its data are read; arguments as of `cells`. Raises
    UserError as `cells`, and for an unknown optimizer, exact volumes of too many inputs, global minima of too many
    points or units, a spectrum of too many points and weights, or basins without volumes."""
    planned = cells(study, image_shape)
    measured = (p for p in study.parts if p.volume is not None and p.volume.method == "exact" and p.volume.eps == 0)
    slopes = {part.network.rho for part in measured}
    for part in study.parts:
        if part.figure == "basins" and part.network.rho not in slopes:
            why = f"'basins' puts {part.name} beside exact volumes of the same points, which the study does not measure"
            raise UserError(f"figure: {why}; add to `also` one with volume=Volume('exact')")
    for cell in planned:
        inputs = cell.d0 + cell.part.problem.constant_input
        if cell.part.volume is not None and cell.part.volume.method == "exact" and inputs > MOST_EXACT_INPUTS:
            counted = ", the constant one included" if cell.part.problem.constant_input else ""
            why = f"'exact' is for d0 up to {MOST_EXACT_INPUTS}, not {inputs}{counted} ({cell.id})"
            raise UserError(f"volume.method: {why}; take 'sampling'")
        if cell.part.volume is not None and cell.part.volume.global_minimum:
            check_sets(cell.N, inputs, cell.d1)
        entries = cell.N * math.prod(cell.last_layer)
        if cell.part.train is not None and cell.part.train.spectrum and entries > SPECTRUM_ENTRIES:
            why = f"{cell.id} has N d0 d1 = {integer(entries)}, more than {integer(SPECTRUM_ENTRIES)}"
            raise UserError(f"train.spectrum: {why}; leave that cell or the spectrum out")
    for part in study.parts:
        if part.train is not None:
            check_optimizer(part.train)
            check_own(part.network, part.train)
    return planned


def _part_cells(part: Study, image_shape: ImageShape) -> list[Cell]:
    rows, width = image_shape(part.problem) or (0, 0)
    most = MAX_PADDING_CUBIC if _is_levenberg_marquardt(part) else MAX_PADDING
    result = []
    for hidden_layers, (d0, d1, sizes) in itertools.product(part.network.hidden_layers, _shapes(part, rows, width)):
        planned = [Cell(part, hidden_layers, d0, d1, N, N, d1) for N in sizes]
        padded = {} if planned[0].data_parallel else _pad(sizes, most)
        result += [dataclasses.replace(cell, N_padded=padded.get(cell.N, cell.N)) for cell in planned]
    if part.volume is None:
        return result
    widest: dict[tuple[int, int], int] = {}
    for cell in result:
        widest[cell.d0, cell.N_padded] = max(cell.d1, widest.get((cell.d0, cell.N_padded), 0))
    return [dataclasses.replace(cell, d1_padded=widest[cell.d0, cell.N_padded]) for cell in result]


def _shapes(part: Study, rows: int, width: int) -> list[tuple[int, int, list[int]]]:
    """(d0, d1, [N]); with one N each where d0 or d1 is computed from N. rows, width: of the images, where the config
    gives no N or d0; 0 where there are none."""
    problem, ratios, shapes = part.problem, part.network.d0_d1_over_N, []
    input_widths, sizes = problem.d0 or (width,), problem.N or (rows,)
    if not problem.grows and not ratios:
        return [(d0, d1, _points(part, d0, d1, rows, sizes)) for d0 in input_widths for d1 in part.network.d1 or (d0,)]
    if problem.d0_d1_over_N:
        raise UserError("problem.d0_d1_over_N: N would be computed from a d1 that is computed from N; give N")
    for N in sizes:
        # 1e-9: a ratio of whole numbers gives a whole number again.
        if problem.d0_over_N is not None:
            input_widths = (math.ceil(problem.d0_over_N * N - 1e-9),)
        elif problem.d0_over_sqrt_N_log_N is not None:
            input_widths = (math.ceil(problem.d0_over_sqrt_N_log_N * math.sqrt(N) * math.log(N) - 1e-9),)
        for d0 in input_widths:
            if d0 < (1 if problem.constant_input else 2):
                raise UserError(f"problem.d0: it would be {d0} at N = {N} ({part.name}); leave that N out")
            widths = [math.ceil(ratio * N / d0 - 1e-9) for ratio in ratios] or part.network.d1 or (d0,)
            if len(set(widths)) < len(widths):
                raise UserError(f"network.d0_d1_over_N: two values give the same d1 at N = {N} ({part.name})")
            shapes += [(d0, d1, _points(part, d0, d1, rows, (N,))) for d1 in widths]
    return shapes


def _points(part: Study, d0: int, d1: int, rows: int, given: tuple[int, ...]) -> list[int]:
    ratios = part.problem.d0_d1_over_N
    # 1e-9: a ratio that was computed from N gives N again.
    sizes = [math.floor(d0 * d1 / r + 1e-9) for r in ratios] or [*given]
    where = f"{part.name}: at d0 = {d0}, d1 = {d1}"
    if min(sizes) < 1:
        raise UserError(f"problem.d0_d1_over_N: {max(ratios)} leaves no points ({where}); give smaller values")
    if 0 < rows < max(sizes):
        raise UserError(f"problem.N: {max(sizes)} is more than the {rows} images there are ({where})")
    if len(set(sizes)) < len(sizes):
        raise UserError(f"problem.d0_d1_over_N: two values give the same N ({where}); leave one out")
    return sizes


def _is_levenberg_marquardt(part: Study) -> bool:
    return part.train is not None and part.train.optimizer == LEVENBERG_MARQUARDT


def _pad(sizes: list[int], most: float) -> dict[int, int]:
    """The number of rows that each N is padded to. Sizes are cut into runs of neighbours, each padded to its largest:
    the fewest runs (programs) for which padding is below `most` of all rows computed, and among those the cut with the
    least padding."""
    ordered = sorted(sizes)
    # best[k][j]: rows computed for the j smallest sizes in k runs, and where each run ends.
    best: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
    for _ in ordered:
        best = {
            j: min((best[i][0] + (j - i) * ordered[j - 1], (*best[i][1], j)) for i in best if i < j)
            for j in range(1, len(ordered) + 1)
            if any(i < j for i in best)
        }
        rows, ends = best.get(len(ordered), (math.inf, ()))
        if rows - sum(ordered) < most * rows:
            break
    return {ordered[i]: ordered[end - 1] for start, end in itertools.pairwise((0, *ends)) for i in range(start, end)}
