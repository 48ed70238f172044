"""What print() shows of results, and that it leaves repr, which is the dataclass's, alone."""

import dataclasses
import math

import numpy as np
import pytest

from mnnjax.landscape import Estimate, ExactVolumes, SplitEstimate, certify
from mnnjax.landscape.volumes.intervals import Counts, proportion, volumes_from_counts
from tests.landscape.points import reached

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.1234, 0.1, 0.14, 1234, 10000), "0.123 (95 %: 0.1 to 0.14; 1234 of 10000 draws)"),
        (proportion(0, 10000), "at most 0.000369 (95 %; 0 of 10000 draws)"),
        (proportion(16, 16), "at least 0.794 (95 %; 16 of 16 draws)"),
        (proportion(0, 0), "unknown (no draws)"),
        (Estimate(0.25, 0.25, 0.25), "0.25"),
        # As many digits as tell the ends apart.
        (Estimate(0.500001, 0.499999, 0.500002), "0.500001 (95 %: 0.499999 to 0.500002)"),
        # Ratios.
        (Estimate(NAN, 6.274, INF), "at least 6.27 (95 %)"),
        (Estimate(NAN, 0.0, INF), "unknown"),
        (Estimate(0.0, 0.0, 0.5), "at most 0.5 (95 %)"),
        (Estimate(12.0, 3.0, INF), "12 (95 %: 3 to inf)"),
        (SplitEstimate(2.9e-9, 2.75e-9, 3.06e-9, runs=(1.0,)), "2.9e-09 (95 %: 2.75e-09 to 3.06e-09; 1 runs)"),
        (SplitEstimate(0.0, 0.0, 1.0, runs=(0.0,) * 3), "at most 1 (95 %; 3 runs)"),
        (SplitEstimate(0.0, 0.0, 1.0, candidate=Estimate(0.0, 0.0, 1.0)), "at most 1 (95 %; 0 runs)"),
        (
            SplitEstimate(1e-9, 8e-10, 2e-9, runs=(1e-9,) * 6, candidate=Estimate(2e-9, 1e-9, 3e-9)),
            "volume                     1e-09 (95 %: 8e-10 to 2e-09; 6 runs)\n"
            "candidates, which hold it  2e-09 (95 %: 1e-09 to 3e-09)",
        ),
    ],
)
def test_an_estimate_is_printed_with_its_interval_or_as_a_bound(estimate, text):
    assert str(estimate) == text
    assert repr(estimate).startswith(f"{type(estimate).__name__}(estimate=")


def test_volumes_are_a_line_each():
    volumes = volumes_from_counts(Counts(np.array([39, 0, 137]), np.array([200, 200, 200])))
    assert str(volumes).splitlines() == [
        "suboptimal, V(L_eps)    0.195 (95 %: 0.142 to 0.257; 39 of 200 draws)",
        "global_minima, V(G)     at most 0.0183 (95 %; 0 of 200 draws)",
        "rank_deficient          0.685 (95 %: 0.616 to 0.749; 137 of 200 draws)",
        "ratio, V(L_eps) / V(G)  at least 6.27 (95 %)",
    ]
    assert repr(volumes).startswith("Volumes(suboptimal=Estimate(estimate=0.195, ")


def test_exact_volumes_are_a_line_each():
    exact = ExactVolumes(0.1358067238574014, 0.0, 0.7002924546810262, 1.0, 1728, 322, 0.0)
    assert str(exact).splitlines() == [
        "suboptimal, V(L_eps)  0.135807",
        "global_minima, V(G)   0",
        "rank_deficient        0.700292",
        "regions               1728, exact",
    ]
    assert "in doubt, to rounding: 0.001" in str(dataclasses.replace(exact, in_doubt=1e-3))
    assert repr(exact).startswith("ExactVolumes(suboptimal=0.1358067238574014, ")


def test_a_certificate_begins_with_its_verdict_and_says_what_to_do_about_it():
    W, z, X, y = reached(6, 4, 5, 0.0)
    certified = str(certify(W, z, X, y, 0.0)).splitlines()
    assert certified[0] == "verdict          global_minimum: the residual of the region is zero"
    assert certified[1].startswith("here             MSE ")
    assert not any("advice" in line for line in certified)
    bad = certify(W, 2 * z, X, y, 0.0)
    lines = str(bad).splitlines()
    assert lines[0] == f"verdict          not_converged: {bad.reason}"
    assert lines[6].startswith("margin           ")
    assert lines[9].startswith("advice           ")
    assert "mnnjax.training.polish, or `mnnjax certify FILE.npz --polish OUT.npz`" in lines[9]
    assert "mnnjax.landscape.descend, or `mnnjax certify FILE.npz --descend OUT.npz`" in lines[10]
    assert max(map(len, lines)) <= 120
    for verdict in ("saddle", "undecided"):
        last = str(dataclasses.replace(bad, verdict=verdict)).splitlines()[-1]
        assert "--descend OUT.npz" in last
        assert "polish" not in last
    assert "scale" in str(certify(1e60 * W, z, X, y, 0.0)).splitlines()[-1]
    assert repr(bad).startswith("Certificate(verdict='not_converged', ")
