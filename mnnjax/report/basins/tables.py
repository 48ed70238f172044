"""How the runs on every data set ended, beside its exact volumes."""

from collections.abc import Sequence

from mnnjax.report.basins.analysis import NO_ERROR, Outcome
from mnnjax.report.common.tables import SIZES, Column, Table
from mnnjax.study.workdir.results_table import NON_FINITE
from mnnjax.wording import integer, percent, significant


def data_sets(outcomes: Sequence[Outcome]) -> Table:
    """One row per data set: how its runs ended, beside its exact volumes."""
    columns = (
        *SIZES, Column("data_seed", "data seed"), Column("runs", "runs", integer),
        Column("suboptimal_dlm", "suboptimal dlm, MCE > 0", integer),
        Column(NO_ERROR, "suboptimal dlm, MCE 0", integer),
        Column("global_minimum", "global minimum", integer),
        Column("non_differentiable", "non-differentiable", integer),
        Column("unresolved", "unresolved", integer), Column("non_finite", "of them non-finite", integer),
        *_frequency_columns("suboptimal", "suboptimal dlm, MCE > 0", "V(L_0)"),
        *_frequency_columns("global", "global minimum", "V(G)"),
        Column("neither", "share of neither", percent),
    )  # fmt: skip
    note = (
        "Frequencies among all runs, with Clopper and Pearson's 95 % interval; exact volumes. Unresolved: not "
        "converged or non-finite; 'if unresolved were': the frequency if all of these ended there."
    )
    return Table(columns, tuple(map(_row, outcomes)), note)


def _frequency_columns(key: str, name: str, volume: str) -> tuple[Column, ...]:
    return (
        Column(f"{key}_frequency", "frequency", significant, name),
        Column(f"{key}_low", "low", significant, name),
        Column(f"{key}_high", "high", significant, name),
        Column(f"{key}_open_high", "if unresolved were", significant, name),
        Column(f"{key}_volume", volume, significant, name),
    )


def _row(o: Outcome) -> tuple:
    counts = [o.verdicts.get(v, 0) for v in ("suboptimal_dlm", NO_ERROR, "global_minimum", "non_differentiable")]
    both = [
        (o.frequency(v), *o.interval(v), o.open_interval(v)[1], volume)
        for v, volume in (("suboptimal_dlm", o.suboptimal), ("global_minimum", o.global_minima))
    ]
    neither = (o.runs - counts[0] - counts[2]) / o.runs
    return (
        o.d0, o.d1, o.N, o.data_seed, o.runs, *counts, o.unresolved, o.verdicts.get(NON_FINITE, 0),
        *both[0], *both[1], neither,
    )  # fmt: skip
