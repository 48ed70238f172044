"""`mnnjax certify`: the certificate of a network in an .npz file, which is polished first if the user asks."""

import dataclasses
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from mnnjax.cli.parser import OneLineParser, json_text, local_path
from mnnjax.errors import UserError, require
from mnnjax.wording import aligned

DESCRIPTION = """Decide what kind of point a network is at, in float64 with proven error bounds. FILE.npz holds
W (d1, d0), z (d1,) or (1, d1), X (N, d0), y (N,) or (N, 1); and, if the network has biases, b (d1,) of the hidden layer
and c of the output. It may hold rho, and threshold: outputs above it count as the larger label (for the MCE; default 0
if a label is -1, else 0.5)."""
EPILOG = """verdicts: global_minimum, suboptimal_dlm, suboptimal_kink, saddle, not_converged, undecided;
README.md, "What kind of point is it?", says what each one proves

exit codes: 0 for any verdict; 2 wrong input

examples:
  mnnjax certify point.npz --rho 0
  mnnjax certify point.npz --polish polished.npz

point.npz from Python: numpy.savez("point.npz", W=W, z=z, X=X, y=y, rho=0.0)"""
NEEDED = ("W", "z", "X", "y")
OPTIONAL = ("b", "c", "rho", "threshold")


def main(arguments: Sequence[str]) -> int:
    """`mnnjax certify ARGUMENTS`; returns the exit code."""
    parser = OneLineParser("mnnjax certify", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("file", type=local_path, metavar="FILE.npz", help="the network and its points")
    rho = "slope for negative neural inputs, 0 for the ReLU; default: the file's"
    parser.add_argument("--rho", type=float, help=rho)
    polish = "train on by Levenberg-Marquardt in float64, write that network to OUT.npz, and certify it"
    parser.add_argument("--polish", type=local_path, metavar="OUT.npz", help=polish)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    result = certify_file(options.file, options.rho, options.polish)
    print(json_text(result) if options.json else describe(result))
    return 0


def certify_file(path: Path, rho: float | None = None, output: Path | None = None) -> dict:
    """The certificate of the network in the .npz (see DESCRIPTION) as JSON values; rho replaces the file's. With an
    output, the network is polished first and written there. UserError where the file or its arrays do not fit, there is
    no rho, or the output cannot be written."""
    import numpy as np

    from mnnjax.cli.npz import as_vectors, read_arrays, write_arrays
    from mnnjax.landscape import certify
    from mnnjax.landscape.certificates.cost import announcement, is_large
    from mnnjax.training import polish

    given = read_arrays(path, NEEDED, OPTIONAL)
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
    has_bias = "b" in arrays
    if has_bias:
        X, W = np.hstack([X, np.ones((len(X), 1))]), np.hstack([W, arrays["b"][:, None]])
    polished = None
    try:
        if output is not None:
            start, norm = {"W": W, "z": z}, np.linalg.norm
            W, z, *more = polish(W, z, X, y, rho, output_bias=c)
            c = more[0] if more else None
            moves = {"W": W - start["W"], "z": z - start["z"]}
            moved = {name: float(norm(moves[name]) / norm(old)) if norm(old) else None for name, old in start.items()}
            polished = {"output": str(output), "moved": moved}
        sizes = X.shape[0], X.shape[1], W.shape[0]
        if is_large(*sizes):
            print(announcement(*sizes), file=sys.stderr, flush=True)
        certificate = certify(W, z, X, y, rho, threshold=threshold, output_bias=c)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if output is not None:
        new = {"W": W[:, :-1] if has_bias else W, "z": z, "b": W[:, -1], "c": c}
        shaped = {name: np.reshape(new[name], given[name].shape) for name in new if name in given}
        write_arrays(output, "polish", given | shaped | {"rho": np.float64(rho)})
    descent = certificate.descent and [change.tolist() for change in certificate.descent]
    return {
        "file": str(path), "N": X.shape[0], "d0": X.shape[1] - has_bias, "d1": W.shape[0], "rho": rho,
        "biases": [name for name in ("b", "c") if name in arrays],
        "polished": polished, "certificate": dataclasses.asdict(certificate) | {"descent": descent},
    }  # fmt: skip


def describe(result: dict) -> str:
    """The result of `certify_file` as text."""
    from mnnjax.landscape import Certificate
    from mnnjax.landscape.certificates.certificate import summary

    polished = result["polished"]
    found = Certificate(**result["certificate"])
    biases = f", biases {', '.join(result['biases'])}" if result["biases"] else ""
    head = f"{result['file']}: N = {result['N']}, d0 = {result['d0']}, d1 = {result['d1']}, rho = {result['rho']:g}"
    parts: dict[str, object] = {}
    if polished:
        shares = {n: "unknown" if share is None else f"{share:.3g}" for n, share in polished["moved"].items()}
        moved = ", ".join(f"{name} by {share}" for name, share in shares.items())
        parts["polished"] = f"{polished['output']}: moved {moved} of its norm; the lines below are about that point"
    parts |= summary(found)
    if found.verdict == "not_converged":
        way = "train on in float64" + ("" if polished else ", or --polish OUT.npz")
        checks = "if the training MSE differs, check rho, biases and the layout of W"
        parts["advice"] = f"MSE above rounding: {way}; {checks}"
    return "\n".join([head + biases, textwrap.indent(aligned(parts), "  ")])
