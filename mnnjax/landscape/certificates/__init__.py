"""What kind of point a network is at, with proofs."""
