"""`mnnjax certify`: the certificate of a network in an .npz file, and of where it leads if the user asks."""

import dataclasses
import math
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mnnjax.cli.parser import OneLineParser, json_text, local_path
from mnnjax.errors import UserError, require
from mnnjax.terminal import show
from mnnjax.wording import aligned, plural

DESCRIPTION = """Decide what kind of point a network is at, in float64 with proven error bounds. FILE.npz holds
W (d1, d0), z (d1,) or (1, d1), X (N, d0), y (N,) or (N, 1); and, if the network has biases, b (d1,) of the hidden layer
and c of the output. It may hold rho, and threshold: outputs above it count as the larger label (for the MCE; default 0
if a label is -1, else 0.5)."""
EPILOG = """verdicts: global_minimum, suboptimal_dlm, suboptimal_kink, saddle, not_converged, undecided;
mnnjax/landscape/README.md says what each one proves

exit codes: 0 for any verdict; 2 wrong input

examples:
  mnnjax certify point.npz --rho 0
  mnnjax certify point.npz --polish polished.npz
  mnnjax certify point.npz --descend minimum.npz

point.npz from Python: numpy.savez("point.npz", W=W, z=z, X=X, y=y, rho=0.0)"""
NEEDED = ("W", "z", "X", "y")
OPTIONAL = ("b", "c", "rho", "threshold")


