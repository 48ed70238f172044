"""Cells, the shapes they share, shards, keys."""
