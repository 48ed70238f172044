"""What is known of a region before training.

patterns.py    neural inputs and activation patterns (Definition 1)
khatri_rao.py  the product A o X, its Gram matrix, rank and column space; exact_rank.py: its rank without rounding
minima.py      Lemma 2: the residual, MSE and MCE of a region's minima, and which of them are global or bad
membership.py  whether a region holds a minimum at all, by the linear programs of margins.py
"""
