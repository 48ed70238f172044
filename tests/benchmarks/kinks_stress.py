"""Verdicts of `certify` at random and adversarial points, each against an independent decision.

Command:  .venv/bin/python tests/benchmarks/kinks_stress.py [--points P] [--processes P] [--seed S] [--first I]
Decides:  each point anew: the pairs (neuron, point) at zero, the face's residual by a singular value decomposition, and
          psi_k of certificates/kinks.py along the rays of the cells that the points at zero and the axes cut out
          (d0 <= 3). Small integers are decided in rational arithmetic. A saddle's descent is evaluated in rational
          arithmetic, and random moves away from a proven minimum must not lower the loss. A point is `unclear` where
          these decisions are too near to rounding; then only the descent and the moves are checked.
Prints:   per kind of point how often each verdict met which truth, the share of undecided, and every wrong verdict with
          the arguments that draw it again; Ctrl-C ends early. The exit code is 1 where one is wrong.
"""

import argparse
import collections
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from mnnjax.landscape import certify, descend
from tests.landscape.certificates.test_exact import small_problem, total
from tests.landscape.certificates.test_kinks import integers, null_space
from tests.landscape.oracles import exact_kind, rays_of_cells

AT_ZERO = 2e-14  # pairs below this fraction of their terms count as held where a point is built
ROUNDING = 2.0**-53
CHUNK = 200


