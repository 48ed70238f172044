"""What a study takes: memory and time."""
