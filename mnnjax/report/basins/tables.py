"""The table of data sets."""

from collections.abc import Callable, Sequence

from mnnjax.report.basins.analysis import NO_ERROR, SAME_MSE, Ends, Outcome
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
    if any(o.training for o in outcomes):
        least = Column("global_minimum_mse", "MSE", significant, "true global minimum", lambda o: o.least)
        columns += (least, *_reached("training", "training", lambda o: o.training))
    if any(o.descents for o in outcomes):
        columns += _reached("descent", "descent", lambda o: o.descents)
    note = (
        "Frequencies among all runs, with Clopper and Pearson's 95 % interval; exact volumes. Unresolved: not "
        "converged, undecided or non-finite; 'if unresolved were': the frequency if all of these ended there. "
        f"True global minimum: over all networks; an MSE within {SAME_MSE:g} of it counts as equal. Where it is above "
        "zero, suboptimal says only that the MSE is not zero."
    )
    return table_of(columns, outcomes, note)


def _count(verdict: str, heading: str) -> Column:
    return Column(verdict, heading, integer, of=lambda o: o.verdicts[verdict])


def _reached(key: str, name: str, ends: Callable[[Outcome], Ends | None]) -> tuple[Column, ...]:
    """The share of runs that end at the true global minimum, with its interval; empty where that is not known."""

    def of(value: Callable[[Ends], float]) -> Callable[[Outcome], float | None]:
        return lambda o: value(found) if (found := ends(o)) else None

    group = "true global minimum"
    return (
        Column(f"{key}_at_global", f"{name} ends there", significant, group, of(lambda e: e.share)),
        Column(f"{key}_at_global_low", "low", significant, group, of(lambda e: e.interval[0])),
        Column(f"{key}_at_global_high", "high", significant, group, of(lambda e: e.interval[1])),
    )


def _frequency(key: str, verdict: str, name: str, symbol: str, volume: str) -> tuple[Column, ...]:
    return (
        Column(f"{key}_frequency", "frequency", significant, name, lambda o: o.frequency(verdict)),
        Column(f"{key}_low", "low", significant, name, lambda o: o.interval(verdict)[0]),
        Column(f"{key}_high", "high", significant, name, lambda o: o.interval(verdict)[1]),
        Column(f"{key}_open_high", "if unresolved were", significant, name, lambda o: o.open_interval(verdict)[1]),
        Column(f"{key}_volume", symbol, significant, name, lambda o: getattr(o, volume)),
    )
