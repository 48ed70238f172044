"""A study's settings, one phrase per entry, as shown under its heading."""

import itertools

from mnnjax.config import Problem, Study, digest
from mnnjax.config.problem import STORED
from mnnjax.config.study import DECAY
from mnnjax.study.execution.images import WHITENED
from mnnjax.training import LEVENBERG_MARQUARDT
from mnnjax.wording import integer, plural

_NAMES: dict[str, str] = {
    "gaussian": "Gaussian", "digits": "digits (scikit-learn)", "patches32": "patches 32x32x3",
    "patches64": "patches 64x64x3", "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10",
    "imagenet64": "ImageNet 64x64",
}  # fmt: skip


def of_training(part: Study) -> tuple[str, ...]:
    """How its networks are trained, on which problems."""
    train, network = part.training, part.network
    options = "".join(f", {name} {value:g}" for name, value in train.optimizer_options)
    batches = f"batches of {train.batch_size}" if train.batch_size else "full batch"
    decay = f"{integer(train.decay_epochs)} with the rate decaying to {train.decay_to:g} of it"
    rate = f"learning rate {train.learning_rate:g}"
    if train.schedule != DECAY:
        decay, rate = integer(train.decay_epochs), f"learning rate by {train.schedule}"
    if not train.total_epochs:
        how = ("not trained",)
    elif train.optimizer == LEVENBERG_MARQUARDT:
        how = (f"Levenberg-Marquardt{options}", f"up to {plural(train.epochs, 'step')}")
    else:
        how = (
            f"{train.optimizer}{options}, {rate}, {batches}",
            f"{plural(train.epochs, 'epoch')} + {decay}",
        )
    rows = "rows spread over the devices, all repetitions on the same points and batches"
    return (
        *how,
        *(["then an exact descent to a minimum"] if train.finish == "minimum" else []),
        train.precision,
        *([rows] if train.parallel == "data" else []),
        *_problem(part),
        f"rho = {network.rho:g}, {'with' if network.bias else 'no'} biases, {network.init} initial weights",
        f"config {digest(part)}",
    )


def of_volumes(part: Study) -> tuple[str, ...]:
    """How its volumes are measured, of which problems."""
    volume = part.measurement
    method = ["exact: all regions enumerated"]
    if volume.method != "exact":
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
    return _NAMES.get(problem.inputs, problem.data_name)


def _problem(part: Study) -> tuple[str, ...]:
    problem = part.problem
    sets = f" on {plural(problem.data_sets, 'data set')}" if problem.data_sets else ""
    repeats = f"{plural(part.repeats, 'repeat')}{sets}, seed {part.seed}"
    constant = " and a constant coordinate" if problem.constant_input else ""
    values = problem.label_values.replace("_", " ")
    by_class = problem.labels == "classes"
    labels = f"labels by class, {_classes(problem)} ({values})" if by_class else f"{problem.labels} labels ({values})"
    if not problem.is_image:
        return (repeats, f"{inputs_name(problem)} inputs{constant}, {labels}")
    split = ", training and test points joined" if problem.is_own and problem.split == "all" else ""
    if problem.inputs in STORED:
        training = ", training images (test images held out)" if by_class else ", training images"
        split = ", training and test images joined" if problem.split == "all" else training
    # Of a user's data it may depend on them; the page tells it from the record.
    kind = problem.known_whitening
    whitened = "" if kind is None else ", not whitened" if kind == "none" else f", {WHITENED[kind]}"
    return (repeats, f"{inputs_name(problem)}{split}{whitened}{constant}", labels)


def _classes(problem: Problem) -> str:
    """'0-4, 7 against all others'."""
    sides = problem.lower_classes, problem.upper_classes
    if not any(sides):
        return "the lower half against the upper half"
    texts = []
    for classes in sides:
        # A number less its rank is the same throughout a run.
        runs = itertools.groupby(enumerate(sorted(classes)), lambda pair: pair[1] - pair[0])
        ends = [[number for _, number in run] for _, run in runs]
        texts.append(", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in ends))
    return " against ".join(text or "all others" for text in texts)
