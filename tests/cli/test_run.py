"""What a run's log calls its command."""

import shlex
import subprocess
import sys

import pytest

from mnnjax.cli.run import WHERE, _command, load_config, parse_run

CONFIG = "from mnnjax.config import Problem, Study\nstudy = small = Study('s', Problem(d0=(3,), N=(4,)))\n"
# What changes results, or which of them there are.
KEPT = ["--small", "--problem.N", "5", "6", "--train.learning_rate=0.1", "--shard", "0/2"]


@pytest.mark.parametrize("option", WHERE)
@pytest.mark.parametrize("spelt", [str, lambda name: name.replace("-", "_").replace("__", "--", 1)], ids=["-", "_"])
def test_the_command_leaves_out_where_things_lie(option, spelt):
    plain = shlex.join(["mnnjax", "run", "c.py", *KEPT])
    for own in ([spelt(option), "a b"], [f"{spelt(option)}=a b"]):
        assert _command(["c.py", *own, *KEPT]) == plain
        assert _command(["c.py", *KEPT, *own]) == plain
        assert _command(["c.py", *KEPT[:1], *own, *own, *KEPT[1:]]) == plain


def test_the_command_can_be_given_again():
    """A value with a space or a quote is still one word."""
    words = ["my configs/it's.py", "--name", "two words"]
    assert shlex.split(_command([*words, "--workdir", "x"])) == ["mnnjax", "run", *words]


def test_what_is_left_out_are_options_of_run_that_take_a_value(tmp_path):
    config = tmp_path / "c.py"
    config.write_text(CONFIG)
    values = dict.fromkeys(WHERE, "1")
    options, study = parse_run([str(config), *(word for pair in values.items() for word in pair)])
    given = {name: getattr(options, name.removeprefix("--").replace("-", "_")) for name in WHERE}
    assert {name: str(value) for name, value in given.items()} == values
    # And say nothing of the study.
    assert study == parse_run([str(config)])[1] == load_config(str(config))


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("options", "bias"),
    [
        ([], None),
        (["--network.bias"], True),
        (["--network.bias", "True"], True),
        (["--network.bias=True", "--repeats", "2"], True),
        (["--network.bias", "--repeats", "2"], True),
        (["--network.no_bias"], False),
        (["--network.no-bias", "--repeats", "2"], False),
        (["--network.bias", "False"], False),
    ],
)
def test_true_and_false_are_set_in_any_spelling_whatever_the_config_has(tmp_path, own, options, bias):
    config = tmp_path / "c.py"
    config.write_text(
        "from mnnjax.config import Network, Problem, Study\n"
        f"study = Study('s', Problem(d0=(3,), N=(4,)), Network(bias={own}))\n"
    )
    assert parse_run([str(config), *options])[1].network.bias is (own if bias is None else bias)


def test_a_stop_request_in_a_callback_ends_the_run():
    """Python drops exceptions that are raised in callbacks of its garbage collector; JAX has one."""
    code = (
        "import gc, signal; from mnnjax.cli import run as run_command\n"
        "signal.signal(signal.SIGTERM, run_command._stop_at_once)\n"
        "gc.callbacks.append(lambda *_: signal.raise_signal(signal.SIGTERM))\n"
        "gc.collect(); print('went on')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 75
    assert run.stdout == "SIGTERM: stopped; run the same command again to go on\n"
