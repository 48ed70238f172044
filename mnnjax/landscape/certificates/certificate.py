"""Certificates: what kind of point a network is at, decided in float64 with proven error bounds."""

import dataclasses
import math
from typing import Literal

import numpy as np
from jaxtyping import Real

from mnnjax.arrays import AnyArray, check_count, check_network, on_host
from mnnjax.landscape._check import threshold_of
from mnnjax.landscape.certificates.linear_systems import System, factor_fits
from mnnjax.landscape.certificates.nearest_minimum import Minimum, Point, RegionProblem, evaluate, nearest_minimum
from mnnjax.landscape.numerics import EqualWithNan
from mnnjax.landscape.regions.minima import ZERO_TO_ROUNDING, is_upper
from mnnjax.wording import aligned

Verdict = Literal["global_minimum", "suboptimal_dlm", "non_differentiable", "not_converged"]
# The farthest that a minimum may be, as a fraction of the norm of W, of z and of c, for the point to count as being at
# it. Wide networks have minima inside the region of nearly every random point; those points are not converged.
NEAR = 1e-2
SMALLEST = 1e-50  # arrays whose largest entry is smaller than this, or larger than its inverse, get no verdict


@dataclasses.dataclass(frozen=True, eq=False)
class Certificate(EqualWithNan):
    """What a point (W, z) is.

    verdict:
      "global_minimum": in the point's own region, next to it, lies a differentiable local minimum whose residual is
        zero: MSE and MCE are 0 there. Zero is exact where rank(A o X) = N, else to the rounding of float64.
      "suboptimal_dlm": likewise, with a residual that is not zero (MSE above 0 by more than rounding).
      "non_differentiable": some neural inputs are zero to rounding, and without their neurons the point is stationary,
        (A o X) e = 0 (section 6 of the paper, here with the same proof as above for the other neurons).
      "not_converged": none of these could be proven; `reason` says why.
    reason: one line. mse, mce: of the point itself; MCE is the fraction of points misclassified, in [0, 1].
    region_mse, region_mce: of every differentiable local minimum of the point's region (Lemma 2, as region_errors); nan
      where the point lies in no region or the rank is in doubt.
    rank: of A o X, with a column of ones where there is an output bias; None where in doubt.
    min_abs_neural_input: over all neurons and points.
    grad_norm: Euclidean norm of the gradient of the MSE in all parameters; inf from 1e154 on.
    margin: a lower bound, after all error bounds, on the distance from zero of the neural inputs of the minimum next to
      the point; nan where no minimum was found.
    distance: approximate Euclidean distance in (W, z) from the point to that minimum; nan likewise."""

    verdict: Verdict
    reason: str
    mse: float = math.nan
    mce: float = math.nan
    region_mse: float = math.nan
    region_mce: float = math.nan
    rank: int | None = None
    min_abs_neural_input: float = math.nan
    grad_norm: float = math.nan
    margin: float = math.nan
    distance: float = math.nan

    def __str__(self) -> str:
        parts = summary(self)
        if self.verdict == "not_converged" and math.isnan(self.mse):
            parts["advice"] = "scale X, y or the weights so that their largest entries are near 1"
        elif self.verdict == "not_converged":
            way = "mnnjax.training.polish, or `mnnjax certify FILE.npz --polish OUT.npz`"
            parts["advice"] = f"trained in float32? polish first: {way}"
            parts[""] = "not the MSE that you trained to? check rho, biases and the layout of W"
        return aligned(parts)


def summary(c: Certificate) -> dict[str, object]:
    """What a certificate says in words, by subject."""
    return {
        "verdict": f"{c.verdict}: {c.reason}",
        "here": f"MSE {_number(c.mse)}, MCE {_number(c.mce)}",
        "region's minima": f"MSE {_number(c.region_mse)}, MCE {_number(c.region_mce)}",
        "rank of A o X": "in doubt" if c.rank is None else c.rank,
        "neural input": f"{_number(c.min_abs_neural_input)} (smallest modulus)",
        "gradient norm": _number(c.grad_norm),
        "margin": f"{_number(c.margin)} (of the minimum's neural inputs, after all error bounds)",
        "distance": f"{_number(c.distance)} (to the minimum)",
    }


