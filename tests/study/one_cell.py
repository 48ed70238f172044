"""A study of one cell, for tests of what is known of a cell."""

from mnnjax.config import Network, Problem, Study, Train
from mnnjax.study.plan.grid import Cell, cells


def one_cell(train=None, repeats=3, network=None, **problem) -> Cell:
    problem = Problem(**{"d0": (6,), "N": (40,), **problem})
    (cell,) = cells(Study("s", problem, network or Network(), train=train or Train(), repeats=repeats))
    return cell
