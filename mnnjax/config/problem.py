"""What a problem is: where the points X (N, d0) and the labels y (N,) come from."""

import difflib
import math
import re
from pathlib import Path
from typing import Any, Literal

from mnnjax.config.validation import (
    config_class,
    convert_fields,
    integers,
    numbers,
    require_at_least,
    require_grid,
    require_ratios,
    several,
)
from mnnjax.errors import did_you_mean, require

DRAWN = ("gaussian", "sphere", "rademacher", "uniform")
# Real images that `mnnjax data` keeps, and images that come with scikit-learn.
STORED = ("mnist", "fashion_mnist", "cifar10", "imagenet64")
BUNDLED = ("digits", "patches32", "patches64")
KNOWN = (*DRAWN, *BUNDLED, *STORED, "file")
OWN_NAME = f"a name of your own has letters, digits, '_' and '-', and is unlike {', '.join(KNOWN)}"


def is_own_name(name: str) -> bool:
    """Whether a user may store a data set under this name: a file may have it, and it is no other inputs' name, nor one
    misspelt: similar, and no longer. So `mnits` is refused, and `mnist2` is a name."""
    similar = difflib.get_close_matches(name.lower(), KNOWN, 1, 0.8)
    misspelt = bool(similar) and len(name) <= len(similar[0])
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name)) and not misspelt


