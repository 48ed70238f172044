"""Does volume predict basins? How often training ends in a sub-optimal minimum, beside the volume of such regions.

Command:    mnnjax run configs/basins.py [--small]
Reproduces: no figure of the paper: the question of its section 6. Gradient descent with a small rate from standard
            normal weights, 25 runs on each of 20 data sets, beside V(L_0) and V(G) by enumeration of all regions.
            The rate falls to 1e-15 of itself at the end, so that runs that end at a kink come to rest on it.
Expect:     Volume predicts basins in part. basins_relu, 2000 runs: 609 end in a sub-optimal minimum with MCE > 0,
            twice as often (0.304) as V(L_0) says (0.144); frequency and volume have the rank correlation 0.46 over 80
            data sets (p = 2e-5); 242 end in a sub-optimal one without an error, 4 in a global one, 938 at a point
            that is not differentiable, 207 are unresolved. basins_leaky is alike: 0.332 beside 0.131, rank
            correlation 0.55. basins_relu_3d: 0.274 beside 0.199, rank correlation 0.19 over 10 data sets (p = 0.6).
            (results/basins)
Time:       16 minutes on two cores of an AMD EPYC. --small: 5 seconds.
"""

import dataclasses

from mnnjax.config import Network, Problem, Study, Train, Volume

DESCENT = Train(
    optimizer="sgd", learning_rate=0.02, epochs=500_000, decay_epochs=300_000, decay_to=1e-15, precision="float64",
    chunk_epochs=20_000, checkpoint_chunks=10,
)  # fmt: skip
SHORT = Train(
    optimizer="sgd", learning_rate=0.02, epochs=10_000, decay_epochs=10_000, decay_to=1e-15, precision="float64",
    chunk_epochs=5_000,
)  # fmt: skip


def pair(suffix: str, d0: int, N: tuple[int, ...], d1: tuple[int, ...], rho: float, sets: int, runs: int, train: Train):
    """Runs from random weights, and the exact volumes of the same problems."""
    problem = Problem(d0=(d0,), N=N, data_sets=sets)
    return (
        Study(
            name=f"basins_{suffix}", problem=problem, network=Network(d1=d1, rho=rho, init="gaussian"), train=train,
            repeats=sets * runs, figure="basins",
        ),
        Study(
            name=f"volumes_{suffix}", problem=problem, network=Network(d1=d1, rho=rho), volume=Volume(method="exact"),
            repeats=sets,
        ),
    )  # fmt: skip


def together(first: Study, *others: Study) -> Study:
    """The first study with the others in its work folder."""
    return dataclasses.replace(first, also=others)


study = together(
    *pair("relu", 2, (6, 8), (3, 4), 0.0, 20, 25, DESCENT),
    *pair("leaky", 2, (6, 8), (3, 4), 0.1, 20, 25, DESCENT),
    *pair("relu_3d", 3, (6,), (3,), 0.0, 10, 50, DESCENT),
)
small = together(*pair("relu", 2, (4,), (2,), 0.0, 5, 8, SHORT))
