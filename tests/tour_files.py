"""Make what is made from configs/tour.py: the notebook, and the table of its formulas as MathML.

    pip install jupytext latex2mathml; python -m tests.tour_files

tests/test_tour.py says when they have to be made anew. Neither package is needed to run the tour or its tests.
"""

import json
import re
import runpy

import jupytext
from latex2mathml.converter import convert

from tests.project import ROOT

TOUR = ROOT / "configs/tour.py"


def main() -> None:
    notebook = jupytext.read(TOUR)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    jupytext.write(notebook, TOUR.with_suffix(".ipynb"))
    texts = [text for kind, text in runpy.run_path(str(TOUR))["percent_cells"](TOUR.read_text()) if kind == "markdown"]
    formulas = {formula: convert(formula) for text in texts for formula in re.findall(r"\$([^$]+)\$", text)}
    path = ROOT / "configs/results/tour/formulas.json"
    path.write_text(json.dumps(formulas, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
