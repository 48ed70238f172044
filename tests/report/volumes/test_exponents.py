"""The verdict on exponents near the limit of detection, where some data sets have no hit."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats

from mnnjax import theory
from mnnjax.config import Network
from mnnjax.landscape.volumes.intervals import proportion
from mnnjax.report.common.rows import cells
from mnnjax.report.volumes import analysis, claims
from tests.report.volumes_by_hand import LINEAR, exactly, linear_rows, parsed, volume_row


def curves_of(tmp_path, part, rows):
    return analysis.volume_curves(part, cells(parsed(tmp_path / "parsed", part, rows)))


def test_an_exponent_of_the_cells_with_hits_alone_never_fails(tmp_path):
    part = dataclasses.replace(LINEAR, network=Network(d0_d1_over_N=(1.0,)))
    for quantity in ("suboptimal", "ratio"):
        rows = linear_rows(-0.02, (1.0,), part)
        for row in rows:
            row |= {f"ratio{end}": row[f"suboptimal{end}"] for end in ("", "_low", "_high")}
        # Of V(L_eps) = 0 and V(G) = 0 the ratio is missing.
        rows[-1] |= {"suboptimal": 0.0, "suboptimal_low": 0.0, "ratio": "", "ratio_low": 0.0, "ratio_high": math.inf}
        curves = curves_of(tmp_path / quantity, part, rows)
        (fit,) = (f for f in analysis.fits(curves) if f.quantity == quantity)
        assert fit.high < min(fit.gammas)
        assert fit.verdict == "undecided"
        finding = claims.finding([fit])
        assert finding.status == "cannot be judged"
        assert f"too small, which its interval does not cover: {fit.name}." in finding.measured[-1]


def test_a_ratio_that_is_missing_for_want_of_global_minima_never_holds(tmp_path):
    part = dataclasses.replace(LINEAR, network=Network(d0_d1_over_N=(1.0,)))
    for V in (0.5, 0.0):
        rows = linear_rows(0.5, (1.0,), part)
        for row in rows:
            row |= {f"ratio{end}": row[f"suboptimal{end}"] for end in ("", "_low", "_high")}
            row |= {f"global_minima{end}": 0.5 for end in ("", "_low", "_high")}
        rows[-1] |= {"global_minima": V, "global_minima_low": 0.0, "ratio_high": math.inf}
        if V == 0:
            rows[-1] |= {"ratio": ""}
        curves = curves_of(tmp_path / str(V), part, rows)
        (fit,) = (f for f in analysis.fits(curves) if f.quantity == "ratio")
        assert fit.low > max(fit.gammas)
        assert fit.verdict == ("holds" if V else "undecided")
        finding = claims.finding([fit])
        assert any(f"tends to be too large: {fit.name}." in text for text in finding.measured) == (V == 0)


@pytest.mark.slow
@pytest.mark.parametrize(("draws", "constant"), [(200, 0.05), (4096, 0.003)])
def test_studies_near_the_limit_of_detection_seldom_fail_a_claim_that_holds(tmp_path, draws, constant):
    part = dataclasses.replace(LINEAR, network=Network(d0_d1_over_N=(2.0,)), repeats=3)
    rng, studies, fails, sizes = np.random.default_rng(0), 300, 0, range(8, 72, 8)
    gamma = theory.gamma(0.1, 0.5, 0.0)
    rows = [volume_row(part, N // 2, 4, N, seed, suboptimal=exactly(0.5)) for N in sizes for seed in range(3)]
    (curve,) = curves_of(tmp_path, part, rows)
    for _ in range(studies):
        drawn = []
        for cell in curve.cells:
            p = constant * math.exp(-1.05 * gamma * cell.N**0.75 * (4 * cell.N // 2) ** 0.25)
            counted = [proportion(int(hits), draws) for hits in rng.binomial(draws, p, 3)]
            measures = counted
            pairs = zip(cell.rows, measures, strict=True)
            rows = tuple(dataclasses.replace(row, measured={"suboptimal": m}) for row, m in pairs)
            drawn.append(dataclasses.replace(cell, rows=rows))
        fails += analysis.fit(dataclasses.replace(curve, cells=tuple(drawn)), "suboptimal").verdict == "fails"
    # The upper end of a 95 % interval is too low in 2.5 %; more than this many are seen with a probability of 0.1 %.
    assert fails <= scipy.stats.binom.isf(1e-3, studies, 0.025)
