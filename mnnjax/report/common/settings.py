"""A study's settings, one phrase per entry, as shown under its heading."""

import itertools
from collections.abc import Sequence

from mnnjax.config import Problem, Study, digest
from mnnjax.config.problem import STORED
from mnnjax.training import LEVENBERG_MARQUARDT
from mnnjax.wording import integer, plural

_NAMES: dict[str, str] = {
    "gaussian": "Gaussian", "digits": "digits (scikit-learn)", "patches32": "patches 32x32x3",
    "patches64": "patches 64x64x3", "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10",
    "imagenet64": "ImageNet 64x64",
}  # fmt: skip
_SPREAD = "rows spread over the devices, all repetitions on the same points and batches"


def of_training(part: Study) -> tuple[str, ...]:
    """How its networks are trained, on which problems."""
    train, network = part.training, part.network
    options = "".join(f", {name} {value:g}" for name, value in train.optimizer_options)
    if train.optimizer == LEVENBERG_MARQUARDT:
        how = (f"Levenberg-Marquardt{options}", f"up to {plural(train.epochs, 'step')}")
    else:
        how = (
            f"{train.optimizer}{options}, learning rate {train.learning_rate:g}, "
            f"{f'batches of {train.batch_size}' if train.batch_size else 'full batch'}",
            f"{plural(train.epochs, 'epoch')} + {integer(train.decay_epochs)} with the rate decaying "
            f"to {train.decay_to:g} of it",
        )
    return (
        *how,
        train.precision,
        *([_SPREAD] if train.parallel == "data" else []),
        *_problem(part),
        f"rho = {network.rho:g}, {'with' if network.bias else 'no'} biases, {network.init} initial weights",
        f"config {digest(part)}",
    )


def of_volumes(part: Study) -> tuple[str, ...]:
    """How its volumes are measured, of which problems."""
    volume = part.measurement
    if volume.method == "exact":
        method = ["exact: all regions enumerated"]
    else:
        limits = (("V(L_eps)", volume.suboptimal_samples), ("V(G)", volume.global_samples))
        fewer = [f"{name} from {integer(n) if n else 'none'} of them" for name, n in limits if n is not None]
        method = [", ".join([f"{plural(volume.samples, 'draw')} of W", *fewer])]
    if volume.method == "splitting":
        runs = f"{plural(volume.runs, 'run')} of {plural(volume.particles, 'particle')}"
        method.append(f"V(L_eps) and the rank by splitting, {runs}")
    if volume.relative_width is not None:
        method.append(f"until every interval is narrower than {volume.relative_width:g} of its estimate")
    return (
        *method,
        f"eps = {volume.eps:g}",
        *(["points drawn anew for every draw"] if volume.redraw else []),
        *([f"global minima {signs(part)}"] if volume.output_signs == "random" else []),
        *_problem(part),
        f"rho = {part.network.rho:g}",
        f"config {digest(part)}",
    )


def signs(part: Study) -> str:
    """Which z a global minimum of a region may have."""
    if part.measurement.output_signs == "random":
        return "z frozen at random signs, drawn with W"
    return "with any z (Definition 4)"


def inputs_name(problem: Problem) -> str:
    """The inputs' name for people."""
    return _NAMES.get(problem.inputs, problem.inputs)


def _problem(part: Study) -> tuple[str, ...]:
    problem = part.problem
    sets = f" on {plural(problem.data_sets, 'data set')}" if problem.data_sets else ""
    values = problem.label_values.replace("_", " ")
    repeats = f"{plural(part.repeats, 'repeat')}{sets}, seed {part.seed}"
    constant = " and a constant coordinate" if problem.constant_input else ""
    if not problem.is_image:
        return (repeats, f"{inputs_name(problem)} inputs{constant}, {problem.labels} labels ({values})")
    labels = f"labels by class, {_classes(problem)}" if problem.labels == "classes" else f"{problem.labels} labels"
    return (
        repeats,
        f"{inputs_name(problem)}{_split(problem)}, {problem.whitening.upper()}-whitened{constant}",
        f"{labels} ({values})",
    )


def _split(problem: Problem) -> str:
    if problem.inputs not in STORED:
        return ""
    if problem.split == "all":
        return ", training and test images joined"
    return ", training images" + (" (test images held out)" if problem.labels == "classes" else "")


def _classes(problem: Problem) -> str:
    if not problem.lower_classes and not problem.upper_classes:
        return "the lower half against the upper half"
    sides = problem.lower_classes, problem.upper_classes
    return " against ".join(_runs(classes) or "all others" for classes in sides)


def _runs(numbers: Sequence[int]) -> str:
    """'0-4, 7'."""
    # A number less its rank is the same throughout a run.
    runs = itertools.groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0])
    classes = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in classes)
