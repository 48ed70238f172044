"""The one place that sets JAX's configuration; every module that uses JAX imports it. Arrays carry their precision
explicitly, so 64-bit types are always on: a verdict needs float64 whatever trained the network. Matrix products in
float32 are true float32 products, also on GPUs, whose default is TF32."""

import contextlib
import os
import re
from pathlib import Path
from typing import Any, TypeAlias

import jax

from mnnjax.errors import require

# jax.Device in annotations, which is no type to type checkers, since jaxlib comes without stubs.
Device: TypeAlias = Any


def setting(name: str) -> Any:
    """The value of one of JAX's settings, which jax.config has as attributes that no type checker knows."""
    return getattr(jax.config, name)


# Evaluations and certificates run on the CPU backend, also where the user asked for an accelerator alone.
if (_platforms := setting("jax_platforms")) and "cpu" not in _platforms.split(","):
    jax.config.update("jax_platforms", f"{_platforms},cpu")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_default_matmul_precision", "highest")


def require_x64() -> None:
    """Raise UserError (a ValueError) where 64-bit types have been switched off since: float64 would silently become
    float32. Under jit the check runs while tracing, and costs nothing."""
    on = "jax.config.update('jax_enable_x64', True) switches it on"
    require(setting("jax_enable_x64"), f"jax_enable_x64: is off, and this needs float64; {on}")


def on_cpu() -> contextlib.AbstractContextManager:
    """A context in which JAX computes on this process's CPU, where float64 is native; jax.devices("cpu")[0] may be
    another process's."""
    return jax.default_device(jax.local_devices(backend="cpu")[0])


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_all_cores() -> None:
    """One CPU device per core, so that seeds run side by side: each core keeps its seeds' data in its own cache and
    waits for no other. A single core has two devices, since XLA rounds differently in programs for one device. Nothing
    changes where JAX has started already; $JAX_NUM_CPU_DEVICES or $XLA_FLAGS may give another number."""
    flag = re.search(r"host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    devices = int(flag[1]) if flag else setting("jax_num_cpu_devices")
    if devices < 1:
        devices = max(cores(), 2)
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", devices)
    # XLA's pool has one thread per core. A program in one thread can wait for work that it has left to the others:
    # where every device has such a program and no further thread is free, they wait for ever (batched factorizations
    # of 64 x 64 matrices do).
    os.environ.setdefault("NPROC", str(max(cores(), devices) + 1))


def use_compilation_cache() -> None:
    """Keep compiled programs between runs, in $JAX_COMPILATION_CACHE_DIR or the user's cache folder."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "mnnjax" / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
