"""The memory of this machine: all of it, and what the system can give to this process."""

import os
from pathlib import Path

# A container's limit, what is used of it, and for what: control groups of version 2, and of version 1.
CGROUPS = (
    tuple(f"/sys/fs/cgroup/memory.{name}" for name in ("max", "current", "stat")),
    tuple(f"/sys/fs/cgroup/memory/memory.{name}" for name in ("limit_in_bytes", "usage_in_bytes", "stat")),
)


def memory() -> int:
    """Bytes of the machine, whoever uses them; 0 where the system does not say."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0


def free_memory() -> int | None:
    """Bytes that the system can give to this process; None where it does not tell."""
    limits = []
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        limits.append(1024 * int(lines["MemAvailable"].split()[0]))
    except (OSError, KeyError, ValueError):
        limits += [whole] if (whole := memory()) else []
    limits += [left for names in CGROUPS if (left := _left_in_group(*map(Path, names))) is not None]
    return min(limits) if limits else None


def _left_in_group(limit: Path, used: Path, statistics: Path) -> int | None:
    """Bytes that a container leaves; None where it has no limit."""
    try:
        left = int(limit.read_text()) - int(used.read_text())
        counts = dict(line.split() for line in statistics.read_text().splitlines())
    except (OSError, ValueError):  # no such group, or "max"
        return None
    # Cached files count as used, and are dropped when memory is needed.
    return left + sum(int(counts.get(name, 0)) for name in ("active_file", "inactive_file"))
