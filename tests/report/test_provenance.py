"""How the results were made, told from logs made by hand."""

import datetime
import json

import pytest

from mnnjax.config import Study
from mnnjax.report import provenance, write_report
from mnnjax.study.workdir.results_table import read_csv
from tests.report.by_hand import GAUSSIAN, make_row, make_workdir, text_of

STUDY = Study("plain", GAUSSIAN)
MACHINE = {
    "processes": 1, "command": "mnnjax run configs/digits.py --small", "seed": 0, "mnnjax": "0.1.0",
    "python": "3.11.7", "jax": "0.10.2", "jaxlib": "0.10.1", "devices": 2, "device": "cpu", "system": "Linux x86_64",
    "processor": "AMD EPYC", "cores": 2, "memory_gb": 25,
}  # fmt: skip


def event(at, name, **values):
    """A line of a log, so many seconds after 18:50."""
    time = datetime.datetime(2026, 11, 24, 18, 50, tzinfo=datetime.UTC) + datetime.timedelta(seconds=at)
    return json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": name, **values}) + "\n"


def start(at, finished=0, cells=3, **values):
    return event(at, "start", cells=cells, finished=finished, **(MACHINE | values))


def cell(at, name="a"):
    return event(at, "cell_end", cell=name, mce=0.0, seconds=1.0)


def make_log(path, *lines, study=STUDY):
    """A work folder with this log; without one if there are no lines."""
    make_workdir(path, study, [make_row("plain", 4, 10, 0)])
    if lines:
        (path / "metrics.jsonl").write_text("".join(lines))
    return path


def written(*paths):
    """The lines of runs.csv, and what the page says under its heading."""
    file = write_report(paths)
    page = text_of(file)
    return read_csv(file.parent / "report" / "runs.csv"), page.rpartition("How this was made ")[2]


def test_how_every_invocation_ended(tmp_path):
    path = make_log(
        tmp_path / "w",
        *(start(0), cell(50), event(60, "stop", cell="b", reason="SIGTERM")),
        *(start(100, 1), event(130, "chunk", cell="b", epoch=5)),
        *(start(200, 1), cell(210, "b"), cell(5600, "c"), event(5600, "end")),
        *(start(6000, 3), event(6090, "chunk")),
    )
    lines, page = written(path)
    assert [line["ended"] for line in lines] == ["stopped", "lost", "finished", "no end in the log"]
    assert [line["seconds"] for line in lines] == ["60", "30", "5400", "90"]
    cells = [(line["finished_before"], line["finished_after"], line["cells"]) for line in lines]
    assert cells == [("0", "1", "3"), ("1", "1", "3"), ("1", "3", "3"), ("3", "3", "3")]
    assert lines[1]["started"] == "2026-11-24T18:51:40+0000"
    assert {line["machine"] for line in lines} == {"2 cores of AMD EPYC, 25 GB, Linux x86_64, cpu"}
    assert {(line["mnnjax"], line["jax"], line["jaxlib"]) for line in lines} == {("0.1.0", "0.10.2", "0.10.1")}
    assert {(line["folder"], line["shard"], line["command"]) for line in lines} == {("w", "", MACHINE["command"])}

    assert page.startswith("Total time: 1.6 h in 4 invocations. ")
    assert "Lost: killed, or ended by an error; the log has no end. No end in the log: lost, or still running." in page
    assert "mnnjax run configs/digits.py --small 2 cores of AMD EPYC, 25 GB, Linux x86_64, cpu 2026-11-24 18:50" in page
    assert "2026-11-24 18:53 1.5 h 1 3 of 3 finished 0 0.1.0 0.10.2" in page
    assert "work folder" not in page


def test_damaged_logs(tmp_path):
    # A start of which half a line is left, and one that was lost with the whole beginning.
    lines = (
        cell(5),
        event(10, "stop"),
        start(20)[:40] + "\n",
        cell(25, "b"),
        event(30, "end"),
        start(40),
        cell(50)[:9],
    )
    (first, second, third), _ = written(make_log(tmp_path / "damaged", *lines))
    assert [line["ended"] for line in (first, second, third)] == ["stopped", "finished", "no end in the log"]
    assert [line["seconds"] for line in (first, second, third)] == ["5", "5", "0"]
    assert (first["machine"], first["finished_after"], third["finished_after"]) == ("", "", "0")


def test_no_log(tmp_path):
    lines, page = written(make_log(tmp_path / "w"))
    assert lines == []
    assert page.startswith("Total time: unknown (no metrics.jsonl). MCE: fraction of points")


def test_shards_and_several_folders(tmp_path):
    first = make_log(tmp_path / "one", start(0), event(3, "end"))
    for index in (1, 0):
        make_log(first / f"shard-{index}-of-2", start(10 + index, cells=1), cell(20), event(30, "end"))
    second = make_log(tmp_path / "two", start(0, processes=3), event(100, "stop"))
    before = (first / "results.csv").read_bytes()
    lines, page = written(first, second)
    names = [(line["folder"], line["shard"], line["seconds"]) for line in lines]
    assert names == [("one", "", "3"), ("one", "0/2", "20"), ("one", "1/2", "19"), ("two", "", "100")]
    assert lines[3]["machine"] == "2 cores of AMD EPYC, 25 GB, Linux x86_64, cpu, first of 3 processes"
    assert "Total time, one : 42 s in 3 invocations in 3 folders, which may have run side by side." in page
    assert "Total time, two : 2 min in 1 invocation." in page
    assert "work folder shard command" in page
    assert (first / "results.csv").read_bytes() == before

    (line,), _ = written(first / "shard-1-of-2")
    assert (line["folder"], line["shard"]) == ("shard-1-of-2", "1/2")


def test_a_machine_that_is_taken_away_a_hundred_times(tmp_path):
    """The table is then folded up."""
    lines = []
    for k in range(100):
        lines += [start(100 * k, k, 101), cell(100 * k + 30, f"c{k}")]
        lines += [event(100 * k + 36, "stop")] if k % 4 else []
    lines += [start(10_000, 100, 101, cores=8), cell(10_010, "last"), event(10_020, "end")]
    path = make_log(tmp_path / "w", *lines)
    rows, page = written(path)
    assert len(rows) == 101
    assert "20 s 100 101 of 101 finished" in page
    assert "in 101 invocations." in page
    folded = "<details>\n<summary>Invocations of mnnjax run</summary>"
    assert folded in (path / "report.html").read_text()
    assert folded not in write_report([make_log(tmp_path / "few", *lines[:5])]).read_text()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"device": "TPU v4", "devices": 8, "cores": 1},
            "8 x TPU v4, 1 core of AMD EPYC, 25 GB, Linux x86_64",
        ),
        ({"processor": "", "memory_gb": 0, "system": "Darwin arm64"}, "2 cores, Darwin arm64, cpu"),
    ],
)
def test_machines_in_words(tmp_path, values, words):
    (found,) = provenance.invocations(make_log(tmp_path / "w", start(0, **values)))
    assert found.machine == words
