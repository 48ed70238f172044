"""Activation patterns, Khatri-Rao products and their ranks, Lemma 2, membership."""
