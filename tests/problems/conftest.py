"""Stored data sets for the tests of problems."""

from pathlib import Path

import pytest

from mnnjax.data import import_data

REAL_MNIST = Path(__file__).parents[3] / "shared/data/mnist"


@pytest.fixture(scope="session")
def real_mnist(tmp_path_factory) -> Path:
    """The folder of data sets in which the real MNIST is kept."""
    if not REAL_MNIST.is_dir():
        pytest.skip(f"no real MNIST in {REAL_MNIST}")
    kept = tmp_path_factory.mktemp("data")
    import_data("mnist", REAL_MNIST, kept, say=lambda line: None)
    return kept
