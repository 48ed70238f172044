"""Several processes: processes.py; SIGTERM and SIGINT as requests to stop: stopping.py."""
