"""Real images: fetched or imported once into uint8 arrays with a manifest of their sha256, then memory-mapped."""

from mnnjax.data.preparing import import_data, prepare
from mnnjax.data.sets import DATA_SETS, DataSet, default_folder
from mnnjax.data.store import Stored, list_stored, open_stored

__all__ = ["DATA_SETS", "DataSet", "Stored", "default_folder", "import_data", "list_stored", "open_stored", "prepare"]
