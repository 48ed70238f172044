"""Checkpoints of one cell by themselves; what a study makes of them is test_resume.py's."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mnnjax.study.workdir import checkpoint
from mnnjax.study.workdir.checkpoint import STEPS_KEPT, CellCheckpoints
from tests.study.damage import largest_file, truncate

STATE = {"W": np.arange(6.0).reshape(2, 3), "z": np.arange(4, dtype=np.float32), "steps": np.array([7, 8])}


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def checkpoints(tmp_path, warnings):
    own = CellCheckpoints(tmp_path / "cell", tmp_path / "set_aside", warnings.append)
    yield own
    own.close()


def test_the_newest_of_the_last_steps_comes_back_to_the_last_bit(tmp_path, checkpoints, warnings):
    assert checkpoints.restore(STATE) is None
    for step in (5, 10, 15):
        checkpoints.save(step, {name: leaf + step for name, leaf in STATE.items()})
    checkpoints.close()
    step, found = checkpoints.restore(STATE)
    assert step == 15
    for name, leaf in STATE.items():
        assert found[name].dtype == leaf.dtype
        np.testing.assert_array_equal(found[name], leaf + 15)
    assert sum(path.name.isdigit() for path in (tmp_path / "cell").iterdir()) == STEPS_KEPT
    assert not warnings
    checkpoints.delete()
    assert not (tmp_path / "cell").exists()


OTHERS = {
    "one leaf more": (STATE | {"more": np.zeros(3)}, "['more']: there null, here"),
    "one leaf less": ({name: STATE[name] for name in ("W", "z")}, "['steps']: there"),
    "shape": (STATE | {"W": np.zeros((2, 4))}, '[\'W\']: there "float64[2, 3]", here "float64[2, 4]"'),
    "as many numbers": (STATE | {"W": np.zeros((3, 2))}, '[\'W\']: there "float64[2, 3]", here "float64[3, 2]"'),
    "type": (STATE | {"z": np.zeros(4)}, '[\'z\']: there "float32[4]", here "float64[4]"'),
}


@pytest.mark.parametrize(("template", "difference"), OTHERS.values(), ids=OTHERS)
def test_another_state_is_not_called_damaged(tmp_path, checkpoints, warnings, template, difference):
    checkpoints.save(5, STATE)
    assert checkpoints.restore(template) is None
    aside, afresh = warnings
    assert aside.startswith("checkpoint cell.5 was written by another version of mnnjax, or for other shapes (")
    assert difference in aside
    assert aside.endswith(f"; set aside as {tmp_path}/set_aside/cell.5.0")
    assert afresh == "cell has no valid checkpoint left; it starts from the beginning"
    # It is still there for whoever has that version.
    again = CellCheckpoints(tmp_path / "again", tmp_path / "set_aside", warnings.append)
    (tmp_path / "again").mkdir()
    (tmp_path / "set_aside/cell.5.0").rename(tmp_path / "again/5")
    assert again.restore(STATE)[0] == 5
    again.close()


def test_a_damaged_step_is_told_from_another_state(tmp_path, checkpoints, warnings):
    checkpoints.save(5, STATE)
    checkpoints.save(10, STATE)
    checkpoints.close()
    truncate(largest_file(tmp_path / "cell/10/state"))
    assert checkpoints.restore(STATE)[0] == 5
    assert len(warnings) == 1
    assert warnings[0].startswith("checkpoint cell.10 is damaged (")


def test_answers_to_a_loop_that_is_closed_are_dropped_and_nothing_else(monkeypatch):
    """TensorStore gives them after a write that failed; Python would print each with a traceback."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    checkpoint._drop_late_answers.__wrapped__()
    late, other = (SimpleNamespace(exc_value=error) for error in (RuntimeError("Event loop is closed"), KeyError("x")))
    for unraisable in (late, other):
        sys.unraisablehook(unraisable)
    assert told == [other]
