"""What `mnnjax data` prints."""

import json

import pytest

from mnnjax.cli.data import main
from mnnjax.errors import UserError
from tests.small_sets import draw, write_idx


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "ACTION"),
        (["fetch"], "invalid choice: 'fetch'"),
        (["lst"], "(did you mean list?)"),
        (["prepare", "mnits"], "(did you mean mnist?)"),
        (["import", "mnist", "--form", "."], "data: there is no option --form (did you mean --from?)"),
        (["prepare"], "data prepare: the following arguments are required: NAME"),
        (["import", "mnist"], "data import: the following arguments are required: --from"),
        (["import", "kmnist", "--from", "."], "take one of mnist, fashion_mnist, cifar10, imagenet64 (or"),
        (["prepare", "kmnist"], "data set 'kmnist' is not known"),
        (["import", "mnist", "--from", "nowhere"], "--from nowhere: no such folder"),
        (["import", "mnist", "--from", "."], "no files of mnist in .; looked for"),
        (["list", "--verify"], "there is no option --verify (did you mean --no-verify?)"),
        (["list", "--data-dir", ""], "--data-dir: the name is empty"),
        (["list", "--data-dir", "gs://bucket/x"], "is not a file or folder on this machine"),
    ],
)
def test_wrong_calls_are_one_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MNNJAX_DATA_DIR", str(tmp_path / "kept"))
    with pytest.raises(UserError) as error:
        main(arguments)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("verb", [["list"], ["prepare", "mnist"], ["import", "mnist", "--from", "."]])
@pytest.mark.parametrize("inside", ["", "x", "x/y"])
def test_a_file_in_place_of_the_data_folder(tmp_path, verb, inside):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is a file; give a folder"):
        main([*verb, "--data-dir", str(tmp_path / "file" / inside)])


def test_a_data_folder_that_cannot_be_made(tmp_path):
    folder = str(write_idx(tmp_path / "in", draw("mnist")))
    with pytest.raises(UserError, match=r"mnist: /proc/nowhere cannot be used: .*; nothing is kept"):
        main(["import", "mnist", "--from", folder, "--data-dir", "/proc/nowhere"])


def test_import_and_list(tmp_path, capsys):
    folder, kept = str(write_idx(tmp_path / "in", draw("mnist"))), str(tmp_path / "kept")
    assert main(["import", "mnist", "--from", folder, "--data-dir", kept]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "mnist: writing 12 train images",
        "mnist: writing 5 test images",
        "note: 12 train images, 60000 expected; what is there is kept",
        "note: 5 test images, 10000 expected; what is there is kept",
        f"mnist: 13.9 kB in {kept}/mnist, from IDX files",
    ]
    assert main(["import", "mnist", "--from", folder, "--data-dir", kept]) == 0
    assert "already in" in capsys.readouterr().out

    assert main(["list", "--data-dir", kept]) == 0
    heading, mnist, *others = capsys.readouterr().out.splitlines()
    assert heading.split() == ["data", "set", "train", "test", "size", "path", "state"]
    assert mnist.split() == ["mnist", "12", "5", "13.9", "kB", f"{kept}/mnist", "verified"]
    assert all("-  " in line and "absent: run `mnnjax data prepare" in line for line in others)
    assert len(others) == 3

    assert main(["list", "--data-dir", kept, "--json", "--no-verify"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["mnist", "fashion_mnist", "cifar10", "imagenet64"]
    assert rows[0]["state"] == "not verified"


@pytest.mark.parametrize("verb", ["prepare", "import", "list"])
def test_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert "--data-dir" in capsys.readouterr().out
