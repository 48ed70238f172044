"""What several tests of the report need."""

import pytest

from mnnjax.report.capacity import logistic_fit as threshold


@pytest.fixture
def few_resamples(monkeypatch):
    """For tests that ask for no p-value of a fit, which takes most of its time."""
    monkeypatch.setattr(threshold, "_RESAMPLES", 19)
