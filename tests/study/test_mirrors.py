"""The log in TensorBoard and in Weights & Biases: by their own clients, in their own processes, without a network."""

import collections
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnnjax import cli
from mnnjax.config import Network, Problem, Study, Train, UserError, to_dict
from mnnjax.study import mirrors, run_study
from mnnjax.study.mirrors import check, follow, mirroring
from tests.project import ROOT
from tests.started import wait_for

STUDY = Study("s", Problem(d0=3, N=[8, 9]), Network(), Train(epochs=40, decay_epochs=0, chunk_epochs=10), repeats=2)
# The points that its log has: cell -> epochs.
POINTS = {f"s.h1.d3x3.N{N}": [10, 20, 30, 40] for N in (8, 9)}


def chunk(cell: str, step: int, **values) -> str:
    entry = {"time": "2026-01-01T00:00:00+0000", "event": "chunk", "cell": cell, "epoch": step, "mse": 1.0 / step}
    return json.dumps(entry | values) + "\n"


def events(folder: Path) -> dict[str, list[tuple[str, int, float]]]:
    """Cell -> tag, step and value of every scalar in the event files, which are TFRecords: length, checksum, content,
    checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = collections.defaultdict(list)
    for file in sorted((folder / "tensorboard").rglob("events.out.tfevents.*")):
        content, at = file.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            found[file.parent.name] += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
            at += 16 + length
    return dict(found)


# Prints the names and values of every step in the files that wandb writes: records of LevelDB's log.
READ_WANDB = """
import json, struct, sys
from pathlib import Path
from wandb.proto.wandb_internal_pb2 import Record
for file in sorted(Path(sys.argv[1]).glob("*run-*/*.wandb")):
    content, at, record = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            item = Record.FromString(record).history.item
            values = {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in item}
            if values:
                print(json.dumps(values))
            record = b""
"""


def sent(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Cell -> epoch and MSE of every point in wandb's files."""
    command = [sys.executable, "-W", "ignore", "-c", READ_WANDB, str(folder / "wandb")]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=True)
    found = collections.defaultdict(list)
    for values in map(json.loads, done.stdout.splitlines()):
        (cell,) = {name.rpartition("/")[0] for name in values if not name.startswith("_")}
        found[cell.replace("_", ".")].append((values[f"{cell}/epoch"], values[f"{cell}/mse"]))
    return dict(found)


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(to_dict(STUDY)))
    return tmp_path


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")


class Client:
    """In place of a service's."""

    def __init__(self, folder: Path):
        self.points, self.closed = [], False

    def add(self, point):
        self.points.append((point.cell, point.step, dict(point.values)))

    def flush(self): ...

    def close(self):
        self.closed = True


@pytest.fixture
def client(monkeypatch):
    made = []
    monkeypatch.setitem(mirrors.CLIENTS, "wandb", lambda folder: made.append(Client(folder)) or made[-1])
    monkeypatch.setattr(mirrors, "SECONDS_BETWEEN_LOOKS", 0.0)
    return made


def test_points_of_the_log_come_once_and_in_order(folder, client):
    log = folder / "metrics.jsonl"
    lines = [chunk("a", 10), chunk("a", 20), '{"half', "\n", chunk("a", 20), chunk("a", 30, mce=0.5), "[]\n"]
    more = [chunk("b", 10, mse=float("nan")), chunk("a", 30), '{"event": "chunk"}\n', chunk("b", 20)[:-5], "}\n"]
    looks = [*lines, *more]

    def ended() -> bool:
        with open(log, "a") as file:
            file.write(looks.pop(0))
        return not looks

    follow(folder, ["wandb"], ended, pytest.fail)
    (made,) = client
    assert made.points == [
        ("a", 10, {"mse": 0.1}),
        ("a", 20, {"mse": 0.05}),
        ("a", 30, {"mse": 1 / 30, "mce": 0.5}),
        ("b", 10, {}),
    ]
    assert made.closed


@pytest.mark.parametrize("failing", ["__init__", "add", "flush", "close"])
def test_a_client_that_fails_is_told_once_and_the_other_goes_on(folder, client, monkeypatch, failing):
    class Failing(Client):
        pass

    def fail(*_):
        raise OSError(28, "No space left on device")

    setattr(Failing, failing, fail)
    monkeypatch.setitem(mirrors.CLIENTS, "tensorboard", Failing)
    (folder / "metrics.jsonl").write_text("".join(chunk("a", step) for step in (1, 2, 3)))
    looks, told = iter([False, False, True]), []
    follow(folder, ["tensorboard", "wandb"], lambda: next(looks), told.append)
    assert told == ["warning: tensorboard: [Errno 28] No space left on device; the study goes on without it"]
    assert len(client[0].points) == 3


