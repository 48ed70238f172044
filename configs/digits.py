"""Rows in the form of Table 1 on real data: scikit-learn's 1797 digits, 0-4 against 5-9, PCA-whitened.

Command:    mnnjax run configs/digits.py [--small]
Reproduces: the claim of Table 1 (section 5), MCE 0 % with as many parameters as points, on data that need no download;
            and how few parameters are enough.
Expect:     MCE 0 in all 10 repetitions for d1 = 29 (parameters/N = 1.001) and for d1 = 20 (0.69), in 8 for d1 = 15
            (0.52) and in 2 for d1 = 10 (0.35); at most 3 images wrong. No repetition is certified, since
            pixels that hardly ever vary leave the rank undecided or the system badly conditioned. (results/digits)
Time:       3 minutes on two cores of an AMD EPYC that also did other work. --small: 8 seconds.
"""

from mnnjax.config import Network, Problem, Study, Train

study = Study(
    name="digits",
    problem=Problem(inputs="digits", labels="classes"),
    network=Network(d1=(10, 15, 20, 29)),
    train=Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000),
    repeats=10,
    figure="table1",
)
small = Study(
    name="digits",
    problem=Problem(inputs="digits", labels="classes", N=(300,)),
    network=Network(d1=(5,)),
    train=Train(learning_rate=1e-2, epochs=150, decay_epochs=150),
    repeats=2,
    figure="table1",
)
