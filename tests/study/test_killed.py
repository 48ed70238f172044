"""Real processes that are killed and stopped at random moments, or meet in one folder."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.started import wait_for
from tests.study.runs import finish, start

CONFIG = """
from mnnjax.config import Network, Problem, Study, Train
study = Study(
    name="killed",
    problem=Problem(d0=(4,), N=(20, 30)),
    network=Network(hidden_layers=(1, 2)),
    train=Train(epochs=1500, decay_epochs=1500, batch_size=8, chunk_epochs=100, checkpoint_chunks=1),
    repeats=3,
)
"""


def wait_for_chunks(workdir: Path, process: subprocess.Popen, count: int) -> None:
    """Until the process has trained that many chunks, or has ended."""
    metrics = workdir / "metrics.jsonl"

    def trained() -> int:
        return metrics.read_text().count('"event": "chunk"') if metrics.exists() else 0

    before = trained()
    wait_for(lambda: trained() >= before + count or process.poll() is not None, seconds=300)


@pytest.mark.slow
def test_killed_and_stopped_at_random_moments(tmp_path):
    config = tmp_path / "config.py"
    config.write_text(CONFIG)
    finish(start(config, tmp_path / "undisturbed"))
    expected = (tmp_path / "undisturbed/results.csv").read_bytes()
    began = time.monotonic()
    finish(start(config, tmp_path / "again"))
    seconds = time.monotonic() - began
    assert (tmp_path / "again/results.csv").read_bytes() == expected

    draw = random.Random(4)
    landed = {signal.SIGKILL: 0, signal.SIGTERM: 0}
    wanted = {signal.SIGKILL: 3, signal.SIGTERM: 2}
    saved = 0
    for attempt in range(40):
        workdir = tmp_path / f"run{attempt}"
        disturbances = 0
        while any(landed[number] < wanted[number] for number in wanted) and disturbances < 4:
            number = next(n for n in wanted if landed[n] < wanted[n])
            process = start(config, workdir)
            # At least one SIGTERM must meet a cell in training; the others may come while there is nothing to save.
            if draw.random() < 0.5 and (number == signal.SIGKILL or saved):
                # Before Python heeds it, SIGTERM ends a process as it ends any.
                time.sleep(draw.uniform(0.3 if number == signal.SIGKILL else 2, seconds))
            else:
                wait_for_chunks(workdir, process, draw.randint(1, 60))
                time.sleep(draw.uniform(0, 0.1))
            process.send_signal(number)
            output, _ = process.communicate(timeout=120)
            if process.returncode == 0:
                break
            disturbances += 1
            landed[number] += 1
            if number == signal.SIGKILL:
                assert process.returncode == -signal.SIGKILL
            else:
                assert process.returncode == 75, output
                assert "run the same command again to resume" in output
                saved += "saved" in output
        finish(start(config, workdir))
        assert (workdir / "results.csv").read_bytes() == expected
        if all(landed[number] >= wanted[number] for number in wanted):
            break
    assert landed == wanted
    assert saved


@pytest.mark.slow
def test_a_second_process_on_the_workdir_is_refused(tmp_path):
    config = tmp_path / "config.py"
    config.write_text(CONFIG)
    first = start(config, tmp_path / "run")
    try:
        wait_for((tmp_path / "run/metrics.jsonl").exists)
        output = finish(start(config, tmp_path / "run"), code=2)
        assert output.startswith("mnnjax: another process (process ")
        assert output.count("\n") == 1
    finally:
        first.send_signal(signal.SIGTERM)
        finish(first, code=75)
