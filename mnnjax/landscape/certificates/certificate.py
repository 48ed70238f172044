"""Certificates: what kind of point a network is at, decided in float64 with proven error bounds."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
from jaxtyping import Float, Real

from mnnjax.arrays import AnyArray, check_count, check_network, on_host
from mnnjax.landscape._check import threshold_of
from mnnjax.landscape.batches import Biases, Labels, Points, Units, Weights, each_network, is_batch
from mnnjax.landscape.certificates.cost import certificate_bytes
from mnnjax.landscape.certificates.kinks import at_kinks, falling_turn
from mnnjax.landscape.certificates.linear_systems import factor_fits
from mnnjax.landscape.certificates.nearest_minimum import Point, RegionProblem, evaluate, nearest_minimum
from mnnjax.landscape.numerics import EqualWithNan
from mnnjax.landscape.regions.minima import ZERO_TO_ROUNDING, is_upper
from mnnjax.wording import aligned

Verdict = Literal["global_minimum", "suboptimal_dlm", "suboptimal_kink", "saddle", "not_converged", "undecided"]
# The farthest that a minimum may be for the point to count as being at it: as a fraction of the norm of W, of z and of
# c, and in the MSE as a fraction of mean(y^2). Wide networks have minima in the region of nearly every random point.
NEAR, NEAR_LOSS = 1e-4, 1e-8
# Neural inputs of at most so many times their rounding error are taken to be zero, one after the other.
AT_KINK = (1, 64)
DOWN = "mnnjax.landscape.descend, or `mnnjax certify FILE.npz --descend OUT.npz`"
SMALLEST = 1e-50  # arrays whose largest entry is smaller than this, or larger than its inverse, get no verdict


@dataclasses.dataclass(frozen=True, eq=False)
class Certificate(EqualWithNan):
    """What a point (W, z) is.

    verdict:
      "global_minimum": next to the point lies a local minimum whose residual is zero: MSE and MCE are 0 there. Zero is
        exact where the columns of its region or face have rank N, else to the rounding of float64.
      "suboptimal_dlm": next to the point lies a differentiable local minimum with MSE above 0 by more than rounding.
      "suboptimal_kink": likewise a local minimum that is not differentiable: some neural inputs are zero there.
      "saddle": the point is next to the minimum of its face (kinks.py), or of its region, and no local minimum; the
        loss falls along `descent`.
      "not_converged": there is no such minimum next to the point, and `reason` says why.
      "undecided": rounding leaves it open, or too many directions of a neuron that is zero at points which depend on
        each other; `reason` says what.
      "Next to": at most 1e-4 of the norm of W, of z and of c away, with an MSE that differs by at most 1e-8 mean(y^2).
    reason: one line. mse, mce: of the point itself; MCE is the fraction of points misclassified, in [0, 1].
    region_mse, region_mce: of every differentiable local minimum of the point's region (Lemma 2, as region_errors), or
      of every local minimum of its face; nan where the rank is in doubt.
    rank: of A o X, with a column of ones where there is an output bias; None where in doubt, and at kinks.
    min_abs_neural_input: over all neurons and points.
    grad_norm: Euclidean norm of the gradient of the MSE in all parameters; inf from 1e154 on.
    margin: a lower bound, after all error bounds, on the distance from zero of the neural inputs of the minimum next to
      the point, but for those that are held at zero; nan where no minimum was found.
    distance: approximate Euclidean distance in (W, z) from the point to that minimum, also where it is too far for a
      verdict; nan where none was found.
    kinks: the number of pairs (neuron, point) held at zero.
    idle_neurons: neurons that move no output: z_k = 0, w_k = 0, or no point active (with rho = 0).
    escapes: of a sub-optimal minimum, whether an idle neuron can be moved at constant loss to where the loss falls.
    descent: (dW, dz) of a saddle; the loss is below the point's at (W + dW, z + dz)."""

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
    kinks: int = 0
    idle_neurons: int = 0
    escapes: bool = False
    descent: tuple[Float[np.ndarray, "d1 d0"], Float[np.ndarray, " d1"]] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )

    def __str__(self) -> str:
        parts = summary(self)
        if self.verdict == "not_converged" and math.isnan(self.mse):
            parts["advice"] = "scale X, y or the weights so that their largest entries are near 1"
        elif self.verdict == "not_converged":
            way = "mnnjax.training.polish, or `mnnjax certify FILE.npz --polish OUT.npz`"
            parts["advice"] = f"trained in float32? polish first: {way}"
            parts["or"] = f"go down to a proven minimum: {DOWN}"
            parts[""] = "not the MSE that you trained to? check rho, biases and the layout of W"
        elif self.verdict in ("saddle", "undecided"):
            parts["advice"] = f"go down to a proven minimum: {DOWN}"
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
        "kinks": f"{c.kinks} neural inputs held at zero; {c.idle_neurons} neurons move no output",
    }