def _number(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.3g}"


def certify(
    W: Real[AnyArray, "d1 d0"], z: Real[AnyArray, " d1"], X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"],
    rho: float, *, threshold: float | None = None, output_bias: float | None = None,
) -> Certificate:  # fmt: skip
    """Decide in float64 what kind of point (W, z) is for the squared loss on (X, y).

    The point is moved to an exact stationary point of its own region: first by the smallest change of W with z fixed,
    then of W and z together. The loss is convex in theta = z w as long as the pattern stays. So a point of the region
    with P e = 0 is a local minimum (Lemma 2), and what has to be proven is that the exact target lies in the region:
    that no neural input changes sign, after bounds on every rounding error and on the distance from the computed to the
    exact target (linear_systems.py). A region is a convex cone in W, so the way there stays inside as well. What cannot
    be proven is called not_converged, and so is a point whose minimum is farther than 1 % of the norm of W or of z.

    Two hidden layers or more: pass the outputs of the layer before, after its activation, as X, and the last hidden
    layer's weights as W. The verdict is then about the last two layers with all earlier weights fixed. A global_minimum
    is one of the whole network, since its MSE is zero; a suboptimal_dlm says nothing of moves of earlier layers.

    Time grows as min(N, d0 d1)^3: milliseconds at 100, a second at 1000, minutes at 20 000, the limit of `certifiable`.
    Memory is that of one square matrix of that size, 3.2 GB at the limit, and of a second one if z has to move too.
    Where it is not free, the verdict is not_converged, and the reason says so. Certificates run on the host, not under
    jit or vmap; arrays of any real type that NumPy reads become float64.

    W: (d1, d0). z: (d1,). X: (N, d0), one row a point; a first-layer bias is a column of ones here and a column of W.
    y: (N,), real. rho: slope for negative neural inputs.
    threshold: of the MCE; None takes 0 where a label is -1 and 0.5 elsewhere.
    output_bias: c of the output f(X W^T) z + c, where that is a trained parameter.
    Raises ValueError for shapes that do not match, NaN or infinite entries, rho = 1, and traced arrays.

    Example:
      W, z = global_minimum(X, y, rho=0.0)
      print(certify(W, z, X, y, rho=0.0))  # verdict  global_minimum: the residual of the region is zero ...

      # PyTorch's l1 = Linear(d0, d1), ReLU() (LeakyReLU: rho=negative_slope), l2 = Linear(d1, 1); X and y in NumPy.
      W, b = l1.weight.detach().cpu().numpy(), l1.bias.detach().cpu().numpy()
      z, c = l2.weight.detach().cpu().numpy().ravel(), l2.bias.item()
      W, X = np.hstack([W, b[:, None]]), np.hstack([X, np.ones((len(X), 1))])  # not if l1 has no bias
      certify(W, z, X, y.ravel(), rho=0.0, output_bias=c)  # without output_bias if l2 has no bias
      W, z, c = mnnjax.training.polish(W, z, X, y.ravel(), rho=0.0, output_bias=c)  # if that is not_converged
    """
    W, z, X, y = check_network(W, z, X, y, rho)
    threshold = threshold_of(threshold, y)
    c = 0.0 if output_bias is None else float(on_host("output_bias", output_bias, (), "give one number"))
    # Squares and products that may overflow or underflow, no error bound covers.
    for name, values in {"W": W, "z": z, "X": X, "y": y, "output_bias": c}.items():
        if (largest := float(np.abs(values).max())) and not SMALLEST < largest < 1 / SMALLEST:
            too_far = f"the largest entry of {name} is {largest:.3g}, too far from 1 to bound rounding in float64"
            return Certificate("not_converged", too_far)
    point = evaluate(W, z, c, X, y, rho)
    # Where a point is zero all neural inputs are, whatever W is, and the output does not depend on it.
    at_zero = np.asarray(((np.abs(point.U) <= point.U_error) & X.any(axis=1, keepdims=True)).any(axis=0))
    problem = RegionProblem(X, y, rho, np.where(point.U > 0, 1.0, rho), ~at_zero, output_bias is not None)
    system = problem.system(z)

    verdict, reason, minimum = _decide(problem, point, system)
    rank_known = system.proven and not at_zero.any()
    found = {}
    if verdict == "global_minimum":
        found = {"region_mse": 0.0, "region_mce": 0.0}
    elif not at_zero.any() and (minimum is not None or rank_known):
        e = system.region_residual(point.e) if minimum is None else minimum.e
        region_mce = np.mean(is_upper(y - e, y, threshold) != (y > threshold))
        found = {"region_mse": float(np.mean(e**2)), "region_mce": float(region_mce)}
    if minimum is not None:
        to = minimum.point
        squares = ((point.W - to.W) ** 2).sum() + ((point.z - to.z) ** 2).sum() + (point.c - to.c) ** 2
        found |= {"margin": minimum.margin, "distance": float(np.sqrt(squares))}
    return Certificate(
        verdict,
        reason,
        mse=float(np.mean(point.e**2)),
        mce=float(np.mean((y - point.e > threshold) != (y > threshold))),
        rank=system.rank if rank_known else None,
        min_abs_neural_input=float(np.abs(point.U).min()),
        grad_norm=_gradient_norm(problem, point),
        **found,
    )


