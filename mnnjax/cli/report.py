"""`mnnjax report`: the report of one or several work folders."""

from collections.abc import Sequence

from mnnjax.cli.parser import OneLineParser, nonempty

DESCRIPTION = """Write report.html, and its figures (PNG, SVG) and tables (CSV) in report/, from the finished cells; the
study may still be running. Of several folders, the page shows which fields of their studies differ, and their figures
in one picture. For a study in shards, also write the whole results.csv. `mnnjax run` does the same when it ends."""
EPILOG = """exit codes: 0 report written; 2 a folder holds no study, or cannot be written

examples:
  mnnjax report runs/fig5_1
  mnnjax report runs/adam runs/sgd              both in runs/adam/report/joint
  mnnjax report runs/adam runs/sgd --output runs/both"""


def main(arguments: Sequence[str]) -> int:
    """`mnnjax report ARGUMENTS`; returns the exit code."""
    parser = OneLineParser("mnnjax report", description=DESCRIPTION, epilog=EPILOG)
    text = "work folders, or gs://BUCKET/NAME, compared on one page"
    parser.add_argument("dir", nargs="+", metavar="DIR", type=nonempty, help=text)
    text = "where report.html is written; default: the work folder, of several report/joint in the first"
    parser.add_argument("--output", metavar="DIR", type=nonempty, help=text)
    asked = parser.parse_args(arguments)
    print(f"report: {report(asked.dir, asked.output)}")
    return 0


def report(folders: Sequence[str], output: str | None = None) -> str:
    """Write the report of work folders, and results.csv for a study in shards; returns the page's path. output: the
    page's folder, by default as write_report has it. UserError where a folder holds no study."""
    from mnnjax.report import write_report
    from mnnjax.study.execution.images import recorded_cells
    from mnnjax.study.workdir import storage
    from mnnjax.study.workdir.workdir import Workdir

    planned = {}
    for path in folders:
        workdir = Workdir(path)
        cells = recorded_cells(workdir, workdir.study())
        planned[path] = sum(cell.part.repeats for cell in cells)
        # A run that was killed, or is still running, may not have collected its last cells yet.
        if workdir.finished(cells):
            workdir.collect(cells)
        for file, why in workdir.damaged(cells).items():
            print(f"warning: {file} is damaged ({why}), and left out; run the study again to train its cell")
    return str(storage.resolve(write_report(folders, planned, output)))
