"""What a study found, from Python: its rows as a DataFrame, its networks, its figure and its report."""

import dataclasses
import functools
import importlib
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnnjax.config import Study, UserError
from mnnjax.errors import require
from mnnjax.landscape.certificates.certificate import Verdict
from mnnjax.study.execution.images import recorded_cells
from mnnjax.study.load import Trained, load_trained
from mnnjax.study.workdir.results_table import NON_FINITE, TOO_LARGE, Column, Value, columns_in, typed
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.workdir import Workdir
from mnnjax.wording import plural

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

VERDICTS = (*typing.get_args(Verdict), NON_FINITE, TOO_LARGE)
"""All values of the columns of VERDICT_COLUMNS."""
VERDICT_COLUMNS = ("verdict", "minimum_verdict")


class Result:
    """What a work folder holds: of a study that is finished, stopped or still running. Its rows are read once, when
    they are first asked for; mnnjax.load reads them anew.

    Attributes:
      workdir: the folder, or gs://BUCKET/NAME.
    """

    def __init__(self, path: AnyPath | str, data_dir: Path | None = None, data: tuple[Any, Any] | None = None):
        """Arguments as of mnnjax.load."""
        self.workdir: AnyPath = Workdir(path).path
        self._data_dir, self._data = data_dir, data

    def __repr__(self) -> str:
        return f"Result: {self.status().splitlines()[0]}, in {self.workdir}"

    @functools.cached_property
    def study(self) -> Study:
        """The study that the folder belongs to; UserError where it holds none."""
        return Workdir(self.workdir).study()

    @functools.cached_property
    def _texts(self) -> list[dict[str, str]]:
        files = Workdir(self.workdir)
        return files.rows(recorded_cells(files, self.study))

    @functools.cached_property
    def rows(self) -> list[dict[str, Value]]:
        """One dictionary per cell and repetition, with the columns of results.csv as numbers, text, True and False. An
        empty field is nan for a float, '' for text, otherwise None. study/workdir/results_table.py has the meanings."""
        names = [column.name for column in columns_in(self._texts)]
        return [{name: values[name] for name in names} for values in map(typed, self._texts)]

    @property
    def cells(self) -> list[str]:
        """The names of the finished cells, in the order of the rows."""
        return list(dict.fromkeys(str(row["cell"]) for row in self.rows))

    def to_pandas(self) -> "pandas.DataFrame":
        """The rows as a DataFrame, one typed column per column of results.csv. Verdicts are categories, with all
        verdicts that there are. Columns that may be empty have pandas' nullable types: Int64, boolean and string.

        UserError where pandas, an extra, is missing.

        Example:
            frame = mnnjax.load("runs/mine").to_pandas()
            frame.groupby(["N", "verdict"], observed=True).size()
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise UserError("to_pandas: pandas is not installed; pip install 'mnnjax[pandas]'") from error
        return pandas.DataFrame(
            {
                column.name: pandas.Series(
                    [None if (value := row[column.name]) == "" else value for row in self.rows],
                    dtype=_dtype(pandas, column),
                )
                for column in columns_in(self._texts)
            }
        )

    def trained(self, cell: str) -> Trained:
        """The networks of a finished cell, and their points; UserError as load_trained.

        Example:
            trained = result.trained(result.cells[0])
            trained.certificate(0)
        """
        return load_trained(self.workdir, cell, self._data_dir, self._data)

    def status(self) -> str:
        """How far the study is now, as `mnnjax status`."""
        # By the package's face: the module of this name would take the function's place there.
        from mnnjax.study import status

        return status(self.workdir)

    def report(self) -> AnyPath:
        """Write report.html, and report/ with figures and tables, as `mnnjax report`; returns the page's path.
        UserError for a shard's folder."""
        from mnnjax.report import write_report

        files = Workdir(self.workdir)
        cells = recorded_cells(files, self.study)
        if files.finished(cells):
            files.collect(cells)
        return write_report([self.workdir], {self.workdir: sum(cell.part.repeats for cell in cells)})

    def plot(self, number: int = 0) -> "Figure":
        """A picture of the report, as a Matplotlib figure: the first, or the one with this number. A study without a
        figure is drawn as Figure 5.1 (MCE against N), or as its volumes.

        UserError where the study has no finished cell, or fewer pictures.

        Example:
            result.plot().savefig("mine.pdf")
        """
        from mnnjax.report.common.rows import row_of, rows_of
        from mnnjax.report.sections import section_of

        rows = [row_of(typed(text)) for text in self._texts]
        parts = [part for part in self.study.parts if rows_of(part, rows)]
        require(bool(parts), f"plot: {self.workdir} has no finished cell yet (mnnjax status)")
        sections = [section_of(self.study, _with_figure(part), rows, {}) for part in parts]
        pictures = [picture for section in sections for picture in section.pictures]
        require(bool(pictures), "plot: the study makes tables, and no picture; report() writes them")
        count = plural(len(pictures), "picture")
        require(0 <= number < len(pictures), f"plot: number {number} is none of {count}, counted from 0")
        return pictures[number].figure()


def _with_figure(part: Study) -> Study:
    """The part, with a figure if it draws none."""
    if part.figure != "none":
        return part
    return dataclasses.replace(part, figure="volumes" if part.volume else "fig5_1")


def _dtype(pandas: Any, column: Column) -> Any:
    """The column's type in pandas."""
    if column.name in VERDICT_COLUMNS:
        return pandas.CategoricalDtype(VERDICTS)
    nullable = {int: "Int64", bool: "boolean", float: "float64", str: "string"}
    plain = {int: "int64", bool: "bool", float: "float64", str: "string"}
    return (nullable if column.missing else plain)[column.type]


def load(path: AnyPath | str, data_dir: Path | None = None, data: tuple[Any, Any] | None = None) -> Result:
    """What a work folder holds, whether its study is finished, stopped or still running.

    Args:
      path: the work folder, or gs://BUCKET/NAME.
      data_dir: where `mnnjax data` keeps image data; None is its default folder.
      data: X and y, where run_study had them.

    Raises:
      UserError: the folder holds no study.

    Example:
      mnnjax.load("runs/mine").to_pandas()
    """
    result = Result(path, data_dir, data)
    result.study  # noqa: B018  # a folder without one is told here
    return result
