"""Several processes, and requests to stop."""
