"""Rules for all shell files in launch/, and the variables that env.sh sets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch.stubs import ROOT

LAUNCH = ROOT / "launch"
SLURM = ["slurm_multihost.sbatch", "slurm_sweep.sbatch"]
FAR_AWAY = ["jobset_large.yaml", "sky_submit.py", "sky_sweep.yaml", "tpu_queued.sh", *SLURM]


def shell(code: str, **environment: str) -> str:
    """What bash prints for the code, in a clean environment."""
    clean = {"PATH": os.environ["PATH"]} | environment
    return subprocess.run(
        ["bash", "-euc", code], cwd=ROOT, env=clean, capture_output=True, text=True, check=True
    ).stdout


def test_shellcheck():
    files = sorted(p for p in LAUNCH.iterdir() if p.suffix in (".sh", ".sbatch"))
    program = Path(sys.executable).with_name("shellcheck")
    if not program.exists():
        pytest.skip("no shellcheck here; pip install -e '.[test]'")
    command = [program, "--external-sources", "--source-path=SCRIPTDIR", "--shell=bash", *files, ROOT / ".ci" / "run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert len(files) >= 8
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", FAR_AWAY)
def test_opens_with_costs_and_commands(name):
    """Users know how to pay for, watch and stop what they start."""
    opening = (LAUNCH / name).read_text()[:2000]
    for word in ("Costs to try", "start", "watch", "stop", "fetch"):
        assert word in opening, word


def test_env_sets_the_port_of_a_tpu_slice():
    port = 'source launch/env.sh; echo "${JAX_COORDINATOR_PORT:-none}"'
    assert shell(port) == "8476\n"
    assert shell(port, JAX_COORDINATOR_PORT="9000") == "9000\n"
    # Under Slurm JAX takes one from the job's number.
    assert shell(port, SLURM_JOB_ID="7") == "none\n"


def test_env_clears_what_says_several_slices():
    left = shell("source launch/env.sh; env", MEGASCALE_NUM_SLICES="2", MEGASCALE_SLICE_ID="1", OTHER="x")
    assert "MEGASCALE" not in left
    assert "OTHER=x" in left


def test_env_keeps_compiled_programs_in_the_bucket():
    cache = 'source launch/env.sh; echo "${JAX_COMPILATION_CACHE_DIR:-none}"'
    assert shell(cache) == "none\n"
    assert shell(cache, BUCKET="gs://b/") == "gs://b/compilation_cache\n"
    assert shell(cache, BUCKET="gs://b", JAX_COMPILATION_CACHE_DIR="/disk") == "/disk\n"


def test_env_is_seen_by_programs():
    seen = shell("source launch/env.sh; env", BUCKET="gs://b").splitlines()
    assert {"JAX_COORDINATOR_PORT=8476", "JAX_COMPILATION_CACHE_DIR=gs://b/compilation_cache"} <= set(seen)
    assert "PYTHONUNBUFFERED=1" in seen


def test_jax_listens_where_env_says(monkeypatch):
    """jax 0.10 uses 8482 for a TPU slice unless the variable is set."""
    from jax._src.clusters import cloud_tpu_cluster, cluster

    tpu = cloud_tpu_cluster.GkeTpuCluster
    monkeypatch.setattr(cluster.ClusterEnv, "_cluster_types", [tpu])
    monkeypatch.setattr(tpu, "is_env_present", lambda: True)
    monkeypatch.setattr(tpu, "wait_for_coordinator", lambda *_: None)
    for name, value in {"TPU_WORKER_HOSTNAMES": "host-0,host-1", "TPU_WORKER_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("MEGASCALE_COORDINATOR_ADDRESS", "MEGASCALE_NUM_SLICES", "MEGASCALE_SLICE_ID"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(cloud_tpu_cluster, "get_tpu_env_value", lambda _: None)
    monkeypatch.setenv("JAX_COORDINATOR_PORT", shell('source launch/env.sh; printf %s "$JAX_COORDINATOR_PORT"'))
    found = cluster.ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, 1)
    assert found[:3] == ("host-0:8476", 2, 1)
