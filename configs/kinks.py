"""What kind of minimum lies below where training ends, and below random points.

Command:    mnnjax run configs/kinks.py [--small]
Reproduces: no figure of the paper. Its section 5 says that training converges to differentiable local minima. Here an
            exact descent follows Figure 5.1's training with Adam, and starts from random weights too: standard normal
            ones, and He's. It ends at a minimum that a certificate proves, most often at kinks.
Expect:     1170 descents, each ends at a proven minimum. With d0 d1 <= N all 720 are sub-optimal and at kinks: 0.11 to
            0.20 kinks per weight at N (medians of widths and starts), 0.36 to 0.53 at 0.3 N. With d0 d1 > N the global
            ones are 23, 31 and 38 of 50 at d = 10, 46, 49 and 49 of 50 at d = 20, and 50, 48 and 50 of 50 at d = 30:
            from Gaussian weights, from He's, and after Adam. In 57 of the 66 others N MSE is a whole number: so many
            points have no active neuron, and the others are fitted. d = 50: not run yet. (results/kinks)
Time:       33 minutes on two cores of an AMD EPYC that also did other work, most of it for d = 30. --small: 20 seconds.
"""

import dataclasses

from mnnjax.config import Network, Problem, Study, Train

RATIOS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0)
AT_ONCE = Train(epochs=0, decay_epochs=0, finish="minimum")
ADAM = Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000, finish="minimum")
SHORT = dataclasses.replace(ADAM, epochs=150, decay_epochs=150)


def starts(d: tuple[int, ...], ratios: tuple[float, ...], adam: Train, repeats: int) -> Study:
    """The same problems from each start, in one work folder: random weights of two sizes, and where Adam ends."""
    kinds = (("", "gaussian", AT_ONCE), ("_he", "he", AT_ONCE), ("_adam", "he", adam))
    first, *others = (
        Study(
            name=f"kinks{name}", problem=Problem(d0=d, d0_d1_over_N=ratios), network=Network(init=init), train=train,
            repeats=repeats, figure="kinks",
        )
        for name, init, train in kinds
    )  # fmt: skip
    return dataclasses.replace(first, also=tuple(others))


study = starts((10, 20, 30), RATIOS, ADAM, 10)
small = starts((6,), (0.5, 1.0, 2.0), SHORT, 6)
