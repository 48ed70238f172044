"""A bit of everything: both Gaussian figures, a row of real data, and a leaky network on a teacher's labels.

Command:    bash launch/local.sh, or mnnjax run configs/quickstart.py [--small]
Reproduces: the shape of Figures 5.1 and 5.2 and of a row of Table 1 (section 5), at small d.
Expect:     MCE 0 from d^2/N of about 1 on at d = 20, and some errors at d = 10. Below 959 of the 960 end points of
            Figure 5.1 lies a proven minimum: 319 global, 607 sub-optimal ones at kinks, 33 sub-optimal and
            differentiable. Most of Figure 5.2's repetitions are certified as global minima. Digits: MCE 0 with 1.001
            parameters per point. A teacher's labels are learnt.
Time:       161 seconds on two quiet cores of an AMD EPYC, including compilation. --small: 30 seconds.
"""

from mnnjax.config import Network, Problem, Study, Train

SCHEDULE = Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000, finish="minimum")

study = Study(
    name="quickstart",
    problem=Problem(d0=(10, 20), d0_d1_over_N=(0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 3.0)),
    network=Network(hidden_layers=(1, 2)),
    train=SCHEDULE,
    figure="fig5_1",
    also=(
        Study(
            name="fig5_2",
            problem=Problem(d0=(10, 15, 20), d0_d1_over_N=(5.0,)),
            train=Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000, precision="float64"),
            figure="fig5_2",
        ),
        Study(
            name="digits",
            problem=Problem(inputs="digits", labels="classes"),
            network=Network(d1=(29,)),
            train=Train(learning_rate=1e-2, batch_size=200, epochs=100, decay_epochs=100),
            repeats=5,
            figure="table1",
        ),
        Study(
            name="teacher",
            problem=Problem(
                inputs="sphere", labels="teacher", label_values="zero_one", teacher_units=2, d0=(10,), N=(100, 200)
            ),
            network=Network(rho=0.1, bias=True),
            train=Train("sgd", (("momentum", 0.9),), learning_rate=0.05, batch_size=50, epochs=500, decay_epochs=500),
            repeats=10,
        ),
    ),
)
small = Study(
    name="quickstart",
    problem=Problem(d0=(5,), d0_d1_over_N=(0.5, 1.0, 2.0)),
    network=Network(hidden_layers=(1, 2)),
    train=Train(learning_rate=1e-2, epochs=100, decay_epochs=100),
    repeats=3,
    figure="fig5_1",
    also=(
        Study(
            name="fig5_2",
            problem=Problem(d0=(6, 8), d0_d1_over_N=(5.0,)),
            train=Train(learning_rate=1e-2, epochs=100, decay_epochs=100, precision="float64"),
            repeats=3,
            figure="fig5_2",
        ),
        Study(
            name="digits",
            problem=Problem(inputs="digits", labels="classes", N=(200,)),
            network=Network(d1=(4,)),
            train=Train(learning_rate=1e-2, batch_size=50, epochs=20, decay_epochs=20),
            repeats=2,
            figure="table1",
        ),
        Study(
            name="teacher",
            problem=Problem(
                inputs="sphere", labels="teacher", label_values="zero_one", teacher_units=2, d0=(5,), N=(20,)
            ),
            network=Network(rho=0.1, bias=True),
            train=Train("sgd", (("momentum", 0.9),), learning_rate=0.05, batch_size=8, epochs=20, decay_epochs=20),
            repeats=2,
        ),
    ),
)
