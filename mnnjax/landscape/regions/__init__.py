"""What is known of a region before training.

patterns.py                   activation patterns: which region W lies in
khatri_rao.py, exact_rank.py  A o X, its Gram matrix and its rank, in float64 and modulo a prime
minima.py                     the region's minima (Lemma 2): residual, MSE, MCE
membership.py, margins.py     does the region hold a minimum at all
"""
