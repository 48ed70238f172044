"""What is to run, before anything runs.

grid.py    the cells of a study, their shapes and the checks of their sizes
shard.py   every N-th cell, for one of N machines
keys.py    random keys of a cell's repetitions
"""
