"""What `mnnjax construct` does: a global minimum by Theorem 8, its certificate, and an .npz of both."""

import dataclasses
import io
import zipfile
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from mnnjax.config import Problem, UserError
from mnnjax.landscape import certify
from mnnjax.landscape.construct import construction_error, global_minimum
from mnnjax.problems import make_problem
from mnnjax.study.storage import write_atomically
from mnnjax.theory import d1_star


def construct(output: Path, input: Path | None, N: int, d0: int, seed: int, rho: float) -> dict:
    """Build the minimum, write `output`, and return what can be said of it as JSON values.

    Without `input`, the problem is Gaussian with random labels in {0, 1}, drawn from the seed.

    Raises:
      UserError: input that cannot be read or output that cannot be written; from landscape.global_minimum.
    """
    if input is None:
        problem = Problem(label_values="zero_one", d0=(d0,), N=(N,))
        draw = make_problem(problem, N, d0, rho, np.float64)
        X, y = (np.asarray(array) for array in draw(jax.random.key(seed), N))
    else:
        X, y = _load(input)
    W, z = global_minimum(X, y, rho)
    error, margin, units = construction_error(W, z, X, y, rho)
    certificate = certify(W, z, X, y, rho)
    _save(output, W=W, z=z, X=X, y=y, rho=np.float64(rho))
    return {
        "output": str(output),
        "N": X.shape[0],
        "d0": X.shape[1],
        "rho": rho,
        "units": units,
        "d1_star": d1_star(*X.shape),
        "relative_error": error,
        "relative_margin": margin,
        "certificate": {k: v if v == v else None for k, v in dataclasses.asdict(certificate).items()},
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


def _load(path: Path) -> tuple[Float[np.ndarray, "N d0"], Float[np.ndarray, " N"]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["X"], arrays["y"]
    except KeyError as error:
        raise UserError(f"input {path}: holds no array X or y; write it with numpy.savez(FILE, X=X, y=y)") from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"input {path}: cannot be read as .npz ({error}); write it with numpy.savez") from error


def _save(path: Path, **arrays) -> None:
    content = io.BytesIO()
    np.savez(content, **arrays)
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise UserError(f"output {path}: cannot be written ({error.strerror}); choose another --output") from error
