"""The file of a finished cell: is it whole, or does a study that has grown since have its first rows there?"""

import csv
import io
from typing import NamedTuple

from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.growth import continues


class Kept(NamedTuple):
    """What a file has of a cell that has grown since: its first repetitions, after so many epochs (0 of volumes)."""

    repetitions: int
    epochs: int


def damage(content: bytes, cell: Cell) -> str | None:
    """What is wrong with a file that should hold a cell's rows, one per seed and in their order; None: it is whole. A
    full disk, or an interrupted copy, may leave only a part."""
    found = _columns(content, cell)
    if isinstance(found, str):
        return found
    seeds, epochs = found
    if len(seeds) != len(cell.seeds):
        return f"it has {len(seeds)} rows, and the cell {len(cell.seeds)} repetitions"
    if cell.part.train is not None and (others := set(epochs) - {"", str(cell.steps)}):
        return f"it is of {others.pop()} epochs, and the cell has {cell.steps}"
    return None if seeds == [*map(str, cell.seeds)] else "its seeds are not the cell's"


def kept(content: bytes, cell: Cell) -> Kept | None:
    """What a file that is not whole has of the cell before it grew; None: nothing that can be kept."""
    found = _columns(content, cell)
    if isinstance(found, str):
        return None
    seeds, epochs = found
    if not seeds or seeds != [*map(str, cell.seeds)][: len(seeds)] or len(set(epochs)) != 1:
        return None
    if cell.part.train is None:
        return Kept(len(seeds), 0)
    done = int(epochs[0]) if epochs[0].isdecimal() else -1
    if not (done == cell.steps or (done >= 0 and continues(done, cell.part.train))):
        return None
    # The repetitions of such a cell go through the same products.
    return None if cell.data_parallel and len(seeds) < len(cell.seeds) else Kept(len(seeds), done)


def _columns(content: bytes, cell: Cell) -> tuple[list[str], list[str]] | str:
    """The columns `seed` and `epochs` of a file with rows of the cell; or what is wrong with it."""
    if not content:
        return "it is empty"
    try:
        text = content.decode()
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (UnicodeDecodeError, csv.Error, ValueError):
        return "it is no table"
    if not {"study", "cell", "seed"} <= set(header):
        return "it has no header"
    if not text.endswith("\n") or any(len(row) != len(header) for row in rows):
        return "a line of it is cut off, or has more than its columns"
    of_cell, seeds = ([row[header.index(name)] for row in rows] for name in ("cell", "seed"))
    if set(of_cell) - {cell.id}:
        return "it has rows of another cell"
    return seeds, [row[header.index("epochs")] if "epochs" in header else "" for row in rows]
