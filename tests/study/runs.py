"""Runs of studies in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path


def command(config: Path, workdir: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "mnnjax.cli", "run", str(config), "--workdir", str(workdir), *options]


def start(config: Path, workdir: Path, *options: str) -> subprocess.Popen:
    """Runs of work folders beside each other share their compiled programs."""
    environment = os.environ | {"XDG_CACHE_HOME": str(workdir.parent / "cache")}
    return subprocess.Popen(
        command(config, workdir, *options),
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen, code: int = 0) -> str:
    """What it printed, after it ended with that exit code."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output
    return output
