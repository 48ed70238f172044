"""A row of Table 1 on real data."""

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
