"""Volumes of L_eps, G and the rank-deficient regions.

sampling.py                     from draws of W
splitting.py, particles.py      too rare to be drawn
enumeration.py, arrangement.py  exact, for d0 up to 3
intervals.py                    estimates with their intervals
"""
