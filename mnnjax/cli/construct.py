"""What `mnnjax construct` does: a global minimum by Theorem 8, its certificate, and an .npz of both."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from mnnjax.cli.npz import as_vectors, read_arrays, write_arrays
from mnnjax.config import Problem, UserError
from mnnjax.config.validation import require_seed
from mnnjax.landscape import certify
from mnnjax.landscape.construction.theorem8 import construction_error, global_minimum
from mnnjax.problems import make_problem
from mnnjax.theory import d1_star


def construct(output: Path, input: Path | None, N: int, d0: int, seed: int, rho: float) -> dict:
    """Build the minimum, write `output`, and return what can be said of it as JSON values.

    Without `input`, the problem is Gaussian with random labels in {0, 1}, drawn from the seed.

    Raises:
      UserError: input that cannot be read or output that cannot be written; from landscape.global_minimum.
    """
    if input is None:
        require_seed(seed)
        problem = Problem(label_values="zero_one", d0=(d0,), N=(N,))
        draw = make_problem(problem, N, d0, rho, np.float64)
        X, y = (np.asarray(array) for array in draw(jax.random.key(seed), N))
    else:
        arrays = as_vectors(read_arrays(input, ("X", "y")))
        X, y = arrays["X"], arrays["y"]
    try:
        W, z = global_minimum(X, y, rho)
    except UserError as error:
        # rho is not of the file.
        raise UserError(f"{input}: {error}" if input and not str(error).startswith("rho") else str(error)) from error
    error, margin, units = construction_error(W, z, X, y, rho)
    certificate = certify(W, z, X, y, rho)
    write_arrays(output, "output", {"W": W, "z": z, "X": X, "y": y, "rho": np.float64(rho)})
    return {
        "output": str(output),
        "N": X.shape[0],
        "d0": X.shape[1],
        "rho": rho,
        "units": units,
        "d1_star": d1_star(*X.shape),
        "relative_error": error,
        "relative_margin": margin,
        "certificate": dataclasses.asdict(certificate),
    }


def describe(result: dict) -> str:
    """The result of construct for people."""
    certificate = result["certificate"]
    return (
        f"{result['output']}: N = {result['N']}, d0 = {result['d0']}, rho = {result['rho']:g}\n"
        f"  hidden units    {result['units']} (Theorem 8: d1* = {result['d1_star']})\n"
        f"  relative error  {result['relative_error']:.3g}\n"
        f"  relative margin {result['relative_margin']:.3g} (smallest |w.x| / (|w| |x|))\n"
        f"  certificate     {certificate['verdict']}: {certificate['reason']}"
    )
