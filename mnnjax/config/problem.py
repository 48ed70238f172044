"""What a problem is: where the points X (N, d0) and the labels y (N,) come from; checked as config.py says."""

import dataclasses
import math
from typing import Literal

from mnnjax.config.validation import document_fields, require_grid, require_ratios, require_types
from mnnjax.errors import require

# Real images that `mnnjax data` keeps, and images that come with scikit-learn.
STORED = ("mnist", "fashion_mnist", "cifar10", "imagenet64")
BUNDLED = ("digits", "patches32", "patches64")


@document_fields
@dataclasses.dataclass(frozen=True)
class Problem:
    """Where the points X (N, d0) and the labels y (N,) come from."""

    inputs: Literal[
        "gaussian", "sphere", "rademacher", "uniform",
        "digits", "patches32", "patches64", "mnist", "fashion_mnist", "cifar10", "imagenet64",
    ] = "gaussian"  # fmt: skip
    """gaussian: i.i.d. standard normal. sphere: uniform, of norm sqrt(d0). rademacher: +1 or -1. uniform: on [0, 1]^d0.
    digits: the 1797 real 8x8 images bundled with scikit-learn. patches32, patches64: patches of scikit-learn's two
    photographs, of class 0 and 1, 50 000 of 32x32x3 and 1 280 000 of 64x64x3. mnist and so on: what `mnnjax data`
    keeps. All images are whitened."""
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
    """Instead of d0: d0 = ceil(value sqrt(N) log N), natural logarithm: the slow end of Assumption 3."""
    constant_input: bool = False
    """Every input gets one more coordinate, 1: biases of the hidden units; in volume studies only."""
    data_sets: int = 0
    """How many different (X, y) the repetitions have: repetition k has those of seed + k mod value; 0: all differ."""
    lower_classes: tuple[int, ...] = ()
    """With labels=classes, the classes of the lower label; empty: all that are not among upper_classes."""
    upper_classes: tuple[int, ...] = ()
    """The classes of the upper label; empty: all that are not among lower_classes. Both empty: the lower half of the
    classes against the upper half. Both given: images of other classes are left out."""
    split: Literal["train", "all"] = "train"
    """Of data that `mnnjax data` keeps: the training images, the test images being held out, or both joined."""
    whitening: Literal["pca", "zca"] = "pca"
    """pca: coordinates along the principal directions. zca: turned back to pixels."""
    whitening_images: int = 0
    """How many of the images, evenly spread, the whitening is computed from; 0: all. So few as leave directions without
    any variance leave a smaller d0."""

    def __post_init__(self):
        require_types("problem.", self)
        require(not (self.N and self.d0_d1_over_N), "problem: N and d0_d1_over_N are both given; keep one of them")
        smallest = 1 if self.constant_input else 2
        require_grid("problem.d0", self.d0, smallest, f"an input needs at least d0 = {smallest} numbers")
        require(self.data_sets >= 0, f"problem.data_sets: {self.data_sets} is negative; give 0 or more")
        self._check_growth()
        require_grid("problem.N", self.N, 1, "a problem needs at least N = 1 point")
        require_ratios("problem.d0_d1_over_N", self.d0_d1_over_N)
        self._check_images()
        if self.is_image:
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

    def _check_images(self) -> None:
        stored = self.inputs in STORED
        require(stored or self.split == "train", f"problem.split: 'all' is of data with two splits, not {self.inputs}")
        own = self.is_image or (self.whitening == "pca" and not self.whitening_images)
        require(own, f"problem.whitening, whitening_images: they are of images, not of {self.inputs} inputs")
        good = self.whitening_images == 0 or self.whitening_images >= 2
        require(
            good, f"problem.whitening_images: {self.whitening_images} have no covariance; give 2 or more, or 0: all"
        )
        chosen = (*self.lower_classes, *self.upper_classes)
        require(
            not chosen or self.labels == "classes",
            f"problem.lower_classes, upper_classes: they go with labels='classes', not {self.labels!r}",
        )
        require(
            len(set(chosen)) == len(chosen) and min(chosen, default=0) >= 0,
            f"problem.lower_classes, upper_classes: {chosen} has a class twice or a negative one; give each once",
        )

    def _check_growth(self) -> None:
        for name in ("d0_over_N", "d0_over_sqrt_N_log_N"):
            value = getattr(self, name)
            good = value is None or 0 < value < math.inf
            require(good, f"problem.{name}: {value} is not positive; give a value such as 0.5")
        rules = [bool(self.d0), self.d0_over_N is not None, self.d0_over_sqrt_N_log_N is not None]
        require(sum(rules) <= 1, "problem: d0, d0_over_N and d0_over_sqrt_N_log_N exclude each other; keep one")
        require(not self.grows or bool(self.N), "problem.N: the grid is empty; a d0 that grows with N needs N")

    @property
    def is_image(self) -> bool:
        """Whether the inputs are images, which decide d0 and how many points there can be."""
        return self.inputs in STORED + BUNDLED

    @property
    def grows(self) -> bool:
        """Whether d0 is computed from N."""
        return self.d0_over_N is not None or self.d0_over_sqrt_N_log_N is not None

    @property
    def threshold(self) -> float:
        """The output above which a point counts as of the upper class: between the two labels (section 1, MCE)."""
        return 0.5 if self.label_values == "zero_one" else 0.0

    def labels_of(self, upper):
        """The two values of y for whether a point is of the upper class: 0 or 1, a number or an array of any shape."""
        return 2 * upper - 1 if self.label_values == "plus_minus_one" else upper
