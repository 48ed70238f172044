"""The table of data sets."""

from collections.abc import Sequence

from mnnjax.report.basins.analysis import NO_ERROR, Outcome
from mnnjax.report.common.tables import SIZES, Column, Table, table_of
from mnnjax.study.workdir.results_table import NON_FINITE
from mnnjax.wording import integer, percent, significant


def data_sets(outcomes: Sequence[Outcome]) -> Table:
    """One row per data set: how its runs ended, beside its exact volumes."""
    columns = (
        *SIZES, Column("data_seed", "data seed"), Column("runs", "runs", integer),
        _count("suboptimal_dlm", "suboptimal dlm, MCE > 0"), _count(NO_ERROR, "suboptimal dlm, MCE 0"),
        _count("global_minimum", "global minimum"), _count("suboptimal_kink", "suboptimal kink"),
        _count("saddle", "saddle"),
        Column("unresolved", "unresolved", integer), _count(NON_FINITE, "of them non-finite"),
        *_frequency("suboptimal", "suboptimal_dlm", "suboptimal dlm, MCE > 0", "V(L_0)", "suboptimal"),
        *_frequency("global", "global_minimum", "global minimum", "V(G)", "global_minima"),
        Column("neither", "share of neither", percent,
               of=lambda o: (o.runs - o.verdicts["suboptimal_dlm"] - o.verdicts["global_minimum"]) / o.runs),
    )  # fmt: skip
    note = (
        "Frequencies among all runs, with Clopper and Pearson's 95 % interval; exact volumes. Unresolved: not "
        "converged, undecided or non-finite; 'if unresolved were': the frequency if all of these ended there."
    )
    return table_of(columns, outcomes, note)


def _count(verdict: str, heading: str) -> Column:
    return Column(verdict, heading, integer, of=lambda o: o.verdicts[verdict])


def _frequency(key: str, verdict: str, name: str, symbol: str, volume: str) -> tuple[Column, ...]:
    return (
        Column(f"{key}_frequency", "frequency", significant, name, lambda o: o.frequency(verdict)),
        Column(f"{key}_low", "low", significant, name, lambda o: o.interval(verdict)[0]),
        Column(f"{key}_high", "high", significant, name, lambda o: o.interval(verdict)[1]),
        Column(f"{key}_open_high", "if unresolved were", significant, name, lambda o: o.open_interval(verdict)[1]),
        Column(f"{key}_volume", symbol, significant, name, lambda o: getattr(o, volume)),
    )
