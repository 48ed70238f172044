"""Volumes of regions: exact, sampled, split."""
