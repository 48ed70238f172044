"""Files of a work folder that a full disk, or a copy that broke off, left in part."""

import json
from pathlib import Path

import pytest

from mnnjax import cli
from mnnjax.config import Network, Problem, Study, Train, UserError, to_dict
from mnnjax.study import load_trained, status
from mnnjax.study.plan.grid import cells
from mnnjax.study.plan.shard import Shard
from mnnjax.study.runner import run_study
from mnnjax.study.workdir.cell_file import damage
from mnnjax.study.workdir.workdir import Workdir

STUDY = Study(
    name="part",
    problem=Problem(d0=(3, 4), N=(12,)),
    network=Network(hidden_layers=(1,)),
    train=Train(epochs=5, decay_epochs=0),
    repeats=3,
)
FIRST, SECOND = cells(STUDY)


def lines_of(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


DAMAGES = {
    "empty": lambda content: b"",
    "header alone": lambda content: lines_of(content)[0],
    "half a header": lambda content: content[:30],
    "a row short": lambda content: b"".join(lines_of(content)[:-1]),
    "half a line": lambda content: content[:-20],
    "no end of line": lambda content: content[:-1],
    "a row twice": lambda content: content + lines_of(content)[-1],
    "another cell's rows": lambda content: content.replace(FIRST.id.encode(), SECOND.id.encode()),
    "a field too many": lambda content: content[:-1] + b",7\n",
    "no name of a study": lambda content: b"".join(line.split(b",", 1)[1] for line in lines_of(content)),
    "zeros": lambda content: bytes(len(content)),
    "no text": lambda content: b"\xff\xfe" + content,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run_study(STUDY, folder)
    return folder


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    for file in finished.rglob("*"):
        if file.is_file():
            target = tmp_path / "w" / file.relative_to(finished)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return tmp_path / "w"


def csv_of(folder: Path, cell=FIRST) -> Path:
    return folder / "cells" / f"{cell.id}.csv"


def ended(folder: Path) -> list[str]:
    return [entry["cell"] for entry in Workdir(folder).read_log() if entry["event"] == "cell_end"]


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize("harm", DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_is_not_whole_is_noticed(finished, harm):
    content = csv_of(finished).read_bytes()
    assert damage(content, FIRST) is None
    assert damage(harm(content), FIRST)


@pytest.mark.parametrize("harm", ["empty", "half a line"])
def test_a_damaged_cell_is_set_aside_and_trained_again(copy, finished, harm, capsys):
    file = csv_of(copy)
    file.write_bytes(DAMAGES[harm](file.read_bytes()))
    assert not Workdir(copy).finished([FIRST])
    first, *others = status(copy).splitlines()
    assert first.startswith("part: 1 of 2 cells finished (")
    assert first.endswith("left: 1 cell, 3 repetitions")
    assert [f"  warning: {file} is damaged (" in line for line in others] == [False, True]
    with pytest.raises(UserError, match=f"has not finished {FIRST.id}"):
        load_trained(copy, FIRST.id)
    # The report leaves it out, and says so.
    assert cli.main(["report", str(copy)]) == 0
    assert f"warning: {file} is damaged (" in capsys.readouterr().out
    assert (copy / "results.csv").read_bytes().count(b"\n") == 1 + STUDY.repeats
    assert "the study is unfinished" in (copy / "report.html").read_text()

    run_study(STUDY, copy)
    out = capsys.readouterr().out
    assert f"warning: {file} is damaged (" in out
    assert "set aside as" in out
    assert ended(copy) == [FIRST.id, SECOND.id, FIRST.id]
    for name in ("results.csv", f"cells/{FIRST.id}.csv", f"cells/{FIRST.id}.npz"):
        assert (copy / name).read_bytes() == (finished / name).read_bytes()
    assert [path.name for path in (copy / "cells/set_aside").iterdir()] == [f"{FIRST.id}.csv.0"]
    assert status(copy).startswith("part: 2 of 2 cells finished (100 %)")


def test_a_damaged_cell_of_another_folder_is_left_there(tmp_path, finished, capsys):
    """That folder may belong to a process that is at work."""
    run_study(STUDY, tmp_path, shard=Shard(0, 2))
    file = csv_of(tmp_path / "shard-0-of-2")
    file.write_bytes(b"")
    run_study(STUDY, tmp_path)
    assert "set aside" not in capsys.readouterr().out
    assert file.read_bytes() == b""
    assert (tmp_path / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
    # The sound one counts, in whatever folder it is.
    run_study(STUDY, tmp_path, shard=Shard(0, 2))
    assert ended(tmp_path / "shard-0-of-2") == [FIRST.id]
    assert status(tmp_path).startswith("part: 2 of 2 cells finished (100 %)")


def test_half_a_line_of_the_log_is_passed_over(copy):
    log = copy / "metrics.jsonl"
    whole, content = Workdir(copy).read_log(), log.read_bytes()
    for cut in (3, 10):
        log.write_bytes(content[:-cut])
        assert Workdir(copy).read_log() == whole[:-1]
        assert "last event: cell_end" in status(copy)
    log.write_bytes(content + b"\xff\x00 12\n12\n[]\n{}\n")
    assert Workdir(copy).read_log() == whole
    assert cli.main(["report", str(copy)]) == 0


@pytest.mark.parametrize("harm", [lambda c: b"", lambda c: c[:40], lambda c: b"\xff" + c, lambda c: b"[" * 10**5])
@pytest.mark.parametrize("verb", ["status", "report", "run"])
def test_a_damaged_config(copy, tmp_path, harm, verb, capsys):
    file = copy / "config.json"
    file.write_bytes(harm(file.read_bytes()))
    config = tmp_path / "config.py"
    config.write_text("from mnnjax.config import *\nstudy = Study('part', Problem(d0=(3,), N=(12,)))\n")
    arguments = ["run", str(config), "--workdir", str(copy)] if verb == "run" else [verb, str(copy)]
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mnnjax: {file} is damaged (")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "red"}, "Study has no field colour"),
        ({"repeats": "many"}, "repeats: 'many' is not of type int"),
        ({"problem": 3}, "problem: 3 is not of type Problem"),
        ({"network": {"rho": 1}}, "network.rho: 1 makes"),
    ],
)
def test_a_config_of_something_else(copy, change, words):
    (copy / "config.json").write_text(json.dumps(to_dict(STUDY) | change))
    with pytest.raises(UserError, match=r"config\.json holds no study of this version of mnnjax \(") as error:
        status(copy)
    assert words in str(error.value)


@pytest.mark.parametrize("verb", ["status", "report"])
@pytest.mark.parametrize("what", ["nothing", "a file", "inside a file", "empty", "other things", "shards"])
def test_folders_that_hold_no_study(tmp_path, finished, verb, what, capsys):
    folder = tmp_path / "w"
    words = {
        "nothing": "holds no study (it does not exist)",
        "a file": "holds no study (it is a file)",
        "inside a file": "holds no study (it does not exist)",
        "empty": "holds no study (it is empty)",
        "other things": "holds no study (no config.json)",
        "shards": "holds shards, and not the config.json of their study; copy that of shard-0-of-2 there",
    }[what]
    if what in ("a file", "inside a file"):
        folder.touch()
        folder = folder / "x" if what == "inside a file" else folder
    elif what != "nothing":
        folder.mkdir()
    if what == "other things":
        (folder / "thesis.tex").touch()
    if what == "shards":
        (folder / "shard-0-of-2").mkdir()
        (folder / "shard-0-of-2/config.json").write_bytes((finished / "config.json").read_bytes())
    assert cli.main([verb, str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mnnjax: {folder} {words}")
    assert error.count("\n") == 1
