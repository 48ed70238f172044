"""Real images, fetched or imported once into uint8 arrays, and users' own data; each with a manifest of the sha256 of
its arrays, which are memory-mapped."""

from mnnjax.data.own import OwnData, own_data, read_own
from mnnjax.data.preparing import import_data, prepare
from mnnjax.data.sets import DATA_SETS, DataSet, default_folder
from mnnjax.data.store import Stored, list_stored, open_stored

__all__ = [
    "DATA_SETS", "DataSet", "OwnData", "Stored", "default_folder", "import_data", "list_stored", "open_stored",
    "own_data", "prepare", "read_own",
]  # fmt: skip
