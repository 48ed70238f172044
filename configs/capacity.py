"""Capacity: at how many points a weight does training still reach a global minimum? Levenberg-Marquardt beside Adam.

Command:    mnnjax run configs/capacity.py [--small]
Reproduces: no figure of the paper. Figure 5.1 asks when the error vanishes; this asks when training reaches a
            certified global minimum, by up to 400 steps of Levenberg-Marquardt or by Figure 5.1's 2000 epochs of Adam.
            Both are in float64, with 30 repetitions of d = 10, 15, 20, 30 from d^2/N = 0.8 to 2.
Expect:     Levenberg-Marquardt: none of 480 with d^2/N <= 1.03; half of the repetitions at d^2/N = 1.09 to 1.16
            (d = 10), 1.092 (1.085 to 1.099; d = 15), 1.074 (1.068 to 1.079; d = 20) and 1.05 to 1.08
            (d = 30), 29 or 30 of 30 from 1.10 on at d = 20 and 30. Four repetitions at d = 30 have an MSE of zero to
            rounding and no certificate. Adam: MCE 0 in nearly all (d >= 20: 837 of 840 with d^2/N >= 1), but its MSE is
            not at a minimum yet: 22 of 1920 certified, all at d^2/N >= 1.7. (results/capacity)
Time:       23 minutes on two cores of an AMD EPYC. --small: 15 seconds.
"""

from mnnjax.config import Problem, Study, Train

RATIOS = (0.8, 0.9, 1.0, 1.02, 1.05, 1.08, 1.1, 1.13, 1.16, 1.2, 1.25, 1.3, 1.4, 1.5, 1.7, 2.0)
LEVENBERG_MARQUARDT = Train(
    optimizer="levenberg_marquardt", epochs=400, decay_epochs=0, precision="float64", chunk_epochs=20
)
ADAM = Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000, precision="float64", finish="minimum")


def pair(marquardt: Train, adam: Train, d: tuple[int, ...], ratios: tuple[float, ...], repeats: int) -> Study:
    """The same problems and first weights, trained in both ways."""
    problem = Problem(d0=d, d0_d1_over_N=ratios)
    other = Study(name="capacity_adam", problem=problem, train=adam, repeats=repeats, figure="capacity")
    return Study(name="capacity", problem=problem, train=marquardt, repeats=repeats, figure="capacity", also=(other,))


study = pair(LEVENBERG_MARQUARDT, ADAM, (10, 15, 20, 30), RATIOS, 30)
small = pair(
    Train(optimizer="levenberg_marquardt", epochs=60, decay_epochs=0, precision="float64", chunk_epochs=20),
    Train(learning_rate=1e-2, epochs=200, decay_epochs=200, precision="float64"),
    (5, 8), (0.8, 1.2, 2.0), 6,
)  # fmt: skip
