"""Theorems 6 and 10 against what was measured."""

import math
from collections.abc import Sequence

from mnnjax.report.common.findings import Finding, overall
from mnnjax.report.common.rows import NAMES, Curve
from mnnjax.report.volumes.analysis import LEAST_SIZES, THEOREMS, Fit, log_line
from mnnjax.wording import of, plural, significant


def finding(curves: Sequence[Curve], all_fits: Sequence[Fit]) -> Finding:
    """Theorems 6 and 10 against what was measured."""
    holds, fails, undecided = ([f for f in all_fits if f.verdict == v] for v in ("holds", "fails", "undecided"))
    judged = len(holds) + len(fails) + len(undecided)
    because = [
        f"Of {plural(judged, 'exponent')} of curves with d0 d1 >= N, {len(holds)} meet the criterion, "
        f"{len(fails)} fail, {len(undecided)} cannot be judged."
    ]
    because += [f"Fails, {f.name}: {_exponent(f)}, below {_gamma(f)}." for f in fails]
    because += [f"Undecided, {f.name}: {_why_undecided(f)}." for f in undecided]
    return Finding(
        claim="Theorems 6 and 10: V(L_eps) and V(L_eps) / V(G) fall exponentially in N^(3/4) (d0 d1)^(1/4), with an "
        "exponent of at least gamma_eps, to leading order, once d0 d1 exceeds N up to logarithms.",
        measured=(*_exponents(all_fits), *_beside_the_line(curves)),
        criterion="For every curve with d0 d1 >= N at all its N, and for V(L_eps) and the ratio each: agrees "
        "when the lower end of the fitted exponent's 95 % interval is above gamma_eps at every size of the fit (and no "
        "ratio is missing for a V(G) of 0), does not agree when its upper end is below and no cell was left out for an "
        "estimate of 0. gamma_eps is leading order: no bound at finite N, and neither is this.",
        status=overall(len(holds), len(fails), len(undecided)),
        because=tuple(because),
    )


def _exponents(all_fits: Sequence[Fit]) -> list[str]:
    fitted = [f for f in all_fits if not math.isnan(f.exponent)]
    sentences = []
    for quantity, theorem in THEOREMS.items():
        parts = [f"{f.curve.label}: {_exponent(f)}, beside {_gamma(f)}" for f in fitted if f.quantity == quantity]
        sentences += [f"Exponent of {NAMES[quantity]} ({theorem}): {'; '.join(parts)}."] if parts else []
    if too_small := [f.name for f in fitted if f.lacks_hits]:
        sentences.append(
            "Where an estimate is 0, the exponent is of the cells with hits alone and tends to be too small, which its "
            f"interval does not cover: {'; '.join(too_small)}."
        )
    if too_large := [f.name for f in fitted if f.lacks_minima]:
        sentences.append(
            f"Where V(G) is 0 the ratio is missing, and its exponent tends to be too large: {'; '.join(too_large)}."
        )
    return sentences


def _beside_the_line(curves: Sequence[Curve]) -> list[str]:
    pairs = [
        (cell.mean("suboptimal"), line)
        for curve in curves
        for cell in curve.cells
        if not math.isnan(cell.mean("suboptimal")) and (line := log_line(cell)) is not None
    ]
    below = sum(mean < math.exp(line) for mean, line in pairs)
    if not pairs:
        return []
    return [f"The mean V(L_eps) is below the leading-order expression of Theorem 6 in {of(below, len(pairs), 'cell')}."]


def _exponent(f: Fit) -> str:
    return f"{significant(f.exponent)} (95 %: {significant(f.low)} to {significant(f.high)})"


def _gamma(f: Fit) -> str:
    if not f.gammas:
        return "no gamma_eps (it needs eps > 0)"
    low, high = significant(min(f.gammas)), significant(max(f.gammas))
    return f"gamma_eps = {low}" if low == high else f"gamma_eps from {low} to {high}"


def _why_undecided(f: Fit) -> str:
    if math.isnan(f.exponent):
        sizes = len({cell.N for cell in f.cells})
        return f"no fit ({LEAST_SIZES} different N are needed, {sizes} have no zero or missing estimate)"
    bias = " of the cells with hits alone, which tends to be too small" if f.lacks_hits else ""
    bias += " of the cells where V(G) is not 0, which tends to be too large" if f.lacks_minima else ""
    return f"{_exponent(f)}{bias}, {_gamma(f)}"
