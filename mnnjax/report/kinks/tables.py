"""The table of claims."""

from collections.abc import Sequence

from mnnjax.report.common.tables import Column, Table, table_of
from mnnjax.report.kinks.claims import Case
from mnnjax.wording import integer, ratio


def claim_table(cases: Sequence[Case]) -> Table:
    """One row per claim and start: the descents that meet the claim, with the interval of their share."""
    columns = (
        Column("claim", "claim", of=lambda case: case.claim.text, style="words long"),
        Column("whose", "whose", of=lambda case: case.claim.whose, style="words"),
        Column("start", "start", of=lambda case: case.start.name, style="words"),
        Column("descents", "descents", integer), Column("meet", "meet it", integer),
        Column("contradict", "contradict it", integer), Column("unproven", "unproven", integer),
        Column("share", "share that meet it", ratio, of=lambda case: case.share.estimate),
        Column("low", "low", ratio, of=lambda case: case.share.low),
        Column("high", "high", ratio, of=lambda case: case.share.high),
        Column("verdict", "claim is judged"),
    )  # fmt: skip
    return table_of(columns, cases, "Low, high: Clopper and Pearson's 95 % interval of the share, of all descents.")
