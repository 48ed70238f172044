"""Ways down to a local minimum from any point."""

from mnnjax.landscape.descent.descent import Descent, descend

__all__ = ["Descent", "descend"]
