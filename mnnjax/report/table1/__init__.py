"""Table 1 of the paper: real images."""
