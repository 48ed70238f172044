"""What a study takes: memory and time.

memory.py         bytes of a device and of the host, per cell
memory_check.py   a study that does not fit is refused before it starts
estimate.py       what --dry-run prints
timing.py         times real programs on this machine
machine.py        versions, processor, memory
"""
