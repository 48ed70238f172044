"""Figures 5.1 and 5.2 of the paper."""
