"""Tab completion, asked of the shells themselves where they are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mnnjax import cli
from mnnjax.cli.entry import COMMANDS

# What bash calls when a user presses the tab key; it prints one completion per line.
ASK_BASH = """
source ./script
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_mnnjax mnnjax "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p mnnjax
"""


@pytest.fixture
def script(tmp_path, capsys):
    """script(shell) -> the file with its lines."""

    def script(shell: str) -> Path:
        assert cli.main(["--tyro-print-completion", shell]) == 0
        told = capsys.readouterr()
        assert told.err == ""
        (tmp_path / "script").write_text(told.out)
        return tmp_path / "script"

    return script


@pytest.mark.parametrize(
    ("words", "offered", "other"),
    [
        ("''", set(COMMANDS), {"--help"}),
        ("ce", {"certify"}, {"run"}),
        ("run configs/fig5_1.py --wor", {"--workdir"}, {"--small"}),
        ("run c.py --train.learning_", {"--train.learning_rate"}, {"--train.epochs"}),
        ("run c.py --train.precision ''", {"float32", "float64"}, set()),
        ("run c.py --volume.me", {"--volume.method"}, set()),
        ("data ''", {"prepare", "import", "list"}, {"--data-dir"}),
        ("data list --no", {"--no-verify"}, set()),
        ("certify x.npz --d", {"--descend"}, {"--polish"}),
        # Names of files, which bash offers where there is nothing else.
        ("run ''", set(), {"--small", "run"}),
        ("status runs/fi", set(), {"run"}),
    ],
)
def test_bash_offers_commands_options_and_values(script, tmp_path, words, offered, other):
    script("bash")
    # Python is in the path where a user runs mnnjax.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    asked = ASK_BASH.format(words=f"mnnjax {words}")
    run = subprocess.run(["bash", "-c", asked], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.stderr == ""
    *found, complete = run.stdout.splitlines()
    assert offered <= set(found)
    assert not other & set(found)
    assert offered or found in ([], [""])
    assert "-o default" in complete


def test_zsh_and_tcsh_read_their_lines(script, tmp_path):
    for shell in ("zsh", "tcsh"):
        file = script(shell)
        text = file.read_text()
        assert all(name in text for name in (*COMMANDS, "data-dir", "train.learning_rate", "volume.method"))
        if shutil.which(shell):
            run = subprocess.run([shell, "-n" if shell == "zsh" else "-f", file], capture_output=True, text=True)
            assert (run.returncode, run.stderr) == (0, "")
    assert text.count("\n") == 1


@pytest.mark.parametrize("words", [["run", "configs/fig5_1.py"], ["status"], []])
def test_it_is_the_same_wherever_it_is_asked_for(words, capsys):
    assert cli.main([*words, "--tyro-print-completion", "tcsh"]) == 0
    assert capsys.readouterr().out.startswith("complete mnnjax ")


@pytest.mark.parametrize("words", [["fish"], [], ["bsh"]])
def test_other_shells_are_one_line(words, capsys):
    assert cli.main(["--tyro-print-completion", *words]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "give bash, zsh or tcsh" in told


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"], []])
def test_help_of_the_whole(words, capsys):
    assert cli.main(words) == 0
    assert "mnnjax --tyro-print-completion bash" in capsys.readouterr().out


def test_help_of_a_command_is_its_own(capsys):
    texts = []
    for words in (["help", "data", "import"], ["data", "import", "--help"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "FILE.npz" in texts[0]
    assert cli.main(["help", "sttus"]) == 2
    assert "did you mean status" in capsys.readouterr().err


def test_version(capsys):
    assert [cli.main([word]) for word in ("version", "--version")] == [0, 0]
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.startswith("mnnjax ")
