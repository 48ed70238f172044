"""tpu_queued.sh against a stand-in for gcloud, whose two workers really run what they are sent."""

import contextlib
import os
import signal
import subprocess
import time

import pytest

from tests.launch.stubs import ROOT, Stub
from tests.started import wait_for

SCRIPT = ["bash", "launch/tpu_queued.sh"]
WORKERS = 2

# Each `list` tells the next state, and the last one again and again; ssh and scp reach every worker's home.
GCLOUD = """
import shutil, subprocess
from pathlib import Path
cloud = Path(os.environ["CLOUD"])
words = sys.argv[1:]
verb = words[3] if words[:2] == ["compute", "tpus"] else words[0]
homes = sorted(cloud.glob("worker-*"))
if verb == "list":
    states = (cloud / "states").read_text().split(",")
    if states[1:]:  # the last one stays: two programs may ask at the same time, and must not read a half-written file
        (cloud / "states").write_text(",".join(states[1:]))
    if states[0] == "unreachable":
        sys.exit(1)
    print(states[0])
elif verb == "delete":
    # The machines go, and new ones have nothing but what is installed.
    for run in cloud.glob("worker-*/mnnjax-run"):
        if (run / "pid").exists():
            os.killpg(int((run / "pid").read_text()), 9)
        for name in ("pid", "code", "stopped"):
            (run / name).unlink(missing_ok=True)
elif verb == "scp":
    for home in homes:
        shutil.copy(words[4], home / words[5].partition(":")[2])
elif verb == "ssh":
    wanted = [w.partition("=")[2] for w in words if w.startswith("--worker=")][0]
    command = [w.partition("=")[2] for w in words if w.startswith("--command=")][0]
    for home in homes if wanted == "all" else homes[: 1]:
        subprocess.run(["bash", "-c", command], cwd=home, env={"PATH": os.environ["PATH"], "HOME": str(home)})
"""
# In place of the program on each worker: the next of its codes; `wait` is training until SIGTERM.
MNNJAX = """#!/bin/bash
echo "$@" >> ~/started
code="$(head -n 1 ~/codes)"
sed -i 1d ~/codes
if [ "$code" = wait ]; then
  trap 'exit 75' TERM
  touch ~/waiting
  while true; do sleep 0.1; done
fi
exit "$code"
"""


