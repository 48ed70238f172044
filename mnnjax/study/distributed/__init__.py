"""Several processes, and stop requests.

process_group.py  which process this is, of how many
processes.py      how processes meet, and what they exchange
stopping.py       SIGTERM and SIGINT as requests to stop
"""
