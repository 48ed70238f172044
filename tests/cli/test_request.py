"""The request that a command line of `mnnjax run` is parsed into."""

import shlex
from pathlib import Path

import pytest

from mnnjax.cli.run import Request, make_request, parse_options
from mnnjax.study.plan.shard import Shard

CONFIG = """
from mnnjax.config import Problem, Study
study = Study("s", Problem(d0=(3,), N=(4,)))
small = Study("t", Problem(d0=(3,), N=(4,)))
"""
# Options that change no result, and where the request has them.
WHERE = {"--workdir": "workdir", "--data-dir": "data_dir", "--coordinator": "coordinator"}
WHERE |= {"--num-processes": "num_processes", "--process-id": "process_id"}


@pytest.fixture
def config(tmp_path) -> str:
    (tmp_path / "c.py").write_text(CONFIG)
    return str(tmp_path / "c.py")


def parse(*words: str) -> Request:
    return make_request(parse_options(words))


def test_every_option_has_its_place(config):
    request = parse(config, "--small", "--data_dir=d", "--shard", "1/3", "--dry_run", "--repeats", "2")
    assert (request.study.name, request.study.repeats) == ("t", 2)
    assert (request.workdir, request.data_dir, request.dry_run) == ("runs/t-small", Path("d"), True)
    assert request.shard == Shard(1, 3)
    assert (parse(config).study.name, parse(config).workdir, parse(config).shard) == ("s", "runs/s", None)


def test_the_value_of_an_option_is_not_an_option(config):
    assert parse(config, "--workdir=--small").study.name == "s"
    assert parse(config, "--coordinator=--dry-run").dry_run is False


@pytest.mark.parametrize("option", WHERE)
@pytest.mark.parametrize("spelt", [str, lambda name: name.replace("-", "_").replace("__", "--", 1)], ids=["-", "_"])
def test_the_command_leaves_out_what_changes_no_result(config, option, spelt):
    kept = ["--small", "--shard", "0/2", "--problem.N", "5", "6", "--train.learning_rate=0.1"]
    plain = parse(config, *kept)
    assert plain.command == shlex.join(["mnnjax", "run", config, *kept])
    for words in ([spelt(option), "1"], [f"{spelt(option)}=1"]):
        for places in (words + kept, kept + words, [*kept[:1], *words, *words, *kept[1:]]):
            request = parse(config, *places)
            assert request.command == plain.command
            assert request.study == plain.study
            assert str(getattr(request, WHERE[option])) == "1"


def test_the_command_can_be_given_again(tmp_path):
    """A value with a space or a quote is still one word."""
    config = tmp_path / "it's my config.py"
    config.write_text(CONFIG)
    words = [str(config), "--train.optimizer_options", "a b", "0.5"]
    assert shlex.split(parse(*words, "--workdir", "x").command) == ["mnnjax", "run", *words]


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
    assert parse(str(config), *options).study.network.bias is (own if bias is None else bias)
