"""Figure 5.1."""

from mnnjax.config import Network, Problem, Study, Train

RATIOS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0)
study = Study(
    name="fig5_1",
    problem=Problem(d0=(10, 20, 30, 40, 50), d0_d1_over_N=RATIOS),
    network=Network(hidden_layers=(1, 2)),
    train=Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000),
    figure="fig5_1",
)
small = Study(
    name="fig5_1",
    problem=Problem(d0=(5, 10), d0_d1_over_N=(0.4, 0.7, 1.0, 1.5, 3.0)),
    network=Network(hidden_layers=(1, 2)),
    train=Train(learning_rate=1e-2, epochs=150, decay_epochs=150),
    repeats=5,
    figure="fig5_1",
)