def _number(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.3g}"


@overload
def certify(
    W: Real[AnyArray, "d1 d0"], z: Real[AnyArray, " d1"], X: Real[AnyArray, "N d0"], y: Real[AnyArray, " N"],
    rho: float, *, threshold: float | None = None, output_bias: float | None = None,
) -> Certificate: ...  # fmt: skip
@overload
def certify(
    W: Sequence[Real[AnyArray, "d1 d0"]], z: Sequence[Real[AnyArray, " d1"]], X: Points, y: Labels, rho: float,
    *, threshold: float | None = None, output_bias: Biases = None,
) -> list[Certificate]: ...  # fmt: skip
def certify(
    W: Weights, z: Units, X: Points, y: Labels, rho: float,
    *, threshold: float | None = None, output_bias: Biases = None,
) -> Certificate | list[Certificate]:  # fmt: skip
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
    A batch: W (networks, d1, d0) and z (networks, d1) give a list, one certificate per network, from all cores
    (batches.py). X, y and output_bias are then one for all, or have the networks on a leading axis, too. Type checkers
    see the list where W and z are sequences, such as list(W), list(z).
    Raises ValueError for shapes that do not match, NaN or infinite entries, rho = 1, and traced arrays; for a batch,
    with the network's number.

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
    if is_batch(W):
        return each_network(certify, W, z, X, y, rho, output_bias, certificate_bytes, threshold=threshold)
    W, z, X, y = check_network(W, z, X, y, rho)
    threshold = threshold_of(threshold, y)
    c = 0.0 if output_bias is None else float(on_host("output_bias", output_bias, (), "give one number"))
    # Squares and products that may overflow or underflow, no error bound covers.
    for name, values in {"W": W, "z": z, "X": X, "y": y, "output_bias": c}.items():
        if (largest := float(np.abs(values).max())) and not SMALLEST < largest < 1 / SMALLEST:
            too_far = f"the largest entry of {name} is {largest:.3g}, too far from 1 to bound rounding in float64"
            return Certificate("not_converged", too_far)
    point = evaluate(W, z, c, X, y, rho)
    problem = RegionProblem(X, y, rho, np.where(point.U > 0, 1.0, rho), np.ones(len(z), bool), output_bias is not None)
    found = _decide(problem, point)
    active = (np.abs(point.U) > point.U_error) & (problem.A != 0)
    kinks, idle = found.pop("kinks", 0), (z == 0) | ~active.any(axis=0)
    e, e_distance = found.pop("e"), found.pop("e_distance", 0.0)
    escapes = found["verdict"].startswith("suboptimal") and bool(idle.any())
    # An idle neuron's z_k can go to 0 and its w_k anywhere at constant loss, and so can the z_k of one with w_k = 0.
    escapes = escapes and falling_turn(X, -e, e_distance, rho) is not None
    if e is not None:
        region_mce = np.mean(is_upper(y - e, y, threshold) != (y > threshold))
        found |= {"region_mse": float(np.mean(e**2)), "region_mce": float(region_mce)}
    return Certificate(
        **found,
        mse=float(np.mean(point.e**2)),
        mce=float(np.mean((y - point.e > threshold) != (y > threshold))),
        min_abs_neural_input=float(np.abs(point.U).min()),
        grad_norm=_gradient_norm(problem, point),
        kinks=kinks,
        idle_neurons=int(idle.sum()),
        escapes=escapes,
    )


