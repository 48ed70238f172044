"""The command line: one file per command; entry.py calls them."""

from mnnjax.cli.entry import main

__all__ = ["main"]
