"""Repetitions with a descent, made by hand."""

from tests.report.by_hand import make_row

UNPROVEN = ("saddle", "not_converged", "undecided")


def below(part, d, N, seed, verdict, mse=0.1, kinks=None, **more):
    """A row whose descent ended with this verdict; a sub-optimal minimum at kinks has d^2 / 4 of them."""
    kinks = (d * d // 4 if verdict == "suboptimal_kink" else 0) if kinks is None else kinks
    return make_row(part, d, N, seed, 0.05, mse, verdict="not_converged") | {
        "minimum_verdict": verdict, "minimum_mse": 1e-30 if verdict == "global_minimum" else mse / 2,
        "minimum_mce": 0.0 if verdict == "global_minimum" else 0.02, "minimum_kinks": kinks,
        "minimum_distance": 0.25, "descent_steps": 40 + seed,
    } | more  # fmt: skip


def cell(part, d, N, verdicts, **more):
    """A cell with one repetition per verdict."""
    return [below(part, d, N, seed, verdict, **more) for seed, verdict in enumerate(verdicts)]
