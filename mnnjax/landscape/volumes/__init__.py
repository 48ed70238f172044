"""Volumes of L_eps, G and the rank-deficient regions."""
