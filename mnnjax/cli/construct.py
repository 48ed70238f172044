"""`mnnjax construct`: a global minimum by Theorem 8, its certificate, and an .npz of both."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from mnnjax.cli.parser import RHO_HELP, OneLineParser, json_text, local_path
from mnnjax.errors import UserError, require
from mnnjax.terminal import show

DESCRIPTION = """Construct a global minimum (Theorem 8) for your own points, or for Gaussian points with random labels 0
and 1, and certify it. The output holds W (d1, d0), z (d1,), X (N, d0), y (N,) and rho, which `mnnjax certify` reads."""
EPILOG = """exit codes: 0 written; 2 wrong input

examples:
  mnnjax construct --output minimum.npz --N 200 --d0 20 --seed 1
  mnnjax construct --output minimum.npz --input mine.npz --rho 0.1

mine.npz from Python: numpy.savez("mine.npz", X=X, y=y)"""
# The Gaussian problem unless the options say otherwise.
SIZES = {"N": 100, "d0": 10, "seed": 0}


def make_parser() -> OneLineParser:
    """The parser of the command's arguments."""
    parser = OneLineParser("mnnjax construct", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--output", type=local_path, required=True, metavar="FILE.npz", help="the file to write")
    points = "points X (N, d0), one row per point, and labels y (N,)"
    parser.add_argument("--input", type=local_path, metavar="FILE.npz", help=points)
    parser.add_argument("--N", type=int, help=f"number of Gaussian points, without --input; default {SIZES['N']}")
    parser.add_argument("--d0", type=int, help=f"their input width; default {SIZES['d0']}")
    parser.add_argument("--seed", type=int, help=f"the seed they are drawn from; default {SIZES['seed']}")
    parser.add_argument("--rho", type=float, default=0.0, help=RHO_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(arguments: Sequence[str]) -> int:
    """`mnnjax construct ARGUMENTS`; returns the exit code."""
    options = make_parser().parse_args(arguments)
    given = {name: getattr(options, name) for name in SIZES if getattr(options, name) is not None}
    if options.input is not None and given:
        names = ", ".join(f"--{name}" for name in given)
        raise UserError(f"construct: --input has its own points, and {names} would draw others; give one or the other")
    result = construct(options.output, options.input, rho=options.rho, **SIZES | given)
    print(json_text(result)) if options.json else show(describe(result))
    return 0


def construct(output: Path, input: Path | None, N: int, d0: int, seed: int, rho: float) -> dict:
    """Build the minimum, write `output`, and return the results as JSON values; N, d0 and the seed count without input.
    UserError for input that cannot be read, output that cannot be written, or from landscape.global_minimum."""
    import jax
    import numpy as np

    from mnnjax.cli.npz import as_vectors, read_arrays, write_arrays
    from mnnjax.config import Problem
    from mnnjax.landscape import certify
    from mnnjax.landscape.construction.theorem8 import construction_error, global_minimum
    from mnnjax.problems import make_problem
    from mnnjax.theory import d1_star

    if input is None:
        require(0 <= seed < 2**31, f"seed: {seed} must lie between 0 and 2^31 - 1")
        draw = make_problem(Problem(label_values="zero_one", d0=(d0,), N=(N,)), N, d0, rho, np.float64)
        X, y = (np.asarray(array) for array in draw(jax.random.key(seed), N))
    else:
        arrays = as_vectors(read_arrays(input, ("X", "y")))
        X, y = arrays["X"], arrays["y"]
    try:
        W, z = global_minimum(X, y, rho)
    except UserError as error:
        # rho does not come from the file.
        raise UserError(f"{input}: {error}" if input and not str(error).startswith("rho") else str(error)) from error
    error, margin, units = construction_error(W, z, X, y, rho)
    certificate = dataclasses.asdict(certify(W, z, X, y, rho))
    write_arrays(output, "output", {"W": W, "z": z, "X": X, "y": y, "rho": np.float64(rho)})
    return {
        "output": str(output), "N": X.shape[0], "d0": X.shape[1], "rho": rho, "units": units,
        "d1_star": d1_star(*X.shape), "relative_error": error, "relative_margin": margin, "certificate": certificate,
    }  # fmt: skip


def describe(result: dict) -> str:
    """The result of `construct` as text."""
    certificate = result["certificate"]
    return (
        f"{result['output']}: N = {result['N']}, d0 = {result['d0']}, rho = {result['rho']:g}\n"
        f"  hidden units    {result['units']} (Theorem 8: d1* = {result['d1_star']})\n"
        f"  relative error  {result['relative_error']:.3g}\n"
        f"  relative margin {result['relative_margin']:.3g} (smallest |w.x| / (|w| |x|))\n"
        f"  certificate     {certificate['verdict']}: {certificate['reason']}"
    )
