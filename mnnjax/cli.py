"""The command line: mnnjax run | status | report | data | bounds | construct | certify | doctor."""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mnnjax import __version__, run_command
from mnnjax.checks import EXIT_FAILED, EXIT_USAGE, OneLineParser, UserError, parse_options


def _status(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax status", description="How far the study in a work folder has come.")
    parser.add_argument("dir", help="a folder or gs://BUCKET/NAME; of a study, with its shards, or of one shard")
    from mnnjax.study import status

    print(status(parser.parse_args(arguments).dir))
    return 0


def _report(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax report", description="Write report.html with its pictures and tables.")
    parser.add_argument(
        "dir",
        nargs="+",
        help="work folders or gs://BUCKET/NAME, shown one after the other; the report lies in the first",
    )
    print(f"report: {run_command.report(parser.parse_args(arguments).dir)}")
    return 0


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The paper's expressions and assumptions at one size: leading order in the logarithm, no bound at finite N."""

    N: int
    """Number of training points."""
    d0: int
    """Input width."""
    d1: int
    """Hidden width."""
    eps: float
    """MCE above which a local minimum counts as bad."""
    rho: float = 0.0
    """Slope for negative neural inputs."""
    d1_star: float | None = None
    """Hidden units of a teacher (Assumption 5); without one, Theorem 9 takes 2N/d0."""
    json: bool = False
    """Print JSON."""


def _bounds(arguments: Sequence[str]) -> int:
    options = parse_options("bounds", Bounds, arguments)
    from mnnjax import theory

    sizes = (options.N, options.d0, options.d1, options.eps, options.rho, options.d1_star)
    table = theory.bounds_table(*sizes)
    print(json.dumps(table) if options.json else theory.format_bounds(table))
    return 0


@dataclasses.dataclass(frozen=True)
class Construct:
    """A global minimum by Theorem 8: for a Gaussian problem with random labels, or for your own points."""

    output: Path
    """The .npz to write: W (d1, d0), z (d1,), X (N, d0), y (N,), rho."""
    input: Path | None = None
    """An .npz with X (N, d0), one row a point, and y (N,)."""
    N: int = 100
    """Points of the Gaussian problem; without --input."""
    d0: int = 10
    """Its input width."""
    seed: int = 0
    """Its seed."""
    rho: float = 0.0
    """Slope for negative neural inputs."""
    json: bool = False
    """Print JSON."""


def _construct(arguments: Sequence[str]) -> int:
    options = parse_options("construct", Construct, arguments)
    from mnnjax.study import construct

    result = construct.construct(**{k: v for k, v in dataclasses.asdict(options).items() if k != "json"})
    print(json.dumps(result) if options.json else construct.describe(result))
    return 0


CERTIFY = """What kind of point a network is at, decided in float64 with proven error bounds. FILE.npz holds
W (d1, d0), z (d1,) or (1, d1), X (N, d0), y (N,) or (N, 1); optional b (d1,) a first-layer bias (appended as a
column of W, with a column of ones of X), c the output bias (certify's output_bias), rho, threshold (of the MCE)."""


def _certify(arguments: Sequence[str]) -> int:
    parser = OneLineParser("mnnjax certify", description=CERTIFY)
    parser.add_argument("file", type=Path, metavar="FILE.npz")
    parser.add_argument("--rho", type=float, help="slope for negative neural inputs, 0 for the ReLU; else the file's")
    parser.add_argument(
        "--polish",
        type=Path,
        metavar="OUT.npz",
        help="train on by Levenberg-Marquardt in float64, write that network there, and certify it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    from mnnjax.study import certify_file

    result = certify_file.certify_file(options.file, options.rho, options.polish)
    print(json.dumps(result) if options.json else certify_file.describe(result))
    return 0


def _data(arguments: Sequence[str]) -> int:
    from mnnjax.data.command import main

    return main(arguments)


def _doctor(arguments: Sequence[str]) -> int:
    parser = OneLineParser(
        "mnnjax doctor",
        description="What a bug report needs: versions, devices, precision, memory, disk, data. Exit code 1 where "
        "something should be mended before a study runs.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--workdir", type=Path, metavar="DIR", help="where studies will be written; default: here")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where `mnnjax data` keeps image data")
    options = parser.parse_args(arguments)
    from mnnjax.study import doctor

    found = doctor.examine(options.data_dir, options.workdir)
    print(json.dumps(found) if options.json else doctor.describe(found))
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
USAGE = f"""usage: mnnjax VERB ...

  mnnjax run CONFIG [--small] [--workdir DIR] [--data-dir DIR] [--shard I/N] [--dry-run] [--FIELD.SUBFIELD VALUE ...]
      train a study's cells, or every N-th of them, or go on from where it stopped, and write its report;
      DIR is a folder or gs://BUCKET/NAME
  mnnjax status DIR
      how far it has come
  mnnjax report DIR [DIR ...]
      write report.html with its pictures and tables; of several folders one after the other, in the first one's
  mnnjax data prepare|import|list
      real images: download them, or take files that are here, and see what there is
  mnnjax bounds --N N --d0 D0 --d1 D1 --eps EPS [--rho RHO] [--json]
      the paper's expressions at one size, leading order
  mnnjax construct --output FILE.npz [--input FILE.npz | --N N --d0 D0 --seed S] [--rho RHO] [--json]
      a global minimum by Theorem 8
  mnnjax certify FILE.npz [--rho RHO] [--polish OUT.npz] [--json]
      what kind of point your own network is at: W, z, X, y, and biases b and c where it has them
  mnnjax doctor [--workdir DIR] [--data-dir DIR] [--json]
      versions, devices, precision, memory, disk and data: what a bug report needs

Exit codes: 0 done; 75 saved after a stop request, run again to go on; 2 wrong input; 1 anything else.
mnnjax {__version__}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    verb, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if verb in ("-h", "--help", "--version"):
        print(f"mnnjax {__version__}" if verb == "--version" else USAGE)
        return 0
    try:
        if verb not in VERBS:
            raise UserError(f"{verb!r} is no verb; take one of {', '.join(VERBS)}")
        code = VERBS[verb](rest)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"mnnjax: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("mnnjax: interrupted", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:
        # Who reads the output, such as `head`, has enough. Python would try to flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
