"""Data sets from the user's files, for machines without a network."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from mnnjax.data import cifar, idx, imagenet, tfds_folder
from mnnjax.data.sets import DataSet, default_folder
from mnnjax.data.sets import find as find_set
from mnnjax.data.source import Source
from mnnjax.data.store import Stored
from mnnjax.data.writing import keep
from mnnjax.errors import UserError, require

# Of each data set, the files that are looked for, and the readers of its formats.
FORMATS = {
    "mnist": (idx.LOOKED_FOR, [idx.find]),
    "fashion_mnist": (idx.LOOKED_FOR, [idx.find]),
    "cifar10": (cifar.LOOKED_FOR, [cifar.find_binary, cifar.find_python]),
    "imagenet64": (imagenet.LOOKED_FOR, [imagenet.find]),
}


def import_data(
    name: str,
    source: Path | str,
    data_dir: Path | str | None = None,
    *,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> Stored:
    """Write a data set from the published files, or from what TFDS prepared, in the folder `source`.

    Args:
      name: mnist, fashion_mnist, cifar10 or imagenet64.
      data_dir: where data sets are kept; `default_folder()` where None.
      force: replace a valid copy as well.
      say: called with one line per step.

    Raises:
      UserError: files are missing, damaged or wrong; too little disk space; another process writes the same set.
        Nothing is left then, and an older copy stays.

    Example:
        import_data("mnist", "downloads/mnist")
    """
    data_set, folder, data_dir = find_set(name), Path(source), Path(data_dir or default_folder())
    require(folder.is_dir(), f"--from {folder}: no such folder; give the one with the files of {data_set.name}")
    return keep(data_set, data_dir, lambda: contextlib.nullcontext(detect(data_set, folder)), force, say)


def detect(data_set: DataSet, folder: Path) -> Source:
    """The data set in the first format of which the folder has files; UserError where it has none, or bad ones."""
    looked_for, finders = FORMATS[data_set.name]
    for finder in (*finders, tfds_folder.find):
        if source := finder(data_set, folder):
            return source
    raise UserError(f"no files of {data_set.name} in {folder}; looked for {looked_for}, or {tfds_folder.LOOKED_FOR}")
