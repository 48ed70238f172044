"""The command line: mnnjax run | status | report | data | bounds | construct | certify | doctor."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from mnnjax import __version__
from mnnjax.cli import run as run_command
from mnnjax.cli.parser import OneLineParser, end_at_once, json_text, local_path, nonempty
from mnnjax.errors import (
    DISK_FULL,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    UserError,
    did_you_mean,
    first_line,
    told_error,
)

STATUS = """How far a study has come: cells finished, the share of the work that is done, what
is left, what happened last, and warnings. The study may be running, stopped or
finished; nothing is written."""
STATUS_EPILOG = """exit codes: 0 told; 2 the folder holds no study

examples:
  mnnjax status runs/fig5_1
  mnnjax status gs://BUCKET/fig5_1                 a study, and its shards
  mnnjax status gs://BUCKET/fig5_1/shard-0-of-4    one shard"""


def _status(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax status", description=STATUS, epilog=STATUS_EPILOG)
    parser.add_argument("dir", metavar="DIR", type=nonempty, help="a work folder, or gs://BUCKET/NAME")
    from mnnjax.study import status

    print(status(parser.parse_args(arguments).dir))
    return 0


REPORT = """Write report.html, with its pictures (PNG, SVG) and tables (CSV) in report/, from
what is finished; the study may still be running. Of a study in shards it also
writes the whole results.csv. `mnnjax run` does the same at its end."""
REPORT_EPILOG = """exit codes: 0 written; 2 a folder holds no study, or cannot be written

examples:
  mnnjax report runs/fig5_1
  mnnjax report runs/adam runs/sgd              both in runs/adam/report.html"""


def _report(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax report", description=REPORT, epilog=REPORT_EPILOG)
    parser.add_argument(
        "dir",
        nargs="+",
        metavar="DIR",
        type=nonempty,
        help="work folders, or gs://BUCKET/NAME, shown one after the other; the report lies in the first",
    )
    print(f"report: {run_command.report(parser.parse_args(arguments).dir)}")
    return 0


BOUNDS = """The paper's expressions (Theorems 6 to 10) and its assumptions at one size. They
are leading order in the logarithm: none is a bound at a finite N."""
BOUNDS_EPILOG = """exit codes: 0 printed; 2 sizes that cannot be

example:
  mnnjax bounds --N 10000 --d0 200 --d1 300 --eps 0.1"""


def _bounds(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax bounds", description=BOUNDS, epilog=BOUNDS_EPILOG)
    parser.add_argument("--N", type=int, required=True, help="number of training points")
    parser.add_argument("--d0", type=int, required=True, help="input width")
    parser.add_argument("--d1", type=int, required=True, help="hidden width")
    parser.add_argument(
        "--eps", type=float, required=True, help="MCE, a fraction, above which a local minimum counts as bad"
    )
    parser.add_argument("--rho", type=float, default=0.0, help="slope for negative neural inputs; default 0, the ReLU")
    parser.add_argument(
        "--d1-star",
        type=float,
        metavar="UNITS",
        help="hidden units of a teacher (Assumption 5); without one, Theorem 9 takes 2N/d0",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    from mnnjax import theory

    sizes = (options.N, options.d0, options.d1, options.eps, options.rho, options.d1_star)
    table = theory.bounds_table(*sizes)
    print(json_text(table) if options.json else theory.format_bounds(table))
    return 0


CONSTRUCT = """Write down a global minimum (Theorem 8) of your own points, or of Gaussian points
with random labels 0 and 1, and certify it. The output holds W (d1, d0), z (d1,),
X (N, d0), y (N,) and rho: what `mnnjax certify` reads."""
CONSTRUCT_EPILOG = """exit codes: 0 written; 2 wrong input

examples:
  mnnjax construct --output minimum.npz --N 200 --d0 20 --seed 1
  mnnjax construct --output minimum.npz --input mine.npz --rho 0.1

mine.npz from Python: numpy.savez("mine.npz", X=X, y=y)"""
# Of the Gaussian problem.
SIZES = {"N": 100, "d0": 10, "seed": 0}


def _construct(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax construct", description=CONSTRUCT, epilog=CONSTRUCT_EPILOG)
    parser.add_argument("--output", type=local_path, required=True, metavar="FILE.npz", help="the file to write")
    parser.add_argument(
        "--input", type=local_path, metavar="FILE.npz", help="points X (N, d0), one row a point, and labels y (N,)"
    )
    parser.add_argument("--N", type=int, help=f"number of Gaussian points, without --input; default {SIZES['N']}")
    parser.add_argument("--d0", type=int, help=f"their input width; default {SIZES['d0']}")
    parser.add_argument("--seed", type=int, help=f"what they are drawn from; default {SIZES['seed']}")
    parser.add_argument("--rho", type=float, default=0.0, help="slope for negative neural inputs; default 0, the ReLU")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    sizes = {name: getattr(options, name) for name in SIZES}
    given = [f"--{name}" for name, value in sizes.items() if value is not None]
    if options.input is not None and given:
        raise UserError(
            f"construct: --input has its own points, and {', '.join(given)} would draw others; give one or the other"
        )
    from mnnjax.cli import construct

    drawn = {name: SIZES[name] if value is None else value for name, value in sizes.items()}
    result = construct.construct(options.output, options.input, rho=options.rho, **drawn)
    print(json_text(result) if options.json else construct.describe(result))
    return 0


CERTIFY = """What kind of point a network is at, decided in float64 with proven error bounds.
FILE.npz holds W (d1, d0), z (d1,) or (1, d1), X (N, d0), y (N,) or (N, 1); and,
where the network has them, b (d1,), the biases of the hidden layer, and c, that
of the output. It may hold rho, and threshold: outputs above it count as of the
larger label (for the MCE; default 0 where a label is -1, else 0.5)."""
CERTIFY_EPILOG = """verdicts: global_minimum, suboptimal_dlm, non_differentiable, not_converged;
README.md, "What kind of point is it?", says what each proves

exit codes: 0 whatever the verdict; 2 wrong input

examples:
  mnnjax certify point.npz --rho 0
  mnnjax certify point.npz --polish polished.npz

point.npz from Python: numpy.savez("point.npz", W=W, z=z, X=X, y=y, rho=0.0)"""


def _certify(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax certify", description=CERTIFY, epilog=CERTIFY_EPILOG)
    parser.add_argument("file", type=local_path, metavar="FILE.npz", help="the network and its points")
    parser.add_argument("--rho", type=float, help="slope for negative neural inputs, 0 for the ReLU; else the file's")
    parser.add_argument(
        "--polish",
        type=local_path,
        metavar="OUT.npz",
        help="train on by Levenberg-Marquardt in float64, write that network there, and certify it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    from mnnjax.cli import certify as certify_file

    result = certify_file.certify_file(options.file, options.rho, options.polish)
    print(json_text(result) if options.json else certify_file.describe(result))
    return 0


def _data(arguments: Sequence[str]) -> int:
    from mnnjax.cli.data import main

    return main(arguments)


DOCTOR = """What a bug report needs: versions, devices, precision, memory, disk, data; and
what should be mended before a study runs."""
DOCTOR_EPILOG = """exit codes: 0 nothing to mend; 1 something, in lines that begin with `mend:`

examples:
  mnnjax doctor
  mnnjax doctor --workdir /scratch/runs --json"""


def _doctor(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax doctor", description=DOCTOR, epilog=DOCTOR_EPILOG)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--workdir", type=local_path, metavar="DIR", help="where studies will be written; default: here"
    )
    parser.add_argument("--data-dir", type=local_path, metavar="DIR", help="where `mnnjax data` keeps image data")
    options = parser.parse_args(arguments)
    from mnnjax.cli import doctor

    found = doctor.examine(options.data_dir, options.workdir)
    print(json_text(found) if options.json else doctor.describe(found))
    return EXIT_FAILED if found["mend"] else 0


VERBS = {
    "run": run_command.main,
    "status": _status,
    "report": _report,
    "data": _data,
    "bounds": _bounds,
    "construct": _construct,
    "certify": _certify,
    "doctor": _doctor,
}
# What end by Ctrl-C in their own way, for they have something to save or to clean up.
OWN_STOPS = ("run", "data")
USAGE = f"""usage: mnnjax VERB ...

a study: networks trained by the thousand, or volumes measured
  mnnjax run CONFIG [--small] [--workdir DIR] [--FIELD.SUBFIELD VALUE ...] ...
      run what is missing of a study, and write its report
  mnnjax status DIR
      how far it has come
  mnnjax report DIR [DIR ...]
      write report.html, with pictures and tables, from what is finished
  mnnjax data prepare|import|list
      real images: download them, or take files that are here; what there is

one network
  mnnjax certify FILE.npz [--rho RHO] [--polish OUT.npz] [--json]
      what kind of point your own network is at
  mnnjax construct --output FILE.npz [--input FILE.npz] [--rho RHO] [--json]
      a global minimum by Theorem 8
  mnnjax bounds --N N --d0 D0 --d1 D1 --eps EPS [--rho RHO] [--json]
      the paper's expressions at one size, leading order

this machine
  mnnjax doctor [--workdir DIR] [--data-dir DIR] [--json]
      versions, devices, precision, memory, disk, data: what a bug report needs

mnnjax VERB --help has all options, and examples; begin with
  mnnjax run configs/quickstart.py
Exit codes: 0 done; 75 saved after a stop request, run again to go on; 2 wrong
input; 130 or 143 interrupted, with nothing to save; 1 anything else.
mnnjax {__version__}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    verb, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    try:
        try:
            return _call(verb, rest)
        finally:
            # Here, where it is told that nobody reads any more.
            sys.stdout.flush()
    except UserError as error:
        print(f"mnnjax: {error}", file=sys.stderr)
        return EXIT_USAGE
    except MemoryError as error:
        why = first_line(error) or verb
        print(f"mnnjax: needs more memory than there is ({why}); give fewer points", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("mnnjax: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who reads the output, such as `head`, has enough. Python would try to flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:
        told = told_error(error)
        if told is None:
            raise
        print(f"mnnjax: {told}", file=sys.stderr)
        return EXIT_FAILED if error.errno in DISK_FULL else EXIT_USAGE


def _call(verb: str, arguments: Sequence[str]) -> int:
    if verb in ("-h", "--help", "--version"):
        print(f"mnnjax {__version__}" if verb == "--version" else USAGE)
        return 0
    if verb not in VERBS:
        raise UserError(_no_verb(verb))
    with contextlib.nullcontext() if verb in OWN_STOPS else _ending_on_ctrl_c():
        return VERBS[verb](arguments)


def _no_verb(verb: str) -> str:
    if verb.endswith(".py"):
        return f"{verb!r} is no verb; to run a config: mnnjax run {verb}"
    return f"{verb!r} is no verb{did_you_mean(verb, [*VERBS, '--help', '--version'])}; there are {', '.join(VERBS)}"


@contextlib.contextmanager
def _ending_on_ctrl_c() -> Iterator[None]:
    def end(_number, _frame) -> None:
        end_at_once("mnnjax: interrupted", EXIT_INTERRUPTED)

    # Python lets only the main thread set handlers.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
