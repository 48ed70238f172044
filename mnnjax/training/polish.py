"""From a network that was trained in float32, next to a minimum, to that minimum in float64."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Real

from mnnjax.arrays import AnyArray, check_count, check_network, on_host
from mnnjax.jax_setup import on_cpu
from mnnjax.network import MNN
from mnnjax.training import levenberg_marquardt as lm
from mnnjax.training.state import TrainState


class OutputBias(MNN):
    """An MNN with a bias on its output only: a first-layer bias is a column of W, and a column of ones in X."""

    def _parameter(self, name, shape):
        return jnp.zeros(shape, self.dtype) if name[0] == "b" else super()._parameter(name, shape)


def polish(
    W: Real[AnyArray, "d1 d0"], z: Real[AnyArray, " d1"], X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"],
    rho: float, *, output_bias: float | None = None, steps: int = 100,
) -> tuple[Float[np.ndarray, "d1 d0"], Float[np.ndarray, " d1"]] | tuple[
    Float[np.ndarray, "d1 d0"], Float[np.ndarray, " d1"], float
]:  # fmt: skip
    """(W, z), moved by Levenberg-Marquardt in float64 until the MSE falls no further, by at most `steps` steps.

    A network that was trained in float32 ends near a minimum, not at one, so landscape.certify may call it
    not_converged. Polishing is more training: the point moves, at times into another region, so report that you
    polished, and by how much W moved. There are no kicks: the loss never rises. A point far from any minimum may still
    be far from one afterwards.

    Args:
      W: (d1, d0). z: (d1,). X: (N, d0), one row per point; a first-layer bias is a column of ones here and one of W.
        y: (N,). All of any real type; for PyTorch's, see landscape.certify. rho: slope for negative neural inputs.
      output_bias: c of the output f(X W^T) z + c, where that is a trained parameter; it is then returned too.
    ValueError for shapes that do not match, NaN or infinite entries, rho = 1.

    Example:
        print(certify(*polish(W, z, X, y, rho=0.0), X, y, rho=0.0))
        W, z, c = polish(W, z, X, y, rho=0.0, output_bias=c)
        print(certify(W, z, X, y, rho=0.0, output_bias=c))
    """
    W, z, X, y = check_network(W, z, X, y, rho)
    steps = check_count("steps", steps)
    params = {"W1": W, "z": z}
    if output_bias is not None:
        params["c"] = on_host("output_bias", output_bias, (), "give one number")
    with on_cpu():
        params = jax.tree.map(jnp.asarray, params)
        options = lm.LevenbergMarquardtOptions(kick=0.0)
        module = (MNN if output_bias is None else OutputBias)((W.shape[0],), float(rho), output_bias is not None)
        state = TrainState(params, lm.init_levenberg_marquardt(options, params), jnp.int32(-1))
        run_epochs = jax.jit(lm.make_levenberg_marquardt(module, 0.0, options))
        state, _ = run_epochs(state, jax.random.key(0), jnp.asarray(X), jnp.asarray(y), len(y), 0, steps)
    found = np.asarray(state.params["W1"]), np.asarray(state.params["z"])
    return found if output_bias is None else (*found, float(state.params["c"]))
