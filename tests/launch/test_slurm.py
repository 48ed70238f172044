"""The Slurm scripts on a real Slurm: a controller and one node on this machine, only for these tests."""

import csv
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.launch.stubs import ROOT
from tests.started import free_ports, wait_for

pytestmark = pytest.mark.slow

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol", "srun", "scancel")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
# More than there are, so that every job of a test finds a place.
SlurmdParameters=config_overrides
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs=32
PartitionName=test Nodes=ALL Default=YES
"""


class Slurm:
    def __init__(self, folder: Path):
        for name in ("state", "spool"):
            (folder / name).mkdir()
        host = socket.gethostname().partition(".")[0]
        self.file = folder / "slurm.conf"
        self.file.write_text(CONFIGURATION.format(host=host, ports=free_ports(2), folder=folder))
        self.environment = os.environ | {"SLURM_CONF": str(self.file)}
        self.daemons, self.logs = [], [folder / "slurmctld.log", folder / "slurmd.log"]
        for log in self.logs:
            with open(log, "wb") as file:
                command = [shutil.which(log.stem), "-D", "-f", str(self.file)]
                self.daemons.append(subprocess.Popen(command, env=self.environment, stdout=file, stderr=file))

    def wait_until_idle(self) -> None:
        def node() -> str:
            return self("scontrol", "show", "node", check=False)

        wait_for(lambda: "State=IDLE" in node(), 30, lambda: node() + "".join(log.read_text() for log in self.logs))

    def end(self) -> None:
        self("scancel", "--user=root", check=False)
        end = time.monotonic() + 40  # KillWait, and a little
        while self("squeue", "--noheader", check=False).strip() and time.monotonic() < end:
            time.sleep(0.2)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            daemon.wait(timeout=30)

    def __call__(self, *command: str, cwd=ROOT, check: bool = True, **environment: str) -> str:
        variables = self.environment | environment
        done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout

    def job(self, job: str) -> dict[str, str]:
        """State, exit code and restarts of a job."""
        words = self("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait(self, job: str, *states: str, seconds: float = 120) -> dict[str, str]:
        def there() -> dict[str, str] | None:
            found = self.job(job)
            return found if found["JobState"] in states else None

        return wait_for(there, seconds, lambda: self.job(job))

    def wait_for_requeue(self, job: str) -> None:
        """A requeued job waits two minutes; here only until a new second gives it a new credential."""

        def requeued() -> bool:
            found = self.job(job)
            assert found["JobState"] not in ("COMPLETED", "FAILED"), found
            return found.get("Restarts") == "1" and found["JobState"] == "PENDING"

        wait_for(requeued, 90, lambda: self.job(job))
        self("scontrol", "update", f"jobid={job}", "StartTime=now+3")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install slurmctld slurmd slurm-client")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons are started as root here")
    slurm = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        slurm.wait_until_idle()
        yield slurm
    finally:
        slurm.end()


@pytest.fixture
def clone(tmp_path):
    """A folder that looks like the repository to the scripts, and in which they can write."""
    (tmp_path / "launch").symlink_to(ROOT / "launch")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


STUDY = """
from mnnjax.config import Network, Problem, Study, Train
study = Study(
    name="study",
    problem=Problem(d0=(5,), N={N}, labels="teacher", teacher_units=3, data_sets=1),
    network=Network(d1=(4,), rho=0.1),
    train=Train(epochs={epochs}, decay_epochs=10, chunk_epochs=200, checkpoint_chunks=1, parallel="{parallel}"),
    repeats=2,
)
"""


def chunks(workdir: Path) -> int:
    """The number of chunks that were trained."""
    return sum(file.read_text().count('"chunk"') for file in workdir.glob("**/metrics.jsonl"))


def wait_for_chunks(workdir: Path, count: int) -> None:
    wait_for(lambda: chunks(workdir) >= count, 90, lambda: "no training")


def test_sweep_is_requeued_and_goes_on(slurm, clone):
    (clone / "study.py").write_text(STUDY.format(N=(20, 30, 40), epochs=20_000, parallel="replicas"))
    job = slurm(
        "sbatch", "--parsable", "--array=0-1", "--cpus-per-task=1", "launch/slurm_sweep.sbatch", "study.py", cwd=clone
    ).strip()
    first, second = f"{job}_0", f"{job}_1"
    wait_for_chunks(clone / "runs" / "study" / "shard-0-of-2", 2)
    slurm("scancel", "--signal=TERM", first)
    slurm.wait_for_requeue(first)
    log = clone / f"mnnjax-{first}.log"
    assert "run the same command again to resume" in log.read_text()
    for task, restarts in ((first, "1"), (second, "0")):
        ended = slurm.wait(task, "COMPLETED", "FAILED")
        assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("COMPLETED", "0:0", restarts), ended
    done = slurm(str(clone / ".venv" / "bin" / "mnnjax"), "report", "runs/study", cwd=clone)
    assert "report.html" in done
    with open(clone / "runs" / "study" / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["N"]) for row in rows) == [20, 20, 30, 30, 40, 40]


def test_processes_share_one_problem_and_go_on(slurm, clone):
    (clone / "study.py").write_text(STUDY.format(N=(150,), epochs=2_400, parallel="data"))
    job = slurm(
        "sbatch", "--parsable", "--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1",
        "launch/slurm_multihost.sbatch", "study.py", cwd=clone, JAX_NUM_CPU_DEVICES="2",
    ).strip()  # fmt: skip
    wait_for_chunks(clone / "runs" / "study", 2)
    slurm("scancel", "--signal=TERM", job)
    slurm.wait_for_requeue(job)
    ended = slurm.wait(job, "COMPLETED", "FAILED")
    log = (clone / f"mnnjax-{job}.log").read_text()
    assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("COMPLETED", "0:0", "1"), log
    assert log.count("run the same command again to resume") == 1, "one process speaks for all"
    with open(clone / "runs" / "study" / "results.csv") as file:
        assert len(list(csv.DictReader(file))) == 2


# In place of the program: the exit code that each task finds in its config, or training until SIGTERM.
STUB = f"""#!{sys.executable}
import os, signal, sys, time
codes = open(sys.argv[2]).read().split()
print("started", *sys.argv[1:], flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
if "SLURM_RESTART_COUNT" in os.environ:
    sys.exit(0)
code = codes[int(os.environ["SLURM_PROCID"])]
time.sleep(60 if code == "wait" else 1)
sys.exit(int(code))
"""


@pytest.fixture
def stubbed(clone):
    (clone / ".venv").unlink()
    program = clone / ".venv" / "bin" / "mnnjax"
    program.parent.mkdir(parents=True)
    program.write_text(STUB)
    program.chmod(0o755)
    return clone


def test_what_follows_each_exit_code(slurm, stubbed):
    def submit(script: str, codes: str, *options: str) -> str:
        (stubbed / codes.replace(" ", "-")).write_text(codes)
        options = ("--cpus-per-task=1", *options, f"launch/{script}.sbatch", codes.replace(" ", "-"))
        return slurm("sbatch", "--parsable", *options, cwd=stubbed).strip()

    def sweep(codes: str, *options: str) -> str:
        return submit("slurm_sweep", codes, "--array=1", *options) + "_1"

    def multihost(codes: str) -> str:
        return submit("slurm_multihost", codes, "--nodes=1", "--ntasks-per-node=2")

    ends = {sweep("2"): "2:0", sweep("1"): "1:0", multihost("2 2"): "2:0", multihost("0 0"): "0:0"}
    # The peers of a failed task have saved, and the job must not resume.
    ends |= {multihost("1 75"): "1:0", multihost("75 2"): "2:0", multihost("75 137"): "137:0"}
    again = [sweep("75"), multihost("75 75")]
    # Its time is up: Slurm itself sends the signal.
    again.append(sweep("wait", "--time=1", "--signal=TERM@50"))
    cancelled = [sweep("wait"), multihost("wait wait")]

    for job in cancelled:
        log = stubbed / f"mnnjax-{job}.log"
        wait_for(lambda log=log: log.exists() and "started" in log.read_text(), 90)
        slurm("scancel", job)
    for job, code in ends.items():
        ended = slurm.wait(job, "COMPLETED", "FAILED")
        assert (ended["ExitCode"], ended["Restarts"]) == (code, "0"), ended
    for job in again:
        slurm.wait_for_requeue(job)
        assert slurm.wait(job, "COMPLETED", "FAILED")["ExitCode"] == "0:0"
    for job in cancelled:
        assert slurm.wait(job, "CANCELLED", "COMPLETED", "FAILED")["JobState"] == "CANCELLED"
        assert slurm.job(job)["Restarts"] == "0"
    shards = "run 2 --shard 1/2"
    assert shards in (stubbed / f"mnnjax-{next(iter(ends))}.log").read_text()


def test_misuse_is_told_in_one_line(tmp_path):
    """Without Slurm, in a folder outside the repository, and without a config."""
    for script, cwd, config in (("sweep", tmp_path, ["c.py"]), ("multihost", ROOT, [])):
        command = ["bash", ROOT / "launch" / f"slurm_{script}.sbatch", *config]
        environment = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "1", "SLURM_ARRAY_TASK_ID": "0"}
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert f"sbatch launch/slurm_{script}.sbatch CONFIG" in done.stderr
