"""Trains or measures one cell."""
