"""What kind of point a network is at, with proofs.

certificate.py      certify; its function _decide takes the decision from top to bottom
nearest_minimum.py  the way from a point to a minimum of its region, and the proof that it is there
linear_systems.py   which change of W makes a point stationary, with proven error bounds
"""
