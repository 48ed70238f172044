"""The SkyPilot files, by SkyPilot's own parsers; no job is started."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.launch.stubs import ROOT, Stub

SUBMIT = [sys.executable, "launch/sky_submit.py", "configs/fig5_1.py", "--shards", "3", "--bucket", "gs://b/"]


@pytest.fixture
def sky(tmp_path):
    return Stub(tmp_path, "sky", "sys.exit(int(os.environ.get('CODE', 0)))")


def test_submits_every_shard(sky):
    done = sky.run(*SUBMIT, "--", "--train.epochs", "5", "--name", "two words")
    assert done.returncode == 0, done.stderr
    calls = sky.calls()
    assert [c[c.index("--name") + 1] for c in calls] == ["fig5_1-0-of-3", "fig5_1-1-of-3", "fig5_1-2-of-3"]
    for i, call in enumerate(calls):
        assert call[:3] == ["sky", "jobs", "launch"]
        assert call[-1] == "launch/sky_sweep.yaml"
        environment = dict(call[k + 1].split("=", 1) for k, word in enumerate(call) if word == "--env")
        assert environment == {
            "BUCKET": "gs://b",
            "CONFIG": "configs/fig5_1.py",
            "SHARD": f"{i}/3",
            "WORKDIR": "gs://b/fig5_1",
            "ARGUMENTS": "--train.epochs 5 --name 'two words'",
        }
    for word in ("watch:", "stop:", "fetch:", "gs://b/fig5_1"):
        assert word in done.stdout


def test_submits_some_shards_or_none(sky):
    assert sky.run(*SUBMIT, "--only", "2").returncode == 0
    assert [c[c.index("--name") + 1] for c in sky.calls()] == ["fig5_1-2-of-3"]
    done = sky.run(*SUBMIT, "--dry-run")
    assert (done.returncode, done.stdout.count("sky jobs launch"), len(sky.calls())) == (0, 3, 1)


def test_stops_at_the_first_that_sky_refuses(sky):
    assert sky.run(*SUBMIT, CODE="4").returncode == 4
    assert len(sky.calls()) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["configs/none.py", "--shards", "2", "--bucket", "gs://b"], "no such file"),
        (["configs/fig5_1.py", "--shards", "2", "--bucket", "b"], "must start with gs://"),
        (["configs/fig5_1.py", "--shards", "0", "--bucket", "gs://b"], "from 0 to N-1"),
        (["configs/fig5_1.py", "--shards", "2", "--bucket", "gs://b", "--only", "2"], "not 2"),
    ],
)
def test_wrong_input_is_told(sky, wrong, said):
    done = sky.run(*SUBMIT[:2], *wrong)
    assert done.returncode == 2
    assert said in done.stderr
    assert sky.calls() == []


def test_says_that_sky_is_missing(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / SUBMIT[1], *SUBMIT[2:]], env={"PATH": str(tmp_path)}, capture_output=True
    )
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"pip install" in done.stderr


def test_the_job_runs_its_shard(tmp_path):
    """The `run` of the YAML, with a script that prints its arguments instead of launch/on_tpu.sh."""
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / "on_tpu.sh").write_text("printf '%s\\n' \"$@\"; exit 75\n")
    script = yaml.safe_load((ROOT / "launch" / "sky_sweep.yaml").read_text())["run"]
    variables = {
        "CONFIG": "c.py",
        "SHARD": "1/3",
        "WORKDIR": "gs://b/c",
        "ARGUMENTS": "--train.epochs 5 --name 'two words'",
    }
    environment = {"PATH": os.environ["PATH"]} | variables
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "run", "c.py", "--shard", "1/3", "--workdir", "gs://b/c", "--train.epochs", "5", "--name", "two words"
    ]  # fmt: skip
    assert done.returncode == 75, "SkyPilot must see the program's own exit code"


# What SkyPilot makes of the YAML, and whether it would start the job again after an exit code.
PARSE = """
import json, sys, types
from sky.jobs.recovery_strategy import StrategyExecutor
from sky.utils import dag_utils, registry
names = json.loads(sys.argv[1])
(task,) = dag_utils.load_chain_dag_from_yaml("launch/sky_sweep.yaml", env_overrides=list(names.items())).tasks
(resources,) = task.resources
recovery = resources.job_recovery
strategies = registry.JOBS_RECOVERY_STRATEGY_REGISTRY
executor = types.SimpleNamespace(
    recover_on_exit_codes=recovery["recover_on_exit_codes"],
    max_restarts_on_errors=recovery["max_restarts_on_errors"],
    restart_cnt_on_failure=0,
)
print(json.dumps({
    "again": {code: StrategyExecutor.should_restart_on_failure(executor, [code]) for code in (1, 2, 75, 137)},
    "strategy": strategies.from_str(recovery["strategy"]) is not None,
    "keys": sorted(recovery),
    "accelerators": resources.accelerators,
    "runtime": resources.accelerator_args,
    "cloud": str(resources.cloud),
    "spot": resources.use_spot,
    "environment": task.envs,
    "workdir": task.workdir,
}))
"""
REFUSES = """
import json
from sky import Task
try:
    Task.from_yaml("launch/sky_sweep.yaml")
except ValueError as error:
    print(json.dumps(str(error)))
"""
# Its command line takes what sky_submit.py and the opening lines of the files give it.
COMMANDS = """
import json, sys
from sky.client.cli.command import cli
for words in json.loads(sys.argv[1]):
    command, context = cli, None
    _, *words = words
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, words)
print(json.dumps("all"))
"""


@pytest.mark.slow
def test_skypilot_reads_the_yaml(engines):
    names = {"BUCKET": "gs://b", "CONFIG": "configs/fig5_1.py", "SHARD": "0/2", "WORKDIR": "gs://b/fig5_1"}
    parsed = engines(PARSE, json.dumps(names))
    assert parsed["again"] == {"1": False, "2": False, "75": True, "137": False}
    assert parsed["strategy"]
    # Another key would be handed on to the strategy, which takes it silently.
    assert parsed["keys"] == ["max_restarts_on_errors", "recover_on_exit_codes", "strategy"]
    assert (parsed["cloud"], parsed["spot"], parsed["workdir"]) == ("GCP", True, ".")
    assert parsed["accelerators"] == {"tpu-v5litepod-1": 1}
    assert parsed["runtime"] == {"runtime_version": "v2-alpha-tpuv5-lite"}
    assert parsed["environment"] == {**names, "ARGUMENTS": ""}
    assert "BUCKET" in engines(REFUSES)


@pytest.mark.slow
def test_skypilot_reads_the_commands(engines, sky):
    sky.run(*SUBMIT)
    by_hand = [
        "sky jobs queue",
        "sky jobs logs --name a",
        "sky jobs cancel --name a",
        "sky jobs cancel --all",
        "sky check gcp",
    ]
    commands = [*sky.calls(), *(line.split() for line in by_hand)]
    assert engines(COMMANDS, json.dumps(commands)) == "all"
    opening = Path(ROOT / "launch" / "sky_sweep.yaml").read_text()
    for line in by_hand[:3]:
        assert line.removesuffix(" a") in opening
