"""The command line: mnnjax run | status | watch | report | data | bounds | construct | certify | doctor."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from mnnjax import __version__, errors
from mnnjax.cli.stops import ending_on_ctrl_c
from mnnjax.terminal import show


def _main_of(command: str) -> Callable[[Sequence[str]], int]:
    """The command's main(arguments) in the file of its name, imported when it is called."""
    return lambda arguments: importlib.import_module(f"mnnjax.cli.{command}").main(arguments)


COMMANDS = {
    n: _main_of(n) for n in ("run", "status", "watch", "report", "data", "bounds", "construct", "certify", "doctor")
}
# These handle Ctrl-C themselves, since they have something to save or to clean up.
OWN_STOPS = ("run", "data")
# tyro's name for it.
COMPLETION = "--tyro-print-completion"
USAGE = f"""usage: mnnjax COMMAND ...

a study: networks trained by the thousand, or volumes measured
  mnnjax run CONFIG [--small] [--workdir DIR] [--FIELD.SUBFIELD VALUE ...] ...
      run what is missing of a study, and write its report
  mnnjax status DIR
      show the progress of a study, or of all studies below a folder
  mnnjax watch DIR
      the same as a live table, until all are done
  mnnjax report DIR [DIR ...]
      write report.html, with figures and tables, from the finished cells
  mnnjax data prepare|import|list
      real images: download them, import files, or list what is stored

one network
  mnnjax certify FILE.npz [--rho RHO] [--polish OUT.npz | --descend OUT.npz] ...
      decide what kind of point your own network is at
  mnnjax construct --output FILE.npz [--input FILE.npz] [--rho RHO] [--json]
      construct a global minimum by Theorem 8
  mnnjax bounds --N N --d0 D0 --d1 D1 --eps EPS [--rho RHO] [--json]
      print the paper's expressions at one size, to leading order

this machine
  mnnjax doctor [--workdir DIR] [--data-dir DIR] [--json]
      print versions, devices, precision, memory, disk and data for a bug report

mnnjax help COMMAND, or mnnjax COMMAND --help, lists all options, and has
examples; mnnjax version prints the version. Start with
  mnnjax run configs/quickstart.py
Tab completion for bash; for zsh, write the lines to _mnnjax in a folder of
$fpath; for tcsh, add them to ~/.tcshrc:
  mnnjax --tyro-print-completion bash >> ~/.bashrc
Exit codes: 0 done; 75 saved after a stop request, run again to resume; 2 wrong
input; 130 or 143 interrupted, with nothing to save; 1 any other error.
mnnjax {__version__}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    command, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    try:
        try:
            return _call(command, rest)
        finally:
            # Here, so that a closed pipe raises BrokenPipeError inside the outer try.
            sys.stdout.flush()
    except errors.UserError as error:
        line, code = str(error), errors.EXIT_USAGE
    except MemoryError as error:
        why = errors.first_line(error) or command
        line, code = f"needs more memory than there is ({why}); give fewer points", errors.EXIT_USAGE
    except KeyboardInterrupt:
        line, code = "interrupted", errors.EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed it. Python would try to flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.EXIT_FAILED
    except OSError as error:
        line = errors.os_error_line(error)
        if line is None:
            raise
        code = errors.EXIT_FAILED if error.errno in errors.DISK_FULL else errors.EXIT_USAGE
    show(f"mnnjax: {line}", sys.stderr)
    return code


def _call(command: str, arguments: Sequence[str]) -> int:
    if COMPLETION in (command, *arguments):
        # Here, since tyro takes a while to import.
        from mnnjax.cli.completion import script

        shell = "".join([command, *arguments][[command, *arguments].index(COMPLETION) + 1 :][:1])
        print(script(shell, COMMANDS))
        return 0
    if command == "help" and arguments:
        command, arguments = arguments[0], [*arguments[1:], "--help"]
    if command in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    if command in ("--version", "version"):
        print(f"mnnjax {__version__}")
        return 0
    if command not in COMMANDS:
        meant = errors.did_you_mean(command, [*COMMANDS, "help", "version", "--help", "--version"])
        hint = f"{meant}; the commands are {', '.join(COMMANDS)}"
        if command.endswith(".py"):
            hint = f"; to run a config: mnnjax run {command}"
        raise errors.UserError(f"unknown command {command!r}{hint}")
    with contextlib.nullcontext() if command in OWN_STOPS else ending_on_ctrl_c():
        return COMMANDS[command](arguments)
