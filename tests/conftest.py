"""Every test runs on 8 virtual CPU devices in 64-bit mode, whatever machine and folder pytest is started in."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

# For the processes that tests start, which see one CPU device unless they say otherwise.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.pop("JAX_NUM_CPU_DEVICES", None)
_flags = [f for f in os.environ.pop("XLA_FLAGS", "").split() if "host_platform_device_count" not in f]
if _flags:
    os.environ["XLA_FLAGS"] = " ".join(_flags)

# TFDS, which some tests import before anything of ours, would have etils open gs:// with TensorFlow.
os.environ["EPATH_USE_TF"] = "false"

# For this process, before a backend starts: JAX has read its environment when it was imported, perhaps by a plugin.
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

import mnnjax.jax_setup  # noqa: E402, F401


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """For modules whose programs run for a moment: half of the time would go into making them fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def real_mnist() -> Path:
    """The folder of MNIST's published files; where there is none, the test is skipped."""
    folder = Path(__file__).parents[2] / "shared/data/mnist"
    if not folder.is_dir():
        pytest.skip(f"no real MNIST in {folder}")
    return folder