def _decide(problem: RegionProblem, point: Point, system: System) -> tuple[Verdict, str, Minimum | None]:
    """The verdict, its reason, and the proven minimum next to the point."""
    count = int(np.sum(~problem.kept))
    kinks = f"{count} neurons have a neural input that is zero to rounding"
    minimum, reason = nearest_minimum(problem, point, system)
    if minimum is not None and not (far := _relative_distance(point, minimum.point, problem.y)) <= NEAR:
        minimum, reason = None, f"the nearest minimum that was found lies {far:.2g} of the weights' norm away"
    if minimum is None:
        return "not_converged", f"{reason}; {kinks}" if count else reason, None
    if count:
        return "non_differentiable", kinks, minimum
    if not problem.y.any():
        return "global_minimum", "the labels are zero, so the residual of the region is", minimum
    size, error = float(np.linalg.norm(minimum.e)), minimum.e_distance
    if size > error:
        return "suboptimal_dlm", f"the region's residual has norm {size:.3g}, rounding explains {error:.3g}", minimum
    if error > ZERO_TO_ROUNDING * float(np.linalg.norm(problem.y)):
        return "not_converged", "the residual of the region cannot be told from zero", minimum
    return "global_minimum", "the residual of the region is zero", minimum


def certifiable(N: int, d0: int, d1: int) -> bool:
    """Whether N points in dimension d0, with d1 neurons in the last hidden layer, are within reach of certify: N or
    d0 d1 at most 20 000, and N d0 d1 at most 4e8 where N is above d0 d1. Beyond that factorizing A o X takes an hour.
    Source: ours, the limits of linear_systems.py. Raises ValueError for a size that is not an int of at least 1."""
    N, d0, d1 = (check_count(name, size) for name, size in (("N", N), ("d0", d0), ("d1", d1)))
    return factor_fits(N, d0 * d1)


def _gradient_norm(problem: RegionProblem, point: Point) -> float:
    W = (problem.A * point.e[:, None]).T @ problem.X * point.z[:, None]
    z = (problem.A * point.U).T @ point.e
    c = point.e.sum() if problem.has_bias else 0.0
    with np.errstate(over="ignore"):
        return float(2 / len(problem.y) * np.sqrt((W**2).sum() + (z**2).sum() + c**2))


def _relative_distance(a: Point, b: Point, y) -> float:
    """The largest relative change of W, z and c, each by its own norm (c: by the labels' if that is larger), so that
    scaling one layer up and another down changes nothing."""
    pairs = ((a.W, b.W, 0.0), (a.z, b.z, 0.0), (np.array(a.c), np.array(b.c), np.abs(y).max()))
    changes = [(float(np.linalg.norm(p - q)), max(float(np.linalg.norm(p)), floor)) for p, q, floor in pairs]
    return max(change / size if size else (np.inf if change else 0.0) for change, size in changes)
