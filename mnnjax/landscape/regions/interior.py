"""A search for a minimum inside a region, by steps that know how far each neuron's cell reaches in every direction."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

STEPS = 100  # searches that find a minimum mostly need below twenty
FRACTION = 0.9  # of the way to the border of the region, at most
LEAST_STEP, LEAST_GAIN = 1e-6, 1e-5  # a shorter step, or a smaller fraction of the residual gained, ends the search
LEAST_Z = 1e-3  # of the largest |z_k|: how far a z_k near zero may move
RIDGE = 1e-14  # of the mean diagonal entry of a metric, for coordinates that no point has


class Start(NamedTuple):
    """A region with slopes A (N, d1) at points X of norm 1 and signs sigma (N, d1) of the neural inputs; W (d1, d0)
    inside it; which neurons are free to have any weights; the signs of z in {-1, 1} where they are given, else 0."""

    A: Float[np.ndarray, "N d1"]
    X: Float[np.ndarray, "N d0"]
    sigma: Float[np.ndarray, "N d1"]
    W: Float[np.ndarray, "d1 d0"]
    free: Bool[np.ndarray, " d1"]
    given: Int[np.ndarray, " d1"]


def search_inside(
    start: Start,
    target: Float[np.ndarray, " N"],
    accepts: Callable[[Float[np.ndarray, " d1*d0"]], bool],
    starts: int = 1,
) -> bool:
    """Whether the search comes to a theta = z w that is accepted: it ends there.

    Gauss-Newton steps in (W, z) towards the output (A o X) theta = target (N,), each the shortest in a metric that
    measures dw_k by sum_n (dw_k . x(n) / w_k . x(n))^2 and dz_k by (dz_k / z_k)^2. The unit ball of dw_k lies inside
    the cell of neuron k, so steps bend away from near borders. z_k may change its sign unless it is given. The first
    of the starts has the z that fits best, the others have random signs, always the same ones. Source: the metric is
    that of affine scaling (I. I. Dikin, Soviet Math. Doklady 8, 1967); its use for signs of z is ours."""
    A, X, _, W, free, given = start
    F, rng = A * (X @ np.where(free[:, None], 0.0, W).T), np.random.default_rng(0)
    if _search_from(start, _second_layer(F, target, given), target, accepts):
        return True
    typical = float(np.linalg.norm(target) / (np.linalg.norm(F.sum(axis=1)) or 1.0))
    return any(
        _search_from(start, typical * np.where(given == 0, rng.choice([-1.0, 1.0], len(W)), given), target, accepts)
        for _ in range(starts - 1)
    )


def _search_from(start: Start, z: Float[np.ndarray, " d1"], target, accepts) -> bool:
    """search_inside from one z."""
    A, X, sigma, W, free, given = start
    B = A[:, :, None] * X[:, None, :]
    W, z = np.where(free[:, None], 0.0, W), np.where(free, 1.0, z)
    for _ in range(STEPS):
        if accepts((z[:, None] * W).ravel()):
            return True
        r = np.einsum("nkd,kd->n", B, z[:, None] * W) - target
        heights = np.where(free, 1.0, sigma * (X @ W.T))
        dW, dz = _step(B, X, r, W, z, heights, free)
        towards_zero = np.divide(-dz, z, out=np.zeros_like(z), where=given != 0)
        towards = np.vstack([np.where(free, 0.0, -sigma * (X @ dW.T) / heights), towards_zero])
        t = FRACTION / max(float(towards.max()), FRACTION)
        before, after = float(np.linalg.norm(r)), np.inf
        while after >= before and t > LEAST_STEP:
            new_W, new_z = W + t * dW, z + t * dz
            after = float(np.linalg.norm(np.einsum("nkd,kd->n", B, new_z[:, None] * new_W) - target))
            t /= 2
        if not after <= (1 - LEAST_GAIN) * before:
            return False
        lengths = np.where(free, 1.0, np.linalg.norm(new_W, axis=1))
        W, z = new_W / lengths[:, None], new_z * lengths
    return False


def _step(B: Float[np.ndarray, "N d1 d0"], X, r, W, z, heights: Float[np.ndarray, "N d1"], free):
    """The shortest (dW, dz) that takes the residual r (N,) to zero, to first order."""
    metric = np.einsum("nd,nk,ne->kde", X, heights**-2.0, X, optimize=True)
    metric += RIDGE * np.trace(metric, axis1=1, axis2=2)[:, None, None] * np.eye(X.shape[1])
    response = np.linalg.solve(metric, B.transpose(1, 2, 0))  # (d1, d0, N)
    F = np.where(free, 0.0, np.einsum("nkd,kd->nk", B, W))
    room = np.maximum(np.abs(z), LEAST_Z * np.abs(z).max()) ** 2
    H = np.einsum("nkd,k,kdm->nm", B, z**2, response, optimize=True) + (F * room) @ F.T
    multiplier = np.linalg.lstsq(H, -r, rcond=1e-14)[0]
    return z[:, None] * (response @ multiplier), room * (F.T @ multiplier)


def _second_layer(F: Float[np.ndarray, "N d1"], target: Float[np.ndarray, " N"], given: Int[np.ndarray, " d1"]):
    """z (d1,) that fits the target best with these outputs F of the neurons, moved to the given signs."""
    z = np.linalg.lstsq(F, target, rcond=None)[0]
    typical = float(np.abs(z).mean()) or 1.0
    return np.where(given == 0, z, given * np.maximum(given * z, LEAST_Z * typical))
