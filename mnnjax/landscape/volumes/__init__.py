"""Volumes of L_eps, G and the rank-deficient regions.

enumeration.py  exact, for d0 up to 3, from the cells of arrangement.py
sampling.py     by draws of W, with the intervals of intervals.py
splitting.py    too small for sampling: networks built neuron by neuron by particles.py
"""
