"""Which processes run a study together, as the command line or the machine says."""

import dataclasses
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from mnnjax.errors import UserError, require


@dataclasses.dataclass(frozen=True)
class Group:
    """Which process this is, of how many, from the user, Slurm or a TPU slice; JAX asks the cluster where a field is
    None."""

    coordinator: str | None = None
    """HOST:PORT of the first process, which the others connect to."""
    count: int | None = None
    """The number of processes."""
    index: int | None = None
    """The number of this one, from 0 on."""
    local_devices: tuple[int, ...] | None = None
    """The devices of this machine that are this process's; None: JAX decides."""


def find_group(
    coordinator: str | None, count: int | None, index: int | None, environment: Mapping[str, str], tpu: bool
) -> Group | None:
    """The processes that this one belongs to; None: it is alone.

    Args:
      coordinator, count, index: from the user, all or none.
      environment: os.environ.
      tpu: whether the machine has TPUs; JAX then knows the other hosts of the slice.

    Raises:
      UserError: some are given and others are not, or they are invalid.
    """
    if coordinator is not None or count is not None or index is not None:
        if coordinator is None or count is None or index is None:
            options = "--coordinator, --num-processes, --process-id"
            raise UserError(f"{options}: they go together; give all three to every process")
        host, _, port = coordinator.rpartition(":")
        if not (host and port.isdigit() and 0 < int(port) < 2**16):
            hint = "give the first process's address, such as 10.0.0.1:8476"
            raise UserError(f"--coordinator: {coordinator!r} is not HOST:PORT; {hint}")
        require(count >= 1, f"--num-processes: {count} is too small; give at least 1")
        told = f"--process-id: {index} is not one of {count} processes; they count from 0 to {count - 1}"
        require(0 <= index < count, told)
        return Group(coordinator, count, index)
    # srun starts a job step; an sbatch script by itself is one process, whatever the job may use.
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks > 1 and "SLURM_PROCID" in environment:
        gpus = int(environment.get("SLURM_GPUS_ON_NODE") or 0)
        one_per_node = environment.get("SLURM_STEP_TASKS_PER_NODE", "").split("(")[0] == "1"
        # JAX gives each task the GPU of its own number, also where one task should have all of them.
        devices = tuple(range(gpus)) if one_per_node and gpus else None
        return Group(None, tasks, int(environment["SLURM_PROCID"]), devices)
    return Group() if tpu else None


def has_tpu() -> bool:
    """Whether this machine has TPUs and is not asked to leave them alone."""
    wanted = os.environ.get("JAX_PLATFORMS", "tpu")
    there = any(Path("/dev").glob("accel*")) or any(Path("/dev/vfio").glob("[0-9]*"))
    return "tpu" in wanted and there and importlib.util.find_spec("libtpu") is not None