def draw(kind: str, rng):
    """W, z, X, y, rho and c of one point of a kind."""
    if kind == "small problem":
        return small_problem(int(rng.integers(2**31)))
    if kind == "integers":
        return integers(int(rng.integers(2**31)))
    N, d0, d1 = int(rng.integers(1, 10)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    rho, c = float(rng.choice([0.0, 0.1, -1.0, 2.0])), 0.25 if rng.random() < 0.2 else None
    if kind == "N = 1":
        N = 1
    if kind == "dead":
        rho = 0.0
    if kind == "output bias":
        c = float(rng.standard_normal())
    X, W = rng.standard_normal((N, d0)), rng.standard_normal((d1, d0))
    z = rng.choice([-1.0, 1.0], d1) * rng.uniform(0.5, 2.0, d1)
    B = np.zeros((N, d1), bool)
    if kind == "bias column":
        X[:, -1] = 1.0
    if kind == "parallel":
        for n in rng.integers(N, size=2):
            X[n] = X[rng.integers(N)] * rng.choice([1.0, 2.0, -1.0, -0.5])
    if kind == "zero points":
        X[rng.integers(N, size=2)] = 0.0
    if kind not in ("smooth", "moving"):
        for k in np.flatnonzero(rng.random(d1) < 0.7):
            B[rng.permutation(N)[: rng.integers(0, d0)], k] = True
    if kind == "dead":
        X[X @ W[0] > 0] *= -1
        B[:, 0] = False
    if kind in ("z = 0", "w = z = 0"):
        z[rng.integers(d1)] = 0.0
    if kind in ("w = 0", "w = z = 0"):
        W[np.argmin(np.abs(z))] = 0.0
    for k in range(d1):
        held = X[B[:, k]]
        for _ in range(2):
            W[k] -= np.linalg.pinv(held) @ (held @ W[k])
    B = np.abs(X @ W.T) <= AT_ZERO * np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(W, axis=1)
    U = np.where(B, 0.0, X @ W.T)
    A = np.where(B, 0.0, np.where(U > 0, 1.0, rho))
    M = columns(X, A, B, W, z, c)
    M = np.hstack([M, (A * U)[:, z == 0]])
    if kind == "z = 0" and rng.random() < 0.5:
        M = np.hstack([M, *(A[:, [k]] * X for k in np.flatnonzero(z == 0))])
    if kind == "touched":
        M = np.hstack([M, np.eye(N)[:, B.any(axis=1)]])
    r = rng.standard_normal(N)
    if kind == "w = 0" and rng.random() < 0.5:
        r = np.abs(r) * -np.sign(z[np.argmin(np.abs(z))])
    left = span(M)[0]
    for _ in range(3):
        r -= left @ (left.T @ r)
    y = (A * U) @ z + (c or 0.0) - r
    if kind == "y = 0":
        y = np.zeros(N)
        if rng.random() < 0.5:
            z[:] = 0.0
    if kind == "moving":
        y = rng.standard_normal(N)
    if kind == "near kinks":
        W += rng.standard_normal(W.shape) * (rng.random(W.shape) < 0.5) * 10.0 ** rng.uniform(-12, -3)
    if kind == "descended":
        y = rng.standard_normal(N)
        found = descend(W, z, X, y, rho, output_bias=c, max_steps=300)
        W, z, c = found.W.copy(), found.z, found.output_bias
        W[rng.integers(d1)] += rng.standard_normal(d0) * 10.0 ** rng.uniform(-17, -6)
    return W, z, X, y, rho, c


KINDS = (
    "smooth", "kinks", "near kinks", "moving", "z = 0", "w = 0", "w = z = 0", "dead", "parallel", "zero points",
    "N = 1", "y = 0", "output bias", "bias column", "integers", "touched", "small problem", "descended",
)  # fmt: skip


def columns(X, A, B, W, z, c):
    """The columns of the face of the pairs B, slopes A (N, d1) off them."""
    moving = np.flatnonzero((z != 0) & W.any(axis=1))
    parts = [(A[:, k, None] * X) @ null_space(X[B[:, k]]) for k in moving]
    return np.hstack([*parts, np.ones((len(X), int(c is not None)))])


def span(M):
    """An orthonormal basis of M's columns, and whether its rank is clear."""
    left, values, _ = np.linalg.svd(M, full_matrices=False)
    relative = values / max(values.max(initial=0.0), 1e-300)
    return left[:, relative > 1e-10], not ((relative > 1e-14) & (relative < 1e-6)).any()


def truth(W, z, X, y, rho, c) -> tuple[str, str]:
    """What the point is, decided anew: a verdict, "moving" where no minimum can be near, or "unclear"; and why that."""
    lengths = np.linalg.norm(X, axis=1)
    U, sizes = X @ W.T, lengths[:, None] * np.linalg.norm(W, axis=1)
    # Zero is what storing W and summing d0 terms can round to; beyond it, up to 1e-6 of |w| |x|, it is unclear.
    B, real = np.abs(U) <= (X.shape[1] + 1) * ROUNDING * (np.abs(X) @ np.abs(W).T), X.any(axis=1)
    near = ~B & (np.abs(U) < np.maximum(1e-6 * sizes, 1e-10 * sizes.max()))
    U = np.where(B, 0.0, U)
    A = np.where(B, 0.0, np.where(U > 0, 1.0, rho))
    r = (A * U) @ z + (c or 0.0) - y
    scale = np.linalg.norm(np.abs(y) + sizes @ np.abs(z) + abs(c or 0.0))
    if not scale:
        return "global_minimum", "outputs and labels are zero"
    if 0 < sizes.max() * np.abs(z).max() < 1e-9 * np.linalg.norm(y):
        return "unclear", "weights so small that the way to a minimum may be long beside them"
    left, clear = span(columns(X, A, B, W, z, c))
    least_r = r - left @ (left.T @ r)
    least_r -= left @ (left.T @ least_r)
    if not clear or near.any():
        return "unclear", "rank" if not clear else "near kinks"
    if np.abs(y).max() < 1e-12 * scale and r.any() and r @ r < 1e-24 * scale**2:
        return "unclear", "labels and outputs of rounding"
    gap = r @ r - least_r @ least_r
    if gap > 2e-8 * (y @ y) and gap > 1e-26 * scale**2:
        return "moving", f"the loss is above the face's by {gap:.1e}"
    if gap > 5e-9 * (y @ y):
        return "unclear", "near what a verdict allows, or labels as small as rounding"
    if np.linalg.norm(r - least_r) > 1e-11 * scale:
        return "unclear", "not quite stationary"
    r = least_r
    if np.linalg.norm(r) < 1e-13 * scale:
        # A label that rounds to zero, and that no weight reaches, may be one or not.
        reached = ((np.abs(left).max(axis=1, initial=0) > 1e-10) | (y == 0)).all() and np.linalg.norm(r) < 1e-15 * scale
        return ("global_minimum" if reached else "unclear"), "r is zero"
    if np.linalg.norm(r) < 1e-6 * scale:
        return "unclear", "a small residual"
    least, whole = 0.0, max(np.linalg.norm(r) * np.linalg.norm(lengths), 1e-300)
    for k, zk in enumerate(z):
        if not zk and abs((A * U)[:, k] @ r) > 1e-10 * np.linalg.norm(r) * max(np.linalg.norm(U[:, k]), 1e-300):
            clear_gradient = abs((A * U)[:, k] @ r) > 1e-6 * np.linalg.norm(r) * np.linalg.norm(U[:, k])
            return "moving" if clear_gradient else "unclear", f"the gradient in z_{k} is not zero"
        held = B[:, k] & real
        if zk and not held.any():
            continue
        planes = np.vstack([X[held] / lengths[held, None], np.eye(X.shape[1])])
        rays = np.array(rays_of_cells(planes), float)
        norms = np.linalg.norm(rays, axis=1)
        rays = rays[norms > 1e-9] / norms[norms > 1e-9, None]
        V = X @ np.vstack([rays, -rays]).T
        V = np.where(np.abs(V) < 1e-14 * lengths[:, None], 0.0, V)
        psi = r @ np.where(held[:, None], np.where(V > 0, V, rho * V), A[:, [k]] * V) / whole
        least = min(least, -np.abs(psi).max() if not zk else (np.sign(zk) * psi).min())
    if least < -1e-9:
        return "saddle", f"psi falls to {least:.1e}"
    if least < -1e-14:
        return "unclear", f"psi falls to {least:.1e}"
    return "suboptimal_kink" if (B & real[:, None]).any() else "suboptimal_dlm", "psi does not fall"


def lowest(W, z, X, y, rho, c, rng, margin: float) -> float:
    """The least MSE at 60 random points so close by that only neural inputs at zero change sign, less the MSE here."""
    size = max(float(np.abs(W).max()), 1e-3)
    radius = min(1e-3 * size, 0.1 * margin / (X.shape[1] * max(float(np.abs(X).max()), 1e-300)))
    radius = radius * rng.choice([1.0, 1e-2], (60, 1, 1))
    dW = radius * rng.standard_normal((60, *W.shape)) * (rng.random((60, len(z), 1)) < 0.7)
    dz = radius[:, :, 0] * rng.standard_normal((60, len(z))) * rng.integers(0, 2, (60, 1)) * np.abs(z).max() / size

    def mse(W, z):
        U = np.einsum("nd,tkd->tnk", X, W)
        return np.mean((np.einsum("tnk,tk->tn", np.where(U > 0, U, rho * U), z) + (c or 0.0) - y) ** 2, axis=1)

    return float((mse(W + dW, z + dz) - mse(W[None], z[None])).min())


def judge(kind: str, seed) -> tuple[str, str, str]:
    """The verdict on a point, the truth, and what is wrong ("" if nothing is)."""
    rng = np.random.default_rng(seed)
    W, z, X, y, rho, c = draw(kind, rng)
    certificate = certify(W, z, X, y, rho, output_bias=c)
    verdict = certificate.verdict
    real, why = (exact_kind(W, z, X, y, rho, c), "exactly") if kind == "integers" else truth(W, z, X, y, rho, c)
    if verdict == "saddle":
        dW, dz = certificate.descent
        if not total(W + dW, z + dz, X, y, rho, c) < total(W, z, X, y, rho, c):
            return verdict, real, f"the loss does not fall along the descent; {certificate.reason}"
    if verdict.startswith("suboptimal") and certificate.distance < 1e-12:
        fall, scale = lowest(W, z, X, y, rho, c, rng, certificate.margin), np.mean(y**2) + certificate.mse
        # On the way to the minimum the MSE may fall by the gradient times the distance.
        if fall < -1e-13 * scale - 1.01 * certificate.grad_norm * certificate.distance:
            return verdict, real, f"a random move lowers the MSE by {-fall:.1e}; {certificate.reason}"
    agrees = verdict == real or real == "unclear" or verdict == "undecided"
    agrees |= verdict == "not_converged" and (real == "moving" or "in doubt" in certificate.reason)
    return verdict, real, "" if agrees else f"the truth is {real}: {why}; the certificate: {certificate.reason}"


def some(task):
    """Counts of (kind, verdict, truth), and the wrong verdicts, of points first to first + CHUNK."""
    seed, first, last = task
    counts, wrong = collections.Counter(), []
    for index in range(first, last):
        kind = KINDS[index % len(KINDS)]
        try:
            verdict, real, mistake = judge(kind, [seed, index])
        except Exception as error:  # is to be seen with its point, and the others are to be judged
            verdict, real, mistake = "raised", "", f"{type(error).__name__}: {error}"
        counts[kind, verdict, real] += 1
        if mistake:
            wrong.append(f"--seed {seed} --first {index} --points 1: {kind}: {verdict}, but {mistake}")
    return counts, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first point's number")
    arguments = parser.parse_args()
    began, end = time.monotonic(), arguments.first + arguments.points
    tasks = [(arguments.seed, i, min(i + CHUNK, end)) for i in range(arguments.first, end, CHUNK)]
    counts, wrong = collections.Counter(), list[str]()
    # JAX, which certify imports, has threads.
    ignore = signal.signal, (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for this process alone
    with multiprocessing.get_context("spawn").Pool(arguments.processes, *ignore) as pool:
        try:
            for done, (more, mistakes) in enumerate(pool.imap_unordered(some, tasks), 1):
                counts += more
                wrong += mistakes
                for line in mistakes:
                    print("WRONG", line, flush=True)
                if done % 50 == 0:
                    print(f"{done * CHUNK} points, {time.monotonic() - began:.0f} s, {len(wrong)} wrong", flush=True)
        except KeyboardInterrupt:
            print("stopped; what was done until then:")
    print(f"\n{'kind':<14} {'points':>8} {'undecided':>10} {'unclear':>8}  verdicts (where the truth was clear)")
    for kind in KINDS:
        own = {key[1:]: count for key, count in counts.items() if key[0] == kind}
        number = sum(own.values()) or 1
        undecided = sum(count for (verdict, _), count in own.items() if verdict == "undecided") / number
        unclear = sum(count for (_, real), count in own.items() if real == "unclear") / number
        verdicts = collections.Counter()
        for (verdict, real), count in own.items():
            verdicts[verdict] += count * (real != "unclear")
        listed = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common() if count)
        print(f"{kind:<14} {sum(own.values()):>8} {undecided:>10.2%} {unclear:>8.1%}  {listed}")
    clear = sum(count for (_, _, real), count in counts.items() if real != "unclear")
    print(
        f"\n{sum(counts.values())} points, {clear} of them with a clear truth, {len(wrong)} wrong, "
        f"{time.monotonic() - began:.0f} s"
    )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
