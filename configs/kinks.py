"""What kind of minimum lies below where training ends, and below random points.

Command:    mnnjax run configs/kinks.py [--small]
Reproduces: no figure of the paper. Its section 5 says that training converges to differentiable local minima. Here an
            exact descent follows Figure 5.1's training with Adam, and starts from random weights too: standard normal
            ones, and He's. It ends at a minimum that a certificate proves, most often at kinks.
Expect:     d = 10 and 20, 780 descents, each ends at a proven minimum. With d0 d1 <= N all 480 are sub-optimal and at
            kinks: 0.15 to 0.18 kinks per weight at N (medians of the starts), 0.33 to 0.51 at 0.3 N. With d0 d1 > N the
            global ones are 25, 30 and 40 of 50 at d = 10, and 45, 48 and 49 of 50 at d = 20: from Gaussian weights,
            from He's, and after Adam. In 56 of the 63 others N MSE is a whole number: so many points have no
            active neuron, and the others are fitted. d = 30 and 50: not run yet.
Time:       d = 10 and 20: 9 minutes on two cores of an AMD EPYC that also did other work. A descent takes about
            (d / 20)^4 N / 1000 seconds of one core, or a few times that. --small: 20 seconds.
"""

import dataclasses

from mnnjax.config import Network, Problem, Study, Train

RATIOS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0)
AT_ONCE = Train(epochs=0, decay_epochs=0, finish="minimum")
ADAM = Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000, finish="minimum")
SHORT = dataclasses.replace(ADAM, epochs=150, decay_epochs=150)
# To be set: what two hours of two cores allow.
REPEATS, REPEATS_D50 = 10, 3


def starts(suffix: str, d: tuple[int, ...], ratios: tuple[float, ...], adam: Train, repeats: int) -> tuple[Study, ...]:
    """The same problems from each start: random weights of two sizes, and where Adam ends."""
    kinds = (("", "gaussian", AT_ONCE), ("_he", "he", AT_ONCE), ("_adam", "he", adam))
    return tuple(
        Study(
            name=f"kinks{name}{suffix}", problem=Problem(d0=d, d0_d1_over_N=ratios), network=Network(init=init),
            train=train, repeats=repeats, figure="kinks",
        )
        for name, init, train in kinds
    )  # fmt: skip


def together(first: Study, *others: Study) -> Study:
    """The first study with the others in its work folder."""
    return dataclasses.replace(first, also=others)


study = together(*starts("", (10, 20, 30), RATIOS, ADAM, REPEATS), *starts("_d50", (50,), RATIOS, ADAM, REPEATS_D50))
small = together(*starts("", (6,), (0.5, 1.0, 2.0), SHORT, 6))
