"""What a person sees on a terminal of 80 columns: every word, and no line that the terminal has to break."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest

from mnnjax.terminal import wrapped
from tests.project import ROOT

CONFIG = """
from mnnjax.config import Network, Problem, Study, Train
study = Study(
    "a_study_whose_name_is_as_long_as_people_make_them", Problem(d0=4, N=20), Network(),
    Train(epochs=1000, decay_epochs=1000, chunk_epochs=20), repeats=3,
)
"""


def on_a_terminal(*arguments: str, cwd, code: int = 0) -> str:
    """What the command writes to a terminal of 80 columns, without the escape codes, as lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "mnnjax.cli", *arguments], cwd=cwd, env=environment,
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the process has ended
            break
        told += part
    os.close(ours)
    assert process.wait() == code, told.decode()
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", told.decode()).replace("\r", "\n")


def too_long(text: str) -> list[str]:
    """Lines that do not fit, but for single words such as paths."""
    return [line for line in text.splitlines() if len(line) > 80 and len(line.split()) > 1]


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("short", "short"),
        ("a b c d e f g h i j k l m", "a b c d e f g h i j\n  k l m"),
        ("  a b c d e f g h i j k l", "  a b c d e f g h i\n    j k l"),
        ("name  a value of words", "name  a value of\n      words"),
        ("  name  a value of words", "  name  a value of\n        words"),
        ("one\n\ntwo", "one\n\ntwo"),
        ("at /a/path/longer/than/a/line", "at\n  /a/path/longer/than/a/line"),
    ],
)
def test_lines_are_wrapped_between_words_and_columns_stay(line, shown):
    assert wrapped(line, 20) == shown


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_word_is_lost_and_no_line_is_longer(width):
    rng = np.random.default_rng(width)
    for _ in range(50):
        parts = ["x" * n for n in rng.integers(1, 15, 60)]
        text = "".join(part + rng.choice([" ", "  ", "   ", "\n", "\n  "]) for part in parts)
        told = wrapped(text, width)
        assert words(told) == parts
        # A line that is indented by a column before it has less room.
        assert all(len(line) <= width or len(line.split()) == 1 for line in told.splitlines())
        assert wrapped(text, 10**6) == text


def test_errors_on_a_terminal_are_whole(tmp_path):
    told = on_a_terminal("run", "configs/no_such_file_at_all_with_a_long_name.py", cwd=ROOT, code=2)
    assert not too_long(told)
    assert told.count("\n") > 1
    assert words(told)[:2] == ["mnnjax:", "config"]
    # In a pipe the same is one line.
    command = [sys.executable, "-m", "mnnjax.cli", "run", "configs/no_such_file_at_all_with_a_long_name.py"]
    piped = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr
    assert piped.count("\n") == 1
    assert words(piped) == words(told)


@pytest.mark.slow
def test_a_study_and_what_is_said_of_it_fit(tmp_path):
    (tmp_path / "c.py").write_text(CONFIG)
    told = on_a_terminal("run", "c.py", cwd=tmp_path)
    assert not too_long(told)
    assert "…" not in told
    # What is beside the bar, which goes on below it.
    assert re.search(r"\n +20: epoch \d+ of 2000, MCE", told)
    for command in ("status runs", "status runs/a_study_whose_name_is_as_long_as_people_make_them", "watch runs"):
        told = on_a_terminal(*command.split(), cwd=tmp_path)
        assert not too_long(told)
        assert "…" not in told
        assert "1 of 1" in told


@pytest.mark.slow
def test_doctor_and_certificates_fit(tmp_path):
    rng = np.random.default_rng(0)
    W, z, X = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(12, 4))
    np.savez(tmp_path / "point.npz", W=W, z=z, X=X, y=np.arange(12.0), rho=0.0)
    told = on_a_terminal("certify", "point.npz", "--rho", "0.1", "--descend", "minimum.npz", cwd=tmp_path)
    assert not too_long(told)
    assert "rho = 0.1 is used" in " ".join(words(told))
    told = on_a_terminal("doctor", "--workdir", str(tmp_path), cwd=tmp_path)
    assert not too_long(told)
    assert "no problem found" in told
