"""What a run ran on: versions, devices, processor, memory; for the log of a study, and for `mnnjax doctor`."""

import platform
from pathlib import Path

import jax
import jaxlib

from mnnjax import __version__
from mnnjax.host_memory import memory
from mnnjax.jax_setup import cores


def machine() -> dict[str, str | int]:
    """The software and the machine, in words and numbers that are the same for the same machine."""
    devices = jax.devices()
    return {
        "mnnjax": __version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,  # pyright: ignore[reportPrivateImportUsage]  # it is jaxlib's own
        "devices": len(devices),
        "device": devices[0].device_kind,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": cores(),
        "memory_gb": round(memory() / 1e9),
    }


def processor() -> str:
    """What the processor calls itself; '' where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
