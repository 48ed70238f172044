"""The Python that has the parsers of SkyPilot and JobSet."""

import json
import os
import subprocess

import pytest

from tests.launch.stubs import ROOT


@pytest.fixture(scope="session")
def engines(tmp_path_factory):
    """Runs Python code where SkyPilot and the models of the JobSet API are installed; returns its printed JSON."""
    python = ROOT / ".venv-launch" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-launch with SkyPilot and the JobSet API; .ci/run makes one")
    # SkyPilot writes into the home folder.
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {"HOME": str(home), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}

    def run(code: str, *arguments: str):
        command = [str(python), "-c", code, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
