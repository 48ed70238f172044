"""Stop requests while nothing is trained: no traceback, and the right exit code."""

import subprocess
import sys

import pytest

CONFIG = """
import os, signal
os.kill(os.getpid(), signal.{signal})
"""


def call(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("options", "name", "code", "out", "err"),
    [
        ([], "SIGINT", 75, "SIGINT: stopped; run the same command again to resume\n", ""),
        ([], "SIGTERM", 75, "SIGTERM: stopped; run the same command again to resume\n", ""),
        (["--dry-run"], "SIGINT", 130, "", "mnnjax: SIGINT: stopped\n"),
        (["--dry_run"], "SIGTERM", 143, "", "mnnjax: SIGTERM: stopped\n"),
        (["--help"], "SIGINT", 130, "", "mnnjax: SIGINT: stopped\n"),
    ],
)
def test_while_a_config_is_read(tmp_path, options, name, code, out, err):
    config = tmp_path / "config.py"
    config.write_text(CONFIG.format(signal=name))
    run = call("import sys; from mnnjax import cli; sys.exit(cli.main(sys.argv[1:]))", "run", str(config), *options)
    assert (run.returncode, run.stdout, run.stderr) == (code, out, err)


@pytest.mark.parametrize("command", ["status", "report", "bounds", "construct", "certify", "doctor"])
def test_while_another_command_is_at_work(command):
    """Also if Python would drop an exception, as in JAX's callback of the garbage collector."""
    code = (
        "import gc, signal, sys; from mnnjax.cli import entry as cli\n"
        "def work(arguments):\n"
        "    print('told before')\n"
        "    gc.callbacks.append(lambda *_: signal.raise_signal(signal.SIGINT))\n"
        "    gc.collect(); print('went on')\n"
        "cli.COMMANDS[sys.argv[1]] = work; sys.exit(cli.main(sys.argv[1:]))"
    )
    run = call(code, command)
    assert (run.returncode, run.stdout, run.stderr) == (130, "told before\n", "mnnjax: interrupted\n")


def test_the_callers_handler_comes_back():
    code = (
        "import signal; from mnnjax.cli import entry as cli; before = signal.getsignal(signal.SIGINT)\n"
        "cli.COMMANDS['status'] = lambda arguments: 0; cli.main(['status'])\n"
        "assert signal.getsignal(signal.SIGINT) is before"
    )
    assert call(code).returncode == 0


def test_a_stop_request_in_a_callback_ends_the_run():
    """Python drops exceptions in callbacks of its garbage collector; JAX has such a callback."""
    code = (
        "import gc, signal; from mnnjax.cli import stops\n"
        "signal.signal(signal.SIGTERM, stops.end_resumable)\n"
        "gc.callbacks.append(lambda *_: signal.raise_signal(signal.SIGTERM))\n"
        "gc.collect(); print('went on')"
    )
    run = call(code)
    assert run.returncode == 75
    assert run.stdout == "SIGTERM: stopped; run the same command again to resume\n"
