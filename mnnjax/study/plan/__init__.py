"""What is to run, before anything runs: cells (grid.py), shards (shard.py), random keys (keys.py); and how
a study grows in its folder (growth.py)."""
