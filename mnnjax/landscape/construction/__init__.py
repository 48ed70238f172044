"""Theorem 8: a global minimum written down.

theorem8.py       global_minimum and construction_error
rays.py           points in the same direction, and labels that contradict each other
double_double.py  the error of a network in exact arithmetic, with a proven bound
"""
