"""The file of a finished cell: is it whole?"""

import csv
import io

from mnnjax.study.plan.grid import Cell


def damage(content: bytes, cell: Cell) -> str | None:
    """What is wrong with a file that should hold a cell's rows, one per seed and in their order; None: it is whole. A
    full disk, or an interrupted copy, may leave only a part."""
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
    if len(rows) != len(cell.seeds):
        return f"it has {len(rows)} rows, and the cell {len(cell.seeds)} repetitions"
    return None if seeds == [*map(str, cell.seeds)] else "its seeds are not the cell's"
