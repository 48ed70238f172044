"""Ways down to a local minimum from any point, and the true global minimum of small problems."""

from mnnjax.landscape.descent.descent import Descent, descend
from mnnjax.landscape.descent.exhaustive import GlobalMinimum, exact_global_minimum

__all__ = ["Descent", "GlobalMinimum", "descend", "exact_global_minimum"]
