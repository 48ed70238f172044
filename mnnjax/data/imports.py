"""Data sets from files that the user has, for machines without a network."""

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

FINDERS = (idx.find, cifar.find_binary, cifar.find_python, imagenet.find, tfds_folder.find)
LOOKED_FOR = {
    "mnist": idx.LOOKED_FOR,
    "fashion_mnist": idx.LOOKED_FOR,
    "cifar10": cifar.LOOKED_FOR,
    "imagenet64": imagenet.LOOKED_FOR,
}


def import_data(
    name: str,
    source: Path | str,
    data_dir: Path | str | None = None,
    *,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> Stored:
    """Write a data set from the published files, or a folder of TFDS's, in the folder `source`.

    Args:
      name: mnist, fashion_mnist, cifar10 or imagenet64.
      data_dir: where data sets are kept; `default_folder()` where None.
      force: write it also where a sound copy is kept, and replace that.
      say: told in a line what is done.

    Raises:
      UserError: no files, or missing, damaged or wrong ones; too little room; another process writes the same set.
        Nothing is left then, and an older copy stays.

    Example:
        import_data("mnist", "downloads/mnist")
    """
    data_set, folder, data_dir = find_set(name), Path(source), Path(data_dir or default_folder())
    require(folder.is_dir(), f"--from {folder}: no such folder; give the one with the files of {data_set.name}")
    return keep(data_set, data_dir, lambda: contextlib.nullcontext(detect(data_set, folder)), force, say)


def detect(data_set: DataSet, folder: Path) -> Source:
    """The first format of a data set of which the folder has files.

    Raises:
      UserError: it has none, or not all, or they are damaged.
    """
    for finder in FINDERS:
        if found := finder(data_set, folder):
            return found
    looked_for = f"{LOOKED_FOR[data_set.name]}, or {tfds_folder.LOOKED_FOR}"
    raise UserError(f"no files of {data_set.name} in {folder}; looked for {looked_for}")
