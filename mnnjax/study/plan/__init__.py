"""What is to run, before anything runs: grid.py."""
