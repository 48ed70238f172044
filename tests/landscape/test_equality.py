"""Results with unknown numbers compare by what they say, on every Python."""

import dataclasses

import numpy as np
import pytest

from mnnjax.landscape import Certificate, Estimate, Volumes


def unknown() -> Estimate:
    return Estimate(float("nan"), 0.0, 1.0, 0, 0)


def certificate(**fields) -> Certificate:
    known = {field.name: 1.0 for field in dataclasses.fields(Certificate)}
    return Certificate(**known | {"verdict": "not_converged", "reason": "", "region_mse": float("nan")} | fields)


def test_estimates_and_volumes_with_nan_are_equal():
    assert unknown() == unknown()
    assert unknown() != dataclasses.replace(unknown(), high=0.5)
    assert unknown() != dataclasses.replace(unknown(), estimate=0.0)
    assert Volumes(*[unknown()] * 4) == Volumes(*[unknown() for _ in range(4)])
    assert len({unknown(), unknown()}) == 1
    assert unknown() != "unknown (no draws)"


@pytest.mark.wrong_types
def test_certificates_with_nan_are_equal():
    assert certificate() == certificate(region_mse=np.float64("nan"))
    assert certificate() != certificate(region_mse=0.0)
    assert len({certificate(), certificate(region_mse=np.float64("nan"))}) == 1