def make_parser() -> OneLineParser:
    """The parser of the command's arguments."""
    parser = OneLineParser("mnnjax certify", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("file", type=local_path, metavar="FILE.npz", help="the network and its points")
    rho = "slope for negative neural inputs, 0 for the ReLU; used in place of the file's, if that has one"
    parser.add_argument("--rho", type=float, help=rho)
    ways = parser.add_mutually_exclusive_group()
    polish = "train on by Levenberg-Marquardt in float64, write that network to OUT.npz, and certify it"
    ways.add_argument("--polish", type=local_path, metavar="OUT.npz", help=polish)
    descend = "go down to a local minimum, also to one at kinks, write it to OUT.npz, and certify both points"
    ways.add_argument("--descend", type=local_path, metavar="OUT.npz", help=descend)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(arguments: Sequence[str]) -> int:
    """`mnnjax certify ARGUMENTS`; returns the exit code."""
    options = make_parser().parse_args(arguments)
    result = certify_file(options.file, options.rho, options.polish, options.descend)
    for text in result["warnings"]:
        show(f"mnnjax: warning: {text}", sys.stderr)
    print(json_text(result)) if options.json else show(describe(result))
    return 0


class Network(NamedTuple):
    """What an .npz holds, in the library's form: with a first-layer bias, W and X have a last column for it."""

    W: Float[np.ndarray, "d1 d0"]
    z: Float[np.ndarray, " d1"]
    X: Float[np.ndarray, "N d0"]
    y: Float[np.ndarray, " N"]
    rho: float
    c: float | None
    threshold: float | None
    has_bias: bool


def certify_file(
    path: Path, rho: float | None = None, polished: Path | None = None, minimum: Path | None = None
) -> dict:
    """The certificate of the network in the .npz (see DESCRIPTION) as JSON values; rho replaces the file's.

    With `polished`, the network is polished first and written there; with `minimum`, it descends to a local minimum,
    which is written there, and "start" is the certificate of the point given. "warnings" are lines about the file's rho
    where it is another one, and about labels of more than two values. UserError where the file or its arrays do
    not fit, there is no rho, or the output cannot be written."""
    from mnnjax.cli.npz import read_arrays, refuse_missing_folder

    option, output = ("descend", minimum) if polished is None else ("polish", polished)
    given = read_arrays(path, NEEDED, OPTIONAL)
    network = _network(path, given, rho)
    result = {
        "file": str(path), "N": len(network.X), "d0": network.X.shape[1] - network.has_bias, "d1": len(network.z),
        "rho": network.rho, "biases": [name for name in ("b", "c") if name in given],
        "polished": None, "descended": None, "start": None, "warnings": _warnings(path, given, network),
    }  # fmt: skip
    if output is not None:
        refuse_missing_folder(output, option)
    try:
        if polished is not None:
            network, told = _polished(network)
            result["polished"] = {"output": str(polished)} | told
        certificate = _certificate(network)
        if minimum is not None:
            network, told = _descended(network)
            result |= {"descended": {"output": str(minimum)} | told, "start": certificate}
            certificate = _certificate(network)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if output is not None:
        _write(output, option, given, network)
    return result | {"certificate": certificate}


def _network(path: Path, given: dict[str, np.ndarray], rho: float | None) -> Network:
    from mnnjax.cli.npz import as_vectors

    arrays = as_vectors(given)
    W_shape, X_shape = arrays["W"].shape, arrays["X"].shape
    rows = "give W (d1, d0), one row per neuron, and X (N, d0), one row per point"
    fit = len(W_shape) == len(X_shape) == 2 and W_shape[1] == X_shape[1]
    require(fit, f"{path}: W has shape {W_shape} and X {X_shape}; {rows}")
    wanted = {"z": W_shape[:1], "y": X_shape[:1], "b": W_shape[:1], "c": (), "rho": (), "threshold": ()}
    for name, shape in wanted.items():
        found = arrays[name].shape if name in arrays else shape
        require(found == shape, f"{path}: {name} has shape {found}, not {shape}, by W {W_shape} and X {X_shape}")
    c, threshold, own_rho = (float(arrays[n]) if n in arrays else None for n in ("c", "threshold", "rho"))
    rho = own_rho if rho is None else rho
    if rho is None:
        raise UserError(f"{path}: holds no rho; give --rho, the slope for negative neural inputs, 0 for the ReLU")
    W, z, X, y = (arrays[name] for name in NEEDED)
    if "b" in arrays:
        X, W = np.hstack([X, np.ones((len(X), 1))]), np.hstack([W, arrays["b"][:, None]])
    return Network(W, z, X, y, rho, c, threshold, "b" in arrays)


def _warnings(path: Path, given: dict[str, np.ndarray], network: Network) -> list[str]:
    """One line about each thing in the file that may not be what its user means."""
    lines = []
    # A file in float32 may say 0.3 in other digits.
    if "rho" in given and not math.isclose(own := float(given["rho"].reshape(())), network.rho, rel_tol=1e-6):
        lines.append(f"{path} says rho = {own:g}; rho = {network.rho:g} is used, which --rho gives")
    if (count := len(np.unique(network.y))) > 2:
        why = "the MCE and the threshold are for labels of two values; the MSE and the verdict hold for any"
        lines.append(f"{path}: y has {count} values; {why}")
    return lines


def _polished(start: Network) -> tuple[Network, dict]:
    """The network after Levenberg-Marquardt, and by which fraction of their norms W and z moved."""
    from mnnjax.training import polish

    W, z, *more = polish(start.W, start.z, start.X, start.y, start.rho, output_bias=start.c)
    norm, moves = np.linalg.norm, {"W": (start.W, W), "z": (start.z, z)}
    moved = {name: float(norm(new - old) / norm(old)) if norm(old) else None for name, (old, new) in moves.items()}
    return start._replace(W=W, z=z, c=more[0] if more else None), {"moved": moved}


def _descended(start: Network) -> tuple[Network, dict]:
    """The network where the descent ends, and what it did on the way."""
    from mnnjax.landscape import descend
    from mnnjax.landscape.descent.cost import announcement

    if said := announcement(len(start.X), start.X.shape[1], len(start.z)):
        show(said, sys.stderr)
    found = descend(start.W, start.z, start.X, start.y, start.rho, output_bias=start.c)
    told = {
        "mse_before": found.mse_before, "mse": found.certificate.mse, "distance": found.distance,
        "steps": found.steps, "reason": found.reason,
    }  # fmt: skip
    return start._replace(W=found.W, z=found.z, c=found.output_bias), told


def _certificate(network: Network) -> dict:
    """The network's certificate as JSON values."""
    from mnnjax.landscape import certify
    from mnnjax.landscape.certificates.cost import announcement, is_large

    W, z, X, y, rho, c, threshold, _ = network
    sizes = len(X), X.shape[1], len(z)
    if is_large(*sizes):
        show(announcement(*sizes), sys.stderr)
    found = certify(W, z, X, y, rho, threshold=threshold, output_bias=c)
    return dataclasses.asdict(found) | {"descent": found.descent and [change.tolist() for change in found.descent]}


def _write(path: Path, option: str, given: dict[str, np.ndarray], network: Network) -> None:
    """Write the network's weights, in the shapes of the arrays that were given, and the rest of those."""
    from mnnjax.cli.npz import write_arrays

    W = network.W
    new = {"W": W[:, :-1] if network.has_bias else W, "z": network.z, "b": W[:, -1], "c": network.c}
    shaped = {name: np.reshape(new[name], given[name].shape) for name in new if name in given}
    write_arrays(path, option, given | shaped | {"rho": np.float64(network.rho)})


def describe(result: dict) -> str:
    """The result of `certify_file` as text."""
    polished, descended = result["polished"], result["descended"]
    biases = f", biases {', '.join(result['biases'])}" if result["biases"] else ""
    head = f"{result['file']}: N = {result['N']}, d0 = {result['d0']}, d1 = {result['d1']}, rho = {result['rho']:g}"
    lines, parts = [head + biases], dict[str, object]()
    if polished:
        shares = {n: "unknown" if share is None else f"{share:.3g}" for n, share in polished["moved"].items()}
        moved = ", ".join(f"{name} by {share}" for name, share in shares.items())
        parts["polished"] = f"{polished['output']}: moved {moved} of its norm; the lines below are about that point"
    if descended:
        lines += ["the point given:", _words(result["start"], {}), "the point that the descent leads to:"]
        parts["descended"] = f"{descended['output']}: {plural(descended['steps'], 'step')}, " + (
            f"{descended['distance']:.3g} of the norm of all weights away"
        )
        parts["MSE"] = f"{descended['mse_before']:.6g} before, {descended['mse']:.6g} after"
        if descended["reason"]:
            parts["no proven minimum"] = descended["reason"]
    advice = _advice(result["certificate"]["verdict"], polished, descended)
    return "\n".join([*lines, _words(result["certificate"], parts, advice)])


def _words(certificate: dict, before: dict[str, object], after: dict[str, object] | None = None) -> str:
    """A certificate as indented lines, between others."""
    from mnnjax.landscape import Certificate
    from mnnjax.landscape.certificates.certificate import summary

    fields: dict[str, Any] = certificate | {"descent": None}
    return textwrap.indent(aligned(before | summary(Certificate(**fields)) | (after or {})), "  ")


def _advice(verdict: str, polished: dict | None, descended: dict | None) -> dict[str, object]:
    """What to do about a verdict that proves no minimum: polishing suits points next to a smooth minimum, a descent
    any. After a descent there is nothing left to do."""
    if descended or verdict not in ("not_converged", "saddle", "undecided"):
        return {}
    if verdict != "not_converged":
        return {"advice": "--descend OUT.npz goes down to a proven minimum"}
    way = "--descend OUT.npz" if polished else "--polish OUT.npz if a smooth minimum is near, else --descend OUT.npz"
    return {"advice": f"{way}; if the training MSE differs, check rho, biases and the layout of W"}
