"""Capacity: at how many points a weight does training still reach a global minimum? Levenberg-Marquardt beside Adam.

Command:    mnnjax run configs/capacity.py [--small]
"""

from mnnjax.config import Problem, Study, Train

RATIOS = (0.8, 0.9, 1.0, 1.02, 1.05, 1.08, 1.1, 1.13, 1.16, 1.2, 1.25, 1.3, 1.4, 1.5, 1.7, 2.0)
NEWTON = Train(optimizer="newton", epochs=400, decay_epochs=0, precision="float64", chunk_epochs=20)
ADAM = Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000, precision="float64")


def pair(newton: Train, adam: Train, d: tuple[int, ...], ratios: tuple[float, ...], repeats: int) -> Study:
    """The same problems from the same weights, trained in both ways."""
    problem = Problem(d0=d, d0_d1_over_N=ratios)
    other = Study(name="capacity_adam", problem=problem, train=adam, repeats=repeats, figure="capacity")
    return Study(name="capacity", problem=problem, train=newton, repeats=repeats, figure="capacity", also=(other,))


study = pair(NEWTON, ADAM, (10, 15, 20, 30), RATIOS, 30)
small = pair(
    Train(optimizer="newton", epochs=60, decay_epochs=0, precision="float64", chunk_epochs=20),
    Train(learning_rate=1e-2, epochs=200, decay_epochs=200, precision="float64"),
    (5, 8), (0.8, 1.2, 2.0), 6,
)  # fmt: skip
