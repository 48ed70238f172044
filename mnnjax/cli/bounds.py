"""`mnnjax bounds`: the paper's expressions and assumptions at one size."""

from collections.abc import Sequence

from mnnjax import theory
from mnnjax.cli.parser import RHO_HELP, OneLineParser, json_text
from mnnjax.terminal import show

DESCRIPTION = """Print the paper's expressions (Theorems 6 to 10) and its assumptions at one size.
They are leading order in the logarithm: none is a bound at a finite N."""
EPILOG = """exit codes: 0 printed; 2 invalid sizes

example:
  mnnjax bounds --N 10000 --d0 200 --d1 300 --eps 0.1"""


def make_parser() -> OneLineParser:
    """The parser of the command's arguments."""
    parser = OneLineParser("mnnjax bounds", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--N", type=int, required=True, help="number of training points")
    parser.add_argument("--d0", type=int, required=True, help="input width")
    parser.add_argument("--d1", type=int, required=True, help="hidden width")
    parser.add_argument("--eps", type=float, required=True, help="MCE, a fraction, above which a local minimum is bad")
    parser.add_argument("--rho", type=float, default=0.0, help=RHO_HELP)
    teacher = "hidden units of the teacher (Assumption 5); without a teacher, Theorem 9 takes 2N/d0"
    parser.add_argument("--d1-star", type=float, metavar="UNITS", help=teacher)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(arguments: Sequence[str]) -> int:
    """`mnnjax bounds ARGUMENTS`; returns the exit code."""
    options = make_parser().parse_args(arguments)
    table = theory.bounds_table(options.N, options.d0, options.d1, options.eps, options.rho, options.d1_star)
    print(json_text(table)) if options.json else show(theory.format_bounds(table))
    return 0
