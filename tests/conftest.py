"""Every test runs on 8 virtual CPU devices in 64-bit mode, whatever machine and folder pytest is started in."""

import atexit
import collections
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import jaxtyping
import pytest

from tests.project import ROOT

# Not config and theory: they have no arrays, and check their own arguments.
CHECKED = ("landscape", "training", "problems", "network", "objective", "data", "study", "report")

# For the processes that tests start, which see one CPU device unless they say otherwise.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.pop("JAX_NUM_CPU_DEVICES", None)
_flags = [f for f in os.environ.pop("XLA_FLAGS", "").split() if "host_platform_device_count" not in f]
if _flags:
    os.environ["XLA_FLAGS"] = " ".join(_flags)

# Compiled programs are kept for this run alone, not in the user's own folder. Each worker of pytest-xdist has a folder
# of its own, since JAX may read what another process is about to write.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] += f"/{os.environ['PYTEST_XDIST_WORKER']}"
else:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="mnnjax-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

# TFDS, which some tests import before anything of ours, would have etils open gs:// with TensorFlow.
os.environ["EPATH_USE_TF"] = "false"

# For this process, before a backend starts: JAX has read its environment when it was imported, perhaps by a plugin.
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_numpy_rank_promotion", "raise")

# Types and shapes are checked against the annotations at every call.
import tests.typecheck  # noqa: E402, F401

jaxtyping.install_import_hook([f"mnnjax.{name}" for name in CHECKED], "tests.typecheck.check")

import mnnjax.jax_setup  # noqa: E402, F401


def pytest_configure(config: pytest.Config) -> None:
    """The quick tests alone run programs for a moment: half of the time would go into optimizing them. Where slow ones
    are asked for as well, all run the programs that users have."""
    if config.option.markexpr == "not slow":
        jax.config.update("jax_disable_most_optimizations", True)
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """quick_cases(n): of a test's cases n are quick, evenly spread over them; the others are slow."""
    cases = collections.defaultdict(list)
    for item in items:
        if item.get_closest_marker("quick_cases"):
            cases[item.nodeid.split("[")[0]].append(item)
    for some in cases.values():
        count = some[0].get_closest_marker("quick_cases").args[0]
        quick = {round(k * (len(some) - 1) / max(count - 1, 1)) for k in range(count)}
        for k, item in enumerate(some):
            if k not in quick:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def annotations_are_checked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Not where a test passes what annotations exclude, to see what a user is told."""
    jaxtyping.config.update("jaxtyping_disable", bool(request.node.get_closest_marker("wrong_types")))
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def real_mnist() -> Path:
    """The folder of MNIST's published files; where there is none, the test is skipped."""
    folder = ROOT.parent / "shared/data/mnist"
    if not folder.is_dir():
        pytest.skip(f"no real MNIST in {folder}")
    return folder
