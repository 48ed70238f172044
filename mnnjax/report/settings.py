"""A study's settings, one phrase an entry, as they stand under its heading."""

from mnnjax.config import Study, digest
from mnnjax.report.wording import integer, plural
from mnnjax.training import NEWTON


def of_training(part: Study) -> tuple[str, ...]:
    """How its networks are trained, on which problems."""
    train, network = part.train, part.network
    options = "".join(f", {name} {value:g}" for name, value in train.optimizer_options)
    if train.optimizer == NEWTON:
        how = (f"newton{options}", f"up to {plural(train.epochs, 'step')}")
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
        *_problem(part),
        f"rho = {network.rho:g}, {'with' if network.bias else 'no'} biases, {network.init} initial weights",
        f"config {digest(part)}",
    )


def of_volumes(part: Study) -> tuple[str, ...]:
    """How its volumes are measured, of which problems."""
    volume = part.volume
    if volume.method == "exact":
        method = ["exact: all regions enumerated"]
    else:
        limits = (("V(L_eps)", volume.suboptimal_draws), ("V(G)", volume.global_draws))
        fewer = [f"{name} from {integer(n) if n else 'none'} of them" for name, n in limits if n is not None]
        method = [", ".join([f"{plural(volume.draws, 'draw')} of W", *fewer])]
    if volume.method == "splitting":
        runs = f"{plural(volume.splits, 'run')} of {plural(volume.particles, 'particle')}"
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
    """What z may be where a region is asked for a global minimum."""
    if part.volume.output_signs == "random":
        return "z frozen at random signs, drawn with W"
    return "with any z (Definition 4)"


def _problem(part: Study) -> tuple[str, ...]:
    problem = part.problem
    sets = f" on {plural(problem.data_sets, 'data set')}" if problem.data_sets else ""
    constant = " and a constant coordinate" if problem.constant_input else ""
    return (
        f"{plural(part.repeats, 'repeat')}{sets}, seed {part.seed}",
        f"{problem.inputs} inputs{constant}, {problem.labels} labels ({problem.label_values.replace('_', ' ')})",
    )