@pytest.mark.parametrize(
    ("loggers", "words"),
    [
        (["tensorbord"], "'tensorbord' is not known \\(did you mean tensorboard\\?\\)"),
        (["wandb"], "needs the extra wandb"),
    ],
)
def test_a_missing_package_is_one_line(tmp_path, monkeypatch, loggers, words):
    """Also where a folder has its name, as wandb's has in the folder that a user is in."""
    (tmp_path / "nothing_such").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(mirrors.PACKAGES, "wandb", "nothing_such")
    with pytest.raises(UserError, match=words) as caught:
        check(loggers, tmp_path)
    assert "\n" not in str(caught.value)


def test_the_command_line_says_so_before_a_folder_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(mirrors.PACKAGES, "tensorboard", "no_such_package")
    (tmp_path / "c.py").write_text("from mnnjax.config import *\nstudy = Study('s', Problem(d0=3, N=8))\n")
    assert cli.main(["run", str(tmp_path / "c.py"), "--workdir", str(tmp_path / "w"), "--tensorboard"]) == 2
    assert (
        capsys.readouterr().err == "mnnjax: tensorboard: needs the extra tensorboard; pip install -e '.[tensorboard]'\n"
    )
    assert not (tmp_path / "w").exists()


def test_a_bucket_is_refused():
    from etils import epath

    with pytest.raises(UserError, match="wandb: gs://b/w is no local folder"):
        check(["wandb"], epath.Path("gs://b/w"))


@pytest.mark.slow
def test_a_study_and_its_resume_have_every_point_once(tmp_path, offline, capfd):
    """Also where the log has points twice, since a cell was lost and is trained again."""
    workdir = tmp_path / "w"
    run_study(STUDY, workdir, loggers=["tensorboard", "wandb"])
    for found in (events(workdir), sent(workdir)):
        assert set(found) == set(POINTS)
    first = sent(workdir)
    logged = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for cell, epochs in POINTS.items():
        mse = [entry["mse"] for entry in logged if entry["event"] == "chunk" and entry["cell"] == cell]
        assert first[cell] == [(epoch, pytest.approx(value)) for epoch, value in zip(epochs, mse, strict=True)]
        of_tag = [(step, value) for tag, step, value in events(workdir)[cell] if tag == "mse"]
        assert of_tag == [(epoch, pytest.approx(value)) for epoch, value in zip(epochs, mse, strict=True)]
    for file in (workdir / "cells").glob("s.h1.d3x3.N8.*"):
        file.unlink()
    run_study(STUDY, workdir, loggers=["tensorboard", "wandb"])
    assert (workdir / "metrics.jsonl").read_text().count('"chunk"') == 12
    assert sent(workdir) == first
    assert {cell: [s for tag, s, _ in found if tag == "mse"] for cell, found in events(workdir).items()} == POINTS
    told = capfd.readouterr()
    assert "warning" not in (told.out + told.err).lower()


@pytest.mark.slow
def test_folders_that_cannot_be_written_are_told_once_and_the_study_ends_as_without(tmp_path, offline, capfd):
    run_study(STUDY, tmp_path / "without")
    capfd.readouterr()
    workdir = tmp_path / "w"
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps(to_dict(STUDY)))
    for name in ("tensorboard", "wandb"):
        (workdir / name).write_text("a file in its place")
    run_study(STUDY, workdir, loggers=["tensorboard", "wandb"])
    told = capfd.readouterr()
    warnings = [line for line in told.out.splitlines() if "warning" in line]
    assert sorted(line.split(": ")[1] for line in warnings) == ["tensorboard", "wandb"]
    assert all(line.endswith("; the study goes on without it") for line in warnings)
    assert told.err == ""
    assert (workdir / "results.csv").read_bytes() == (tmp_path / "without/results.csv").read_bytes()


def test_a_mirror_that_is_killed_is_told_and_nothing_more(folder):
    told = []
    began = time.monotonic()
    with mirroring(folder, ["tensorboard"], told.append):
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        mirror = next(int(c) for c in children if b"mnnjax.study.mirrors" in Path(f"/proc/{c}/cmdline").read_bytes())
        os.kill(mirror, signal.SIGKILL)
        wait_for(lambda: told)
    assert told == ["warning: the mirror of the log ended with code -9; the study goes on without it"]
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_one_that_does_not_end_keeps_nobody_waiting(folder, monkeypatch):
    monkeypatch.setattr(mirrors, "SECONDS_TO_END", 0.2)
    hanging = "import sys, time; sys.stdin.read(); time.sleep(3)"
    real = subprocess.Popen
    started = []

    def start(command, **more):
        started.append(real([sys.executable, "-c", hanging], **more))
        return started[-1]

    monkeypatch.setattr(mirrors.subprocess, "Popen", start)
    told = []
    with mirroring(folder, ["wandb"], told.append):
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert told == ["wandb: still sending after 0 s, and goes on by itself"]
    started[0].wait()


def test_it_does_not_wait_for_jax():
    code = "import sys, mnnjax.study.mirrors; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0
