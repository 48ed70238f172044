"""Volumes of regions: Theorem 10 measured, by sampling, splitting and exactly."""
