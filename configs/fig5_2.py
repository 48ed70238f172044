"""Figure 5.2: do runs end at differentiable local minima? Smallest neural input and final MSE against the width d.

Command:    mnnjax run configs/fig5_2.py [--small]
Reproduces: Figure 5.2 (section 5): N = floor(d^2 / 5), 1000 epochs, and 1000 more with an exponentially decaying
            rate, in float64. The claim: a smallest neural input of 1e-3 to 1 and a final MSE of 1e-31 to 1e-7.
Expect:     MSE of 0 to 4e-23 in 173 of 180 repetitions, and of 0.05 in 7, all at d = 10. Smallest neural input from
            1.3e-13 to 1.9e-2, below 1e-3 in 147. Certificates: 173 global minima, 6 sub-optimal differentiable local
            minima (one point is inactive in all neurons), 1 not converged; none at a kink. (results/fig5_2)
Time:       38 seconds on two cores of an Intel Xeon (AVX-512, AMX). --small: 10 seconds.
"""

from mnnjax.config import Problem, Study, Train

study = Study(
    name="fig5_2",
    problem=Problem(d0=(10, 20, 30, 40, 50, 60), d0_d1_over_N=(5.0,)),
    train=Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000, precision="float64"),
    figure="fig5_2",
)
small = Study(
    name="fig5_2",
    problem=Problem(d0=(6, 10), d0_d1_over_N=(5.0,)),
    train=Train(learning_rate=1e-2, epochs=200, decay_epochs=200, precision="float64"),
    repeats=5,
    figure="fig5_2",
)
