"""What kind of point a network is at, with proofs.

certificate.py      certify: here a verdict is decided, from top to bottom
nearest_minimum.py  the exact minimum next to a point, and whether it lies in the point's region
kinks.py            points at which neural inputs are zero: local minimum or saddle
faces.py            the weights that keep these neural inputs zero, with their linear systems
cones.py            a neuron that is zero at points which depend on each other
linear_systems.py   the region's linear systems, with bounds on every rounding error
cholesky.py         factorizations in place and in blocks, with proven bounds on smallest eigenvalues
cost.py             memory and time of a large certificate, before it starts
"""
