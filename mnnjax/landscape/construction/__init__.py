"""Theorem 8: a global minimum written down."""