@config_class
class Problem:
    """Where the points X (N, d0) and the labels y (N,) come from."""

    inputs: Literal[
        "gaussian", "sphere", "rademacher", "uniform",
        "digits", "patches32", "patches64", "mnist", "fashion_mnist", "cifar10", "imagenet64", "file",
    ] | str = "gaussian"  # fmt: skip
    """gaussian: i.i.d. standard normal. sphere: uniform on the sphere of radius sqrt(d0). rademacher: +1 or -1.
    uniform: on [0, 1]^d0. digits: scikit-learn's 1797 real 8x8 images. patches32, patches64: patches of scikit-learn's
    two photographs, classes 0 and 1, 50 000 of 32x32x3 and 1 280 000 of 64x64x3. mnist and so on: data sets that
    `mnnjax data` stores. file: your own data, in `path`. Any other name: your own data, stored under it by
    `mnnjax data import`."""
    labels: Literal["random", "teacher", "classes"] = "random"
    """random: either value with probability 1/2. teacher: by a random network (Assumption 5). classes: by the class of
    the image, or of the point in your own data."""
    label_values: Literal["zero_one", "plus_minus_one"] = "plus_minus_one"
    """The two values of y: 0 and 1 (the theory), or -1 and +1 (Figure 5.1)."""
    teacher_units: int = 0
    """d1* of Assumption 5, the teacher's hidden units; only with labels=teacher."""
    d0: tuple[int, ...] = several(default=(), converter=integers)
    """Input widths; empty for images and your own data, which decide it."""
    N: tuple[int, ...] = several(default=(), converter=integers)
    """Numbers of points. For images and your own data, empty means all, and a number means a random subset for each
    repetition."""
    d0_d1_over_N: tuple[float, ...] = several(default=(), converter=numbers)
    """Instead of N: first-layer weights per point, N = floor(d0 d1 / value)."""
    d0_over_N: float | None = None
    """Instead of d0: the input width grows with N, d0 = ceil(value N)."""
    d0_over_sqrt_N_log_N: float | None = None
    """Instead of d0: d0 = ceil(value sqrt(N) log N), natural logarithm: the slow end of Assumption 3."""
    constant_input: bool = False
    """Add a coordinate 1 to every input, which gives the hidden units biases; only in volume studies."""
    data_sets: int = 0
    """Number of different data sets (X, y): repetition k has that of seed + k mod value. 0: each has its own."""
    lower_classes: tuple[int, ...] = several(default=(), converter=integers)
    """Classes with the lower label, with labels=classes; empty: all that are not in upper_classes."""
    upper_classes: tuple[int, ...] = several(default=(), converter=integers)
    """Classes with the upper label; empty: all that are not in lower_classes. Both empty: the lower half of the classes
    against the upper half. Both given: images of other classes are left out."""
    split: Literal["train", "all"] = "train"
    """For stored data and your own. train: the training points, with the test points held out. all: both."""
    whitening: Literal["pca", "zca", "cholesky", "none"] | None = None
    """pca: coordinates along the principal directions. zca: rotated back to pixels. cholesky: what each pixel adds to
    those before it, the fastest with many pixels. none: the inputs as they are. None: pca for images, none for a user's
    real X."""
    whitening_images: int = 0
    """Number of images, evenly spaced, that the whitening is computed from; 0: all. Directions without variance in
    these images are dropped, which makes d0 smaller."""
    path: str | None = None
    """With inputs=file: an .npz, or a folder of .npy files, with X (N, d0) or images uint8 (N, height, width[,
    channels]), and labels y (N,). None: run_study(study, workdir, data=(X, y)) gives them. A file may be moved; the
    study knows its content by its SHA-256."""

    def __post_init__(self):
        convert_fields("problem.", self)
        require(not (self.N and self.d0_d1_over_N), "problem: N and d0_d1_over_N are both given; keep one of them")
        smallest = 1 if self.constant_input else 2
        require_grid("problem.d0", self.d0, smallest, f"an input needs at least d0 = {smallest} numbers")
        require_at_least("problem.", self, data_sets=0)
        for name in ("d0_over_N", "d0_over_sqrt_N_log_N"):
            value = getattr(self, name)
            positive = value is None or 0 < value < math.inf
            require(positive, f"problem.{name}: {value} is not positive; give a value such as 0.5")
        rules = [bool(self.d0), self.d0_over_N is not None, self.d0_over_sqrt_N_log_N is not None]
        require(sum(rules) <= 1, "problem: d0, d0_over_N and d0_over_sqrt_N_log_N exclude each other; keep one")
        require(not self.grows or bool(self.N), "problem.N: the grid is empty; a d0 that grows with N needs N")
        require_grid("problem.N", self.N, 1, "a problem needs at least N = 1 point")
        require_ratios("problem.d0_d1_over_N", self.d0_d1_over_N)
        self._check_own()
        stored = self.inputs in STORED or self.is_own
        require(stored or self.split == "train", f"problem.split: 'all' needs data with two splits, not {self.inputs}")
        plain = self.whitening in (None, "pca") and not self.whitening_images
        require(self.is_image or plain, f"problem.whitening, whitening_images: only for images, not {self.inputs}")
        enough = self.whitening_images == 0 or self.whitening_images >= 2
        require(enough, f"problem.whitening_images: {self.whitening_images} is too small; give 2 or more, or 0: all")
        used = self.whitening != "none" or not self.whitening_images
        require(used, "problem.whitening_images: only with whitening, and not with 'none'; leave it out")
        chosen = (*self.lower_classes, *self.upper_classes)
        name = "problem.lower_classes, upper_classes"
        require(not chosen or self.labels == "classes", f"{name}: only with labels='classes', not {self.labels!r}")
        once = len(set(chosen)) == len(chosen) and min(chosen, default=0) >= 0
        require(once, f"{name}: {chosen} has a class twice or a negative one; give each once")
        if self.is_image:
            require(self.labels != "teacher", "problem.labels: images have no teacher; use 'classes' or 'random'")
            require(not self.d0 and not self.grows, f"problem.d0: {self.data_name} decides d0; leave it empty")
        else:
            require(bool(self.d0) or self.grows, "problem.d0: the grid is empty; give at least one input width")
            require(bool(self.N or self.d0_d1_over_N), "problem.N: the grid is empty; give N or d0_d1_over_N")
            require(self.labels != "classes", f"problem.labels: 'classes' needs images, not {self.inputs} inputs")
        if self.labels == "teacher":
            require(self.teacher_units >= 1, "problem.teacher_units: a teacher needs at least 1 hidden unit")
        else:
            require(self.teacher_units == 0, "problem.teacher_units: only with problem.labels='teacher'")

    def _check_own(self) -> None:
        """Require a usable name of a user's data, and a path only for a file."""
        in_file = self.inputs == "file"
        require(in_file or self.path is None, f"problem.path: only with inputs='file', not {self.inputs!r}")
        require(self.path != "", "problem.path: the name is empty; give that of an .npz, or of a folder of .npy files")
        if self.is_own and not in_file:
            meant = did_you_mean(self.inputs, KNOWN)
            named = f"problem.inputs: {self.inputs!r} is not known{meant}; {OWN_NAME}"
            require(is_own_name(self.inputs), named)

    @property
    def is_image(self) -> bool:
        """Whether the inputs are read and not drawn: images, or a user's data. They decide d0 and the largest N."""
        return self.inputs not in DRAWN

    @property
    def is_own(self) -> bool:
        """Whether the inputs are a user's data: in a file, given from Python, or stored under a new name."""
        return self.inputs not in KNOWN or self.inputs == "file"

    @property
    def known_whitening(self) -> str | None:
        """How inputs are whitened; None where that depends on whether a user's data are images. Of no meaning where
        inputs are drawn."""
        return self.whitening or (None if self.is_own else "pca")

    @property
    def data_name(self) -> str:
        """The name of the inputs, for people: that of the file where they are in one."""
        if self.inputs != "file":
            return self.inputs
        return "X and y from Python" if self.path is None else Path(self.path).name

    @property
    def grows(self) -> bool:
        """Whether d0 is computed from N."""
        return self.d0_over_N is not None or self.d0_over_sqrt_N_log_N is not None

    @property
    def threshold(self) -> float:
        """The output above which a point counts as the upper class, between the two labels (section 1, MCE)."""
        return 0.5 if self.label_values == "zero_one" else 0.0

    def labels_of(self, upper: Any) -> Any:
        """The values of y for `upper`, 1 for the upper class and 0 for the lower: a number or an array of any shape."""
        return 2 * upper - 1 if self.label_values == "plus_minus_one" else upper