def _decide(problem: RegionProblem, point: Point) -> dict:
    """Fields of the certificate, and e: the residual of the region or face; None where it is unknown."""
    # Where a point is zero all neural inputs are, whatever W is, and the output does not depend on it.
    sizes = np.where(problem.X.any(axis=1, keepdims=True), np.abs(point.U), np.inf)
    found: dict | None = None
    if point.z.all() and not (sizes <= point.U_error).any():
        found = _smooth(problem, point)
        if found["verdict"] != "not_converged":
            return found
    for units in AT_KINK:
        held = sizes <= units * point.U_error
        if found is not None and not held.any():
            continue
        other = _kinked(problem, point, held)
        if found is None or other["verdict"] != "not_converged":
            found = other
        if found["verdict"] not in ("not_converged", "undecided"):
            break
    assert found is not None  # the first number of units is always tried
    return found


def _smooth(problem: RegionProblem, point: Point) -> dict:
    """Of a point with no neural input and no z_k at zero."""
    system = problem.system(point.z)
    minimum, reason = nearest_minimum(problem, point, system)
    e = system.region_residual(point.e) if system.proven else None
    found = {"rank": system.rank if system.proven else None, "e": e if minimum is None else minimum.e}
    if minimum is None:
        return found | {"verdict": "not_converged", "reason": reason}
    found |= {"margin": minimum.margin} | _judged(problem, point, minimum.point, minimum.e, minimum.e_distance, 0)
    if found["verdict"] == "global_minimum":
        found["e"] = np.zeros(len(problem.y))
    return found


def _kinked(problem: RegionProblem, point: Point, held) -> dict:
    """Of a point with these pairs held at zero."""
    at = at_kinks(problem, point, held)
    found = {"e": at.e, "margin": at.margin, "kinks": at.kinks}
    if not held.any() and (system := problem.system(point.z)).proven:
        found["rank"] = system.rank
    if at.minimum is None or at.e is None:
        return found | {"verdict": at.kind, "reason": at.reason}
    judged = _judged(problem, point, at.minimum, at.e, at.e_distance, at.kinks, at.zero)
    if at.kind in ("undecided", "not_converged") and judged["verdict"] != "not_converged":
        return found | judged | {"verdict": at.kind, "reason": at.reason}
    if at.kind == "saddle" and judged["verdict"] != "not_converged":
        return found | judged | {"verdict": "saddle", "reason": at.reason, "descent": at.descent}
    return found | judged | ({"e": np.zeros(len(problem.y))} if judged["verdict"] == "global_minimum" else {})


def _judged(problem: RegionProblem, point: Point, to: Point, e, e_distance: float, kinks: int, zero=False) -> dict:
    """The verdict on a point next to which the minimum `to` was proven, with residual e to the distance e_distance."""
    squares = ((point.W - to.W) ** 2).sum() + ((point.z - to.z) ** 2).sum() + (point.c - to.c) ** 2
    found = {"distance": float(np.sqrt(squares)), "e_distance": e_distance}
    if not (far := _relative_distance(point, to, problem.y)) <= NEAR:
        reason = f"the nearest minimum that was found lies {far:.2g} of the weights' norm away, more than {NEAR:g}"
        return found | {"verdict": "not_converged", "reason": reason}
    apart, scale = abs(float(np.mean(point.e**2) - np.mean(e**2))), float(np.mean(problem.y**2))
    # What rounding leaves of the point's own MSE is no distance.
    if apart > NEAR_LOSS * scale + 2 * float(np.abs(point.e) @ point.e_error) / len(e):
        reason = (
            f"the MSE differs from that of the minimum next to it by {apart:.2g}, more than {NEAR_LOSS:g} mean(y^2)"
        )
        return found | {"verdict": "not_converged", "reason": reason}
    if not problem.y.any() and not kinks:
        return found | {"verdict": "global_minimum", "reason": "the labels are zero, so the residual of the region is"}
    size, where = float(np.linalg.norm(e)), "face" if kinks else "region"
    if zero or size <= e_distance:
        if not zero and e_distance > ZERO_TO_ROUNDING * float(np.linalg.norm(problem.y)):
            return found | {"verdict": "undecided", "reason": f"the residual of the {where} cannot be told from zero"}
        return found | {"verdict": "global_minimum", "reason": f"the residual of the {where} is zero"}
    verdict = "suboptimal_kink" if kinks else "suboptimal_dlm"
    reason = f"the {where}'s residual has norm {size:.3g}, rounding explains {e_distance:.3g}"
    return found | {
        "verdict": verdict,
        "reason": reason + (f"; {kinks} neural inputs are held at zero" if kinks else ""),
    }


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
