"""What is known of a region before training."""
