"""Theorems 6 and 10 against what was measured."""

import math
from collections.abc import Sequence

from mnnjax.report.common.findings import Finding, overall
from mnnjax.report.common.rows import NAMES
from mnnjax.report.volumes.analysis import LEAST_SIZES, THEOREMS, Fit
from mnnjax.wording import plural, significant


def finding(fits: Sequence[Fit]) -> Finding:
    """Theorems 6 and 10 against what was measured."""
    judged = [fit for fit in fits if fit.verdict != "not judged"]
    status, numbers = overall((fit.verdict for fit in judged), "exponent")
    without = sum(math.isnan(fit.exponent) for fit in judged)
    few = f"{without} have no fit: it needs {LEAST_SIZES} different N without a zero or missing estimate."
    fitted, measured = [fit for fit in fits if not math.isnan(fit.exponent)], []
    for quantity, theorem in THEOREMS.items():
        if found := [fit for fit in fitted if fit.quantity == quantity]:
            exponents, gammas = [fit.exponent for fit in found], [gamma for fit in found for gamma in fit.gammas]
            beside = f", gamma_eps {_range(gammas)}" if gammas else ""
            curves = plural(len(found), "curve")
            measured.append(f"Exponent of {NAMES[quantity]} ({theorem}), {curves}: {_range(exponents)}{beside}.")
    if too_small := [fit.name for fit in fitted if fit.lacks_hits]:
        measured.append(
            "Where an estimate is 0, the exponent is of the cells with hits alone and tends to be too small, which its "
            f"interval does not cover: {'; '.join(too_small)}."
        )
    if too_large := [fit.name for fit in fitted if fit.lacks_minima]:
        measured.append(
            f"Where V(G) is 0 the ratio is missing, and its exponent tends to be too large: {'; '.join(too_large)}."
        )
    return Finding(
        claim="Theorems 6 and 10: V(L_eps) and V(L_eps) / V(G) fall exponentially in N^(3/4) (d0 d1)^(1/4), with an "
        "exponent of at least gamma_eps, to leading order, once d0 d1 exceeds N up to logarithms.",
        measured=tuple(measured),
        criterion="For every curve with d0 d1 >= N at all its N, and for V(L_eps) and the ratio each: agrees "
        "when the lower end of the fitted exponent's 95 % interval is above gamma_eps at every size of the fit (and no "
        "ratio is missing for a V(G) of 0), does not agree when its upper end is below and no cell was left out for an "
        "estimate of 0. gamma_eps is leading order: no bound at finite N, and neither is this.",
        status=status,
        because=(numbers, few) if without else (numbers,),
        question="Do the volumes of sub-optimal regions fall exponentially, as Theorems 6 and 10 say?",
        answer=measured[0] if fitted else "No exponent could be fitted yet.",
    )


def _range(values: Sequence[float]) -> str:
    low, high = significant(min(values)), significant(max(values))
    return low if low == high else f"{low} to {high}"
