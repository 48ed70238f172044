"""The rows of a volume study, from what was counted, split or enumerated."""

import math
from collections.abc import Sequence

import numpy as np

from mnnjax import landscape
from mnnjax.landscape.volumes import sampling
from mnnjax.landscape.volumes.intervals import Counts, Estimate, clopper_pearson, quotient, volumes_from_counts
from mnnjax.study.plan.grid import Cell
from mnnjax.study.workdir.results_table import QUANTITIES, cell_columns
from mnnjax.wording import of

# What is measured so far: hits and draws (repeats, 3); per splitting run the volumes of both targets and of the first
# target's candidates (repeats, 3, runs); exact volumes (repeats, 3); global minima (repeats,).
State = dict[str, np.ndarray]


def rows_of(cell: Cell, state: State) -> list[dict]:
    """One row per repetition, in the order of the seeds."""
    volume, rows = cell.part.measurement, []
    for k, (seed, data_seed) in enumerate(zip(cell.seeds, cell.data_seeds, strict=True)):
        row = cell_columns(cell) | {
            "bias": cell.part.problem.constant_input, "seed": seed, "data_seed": data_seed,
            "method": volume.method, "eps": volume.eps,
        }  # fmt: skip
        if volume.global_minimum and not math.isnan(least := float(state["global_minimum"][k])):
            row["global_minimum_mse"] = least
        for name, found in _volumes(cell, state, k).items():
            known = not math.isnan(found.estimate)
            if known or found.low > 0:
                row |= {name: found.estimate if known else "", f"{name}_low": found.low, f"{name}_high": found.high}
            if found.draws:
                row |= {f"{name}_hits": found.hits, f"{name}_draws": found.draws}
        rows.append(row)
    return rows


def _volumes(cell: Cell, state: State, k: int) -> dict[str, Estimate]:
    """What is known of each of QUANTITIES; the estimate is nan where only an interval is known."""
    volume = cell.part.measurement
    if volume.method == "exact":
        above, below, deficient = state["exact"][k].tolist()
        ratio = above / below if below else math.inf if above else math.nan
        values = {"suboptimal": above, "global_minima": below, "rank_deficient": deficient, "ratio": ratio}
        return {name: Estimate(value, value, value) for name, value in values.items()}
    looks = len(sampling.looks_at(volume.samples, volume.batch)) if volume.relative_width else 1
    counts = Counts(state["hits"][k], state["draws"][k])
    found = dict(vars(volumes_from_counts(counts, looks)))
    if volume.method == "splitting":
        runs = state["splitting"][k]
        found["candidates"] = Estimate(*landscape.combine(runs[2]))
        found["rank_deficient"] = Estimate(*landscape.combine(runs[1]))
        found["suboptimal"], wide = (_below_candidates(runs[0], runs[2], c) for c in (0.95, 0.975))
        # V(G) is counted, and may have stopped at any of the looks; splitting does not stop early.
        of_global = clopper_pearson(int(counts.hits[1]), int(counts.draws[1]), 1 - 0.025 / looks)
        found["ratio"] = quotient(found["suboptimal"], found["global_minima"], (wide.low, wide.high), of_global)
    return found


def uneven(state: State) -> int:
    """The number of estimates from splitting runs whose standard deviation is above their mean."""
    runs = state.get("splitting", np.zeros((1, 1, 2)))
    return int(np.sum(runs.std(axis=-1, ddof=1) > runs.mean(axis=-1)))


def _below_candidates(runs: np.ndarray, candidates: np.ndarray, confidence: float) -> Estimate:
    """V(L_eps) from splitting runs; where none found a minimum, it is at most the volume of the candidates."""
    if runs.any():
        return Estimate(*landscape.combine(runs, confidence))
    return Estimate(0.0, 0.0, min(landscape.combine(candidates, confidence)[2], 1.0))


def summary(rows: Sequence[dict]) -> str:
    """Means over the repetitions, for people, and in how many of them bad minima were seen."""
    names = ("V(L_eps)", "candidates", "V(G)", "rank deficient")
    known = [[row[name] for row in rows if name in row and row[name] != ""] for name in QUANTITIES]
    shown = zip(names, known, strict=False)
    text = ", ".join(f"{name} {sum(values) / len(values):.2g}" for name, values in shown if values)
    bad = known[QUANTITIES.index("suboptimal")]
    seen = f"bad minima in {of(sum(value > 0 for value in bad), len(bad), 'repetition')}" if bad else ""
    return "; ".join(filter(None, (text, seen)))
