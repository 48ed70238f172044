"""What `mnnjax status` says."""

import json
import math

import pytest

from mnnjax.config import Network, Problem, Study, Train, Volume
from mnnjax.study import status
from mnnjax.study.plan.grid import cells
from mnnjax.study.plan.shard import Shard
from mnnjax.study.workdir.workdir import Workdir

STUDY = Study("s", Problem(d0=(5,), N=(20, 40, 60, 80)), Network(), Train(epochs=100, decay_epochs=0), repeats=2)


def finish(workdir: Workdir, cell) -> None:
    rows = [{"study": cell.part.name, "cell": cell.id, "seed": seed, "verdict": "not_converged"} for seed in cell.seeds]
    workdir.finish_cell(cell, rows)


@pytest.fixture
def begun(tmp_path) -> Workdir:
    workdir = Workdir(tmp_path)
    workdir.claim(STUDY, cells(STUDY))
    return workdir


def test_what_is_done_and_what_is_left_by_the_work_that_it_is(begun):
    planned = cells(STUDY)
    work = [cell.work for cell in planned]
    assert status(begun.path) == "s: 0 of 4 cells finished (0 % of the work); left: 4 cells, 8 repetitions"
    finish(begun, planned[0])
    share = math.floor(100 * work[0] / sum(work))
    left = f"s: 1 of 4 cells finished ({share} % of the work); left: 3 cells, 6 repetitions"
    assert status(begun.path) == left
    # A cell in training counts by its epochs; a line of `run` says no more than this.
    begun.log("cell_start", cell=planned[1].id, epoch=0)
    assert status(begun.path).splitlines()[0] == left
    begun.log("chunk", cell=planned[1].id, epoch=75, mse=1.0, mce=0.5)
    share = math.floor(100 * (work[0] + 0.75 * work[1]) / sum(work))
    assert status(begun.path).splitlines()[0] == left.replace(left.split("(")[1].split(" ")[0], str(share))
    for cell in planned[1:]:
        begun.log("chunk", cell=cell.id, epoch=100)
    assert "(99 % of the work); left: 3 cells" in status(begun.path)
    for cell in planned[1:]:
        finish(begun, cell)
    assert status(begun.path).splitlines()[0] == "s: 4 of 4 cells finished (100 %)"


def test_a_cell_whose_rows_were_lost_begins_again(begun):
    cell = cells(STUDY)[0]
    begun.log("chunk", cell=cell.id, epoch=100)
    begun.log("cell_end", cell=cell.id)
    assert "(0 % of the work)" in status(begun.path)


def test_no_line_comes_twice(begun):
    for _ in range(3):
        begun.log("warning", text="something is odd")
    begun.log("warning", text="something else is")
    lines = status(begun.path).splitlines()
    assert [line for line in lines if "warning:" in line] == [
        "  warning: something is odd (3 times)",
        "  warning: something else is",
    ]
    assert len(lines) == len(set(lines)) == 4


def test_shards_have_a_line_each_and_the_first_line_is_the_total(begun):
    planned = cells(STUDY)
    for index in (0, 1):
        shard = Workdir(begun.path, Shard(index, 3))
        shard.claim(STUDY, cells(STUDY))
        shard.log("end")
    finish(Workdir(begun.path, Shard(0, 3)), planned[0])
    finish(Workdir(begun.path, Shard(1, 3)), planned[1])
    total, *lines = status(begun.path).splitlines()
    assert total.startswith("s: 2 of 4 cells finished (")
    assert total.endswith("left: 2 cells, 4 repetitions")
    assert [line.split(" (")[0] for line in lines[:2]] == [
        "  shard 0/3: 1 of 2 cells finished",
        "  shard 1/3: 1 of 1 cells finished",
    ]
    assert all("; last event: end at " in line for line in lines[:2])
    assert lines[2:] == ["  not begun: 1 of 3 shards, such as 2/3"]


def test_parts_have_a_line_each_and_tell_what_diverged(tmp_path):
    volumes = Study("v", Problem(d0=(2,), N=(4,)), volume=Volume(samples=64, batch=16), repeats=1)
    study = Study("t", Problem(d0=(3,), N=(9,)), train=Train(epochs=1, decay_epochs=0), repeats=2, also=(volumes,))
    workdir = Workdir(tmp_path)
    workdir.claim(study, [])
    trained, measured = cells(study)
    workdir.finish_cell(
        trained, [{"study": "t", "cell": trained.id, "seed": k, "verdict": "non_finite"} for k in trained.seeds]
    )
    workdir.finish_cell(measured, [{"study": "v", "cell": measured.id, "seed": 0, "method": "sampling"}])
    assert status(tmp_path).splitlines() == [
        "t: 2 of 2 cells finished (100 %)",
        "  t: 1 of 1 cells finished (100 %)",
        "  v: 1 of 1 cells finished (100 %)",
        "  t: 2 repetitions ended with a non-finite loss",
    ]


def test_a_log_of_another_version_is_no_obstacle(begun):
    begun.metrics.write_text("\n".join(map(json.dumps, [{"event": "chunk"}, {"event": "warning"}, {"event": "x"}])))
    assert "last event: x at an unknown time" in status(begun.path)