class Cloud(Stub):
    def __init__(self, folder):
        super().__init__(folder, "gcloud", GCLOUD)
        self.homes = [folder / f"worker-{k}" for k in range(WORKERS)]
        self.states_file = folder / "states"
        names = {"CLOUD": str(folder), "PROJECT": "p", "ZONE": "z", "BUCKET": "gs://b", "POLL_SECONDS": "0.1"}
        self.environment |= names
        installed = "cat pyproject.toml constraints.txt | sha256sum"
        stamp = subprocess.run(["bash", "-c", installed], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for home in self.homes:
            programs = home / "mnnjax-run" / ".venv" / "bin"
            programs.mkdir(parents=True)
            for name, text in {"python": "#!/bin/sh\n", "mnnjax": MNNJAX}.items():
                (programs / name).write_text(text)
                (programs / name).chmod(0o755)
            (programs.parent / "installed[tpu,gcs]").write_text(stamp)

    def set(self, states: str, *codes: str) -> None:
        """The states that the request goes through, and for each start the codes of the workers, such as "75 0"."""
        self.states_file.write_text(states)
        for k, home in enumerate(self.homes):
            (home / "codes").write_text("".join(f"{start.split()[k]}\n" for start in codes))

    def started(self) -> list[str]:
        return [line for home in self.homes if (home / "started").exists() for line in read(home / "started")]

    def verbs(self) -> list[str]:
        """The changes that it requested from gcloud."""
        return [c[4] for c in self.calls() if c[1:3] == ["compute", "tpus"] and c[4] in ("create", "delete", "scp")]


def read(path) -> list[str]:
    return path.read_text().splitlines()


@pytest.fixture
def cloud(tmp_path):
    cloud = Cloud(tmp_path)
    yield cloud
    for home in cloud.homes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.killpg(int((home / "mnnjax-run" / "pid").read_text()), signal.SIGKILL)


RUN = [*SCRIPT, "run", "configs/fig5_1.py", "--train.epochs", "5", "--name", "two words"]


@pytest.mark.slow
def test_asks_waits_and_runs_on_all_workers(cloud):
    cloud.set(",WAITING_FOR_RESOURCES,PROVISIONING,unreachable,ACTIVE", "0 0")
    done = cloud.run(*RUN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cloud.verbs() == ["create", "scp"]
    (create,) = [c for c in cloud.calls() if c[4:5] == ["create"]]
    assert create[1:6] == ["compute", "tpus", "queued-resources", "create", "mnnjax"]
    assert set(create[6:]) == {
        "--project=p", "--zone=z", "--quiet", "--node-id=mnnjax", "--accelerator-type=v5litepod-16",
        "--runtime-version=v2-alpha-tpuv5-lite", "--spot",
    }  # fmt: skip
    assert cloud.started() == ["run configs/fig5_1.py --train.epochs 5 --name two words --workdir gs://b/mnnjax"] * 2
    assert "PROVISIONING" in done.stdout
    for home in cloud.homes:
        assert (home / "mnnjax-run" / "mnnjax" / "cli" / "entry.py").exists()
        assert not (home / "mnnjax-run" / "configs" / "results").exists()


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["SUSPENDED", "FAILED"])
def test_asks_again_for_a_slice_that_was_taken_away(cloud, gone):
    cloud.set(f"ACTIVE,ACTIVE,SUSPENDING,{gone},,ACTIVE", "wait wait", "0 0")
    done = cloud.run(*RUN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cloud.verbs() == ["scp", "delete", "create", "scp"]
    assert len(cloud.started()) == 2 * WORKERS


@pytest.mark.slow
def test_starts_again_after_75(cloud):
    cloud.set("ACTIVE", "75 75", "75 75", "0 0")
    assert cloud.run(*RUN).returncode == 0
    assert cloud.verbs() == ["scp"] * 3
    assert len(cloud.started()) == 3 * WORKERS


@pytest.mark.slow
def test_starts_again_where_a_worker_died(cloud):
    cloud.set("ACTIVE", "wait wait", "0 0")
    running = subprocess.Popen(RUN, cwd=ROOT, env=cloud.environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: all((home / "waiting").exists() for home in cloud.homes))
    for home in cloud.homes:
        os.killpg(int((home / "mnnjax-run" / "pid").read_text()), signal.SIGKILL)
    assert running.wait(timeout=30) == 0
    assert len(cloud.started()) == 2 * WORKERS


@pytest.mark.slow
@pytest.mark.parametrize(("codes", "code"), [("2 2", 2), ("75 1", 1), ("137 75", 137)])
def test_ends_with_the_code_of_the_worker_that_failed(cloud, codes, code):
    cloud.set("ACTIVE", codes)
    assert cloud.run(*RUN).returncode == code
    assert cloud.verbs() == ["scp"]


@pytest.mark.slow
def test_stop_saves_and_ends_the_run(cloud):
    cloud.set("ACTIVE", "wait wait")
    running = subprocess.Popen(RUN, cwd=ROOT, env=cloud.environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: all((home / "waiting").exists() for home in cloud.homes))
    # A second run watches the first one's workers and starts nothing.
    watching = subprocess.Popen(RUN, cwd=ROOT, env=cloud.environment, stdout=subprocess.DEVNULL)
    time.sleep(1)
    assert len(cloud.started()) == WORKERS
    assert cloud.run(*SCRIPT, "stop").returncode == 0
    assert (running.wait(timeout=30), watching.wait(timeout=30)) == (75, 75)
    assert [read(home / "mnnjax-run" / "code") for home in cloud.homes] == [["75"], ["75"]]
    # The next run resumes from there.
    cloud.set("ACTIVE", "0 0")
    assert cloud.run(*RUN).returncode == 0


@pytest.mark.slow
def test_create_removes_what_never_comes_back(cloud):
    again = ["delete", "create"]
    for states, verbs in [
        ("FAILED,", again),
        ("SUSPENDED,", again),
        ("", ["create"]),
        ("ACTIVE", []),
        ("CREATING", []),
    ]:
        cloud.record.write_text("")
        cloud.set(states)
        assert cloud.run(*SCRIPT, "create", CREATE_FLAGS="").returncode == 0
        assert cloud.verbs() == verbs
    assert not any("--spot" in call for call in cloud.calls())


def test_fetch_and_delete(cloud):
    assert cloud.run(*SCRIPT, "fetch").returncode == 0
    assert cloud.calls()[-1] == ["gcloud", "storage", "rsync", "--recursive", "gs://b/mnnjax", "runs/mnnjax"]
    assert cloud.run(*SCRIPT, "delete").returncode == 0
    assert cloud.calls()[-1][3:6] == ["queued-resources", "delete", "mnnjax"]
    assert "--force" in cloud.calls()[-1]


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        ([], {}, "one of create, run CONFIG"),
        (["start"], {}, "unknown command start; give one of"),
        (["run"], {}, "give a config"),
        (["run", "configs/none.py"], {}, "no such file"),
        (["create"], {"ZONE": ""}, "ZONE is not set"),
        (["create"], {"BUCKET": "b"}, "must start with gs://"),
    ],
)
def test_misuse_is_told_in_one_line(cloud, words, environment, said):
    done = cloud.run(*SCRIPT, *words, **environment)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert cloud.calls() == []
