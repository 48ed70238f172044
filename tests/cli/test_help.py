"""Help texts: complete, and readable in 80 columns."""

import re

import pytest

from mnnjax.cli import entry as cli

CONFIG = """
from mnnjax.config import Problem, Study, Volume
study = Study("first", Problem(d0=(3,), N=(6,)), also=(Study("second", Problem(d0=(3,), N=(6,)), volume=Volume()),))
"""
# The commands, and what the help of each must name.
NAMED = {
    "run": "--small --workdir --data-dir --shard --dry-run --coordinator --num-processes --process-id 75",
    "status": "DIR gs://BUCKET/NAME",
    "watch": "DIR --seconds gs://BUCKET/fig5_1 130",
    "report": "DIR report.html results.csv",
    "data prepare": "NAME --force --data-dir mnist imagenet64 75",
    "data import": "NAME --from --force --data-dir IDX 75",
    "data list": "--json --no-verify --data-dir",
    "bounds": "--N --d0 --d1 --eps --rho --d1-star --json",
    "construct": "--output --input --N --d0 --seed --rho --json numpy.savez",
    "certify": "FILE.npz --rho --polish --json threshold numpy.savez global_minimum",
    "doctor": "--json --workdir --data-dir",
}


def help_of(arguments, capsys, monkeypatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    try:
        code = cli.main([*arguments, "--help"])
    except SystemExit as stop:
        code = stop.code
    told = capsys.readouterr()
    assert (code, told.err) == (0, "")
    assert max(map(len, told.out.splitlines())) <= 80
    assert not [line for line in told.out.splitlines() if line != line.rstrip()]
    return told.out


@pytest.mark.parametrize(("command", "named"), NAMED.items(), ids=NAMED)
def test_every_command_lists_its_options_exit_codes_and_an_example(command, named, capsys, monkeypatch):
    text = help_of(command.split(), capsys, monkeypatch)
    assert not [word for word in named.split() if word not in text]
    assert "exit codes:" in text
    assert re.search(rf"examples?:\n  mnnjax {command}", text)
    # Every option says what it does.
    assert not re.search(r"^  (--[\w-]+)( [\w./:]+)?\n  -", text, re.MULTILINE)


def test_the_first_help_names_every_command_and_the_exit_codes(capsys, monkeypatch):
    text = help_of([], capsys, monkeypatch)
    assert not [name for name in cli.COMMANDS if f"\n  mnnjax {name} " not in text]
    assert not [code for code in ("0 done", "75 saved", "2 wrong\ninput", "130 ", "1 any other") if code not in text]
    assert "mnnjax data ACTION" in help_of(["data"], capsys, monkeypatch)


def test_the_help_of_a_config_has_every_field_with_what_it_means(tmp_path, capsys, monkeypatch):
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    text = help_of(["run", str(path)], capsys, monkeypatch)
    # An option, perhaps in two lines, and what is said of it.
    told = dict(re.findall(r"^  (--[\w.-]+).*\n(?:  [^ -].*\n)?((?: {8}.*\n)*)", text, re.MULTILINE))
    assert {"--name", "--problem.d0_d1_over_N", "--train.optimizer_options"} <= set(told)
    # Not only its value.
    assert not [name for name, below in told.items() if "." in name and not re.sub(r"\(default:[^)]*\)|\s", "", below)]
    assert "--also.0.FIELD (second)" in text
